"""Every error Deskloom raises, grouped by what the caller should do.

DeskloomError
├── Retryable            try later (`retry_after`)
│   ├── SourceUnavailable     the helpdesk cannot be reached or answers with faults
│   ├── RateLimited           the helpdesk's budget is used up
│   ├── RecordUnavailable     the database cannot be reached, is locked or full
│   ├── IndexUnavailable      the vector store cannot be used
│   ├── EmbedderUnavailable   the model cannot be used
│   └── GraphUnavailable      the graph, or the graph database, cannot be used
├── Fatal                stop; a person must act
│   ├── CredentialsRefused    wrong or dead key
│   ├── AccessRefused         role or plan does not allow it
│   ├── WrongProduct          not the helpdesk that was expected
│   ├── SourceRejected        the helpdesk calls our request wrong (`fields`)
│   ├── WindowStuck           a listing cannot be walked completely
│   ├── SettingInvalid        a setting is missing or wrong
│   ├── HomeInUse             another process owns the data folder
│   ├── HomeForeign           the data folder belongs to something else
│   ├── RecordOutdated        the database needs (or is beyond) a migration
│   ├── RecordDamaged         the database's file is corrupt
│   ├── IndexMismatch         the index holds vectors of another model or width
│   ├── ModelMissing          the model's files are not there
│   ├── ModelDamaged          the model's files are not what they should be
│   ├── GraphRefused          the graph database does not take what is sent
│   ├── FolderUnusable        a folder that is written to cannot be read or written
│   ├── DeletionHeld          more would be deleted than one run may delete
│   └── LeaseLost             another worker took the run over
├── ItemError            set this item aside, count it, go on
│   ├── EmptyContent          nothing to search for
│   └── Unreadable            the item, or part of it, cannot be read now
│       └── TextsRefused          the model takes the other texts of a call, not these (`refused`, `vectors`)
└── RequestError         the caller asked for what cannot be
    ├── InvalidRequest        a parameter is wrong (`parameter`)
    ├── NotFound              no such thing
    ├── AlreadyRunning        a run is in progress (`run_id`)
    ├── AlreadyThere          what is to be made exists
    ├── Ambiguous             what was named is several things
    ├── Conflict              what stands does not allow it
    ├── TooLarge              more was sent than is read
    ├── Unauthenticated       the caller's credentials are missing or wrong
    └── Forbidden             the caller's role does not reach this far

A message says what happened, to which thing, and what to do. It never holds a secret or the body of a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any


class DeskloomError(Exception):
    """The root. `code` names the error for machines; `facts` are its particulars."""

    code = "internal"

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts


class Retryable(DeskloomError):
    """It may work later. `component` is the part that is down: record, index, embedder or source."""

    code = "unavailable"
    component = ""

    def __init__(self, message: str, *, retry_after: timedelta | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.retry_after = retry_after


class SourceUnavailable(Retryable):
    code = "source_unavailable"
    component = "source"


class RateLimited(SourceUnavailable):
    code = "rate_limited"


class RecordUnavailable(Retryable):
    code = "record_unavailable"
    component = "record"


class IndexUnavailable(Retryable):
    code = "index_unavailable"
    component = "index"


class EmbedderUnavailable(Retryable):
    code = "embedder_unavailable"
    component = "embedder"


class GraphUnavailable(Retryable):
    code = "graph_unavailable"
    component = "graph"


class Fatal(DeskloomError):
    code = "fatal"


class CredentialsRefused(Fatal):
    code = "credentials_refused"


class AccessRefused(Fatal):
    code = "access_refused"


class WrongProduct(Fatal):
    code = "wrong_product"


class SourceRejected(Fatal):
    code = "source_rejected"


class WindowStuck(Fatal):
    code = "window_stuck"


class SettingInvalid(Fatal):
    code = "setting_invalid"


class HomeInUse(Fatal):
    code = "home_in_use"


class HomeForeign(Fatal):
    code = "home_foreign"


class RecordOutdated(Fatal):
    code = "record_outdated"


class RecordDamaged(Fatal):
    code = "record_damaged"


class IndexMismatch(Fatal):
    code = "index_mismatch"


class ModelMissing(Fatal):
    code = "model_missing"


class ModelDamaged(Fatal):
    code = "model_damaged"


class GraphRefused(Fatal):
    code = "graph_refused"


class FolderUnusable(Fatal):
    code = "folder_unusable"


class DeletionHeld(Fatal):
    code = "deletion_held"


class LeaseLost(Fatal):
    code = "lease_lost"


class ItemError(DeskloomError):
    code = "item"
    retry = True


class EmptyContent(ItemError):
    code = "empty_content"
    retry = False


class Unreadable(ItemError):
    code = "unreadable"


class TextsRefused(Unreadable):
    """`refused`: place in the call → why, in words. `vectors`: those of the whole call, rows of refused texts zero."""

    def __init__(self, message: str, *, refused: Mapping[int, str], vectors: Any, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.refused = refused
        self.vectors = vectors


class RequestError(DeskloomError):
    code = "request"


class InvalidRequest(RequestError):
    code = "invalid"


class NotFound(RequestError):
    code = "not_found"


class AlreadyRunning(RequestError):
    code = "already_running"


class AlreadyThere(RequestError):
    code = "already_there"


class Ambiguous(RequestError):
    code = "ambiguous"


class Conflict(RequestError):
    code = "conflict"


class TooLarge(RequestError):
    code = "too_large"


class Unauthenticated(RequestError):
    code = "unauthenticated"


class Forbidden(RequestError):
    code = "forbidden"
