"""One run from start to end: retry what failed before, pull the stream and what it needs, publish alongside."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from deskloom.errors import AlreadyRunning, DeskloomError, LeaseLost
from deskloom.http import metered
from deskloom.protocols import Source, Stream, VectorIndex
from deskloom.record import collections
from deskloom.sync.publish import Publisher
from deskloom.sync.pull import pull, restart, retry_failures
from deskloom.sync.reindex import OpenEmbedder, rebuild
from deskloom.sync.runs import ActiveRun
from deskloom.sync.tally import count_points

TURN = 0.5
"""Seconds between two looks whether it is a full sync's turn to build a copy."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say about runs."""

    max_delete_share: float = 0.2


async def perform(run: ActiveRun, *, source: Source, publisher: Publisher, rules: Rules) -> str:
    """Do the whole run and return how it ended: succeeded or partial. Raises what stopped it.

    Pulling goes on when publishing fails, and the other way round: what is in the record is published by a later run.
    """
    stream = source.streams[run.run.stream]
    with metered(run.meter):
        if stream.collection:
            await publisher.prepare(stream.collection)
        pulled, fresh = asyncio.Event(), asyncio.Event()
        results = await asyncio.gather(
            _pull_all(run, source, stream, rules, pulled, fresh),
            _publish(run, source, stream, publisher, pulled, fresh),
            return_exceptions=True,
        )
    for error in sorted((r for r in results if isinstance(r, BaseException)), key=_gravity):
        raise error
    if stream.collection:
        await _count(run, source, stream.collection, publisher)
    return "partial" if run.error_count else "succeeded"


async def refill(
    run: ActiveRun, *, source: Source, index: VectorIndex, open_embedder: OpenEmbedder, rules: Rules, batch: int
) -> str:
    """A full sync of table rows: everything is read, then a copy of the collection is filled and takes its place.

    Until then the old one serves, whole; killed at any moment, it goes on serving.
    """
    stream = source.streams[run.run.stream]
    assert stream.collection is not None
    await _pull_all(run, source, stream, rules, asyncio.Event(), asyncio.Event())
    async with run.record.reading() as tx:
        known = await collections.get_collection(tx, stream.collection)
    assert known is not None  # opening the index put it there
    while True:
        try:
            await rebuild(run, stream.collection, known.embedder, index=index, open_embedder=open_embedder, batch=batch)
            break
        except AlreadyRunning:  # of another table whose rows go into the same collection, or a reindex
            run.phase = f"waiting for another run that builds {stream.collection}"
            await asyncio.sleep(TURN)
    return "partial" if run.error_count else "succeeded"


async def _pull_all(
    run: ActiveRun, source: Source, stream: Stream, rules: Rules, pulled: asyncio.Event, fresh: asyncio.Event
) -> None:
    streams = [source.streams[name] for name in stream.needs] + [stream]
    try:
        if run.run.mode == "full" and run.run.takeovers == 0 and not run.counts["fetched"]:
            await restart(run, source, streams)
        for each in streams:
            await retry_failures(run, source, each)
            await pull(run, source, each, max_delete_share=rules.max_delete_share, on_page=fresh.set)
    finally:
        pulled.set()
        fresh.set()


async def _publish(
    run: ActiveRun,
    source: Source,
    stream: Stream,
    publisher: Publisher,
    pulled: asyncio.Event,
    fresh: asyncio.Event,
) -> None:
    if stream.collection is not None:
        await publisher.publish(run, source.name, stream.collection, pulled=pulled, fresh=fresh)


async def _count(run: ActiveRun, source: Source, collection: str, publisher: Publisher) -> None:
    """Promise 5: damage to the index behind our back is noticed by the next run, whatever it had to do."""
    if sentence := await count_points(run.record, publisher.index, collection, source.name):
        async with run.step() as step:
            step.errors.append(sentence)


def _gravity(error: BaseException) -> int:
    """Order of what is reported: a lost lease first, then bugs, then what a person can mend."""
    if isinstance(error, LeaseLost):
        return 0
    return 2 if isinstance(error, DeskloomError) else 1
