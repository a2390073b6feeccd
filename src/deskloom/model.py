"""The nouns of Deskloom: what a source yields, as frozen values. Nothing here knows HTTP, SQL or a vector store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

Json = dict[str, Any]
Cursor = Json
"""A source's own bookmark: JSON, opaque to everyone else. A committed cursor is a checkpoint."""


class Kind(StrEnum):
    """What an object is. The value is the `item_type` callers see."""

    TICKET = "ticket"
    ARTICLE = "article"
    CONTACT = "contact"
    COMPANY = "company"
    AGENT = "agent"
    CODES = "codes"
    HOURS = "hours"
    ROW = "row"


class TicketState(StrEnum):
    """Where the source keeps a ticket. Only `ACTIVE` and `ARCHIVED` tickets are searchable."""

    ACTIVE = "active"
    ARCHIVED = "archived"
    DELETED = "deleted"
    SPAM = "spam"


class Visibility(StrEnum):
    """Who may read a text: anyone, signed-in customers, some customers only, or the team."""

    PUBLIC = "public"
    CUSTOMERS = "customers"
    RESTRICTED = "restricted"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A reply or a note of a ticket. `kind` is the source's own word (reply, note, forward, …)."""

    external_id: int
    private: bool
    incoming: bool
    kind: str
    body_html: str | None = None
    body_text: str | None = None
    from_email: str | None = None
    to_emails: tuple[str, ...] | None = None
    cc_emails: tuple[str, ...] | None = None
    support_email: str | None = None
    author_id: int | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    raw: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeEntry:
    """Time that an agent worked on a ticket, in whole seconds; `worked_at` is when, by the source's own word.

    A timer that still runs is no entry yet.
    """

    external_id: int
    ticket_id: int
    seconds: int
    billable: bool = True
    worked_at: datetime | None = None
    agent_id: int | None = None
    note: str | None = None
    started_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    raw: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSheet:
    """Every time entry within a scope: of one ticket, or worked at or after `since` and before `before`.

    What the record has of a ticket beyond its sheet was deleted. What it has in a span of time beyond the sheet is a
    suspect only (its work date may have been moved); the ticket's own sheet, from `Source.fetch`, proves it.
    `unread` are entries that are there but make no sense (a negative duration, say): by id, their ticket and why. What
    the record has of them stands.
    """

    entries: tuple[TimeEntry, ...]
    ticket_id: int | None = None
    since: datetime | None = None
    before: datetime | None = None
    unread: Mapping[int, tuple[int | None, str]] = field(default_factory=dict)

    kind = Kind.HOURS

    @property
    def key(self) -> str:
        """The ticket's id, or `since/before` (ISO times, empty where the span is open)."""
        if self.ticket_id is not None:
            return str(self.ticket_id)
        return f"{self.since.isoformat() if self.since else ''}/{self.before.isoformat() if self.before else ''}"

    @property
    def stamp(self) -> str | None:
        """The change mark: made of the entries alone, so that the record, which makes the same sheet of what it holds,
        knows whether a sheet brings anything new. None while an entry is unread: the sheet is read again.
        """
        if self.unread:
            return None
        told = [asdict(replace(entry, raw={})) for entry in sorted(self.entries, key=lambda entry: entry.external_id)]
        text = json.dumps(told, default=lambda at: at.astimezone(UTC).isoformat())
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A ticket with everything that was said. `messages` is None when they could not be read: unknown, not empty.

    `time_entries` is None when they could not be read, or are not read with tickets at this source. `workspace_id` is
    the part of a Freshservice account that the ticket belongs to.
    `stamp` is the source's change mark; None means "read it again when it is seen next".
    Codes (status, priority, channel) are the account's own numbers; their labels are `Codes`.
    """

    external_id: int
    stamp: str | None
    state: TicketState = TicketState.ACTIVE
    subject: str | None = None
    description_html: str | None = None
    description_text: str | None = None
    status: int | None = None
    priority: int | None = None
    channel: int | None = None
    type: str | None = None
    requester_id: int | None = None
    requester_name: str | None = None
    requester_email: str | None = None
    responder_id: int | None = None
    group_id: int | None = None
    company_id: int | None = None
    workspace_id: int | None = None
    resolution_html: str | None = None
    resolution_text: str | None = None
    tags: tuple[str, ...] = ()
    custom_fields: Json = field(default_factory=dict)
    created_at: datetime | None = None
    updated_at: datetime | None = None
    due_by: datetime | None = None
    first_responded_at: datetime | None = None
    resolved_at: datetime | None = None
    closed_at: datetime | None = None
    messages: tuple[Message, ...] | None = None
    time_entries: tuple[TimeEntry, ...] | None = None
    raw: Json = field(default_factory=dict)

    kind = Kind.TICKET

    @property
    def key(self) -> str:
        return str(self.external_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Article:
    """A help article in one language. `published` and `visibility` decide who may find it."""

    external_id: int
    language: str
    stamp: str | None
    title: str | None = None
    body_html: str | None = None
    body_text: str | None = None
    summary: str | None = None
    published: bool = True
    visibility: Visibility = Visibility.PUBLIC
    folder_id: int | None = None
    folder_name: str | None = None
    category_id: int | None = None
    category_name: str | None = None
    author_id: int | None = None
    tags: tuple[str, ...] = ()
    url: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    raw: Json = field(default_factory=dict)

    kind = Kind.ARTICLE

    @property
    def key(self) -> str:
        return f"{self.external_id}:{self.language}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is to be found of a table row, in one language. `texts` stand in their order; of each, `weights` says how
    often its words count. `fields` are shown, and by some of them can be filtered."""

    title: str | None = None
    texts: tuple[str, ...] = ()
    weights: tuple[int, ...] = ()
    tags: tuple[str, ...] = ()
    visibility: Visibility = Visibility.PUBLIC
    fields: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a team's own table. `entries` by language; "" is the row as a whole, in whatever languages it holds."""

    external_id: str
    stamp: str | None
    entries: Mapping[str, Entry]
    created_at: datetime | None = None
    updated_at: datetime | None = None
    raw: Json = field(default_factory=dict)

    kind = Kind.ROW

    @property
    def key(self) -> str:
        return self.external_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A customer person."""

    external_id: int
    stamp: str | None
    name: str | None = None
    email: str | None = None
    other_emails: tuple[str, ...] = ()
    phone: str | None = None
    mobile: str | None = None
    company_id: int | None = None
    other_company_ids: tuple[int, ...] = ()
    language: str | None = None
    job_title: str | None = None
    deleted: bool = False
    custom_fields: Json = field(default_factory=dict)
    created_at: datetime | None = None
    updated_at: datetime | None = None
    raw: Json = field(default_factory=dict)

    kind = Kind.CONTACT

    @property
    def key(self) -> str:
        return str(self.external_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """A customer organisation. `account_number` is text, whatever the source's field type is."""

    external_id: int
    stamp: str | None
    name: str | None = None
    description: str | None = None
    account_number: str | None = None
    workspace_id: int | None = None
    domains: tuple[str, ...] = ()
    custom_fields: Json = field(default_factory=dict)
    created_at: datetime | None = None
    updated_at: datetime | None = None
    raw: Json = field(default_factory=dict)

    kind = Kind.COMPANY

    @property
    def key(self) -> str:
        return str(self.external_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A member of the support team."""

    external_id: int
    stamp: str | None
    name: str | None = None
    email: str | None = None
    active: bool = True
    created_at: datetime | None = None
    updated_at: datetime | None = None
    raw: Json = field(default_factory=dict)

    kind = Kind.AGENT

    @property
    def key(self) -> str:
        return str(self.external_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """One code table of an account: `field` (status, priority, channel, …) and the label of each code."""

    field: str
    labels: Mapping[int, str]
    stamp: str | None = None

    kind = Kind.CODES

    @property
    def key(self) -> str:
        return self.field


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """An object the source says is gone, or that a complete listing no longer has. `reason` is for people."""

    kind: Kind
    key: str
    reason: str
    stamp: str | None = None


Record = Ticket | Article | Row | Contact | Company | Agent | Codes | TimeSheet | Tombstone


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFailure:
    """An item that could not be read now. It goes to the retry queue; the run goes on.

    `retry` is False when only a change at the source can mend it.
    """

    kind: Kind
    key: str
    reason: str
    retry: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Records in order of change, and the cursor that is safe once they are stored.

    `listing` holds every key that exists and stands only on the last page of a complete, error-free listing:
    what the record has beyond it was deleted. `total` is the expected number of records of the whole read, if known.
    """

    records: tuple[Record, ...]
    cursor: Cursor
    failures: tuple[ItemFailure, ...] = ()
    listing: frozenset[str] | None = None
    total: int | None = None
