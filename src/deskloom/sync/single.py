"""One object, read now, stored and published: a run of mode "single"."""

from __future__ import annotations

from deskloom.errors import NotFound
from deskloom.http import metered
from deskloom.model import Json, Tombstone
from deskloom.protocols import Source
from deskloom.sync.publish import Publisher
from deskloom.sync.runs import ActiveRun
from deskloom.sync.storing import fetch_record, store_records

DID = ("created", "updated", "deleted", "unchanged")


def item_stream(key: str) -> str:
    """The stream of such a run: at most one at a time for an object, and none of the whole stream in its way."""
    return f"item {key}"


async def single(run: ActiveRun, *, source: Source, publisher: Publisher) -> str:
    """Options of the run: `stream` and `key`. Its report says what it `did`: created, updated, deleted or unchanged.

    Raises `NotFound` if neither side has the object, and what the source raises.
    """
    stream, key = source.streams[run.run.options["stream"]], run.run.options["key"]
    run.phase = f"reading {stream.name} {key}"
    with metered(run.meter):
        if stream.collection:
            await publisher.prepare(stream.collection)
        said = await fetch_record(source, stream, key)
        async with run.step() as step:
            failed = [said.failure] if said.failure else []
            own = await store_records(run, step, source, stream, [said.record] if said.record else [], failed)
            step.fail(failed)
            did = next((name for name in (*DID, "touched") if getattr(own, name)), None)
            for name in DID:
                step.counts[name] += len(getattr(own, name))
            step.counts["fetched"] += 1
        if did is None and isinstance(said.record, Tombstone):
            raise NotFound(f'Neither side has {stream.kind} "{key}" of "{source.name}".', source=source.name, id=key)
        if stream.collection:
            await publisher.publish(run, source.name, stream.collection)
    report: Json = {"key": key, "did": "updated" if did == "touched" else did or "unchanged"}
    run.report = report
    return "partial" if run.error_count else "succeeded"
