"""How records reach the record store: what a page, a retried item and a sweep have in common."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.errors import ItemError, SourceUnavailable
from deskloom.model import Contact, ItemFailure, Kind, Record, Ticket, TicketState, Tombstone
from deskloom.protocols import Source, Stream
from deskloom.record import documents, failures, logs, tickets
from deskloom.record.copies import Stored
from deskloom.record.store import store
from deskloom.sync.runs import ActiveRun, Step

MOST_IN_A_ROW = 5
"""So many items that fail one after another mean that the source is down, not that the items are odd."""
SIDE_BY_SIDE = 10
"""Items asked for at once."""


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
) -> None:
    """Store records and failures in a step, with the documents, retry queue, counts and sync log that follow from it.

    Only what belongs to the run's own stream is counted.
    """
    now = run.clock()
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
        changed = [(key, stream.kind.value) for key in (*own.created, *own.updated, *own.touched, *own.deleted)]
        await logs.log_items(step.tx, stream.collection, changed, now=now)
    if stream.name != run.run.stream:
        return
    step.fail(failed)
    step.counts["fetched"] += len(records)
    for name in ("created", "updated", "unchanged", "deleted"):
        step.counts[name] += len(getattr(own, name))
    step.counts["updated"] += len(own.touched)


async def mark_documents(tx: AsyncConnection, source: Source, kind: Kind, stored: Stored, run: ActiveRun) -> None:
    """Say which documents may have to change because these records did."""
    now = run.clock()
    changed = (*stored.created, *stored.updated, *stored.touched)
    searchable = {stream.kind: stream.collection for stream in source.streams.values() if stream.collection}
    if collection := searchable.get(kind):
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


def document_key(kind: Kind, key: str) -> tuple[str, str]:
    """The document key (item id, language) of a record key."""
    if kind is Kind.ARTICLE:
        item, _, language = key.partition(":")
        return item, language
    return key, ""


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
