"""Runs: one at a time, resumed after a crash, fenced against the dead, cancelled at a page, failed when hopeless."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.rig import Install, Rig

from deskloom.sandbox.faults import Fault
from deskloom.sandbox.generate import generate


@pytest.fixture
async def made(install: Install) -> AsyncIterator[Rig]:
    desk = generate(seed=1, tickets=12, articles=4)
    async with install(desk) as made:
        yield made


async def hold(made: Rig, where: str = "conversations") -> None:
    """Make the help desk hang, so that a run stays in progress."""
    made.desk.faults.add(Fault(match=where, kind="slow", times=None, seconds=0.3))


async def test_a_full_run_that_was_interrupted_does_not_begin_anew(made: Rig) -> None:
    """Stopped after its first page of tickets, it goes on there under the next process: each is read once."""
    tickets = [row["id"] for row in made.desk.tickets]
    half = sorted(made.desk.tickets.ids("updated", "live"))[:1]
    await made.sync("tickets", limit=1)
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
