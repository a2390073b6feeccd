"""How records reach the record store: what a page, a retried item and a sweep have in common."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.errors import ItemError, SourceUnavailable
from deskloom.model import Contact, ItemFailure, Kind, Record, Row, Ticket, TicketState, TimeSheet, Tombstone
from deskloom.protocols import Source, Stream
from deskloom.record import documents, failures, logs, rows, tickets
from deskloom.record.copies import Stored
from deskloom.record.store import store
from deskloom.sync.runs import ActiveRun, Step

MOST_IN_A_ROW = 5
"""So many items that fail one after another mean that the source is down, not that the items are odd."""
SIDE_BY_SIDE = 10
"""Items asked for at once."""
HOURS_LOG = ("time_entries", "time_entry")
"""Collection and item type of time entries in the sync log; they are in no index."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the source said of one key: a record (a tombstone if there is none), or why it could not say."""

    key: str
    record: Record | None
    failure: ItemFailure | None

    @property
    def gone(self) -> bool:
        """The source says that the object is deleted, or never was."""
        if isinstance(self.record, Ticket):
            return self.record.state in (TicketState.DELETED, TicketState.SPAM)
        return isinstance(self.record, Tombstone) or (isinstance(self.record, Contact) and self.record.deleted)


async def fetch_record(source: Source, stream: Stream, key: str) -> Answer:
    """One object by its key. Raises what is not about this object alone."""
    try:
        found = await source.fetch(stream.name, key)
    except ItemError as error:
        return Answer(key, None, ItemFailure(kind=stream.kind, key=key, reason=error.message, retry=error.retry))
    if found is None:
        return Answer(key, Tombstone(kind=stream.kind, key=key, reason="the source says that it does not exist"), None)
    if isinstance(found, Ticket) and found.messages is None and found.stamp is None:
        failure = ItemFailure(kind=stream.kind, key=key, reason="its replies and notes cannot be read")
        return Answer(key, found, failure)
    return Answer(key, found, None)


async def fetch_all(source: Source, stream: Stream, keys: Sequence[str]) -> AsyncIterator[list[Answer]]:
    """Objects by their keys, some at a time, side by side.

    One that breaks the source is a failure of its own; when `MOST_IN_A_ROW` do, the error of the last is raised.
    """
    in_a_row = 0

    async def ask(key: str) -> Answer | SourceUnavailable:
        try:
            return await fetch_record(source, stream, key)
        except SourceUnavailable as error:
            return error

    for start in range(0, len(keys), SIDE_BY_SIDE):
        part = keys[start : start + SIDE_BY_SIDE]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(ask(key)) for key in part]
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        answers: list[Answer] = []
        for key, task in zip(part, tasks, strict=True):
            said = task.result()
            if isinstance(said, Answer):
                in_a_row = 0
                answers.append(said)
                continue
            in_a_row += 1
            if in_a_row == MOST_IN_A_ROW:
                raise said
            answers.append(Answer(key, None, ItemFailure(kind=stream.kind, key=key, reason=said.message)))
        yield answers


async def store_records(
    run: ActiveRun,
    step: Step,
    source: Source,
    stream: Stream,
    records: Sequence[Record],
    failed: Sequence[ItemFailure],
) -> Stored:
    """Store records and failures in a step, with the documents, retry queue, counts and sync log that follow from it.

    Returns what became of the stream's own records. Only what belongs to the run's own stream is counted. A time entry
    that makes no sense is a failure of its ticket.
    """
    now = run.clock()
    failed = [*failed, *_senseless(records)]
    stored = await store(step.tx, source.name, records, now=now)
    for kind, outcome in stored.items():
        await mark_documents(step.tx, source, kind, outcome, run)
    unreadable = {failure.key for failure in failed}
    keys = [record.key for record in records if record.key not in unreadable]
    await failures.clear_failures(step.tx, source.name, stream.name, keys)
    if failed:
        await failures.add_failures(step.tx, source.name, stream.name, failed, now=now)
    own = stored.get(stream.kind, Stored())
    if stream.collection:
        await logs.log_items(step.tx, stream.collection, _changes(own, stream.kind.value), now=now)
    if worked := stored.get(Kind.HOURS):
        collection, item_type = HOURS_LOG
        await logs.log_items(step.tx, collection, _changes(worked, item_type), now=now)
    if stream.name != run.run.stream:
        step.tell(failed)
        return own
    step.fail(failed)
    step.counts["fetched"] += objects_in(records)
    for name in ("created", "updated", "unchanged", "deleted"):
        step.counts[name] += len(getattr(own, name))
    step.counts["updated"] += len(own.touched)
    return own


def objects_in(records: Iterable[Record]) -> int:
    """How many objects records stand for: a time sheet for its entries."""
    return sum(len(record.entries) if isinstance(record, TimeSheet) else 1 for record in records)


def _senseless(records: Iterable[Record]) -> list[ItemFailure]:
    said: dict[str, str] = {}
    for record in records:
        if isinstance(record, TimeSheet):
            for ticket, why in record.unread.values():
                said.setdefault(record.key if ticket is None else str(ticket), why)
    return [ItemFailure(kind=Kind.HOURS, key=key, reason=why) for key, why in said.items()]


def _changes(stored: Stored, item_type: str) -> list[tuple[str, str]]:
    return [(key, item_type) for key in (*stored.created, *stored.updated, *stored.touched, *stored.deleted)]


async def mark_documents(tx: AsyncConnection, source: Source, kind: Kind, stored: Stored, run: ActiveRun) -> None:
    """Say which documents may have to change because these records did."""
    now = run.clock()
    changed = (*stored.created, *stored.updated, *stored.touched)
    searchable = {stream.kind: stream.collection for stream in source.streams.values() if stream.collection}
    if kind is Kind.ROW:
        await _mark_rows(tx, searchable[kind], source.name, changed, stored.deleted, now)
    elif collection := searchable.get(kind):
        await documents.mark_stale(tx, collection, source.name, [document_key(kind, key) for key in changed], now=now)
        await documents.mark_gone(
            tx, collection, source.name, [document_key(kind, key) for key in stored.deleted], now=now
        )
    # Not only `updated`: a label or company may become known after the tickets that refer to it.
    elif kind is Kind.CODES and (stored.created or stored.updated) and Kind.TICKET in searchable:
        await documents.restale(tx, searchable[Kind.TICKET], source=source.name, now=now)
    elif kind is Kind.COMPANY and (stored.created or stored.updated) and Kind.TICKET in searchable:
        keys = await tickets.keys_of_companies(tx, source.name, [*stored.created, *stored.updated])
        await documents.mark_stale(
            tx, searchable[Kind.TICKET], source.name, [document_key(Kind.TICKET, key) for key in keys], now=now
        )


async def _mark_rows(
    tx: AsyncConnection, collection: str, source: str, changed: Sequence[str], deleted: Sequence[str], now: datetime
) -> None:
    """A row has a document in each of its languages; where it no longer has one, that document is gone."""
    present = await rows.languages_of(tx, source, changed)
    former = await documents.languages_of(tx, collection, source, [*changed, *deleted])
    await documents.mark_stale(tx, collection, source, present, now=now)
    await documents.mark_gone(tx, collection, source, former - present, now=now)


def document_keys(record: Record) -> list[tuple[str, str]]:
    """The document keys (item id, language) of a record that is searchable."""
    if isinstance(record, Row):
        return [(record.key, language) for language in record.entries]
    return [document_key(record.kind, record.key)]


def document_key(kind: Kind, key: str) -> tuple[str, str]:
    """The document key (item id, language) of a record key."""
    if kind is Kind.ARTICLE:
        item, _, language = key.partition(":")
        return item, language
    return key, ""


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
