"""Runs of a whole installation: interrupted, cancelled, limited, and with a part that cannot be read."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from tests.rig import Install, Rig

from deskloom.record import failures, tables
from deskloom.sandbox.faults import Fault
from deskloom.sandbox.generate import generate
from deskloom.sources.freshworks.reader import BATCH
from deskloom.sync.pull import MOST_IN_A_ROW


@pytest.fixture
async def made(install: Install) -> AsyncIterator[Rig]:
    desk = generate(seed=1, tickets=12, articles=4)
    async with install(desk) as made:
        yield made


async def hold(made: Rig, where: str = "conversations") -> None:
    """Make the help desk hang, so that a run stays in progress."""
    made.desk.faults.add(Fault(match=where, kind="slow", times=None, seconds=0.3))


async def test_a_full_run_that_was_interrupted_does_not_begin_anew(install: Install) -> None:
    """Stopped in its second page, it goes on there under the next process: what the first page held is read once."""
    desk = generate(seed=1, tickets=70, articles=1)
    async with install(desk) as made:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        desk.faults.before("conversations", lambda: loop.call_soon_threadsafe(stopped.set), nth=BATCH + 5)
        run = await made.start("tickets", mode="full")
        await stopped.wait()
        assert [again.id for again in await made.reopen()] == [run.id]
        assert (await made.run(run)).state == "succeeded"
        asked = Counter(entry["request"] for entry in desk.calls.log if "/conversations" in entry["request"])
        assert asked.total() - len(asked) <= len(desk.tickets) - BATCH
        await made.sync("kb")
        assert await made.differences() == []


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


@pytest.mark.parametrize("stream", ["codes", "agents", "companies", "contacts"])
async def test_a_closed_list_that_is_retried_is_read_again(made: Rig, stream: str) -> None:
    """A list the key may not read is one entry of the retry queue; a retry reads the list, which clears the entry."""
    path = {"codes": "ticket_fields"}.get(stream, stream)
    made.desk.faults.add(Fault(match=rf"/api/v2/{path}", kind="403", times=None))
    assert (await made.sync("tickets")).state == "succeeded"
    for closed in (True, False):
        if not closed:
            made.desk.faults.clear()
        async with made.app.record.transaction() as tx:
            due = await failures.retry_now(tx, None, now=made.desk.clock.now())
        assert [(failure.stream, failure.key) for failure in due] == [(stream, "*")]
        assert (await made.sync("tickets")).state == "succeeded"
    assert await made.rows(tables.failures) == []
    await made.sync("kb")
    assert await made.differences() == []


async def test_a_ticket_that_breaks_the_help_desk_does_not_hold_up_the_others(install: Install) -> None:
    """Whenever it is due it is tried again and set aside again, by name; everything else goes on."""
    async with install(generate(seed=1, tickets=12, articles=1), retries=0) as made:
        ticket = next(row for row in made.desk.tickets if not row.get("deleted") and not row.get("spam"))
        made.desk.faults.add(Fault(match=rf"tickets/{ticket['id']}/conversations", kind="500", times=None))
        for attempts in (1, 2, 3):
            run = await made.sync("tickets")
            assert (run.state, len(run.errors)) == ("partial", 1)
            assert run.errors[0].startswith(f"Failed to process ticket {ticket['id']}: ")
            assert [(row["key"], row["attempts"]) for row in await made.rows(tables.failures)] == [
                (str(ticket["id"]), attempts)
            ]
            made.desk.clock.advance(3600)
        made.desk.faults.clear()
        assert (await made.sync("tickets")).state == "succeeded"
        await made.sync("kb")
        assert await made.differences() == []


async def test_a_help_desk_that_is_down_keeps_its_retries_for_later(install: Install) -> None:
    """Several retries that fail in a row end the run: the source is down, and no item is to blame."""
    desk = generate(seed=1, tickets=12, articles=1)
    async with install(desk, retries=0) as made:
        desk.faults.add(Fault(match="/conversations", kind="403", times=None))
        await made.sync("tickets")
        failed = len(await made.rows(tables.failures))
        desk.faults.clear()
        desk.faults.add(Fault(match="/conversations", kind="500", times=None))
        desk.clock.advance(3600)
        assert (await made.sync("tickets")).state == "failed"
        tried = [row for row in await made.rows(tables.failures) if row["attempts"] > 1]
        assert (len(tried), failed > MOST_IN_A_ROW) == (MOST_IN_A_ROW - 1, True)
