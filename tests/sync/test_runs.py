"""Runs: one at a time, resumed after a crash, fenced against the dead, cancelled at a page, failed when hopeless."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.rig import Rig, rig

from deskloom.dispatch.inline import MOST_TAKEOVERS
from deskloom.errors import AlreadyRunning, LeaseLost
from deskloom.record import runs as record_runs
from deskloom.sandbox.faults import Fault
from deskloom.sandbox.generate import generate
from deskloom.sync.runs import ActiveRun


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Rig]:
    desk = generate(seed=1, tickets=12, articles=4)
    async with rig(desk, tmp_path / "home") as made:
        yield made


async def hold(made: Rig, where: str = "conversations") -> None:
    """Make the help desk hang, so that a run stays in progress."""
    made.desk.faults.add(Fault(match=where, kind="slow", times=None, seconds=0.3))


async def test_a_second_run_of_a_stream_is_refused_with_the_id_of_the_first(made: Rig) -> None:
    """D1: one active run for each source and stream; another stream is free to run."""
    await hold(made)
    first = await made.start("tickets")
    with pytest.raises(AlreadyRunning) as refused:
        await made.start("tickets")
    assert refused.value.facts["run_id"] == str(first.id)
    assert (await made.sync("kb")).state == "succeeded"


async def test_an_interrupted_run_goes_on_from_its_last_page(made: Rig) -> None:
    """D2: the run that a stopped process left goes on under the next one, and ends."""
    await hold(made)
    run = await made.start("tickets")
    await asyncio.sleep(0.2)
    assert [again.id for again in await made.reopen()] == [run.id]
    assert (await made.run(run)).state == "succeeded"
    made.desk.faults.clear()
    assert (await made.sync("kb")).state == "succeeded"
    assert await made.differences() == []


async def test_a_worker_back_from_the_dead_cannot_commit(made: Rig) -> None:
    """D2: once another worker holds the run, the first one's next step raises and leaves nothing."""
    record = made.app.record
    async with record.transaction() as tx:
        run = await record_runs.create_run(
            tx, source="freshdesk", stream="tickets", mode="incremental", requested_by="test", since=None, limit=None,
            now=made.desk.clock.now(),
        )  # fmt: skip
    later = made.desk.clock.now() + timedelta(seconds=30)
    workers = []
    for owner in ("first", "second"):
        async with record.transaction() as tx:
            taken = await record_runs.take_run(
                tx, run.id, owner=owner, now=made.desk.clock.now(), lease_until=later, force=True
            )
        assert taken is not None
        workers.append(ActiveRun(taken, record=record, clock=made.desk.clock.now, lease=timedelta(seconds=30)))
    first, second = workers
    with pytest.raises(LeaseLost):
        async with first.step() as step:
            step.counts["fetched"] += 1
    async with second.step() as step:
        step.counts["fetched"] += 1
    assert (await made.run(run)).counts["fetched"] == 1


async def test_a_run_that_keeps_killing_its_worker_is_failed(made: Rig) -> None:
    """D3: after the set number of take-overs the run ends as failed and says why."""
    record = made.app.record
    async with record.transaction() as tx:
        run = await record_runs.create_run(
            tx, source="freshdesk", stream="tickets", mode="incremental", requested_by="test", since=None, limit=None,
            now=made.desk.clock.now(),
        )  # fmt: skip
    for _ in range(MOST_TAKEOVERS + 1):
        async with record.transaction() as tx:
            await record_runs.take_run(
                tx, run.id, owner="dead", now=made.desk.clock.now(), lease_until=made.desk.clock.now(), force=True
            )
    await made.reopen()
    ended = await made.run(run)
    assert ended.state == "failed"
    assert "Interrupted" in ended.errors[-1]


async def test_a_cancelled_run_stops_and_keeps_what_it_committed(made: Rig) -> None:
    """Cancel ends the run as cancelled; the next one goes on from its last page."""
    await hold(made)
    run = await made.start("tickets")
    await asyncio.sleep(0.2)
    await made.app.dispatcher.cancel(run.id)
    await made.app.dispatcher.wait(run.id)
    assert (await made.run(run)).state == "cancelled"
    made.desk.faults.clear()
    assert (await made.sync("tickets")).state == "succeeded"


async def test_limits_take_exactly_so_many_and_the_next_run_goes_on(made: Rig) -> None:
    """Runs of five items add up to the whole account, none twice."""
    seen = []
    for _ in range(10):
        run = await made.sync("tickets", limit=5)
        seen.append(run.counts["fetched"])
        if run.counts["fetched"] < 5:
            break
    assert sum(seen) == len(list(made.desk.tickets))
    assert set(seen[:-1]) == {5}
    await made.sync("kb")
    assert await made.differences() == []


async def test_an_unreadable_child_list_keeps_the_old_one_and_is_retried(made: Rig) -> None:
    """Promise 3: the ticket is set aside by name, its messages stand, and a later run mends it."""
    await made.sync("tickets")
    ticket = next(row for row in made.desk.tickets if not row.get("deleted") and not row.get("spam"))
    made.desk.clock.advance(60)
    made.desk.bump(ticket["id"], status=4)
    made.desk.faults.add(Fault(match=rf"tickets/{ticket['id']}/conversations", kind="403", times=None))
    run = await made.sync("tickets")
    assert run.state == "partial"
    assert run.errors[0].startswith(f"Failed to process ticket {ticket['id']}: ")
    made.desk.faults.clear()
    made.desk.clock.advance(3600)
    assert (await made.sync("tickets")).state == "succeeded"
    await made.sync("kb")
    assert await made.differences() == []
