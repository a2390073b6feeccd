"""Step 1: pages of changed records from a source into the record, one transaction a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.errors import DeletionHeld, SourceUnavailable
from deskloom.model import Cursor, ItemFailure, Kind, Page, Record, Tombstone
from deskloom.protocols import Known, Source, Stream, nothing_known
from deskloom.record import checkpoints, documents, failures
from deskloom.record.store import keys as keys_of
from deskloom.record.store import stamps, standing
from deskloom.sync.hours import Proven, prove_hours
from deskloom.sync.proof import settle
from deskloom.sync.runs import WHOLE, ActiveRun, uninterrupted
from deskloom.sync.storing import MOST_IN_A_ROW, document_keys, fetch_record, objects_in, store_records
from deskloom.sync.sweep import absent

RETRIES_AT_ONCE = 50


async def pull(
    run: ActiveRun, source: Source, stream: Stream, *, max_delete_share: float, on_page: Callable[[], None]
) -> None:
    """Read `stream` from its checkpoint to the end (or the run's limit), page by page, into the record.

    `on_page` is called after each commit. In a full run nothing counts as known, so every child is read again.
    Raises what the source raises; what was committed stays, and the next run goes on from there.
    """
    main = stream.name == run.run.stream
    bookmark = _bookmark(run, stream)
    async with run.record.reading() as tx:
        cursor = await checkpoints.load_checkpoint(tx, source.name, bookmark)
    if cursor is None and run.run.since is not None and main:
        cursor = source.cursor_since(stream.name, run.run.since)
    known = nothing_known if run.run.mode == "full" else _known(run, source.name)
    run.phase = f"reading {stream.name}"
    async for page in source.read(stream.name, cursor, limit=run.left if main else None, known=known):
        lack = await _missing(run, source, stream, page.listing, max_delete_share)
        proven = await prove_hours(run, source, stream, page.records)
        await uninterrupted(_commit(run, source, stream, bookmark, page, lack, proven))
        cursor = page.cursor
        on_page()
    await uninterrupted(_complete(run, source, stream, bookmark, cursor))


async def restart(run: ActiveRun, source: Source, streams: Sequence[Stream]) -> None:
    """Forget the checkpoints of a full run's streams, once, when it starts for the first time."""
    async with run.step() as step:
        for stream in streams:
            await checkpoints.drop_checkpoint(step.tx, source.name, stream.name)


async def retry_failures(run: ActiveRun, source: Source, stream: Stream) -> None:
    """Read items of the stream's retry queue again whose waiting time is over."""
    main = stream.name == run.run.stream
    most = min(RETRIES_AT_ONCE, RETRIES_AT_ONCE if run.left is None or not main else run.left)
    async with run.record.reading() as tx:
        due = await failures.due_failures(tx, source.name, stream.name, now=run.clock(), limit=most)
    if not due:
        return
    run.phase = f"retrying {len(due)} {stream.name}"
    in_a_row = 0
    for failure in due:
        if failure.key == WHOLE:
            await _reopen(run, source, stream)
            continue
        try:
            said = await fetch_record(source, stream, failure.key)
            record, failed = said.record, said.failure
            in_a_row = 0
        except SourceUnavailable as error:  # one item that breaks the source must not hold up the others
            in_a_row += 1
            if in_a_row == MOST_IN_A_ROW:
                raise
            record, failed = None, ItemFailure(kind=stream.kind, key=failure.key, reason=error.message)
        async with run.step() as step:
            if failed and stream.kind is Kind.HOURS and await _is_deleted(step.tx, source.name, failure.key):
                await failures.clear_failures(step.tx, source.name, stream.name, [failure.key])
                failed = None
            await store_records(run, step, source, stream, [record] if record else [], [failed] if failed else [])
            if stream.collection and record and not isinstance(record, Tombstone):  # it may have failed in publishing
                keys = document_keys(record)
                await documents.mark_stale(step.tx, stream.collection, source.name, keys, now=run.clock())
        run.taken += main


async def _is_deleted(tx: AsyncConnection, source: str, ticket: str) -> bool:
    """Whether a ticket is known to be deleted: that its hours may not be read any more is no failure then."""
    stands = (await standing(tx, source, Kind.TICKET, [ticket])).get(ticket)
    return stands is not None and not stands.alive


async def _reopen(run: ActiveRun, source: Source, stream: Stream) -> None:
    """Let a stream whose list was closed be read from the beginning; if it still is closed, that is said anew."""
    async with run.step() as step:
        await failures.clear_failures(step.tx, source.name, stream.name, [WHOLE])
        await checkpoints.drop_checkpoint(step.tx, source.name, stream.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """What the record has beyond a complete listing: `records` to store for it, or `keys` that are `held` and why."""

    known: int
    records: tuple[Record, ...] = ()
    held: str | None = None
    keys: tuple[str, ...] = ()


async def _commit(
    run: ActiveRun, source: Source, stream: Stream, bookmark: str, page: Page, lack: Lack | None, proven: Proven
) -> None:
    """One transaction: what the page holds, what was proven of what it lacks, and the cursor after it."""
    async with run.step() as step:
        records = [*page.records, *(lack.records if lack else ()), *proven.records]
        await store_records(run, step, source, stream, records, [*page.failures, *proven.failures])
        if lack:
            await settle(run, step, source, stream, known=lack.known, held=lack.held, keys=lack.keys)
        if all(failure.key != WHOLE for failure in page.failures):
            await failures.clear_failures(step.tx, source.name, stream.name, [WHOLE])
        await checkpoints.save_checkpoint(
            step.tx,
            source.name,
            bookmark,
            page.cursor,
            now=run.clock(),
            completed=False,
            items=objects_in(page.records),
        )
    if stream.name == run.run.stream:
        run.taken += len({item.key for item in (*page.records, *page.failures)})
        run.total = page.total if page.total is not None else run.total


async def _missing(
    run: ActiveRun, source: Source, stream: Stream, listing: frozenset[str] | None, max_share: float
) -> Lack | None:
    """What a complete listing lacks, or why it was held back; None where the page brings no listing.

    Each is asked for once more by itself: an object may have moved from a part of the listing that was read late to
    one that was read early. It is gone only if the source says so.
    """
    if listing is None:
        return None
    async with run.record.reading() as tx:
        known = await keys_of(tx, source.name, stream.kind)
    try:
        gone = absent(
            stream.kind, known=known, listing=listing, max_share=max_share, where=source.name, stream=stream.name
        )
    except DeletionHeld as held:
        return Lack(known=len(known), held=held.message, keys=tuple(sorted(known - listing)))
    found: list[Record] = []
    for tombstone in gone:
        said = await fetch_record(source, stream, tombstone.key)
        if said.failure is None and said.record is not None:
            found.append(tombstone if isinstance(said.record, Tombstone) else said.record)
    return Lack(known=len(known), records=tuple(found))


def _known(run: ActiveRun, source: str) -> Known:
    async def known(kind: Kind, keys: Sequence[str]) -> Mapping[str, str]:
        async with run.record.reading() as tx:
            return await stamps(tx, source, kind, keys)

    return known


def _bookmark(run: ActiveRun, stream: Stream) -> str:
    """The checkpoint a run reads from: the stream's; a run since a given time has one of its own."""
    if run.run.since is not None and stream.name == run.run.stream:
        return f"{stream.name}@{run.run.id}"
    return stream.name


async def _complete(run: ActiveRun, source: Source, stream: Stream, bookmark: str, cursor: Cursor | None) -> None:
    """Note that the read reached its end; the bookmark of a run since a given time has served."""
    async with run.step() as step:
        if bookmark != stream.name:
            await checkpoints.drop_checkpoint(step.tx, source.name, bookmark)
        elif cursor is not None:
            await checkpoints.save_checkpoint(step.tx, source.name, bookmark, cursor, now=run.clock(), completed=True)
