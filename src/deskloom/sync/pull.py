"""Step 1: pages of changed records from a source into the record, one transaction a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.errors import DeletionHeld, ItemError, SourceUnavailable
from deskloom.model import Cursor, ItemFailure, Kind, Page, Record, Ticket, Tombstone
from deskloom.protocols import Known, Source, Stream, nothing_known
from deskloom.record import checkpoints, documents, failures, logs, tickets
from deskloom.record.copies import Stored
from deskloom.record.store import keys as keys_of
from deskloom.record.store import stamps, store
from deskloom.sync.runs import ActiveRun, Step, uninterrupted
from deskloom.sync.sweep import absent

RETRIES_AT_ONCE = 50
MOST_IN_A_ROW = 5
"""So many retried items that fail one after another mean that the source is down, not that the items are odd."""
WHOLE = "*"
"""The key of a failure that is about a whole stream: its list may not be read."""


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
        missing, held = await _missing(run, source, stream, page.listing, max_delete_share)
        await uninterrupted(_commit(run, source, stream, bookmark, page, missing, held))
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
            record, failed = await _fetch(source, stream, failure.key)
            in_a_row = 0
        except SourceUnavailable as error:  # one item that breaks the source must not hold up the others
            in_a_row += 1
            if in_a_row == MOST_IN_A_ROW:
                raise
            record, failed = None, ItemFailure(kind=stream.kind, key=failure.key, reason=error.message)
        async with run.step() as step:
            await _store(run, step, source, stream, [record] if record else [], [failed] if failed else [])
            if stream.collection and record and not isinstance(record, Tombstone):  # it may have failed in publishing
                key = _document(stream.kind, record.key)
                await documents.mark_stale(step.tx, stream.collection, source.name, [key], now=run.clock())
        run.taken += main


async def _reopen(run: ActiveRun, source: Source, stream: Stream) -> None:
    """Let a stream whose list was closed be read from the beginning; if it still is closed, that is said anew."""
    async with run.step() as step:
        await failures.clear_failures(step.tx, source.name, stream.name, [WHOLE])
        await checkpoints.drop_checkpoint(step.tx, source.name, stream.name)


async def _fetch(source: Source, stream: Stream, key: str) -> tuple[Record | None, ItemFailure | None]:
    try:
        found = await source.fetch(stream.name, key)
    except ItemError as error:
        return None, ItemFailure(kind=stream.kind, key=key, reason=error.message, retry=error.retry)
    if found is None:
        return Tombstone(kind=stream.kind, key=key, reason="the source says that it does not exist"), None
    if isinstance(found, Ticket) and found.messages is None and found.stamp is None:
        return found, ItemFailure(kind=stream.kind, key=key, reason="its replies and notes cannot be read")
    return found, None


async def _commit(
    run: ActiveRun,
    source: Source,
    stream: Stream,
    bookmark: str,
    page: Page,
    missing: Sequence[Record],
    held: Sequence[str],
) -> None:
    """One transaction: what the page holds, what its listing shows to be gone, and the cursor after it."""
    async with run.step() as step:
        await _store(run, step, source, stream, [*page.records, *missing], page.failures)
        step.errors += held
        if all(failure.key != WHOLE for failure in page.failures):
            await failures.clear_failures(step.tx, source.name, stream.name, [WHOLE])
        await checkpoints.save_checkpoint(
            step.tx,
            source.name,
            bookmark,
            page.cursor,
            now=run.clock(),
            completed=False,
            items=len(page.records),
        )
    if stream.name == run.run.stream:
        run.taken += len({item.key for item in (*page.records, *page.failures)})
        run.total = page.total if page.total is not None else run.total


async def _store(
    run: ActiveRun,
    step: Step,
    source: Source,
    stream: Stream,
    records: Sequence[Record],
    failed: Sequence[ItemFailure],
) -> None:
    now = run.clock()
    stored = await store(step.tx, source.name, records, now=now)
    for kind, outcome in stored.items():
        await _mark_documents(step.tx, source, kind, outcome, run)
    unreadable = {failure.key for failure in failed}
    keys = [record.key for record in records if record.key not in unreadable]
    await failures.clear_failures(step.tx, source.name, stream.name, keys)
    if failed:
        await failures.add_failures(step.tx, source.name, stream.name, failed, now=now)
    if stream.name != run.run.stream:
        return
    step.fail(failed)
    own = stored.get(stream.kind, Stored())
    step.counts["fetched"] += len(records)
    for name in ("created", "updated", "unchanged", "deleted"):
        step.counts[name] += len(getattr(own, name))
    step.counts["updated"] += len(own.touched)
    if stream.collection:
        changed = [(key, stream.kind.value) for key in (*own.created, *own.updated, *own.touched, *own.deleted)]
        await logs.log_items(step.tx, stream.collection, changed, now=now)


async def _mark_documents(tx: AsyncConnection, source: Source, kind: Kind, stored: Stored, run: ActiveRun) -> None:
    """Say which documents may have to change because these records did."""
    now = run.clock()
    changed = (*stored.created, *stored.updated, *stored.touched)
    searchable = {stream.kind: stream.collection for stream in source.streams.values() if stream.collection}
    if collection := searchable.get(kind):
        await documents.mark_stale(tx, collection, source.name, [_document(kind, key) for key in changed], now=now)
        await documents.mark_gone(
            tx, collection, source.name, [_document(kind, key) for key in stored.deleted], now=now
        )
    # Not only `updated`: a label or company may become known after the tickets that refer to it.
    elif kind is Kind.CODES and (stored.created or stored.updated) and Kind.TICKET in searchable:
        await documents.restale(tx, searchable[Kind.TICKET], source=source.name, now=now)
    elif kind is Kind.COMPANY and (stored.created or stored.updated) and Kind.TICKET in searchable:
        keys = await tickets.keys_of_companies(tx, source.name, [*stored.created, *stored.updated])
        await documents.mark_stale(
            tx, searchable[Kind.TICKET], source.name, [_document(Kind.TICKET, key) for key in keys], now=now
        )


def _document(kind: Kind, key: str) -> tuple[str, str]:
    """The document key (item id, language) of a record key."""
    if kind is Kind.ARTICLE:
        item, _, language = key.partition(":")
        return item, language
    return key, ""


async def _missing(
    run: ActiveRun, source: Source, stream: Stream, listing: frozenset[str] | None, max_share: float
) -> tuple[list[Record], list[str]]:
    """What a complete listing lacks, and why more was held back.

    Each is asked for once more by itself: an object may have moved from a part of the listing that was read late to
    one that was read early. It is gone only if the source says so.
    """
    if listing is None:
        return [], []
    async with run.record.reading() as tx:
        known = await keys_of(tx, source.name, stream.kind)
    try:
        gone = absent(stream.kind, known=known, listing=listing, max_share=max_share, where=source.name)
    except DeletionHeld as held:
        return [], [held.message]
    found: list[Record] = []
    for tombstone in gone:
        record, failed = await _fetch(source, stream, tombstone.key)
        if failed is None and record is not None:
            found.append(tombstone if isinstance(record, Tombstone) else record)
    return found, []


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
