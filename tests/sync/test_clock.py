"""A clock that jumps while runs are under way: nothing sticks for longer than the jump, nothing is done twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from tests.fakes import FakeEmbedder
from tests.rig import Install, Rig

from deskloom import documents
from deskloom.protocols import Purpose, Vectors
from deskloom.record import documents as record_documents
from deskloom.record import runs as record_runs
from deskloom.record import tables
from deskloom.sandbox.clock import Clock
from deskloom.sandbox.faults import Fault
from deskloom.sandbox.freshdesk.desk import Desk
from deskloom.sandbox.generate import generate

HOUR = timedelta(hours=1)


class Skewed:
    """The help desk's clock with an error of its own."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.by = timedelta()

    def __call__(self) -> datetime:
        return self.desk.clock.now() + self.by


class JumpingEmbedder(FakeEmbedder):
    """A fake during whose work the clock is set."""

    def __init__(self, skewed: Skewed, by: timedelta) -> None:
        super().__init__()
        self.skewed, self.by = skewed, by

    async def embed(self, texts: Sequence[str], purpose: Purpose = "document") -> Vectors:
        if self.texts >= 8:
            self.skewed.by = self.by
        return await super().embed(texts, purpose)


async def skew(made: Rig) -> Skewed:
    """Give the rig's app a clock of its own."""
    skewed = Skewed(made.desk)
    made.clock = skewed
    await made.reopen()
    return skewed


def small() -> Desk:
    return generate(seed=3, tickets=24, articles=4, clock=Clock())


@pytest.mark.parametrize("jump", [-HOUR, HOUR], ids=["back", "forward"])
async def test_a_clock_that_jumps_while_documents_are_published(install: Install, jump: timedelta) -> None:
    """The run succeeds, no text is embedded twice, and the next runs find and publish what changed since."""
    async with install(small(), publish_batch=4) as made:
        skewed = await skew(made)
        embedder = made.models["minilm"] = JumpingEmbedder(skewed, jump)
        await made.reopen()
        for stream in ("tickets", "kb"):
            assert (await made.sync(stream)).state == "succeeded"
        assert skewed.by == jump
        assert await made.differences() == []
        assert embedder.texts == sum(row["parts"] for row in await made.rows(tables.embeddings))
        assert await made.rows(tables.run_help) == []
        made.desk.clock.advance(60)
        made.desk.bump(min(made.desk.tickets.ids("updated", "live")), status=3)
        made.desk.clock.advance(60)
        again = await made.sync("tickets")
        assert (again.state, again.counts["embedded"], again.counts["indexed"]) == ("succeeded", 0, 1)
        assert await made.differences() == []


async def test_a_run_of_another_host_is_taken_over_after_the_jump_at_the_latest(install: Install) -> None:
    """Its lease was written by a clock an hour ahead: it holds for that hour, and not for longer."""
    async with install(small()) as made:
        skewed = await skew(made)
        now = skewed()
        async with made.app.record.transaction() as tx:
            queued = await record_runs.create_run(
                tx, source="freshdesk", stream="tickets", mode="incremental", requested_by="", since=None, limit=None,
                now=now,
            )  # fmt: skip
            until = now + timedelta(seconds=30)
            assert await record_runs.take_run(tx, queued.id, owner="elsewhere/1", now=now, lease_until=until)
        skewed.by = -HOUR
        assert await made.app.dispatcher.recover() == []
        made.desk.clock.advance(HOUR + timedelta(seconds=31))
        (taken,) = await made.app.dispatcher.recover()
        await made.app.dispatcher.wait(taken.id)
        assert ((await made.run(queued)).state, (await made.run(queued)).takeovers) == ("succeeded", 1)


async def test_claims_of_a_dead_publisher_do_not_outlast_its_run(install: Install) -> None:
    """Whatever the clock says, the next run of the stream gives them back at once and publishes them."""
    async with install(small()) as made:
        skewed = await skew(made)
        for stream in ("tickets", "kb"):
            await made.sync(stream)
        now = skewed()
        async with made.app.record.transaction() as tx:
            await record_documents.restale(tx, documents.TICKETS, now=now)
            dead = f"{'0' * 8}-0000-4000-8000-{'0' * 12}/1/dead"
            until = now + timedelta(seconds=30)
            assert len(await record_documents.claim(tx, owner=dead, limit=5, until=until, now=now)) == 5
        skewed.by = -HOUR
        assert (await made.sync("tickets")).state == "succeeded"
        assert await made.differences() == []


async def test_a_failure_is_tried_again_after_the_jump_at_the_latest(install: Install) -> None:
    """An item whose next attempt was set by a clock an hour ahead is read when that hour is over, by itself."""
    async with install(small()) as made:
        skewed = await skew(made)
        ticket = min(made.desk.tickets.ids("updated", "live"))
        made.desk.faults.add(Fault(match=rf"GET /api/v2/tickets/{ticket}/conversations", kind="403", times=None))
        for stream in ("tickets", "kb"):
            await made.sync(stream)
        made.desk.faults.clear()
        assert [row["key"] for row in await made.rows(tables.failures)] == [str(ticket)]
        skewed.by = -HOUR
        await made.sync("tickets")
        assert len(await made.rows(tables.failures)) == 1
        made.desk.clock.advance(HOUR + timedelta(minutes=1, seconds=1))
        await made.sync("tickets")
        assert await made.rows(tables.failures) == []
        assert await made.differences() == []


async def test_a_reindex_ends_although_the_clock_is_set_back(install: Install) -> None:
    """The clock jumps while the copy is filled and a sync goes on beside it: both succeed and the copies agree."""
    async with install(small(), publish_batch=4) as made:
        skewed = await skew(made)
        for stream in ("tickets", "kb"):
            await made.sync(stream)
        other = made.models["bge-m3"] = JumpingEmbedder(skewed, -HOUR)
        other.name = "other"
        options = {"embedder": {"kind": "bge-m3"}}
        run = await made.app.dispatcher.submit(source="*", stream=documents.TICKETS, mode="reindex", options=options)
        made.desk.clock.advance(60)
        made.desk.bump(min(made.desk.tickets.ids("updated", "live")), status=3)
        made.desk.clock.advance(60)
        sync, _ = await asyncio.gather(made.sync("tickets"), made.app.dispatcher.wait(run.id))
        assert ((await made.run(run)).state, sync.state, skewed.by) == ("succeeded", "succeeded", -HOUR)
        await made.sync("tickets")
        assert await made.differences() == []
