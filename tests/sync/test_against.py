"""The record against its source: what is missing, stale or extra, and what only has not been synced yet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from tests.rig import Install, Rig
from tests.sync.test_sweep import delete, do, held, live

from deskloom.errors import SourceUnavailable
from deskloom.model import Json
from deskloom.protocols import Listed
from deskloom.record import runs as record_runs
from deskloom.record import tables
from deskloom.sandbox.faults import Fault
from deskloom.sandbox.freshdesk.edits import perform
from deskloom.sandbox.freshdesk.switches import Switches
from deskloom.sandbox.generate import generate
from deskloom.sync.against import against
from deskloom.sync.runs import ActiveRun


async def compared(
    made: Rig, stream: str = "tickets", *, repair: bool = False, share: float = 1.0, source: Any = None
) -> Json:
    """What a verify run is told of one stream."""
    source, clock = source or made.app.source("freshdesk"), made.app.clock
    async with made.app.record.transaction() as tx:
        queued = await record_runs.create_run(
            tx,
            source="freshdesk",
            stream="verify",
            mode="verify",
            requested_by="test",
            since=None,
            limit=None,
            now=clock(),
        )
        lease = timedelta(hours=9)
        taken = await record_runs.take_run(tx, queued.id, owner="test", now=clock(), lease_until=clock() + lease)
    assert taken is not None
    run = ActiveRun(taken, record=made.app.record, clock=clock, lease=lease)
    try:
        return await against(run, source, source.streams[stream], repair=repair, max_delete_share=share)
    finally:
        await run.finish("succeeded")


def named(told: Json) -> dict[str, set[str]]:
    """The keys named under each heading."""
    return {what: {item["key"] for item in told[what]["items"]} for what in ("missing", "stale", "extra", "unsure")}


AGREE: dict[str, set[str]] = {"missing": set(), "stale": set(), "extra": set(), "unsure": set()}


async def damage(made: Rig) -> dict[str, int]:
    """Lose a ticket, spoil the mark of one, and invent one, behind the record's back."""
    lost, stale, model = live(made.desk)[:3]
    columns = tables.tickets.c
    async with made.app.record.transaction() as tx:
        await tx.execute(tables.tickets.delete().where(columns.external_id == lost))
        await tx.execute(tables.tickets.update().where(columns.external_id == stale).values(stamp="old", subject="Old"))
        row: dict[str, Any] = next(dict(one) for one in await made.rows(tables.tickets) if one["external_id"] == model)
        await tx.execute(tables.tickets.insert().values(row | {"external_id": 999_999, "stamp": "invented"}))
    return {"missing": lost, "stale": stale, "extra": 999_999}


async def test_damage_is_named_and_mended_and_nothing_else_is_touched(install: Install) -> None:
    """Each kind of damage is found by key and reason; repair mends these three; a second look finds nothing."""
    desk = generate(seed=2, tickets=10, articles=0, contacts=5)
    desk.clock.advance(3600)
    async with install(desk) as made:
        await made.sync()
        assert named(await compared(made)) == AGREE
        done = await damage(made)
        before = {row["external_id"]: row for row in await made.rows(tables.tickets)}
        told = await compared(made)
        assert named(told) == AGREE | {what: {str(key)} for what, key in done.items()}
        assert (told["pending"], told["mended"]) == (0, None)
        assert told["extra"]["items"][0]["why"] == "the source says that it does not exist"
        assert {row["external_id"]: row for row in await made.rows(tables.tickets)} == before
        mended = await compared(made, repair=True)
        assert mended["mended"] == {"read": 2, "removed": 1, "failed": []}
        after = {row["external_id"]: row for row in await made.rows(tables.tickets)}
        assert {key for key in before if before[key] != after[key]} == {done["stale"], done["extra"]}
        assert after.keys() - before.keys() == {done["missing"]}
        assert named(await compared(made)) == AGREE
        assert await made._record_against_source() == []


async def test_what_changed_since_the_last_sync_is_pending(install: Install) -> None:
    """A new, a changed and a deleted ticket are no differences before the next sync, nor during the comparison."""
    desk = generate(seed=2, tickets=10, articles=0, contacts=5)
    desk.clock.advance(3600)
    async with install(desk) as made:
        await made.sync()
        first, second, third = live(desk)[:3]
        do(
            desk,
            {"method": "PUT", "path": f"tickets/{first}", "body": {"priority": 4}},
            delete(f"tickets/{second}"),
            {"method": "POST", "path": "tickets", "body": {"email": "new@example.com", "subject": "New"}},
        )
        edit = {"method": "PUT", "path": f"tickets/{third}", "body": {"priority": 4}}
        desk.faults.before("GET /api/v2/tickets", lambda: perform(desk, edit))
        told = await compared(made, repair=True)
        assert (named(told), told["pending"], told["mended"]["read"]) == (AGREE, 4, 0)
        desk.clock.advance(600)
        await made.sync()
        told = await compared(made)
        assert (named(told), told["pending"]) == (AGREE, 0)


class StoredMeanwhile:
    """A source while whose listing is read another run brings a ticket up to date."""

    def __init__(self, made: Rig, key: int, stamp: str) -> None:
        self.made, self.key, self.stamp = made, key, stamp
        self.real = made.app.source("freshdesk")
        self.name, self.streams, self.fetch = self.real.name, self.real.streams, self.real.fetch

    async def listing(self, stream: str) -> AsyncIterator[Sequence[Listed]]:
        async for batch in self.real.listing(stream):
            yield batch
        async with self.made.app.record.transaction() as tx:
            its = tables.tickets.c.external_id == self.key
            await tx.execute(tables.tickets.update().where(its).values(stamp=f"{self.stamp} again"))


async def test_what_another_run_stores_meanwhile_is_no_difference(install: Install) -> None:
    """A ticket that differed at the start and was stored during the comparison is left to that run."""
    desk = generate(seed=2, tickets=8, articles=0, contacts=5)
    desk.clock.advance(3600)
    async with install(desk) as made:
        await made.sync()
        key = live(desk)[1]
        async with made.app.record.transaction() as tx:
            its = tables.tickets.c.external_id == key
            await tx.execute(tables.tickets.update().where(its).values(stamp="old"))
        told = await compared(made, repair=True, source=StoredMeanwhile(made, key, "new"))
        assert (named(told), told["pending"], told["mended"]["read"]) == (AGREE, 1, 0)


async def test_before_the_first_sync_everything_is_pending(install: Install) -> None:
    """A record that was never filled differs from its source in nothing that a sync would not bring."""
    desk = generate(seed=2, tickets=6, articles=0, contacts=5)
    async with install(desk) as made:
        await made.start("tickets", limit=2)
        await made.app.dispatcher.wait((await made.start("kb")).id)
        told = await compared(made)
        assert named(told) == AGREE


async def test_a_ticket_that_was_restored_without_a_new_stamp_is_a_difference(install: Install) -> None:
    """No later sync would bring it, so it is not pending; repair makes it alive again."""
    desk = generate(seed=2, tickets=8, articles=0, contacts=5, switches=Switches(restore_bumps=False))
    desk.clock.advance(3600)
    async with install(desk) as made:
        key = live(desk)[0]
        do(desk, delete(f"tickets/{key}"))
        await made.sync()
        desk.clock.advance(3600)
        await made.sync()
        do(desk, {"method": "PUT", "path": f"tickets/{key}/restore"})
        told = await compared(made, repair=True)
        assert named(told) == AGREE | {"stale": {str(key)}}
        assert await made._record_against_source() == []


async def test_a_mass_of_extras_is_held(install: Install) -> None:
    """Repair removes no more than the set share; what is held waits for a word."""
    desk = generate(seed=2, tickets=10, articles=0, contacts=5)
    async with install(desk) as made:
        await made.sync()
        gone = live(desk)[:5]
        do(desk, *({"purge": key} for key in gone))
        told = await compared(made, repair=True, share=0.2)
        assert (told["held"], told["mended"]["removed"]) == (True, 0)
        assert await held(made) == [("freshdesk", "tickets", sorted(map(str, gone)))]


async def test_a_listing_that_fails_says_nothing(install: Install) -> None:
    """An incomplete listing is an error, not a finding."""
    desk = generate(seed=2, tickets=6, articles=0, contacts=5)
    async with install(desk, retries=0) as made:
        await made.sync()
        desk.faults.add(Fault(match="filter=spam", kind="503", times=None))
        with pytest.raises(SourceUnavailable):
            await compared(made, repair=True)


async def test_every_stream_agrees_after_a_sync(install: Install) -> None:
    """Whatever was just synced differs in nothing."""
    desk = generate(seed=2, tickets=4, articles=4, contacts=5)
    desk.clock.advance(3600)
    async with install(desk) as made:
        await made.sync()
        await made.sync("kb")
        for stream in ("tickets", "kb", "contacts", "companies", "agents"):
            told = await compared(made, stream)
            assert (named(told), told["pending"]) == (AGREE, 0), stream
            assert told["listed"] == told["known"] > 0
