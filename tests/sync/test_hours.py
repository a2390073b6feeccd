"""Time entries from the helpdesk into the record: late ones are found, lost ones proven, failures leave what stands."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.rig import Install, Rig
from tests.sources.desk import empty_desk, put_entry, put_ticket
from tests.sources.servicedesk import empty_service

from deskloom.model import Json
from deskloom.record import tables
from deskloom.record.details import load_details
from deskloom.record.runs import Run
from deskloom.sandbox import Desk, Fault, Switches
from deskloom.sandbox.freshdesk.edits import perform
from deskloom.sandbox.freshservice import Switches as ServiceSwitches

LONG_AGO, LATELY = "2026-08-10T09:00:00Z", "2026-10-20T09:00:00Z"


def a_desk(**switches: Any) -> Desk:
    """Three tickets of one company, four entries, one of them long ago."""
    desk = empty_desk(switches=Switches(**switches))
    made = {"created_at": LONG_AGO, "updated_at": LONG_AGO}
    fields = {"account_number": "10042"}
    desk.companies.put({"id": 31, "name": "Mill & Sons", "domains": [], "custom_fields": fields, **made})
    for key in (1, 2, 3):
        put_ticket(desk, key, key, company_id=31)
    for key, ticket, at in ((81_001, 1, LONG_AGO), (81_002, 1, LATELY), (81_003, 2, LATELY), (81_004, 3, LATELY)):
        put_entry(desk, key, ticket, at)
    return desk


def do(desk: Desk, method: str, path: str, **body: Any) -> None:
    with desk.lock:
        desk.clock.advance(600)
        perform(desk, {"method": method, "path": path, "body": body} if body else {"method": method, "path": path})


async def standing(made: Rig) -> dict[int, tuple[int, int]]:
    """The entries that stand: id → ticket and seconds."""
    rows = await made.rows(tables.time_entries)
    return {row["external_id"]: (row["ticket_id"], row["seconds"]) for row in rows if row["deleted_at"] is None}


def counts(run: Run) -> Json:
    names = ("fetched", "created", "updated", "unchanged", "deleted", "failed")
    return {name: run.counts[name] for name in names if run.counts[name]}


async def queue(made: Rig) -> list[tuple[str, str, str]]:
    return [(row["stream"], row["kind"], row["key"]) for row in await made.rows(tables.failures)]


async def test_entries_are_counted_logged_and_read_once(install: Install) -> None:
    """A run counts entries, the sync log names them, and a run after it finds nothing to do."""
    async with install(a_desk()) as made:
        run = await made.sync("hours")
        assert (run.state, counts(run)) == ("succeeded", {"fetched": 4, "created": 4})
        assert await standing(made) == {81_000 + key: (max(key - 1, 1), 5400) for key in (1, 2, 3, 4)}
        logged = [
            (row["item_id"], row["item_type"]) for row in await made.rows(tables.sync_logs)
            if row["collection"] == "time_entries"
        ]  # fmt: skip
        assert sorted(logged) == [(str(81_000 + key), "time_entry") for key in (1, 2, 3, 4)]
        run = await made.sync("hours")
        assert (run.state, counts(run)) == ("succeeded", {})
        run = await made.sync("hours", mode="full")
        assert (run.state, counts(run)) == ("succeeded", {"fetched": 4, "unchanged": 4})


async def test_t35_what_is_logged_late_is_found(install: Install) -> None:
    """HELPDESK-APIS T35: an entry that is added, changed or moved to another month touches no ticket, and is found."""
    desk = a_desk()
    async with install(desk) as made:
        await made.sync("tickets")
        await made.sync("hours")
        stamps = {row["id"]: row["updated_at"] for row in desk.tickets}
        do(desk, "POST", "tickets/3/time_entries", time_spent="00:20", executed_at="2026-09-15T00:00:00Z")
        do(desk, "PUT", "time_entries/81003", time_spent="02:00")
        do(desk, "PUT", "time_entries/81002", executed_at="2026-03-01T00:00:00Z")
        assert {row["id"]: row["updated_at"] for row in desk.tickets} == stamps
        run = await made.sync("hours")
        assert (run.state, run.counts["created"], run.counts["updated"], run.counts["deleted"]) == (
            "succeeded", 1, 2, 0
        )  # fmt: skip
        entries = await standing(made)
        assert (entries[81_003], entries[81_005]) == ((2, 7200), (3, 1200))
        moved = next(row for row in await made.rows(tables.time_entries) if row["external_id"] == 81_002)
        assert f"{moved['worked_at']:%Y-%m}" == "2026-03"
        async with made.app.record.reading() as tx:
            details = await load_details(tx, [("freshdesk", key) for key in (1, 2, 3)])
        assert {row["ticket_id"]: row["total_hours_spent"] for row in details} == {1: 3.0, 2: 2.0, 3: 1.8333}


async def test_what_is_deleted_is_proven_by_the_tickets_own_list(install: Install) -> None:
    """Only tickets with an entry that a month lacks are asked for; what their own list lacks is deleted, once."""
    desk = a_desk()
    async with install(desk) as made:
        await made.sync("hours")
        do(desk, "DELETE", "time_entries/81003")
        before = desk.calls.endpoints.copy()
        run = await made.sync("hours")
        assert (run.state, run.counts["deleted"]) == ("succeeded", 1)
        assert desk.calls.endpoints["GET /tickets/[id]/time_entries"] == 1
        assert desk.calls.endpoints["GET /time_entries"] - before["GET /time_entries"] == 4
        assert set(await standing(made)) == {81_001, 81_002, 81_004}
        assert counts(await made.sync("hours")) == {}


async def test_what_is_older_is_found_by_a_full_run(install: Install) -> None:
    """A deletion further back than the days that are read again is found when everything is."""
    desk = a_desk()
    async with install(desk) as made:
        await made.sync("hours")
        do(desk, "DELETE", "time_entries/81001")
        assert counts(await made.sync("hours")) == {}
        run = await made.sync("hours", mode="full")
        assert (run.state, run.counts["deleted"]) == ("succeeded", 1)
        assert 81_001 not in await standing(made)


async def test_a_proof_that_fails_leaves_what_stands(install: Install) -> None:
    """A ticket that cannot be asked keeps its entries and is asked again later; the rest of the page is stored."""
    desk = a_desk()
    async with install(desk, retries=0) as made:
        await made.sync("hours")
        do(desk, "POST", "tickets/1/time_entries", time_spent="00:20")
        for key in (81_003, 81_004):
            do(desk, "DELETE", f"time_entries/{key}")
        broken = desk.faults.add(Fault(match="tickets/2/time_entries", kind="500", times=None))
        run = await made.sync("hours")
        assert (run.state, run.counts["created"], run.counts["deleted"], run.counts["failed"]) == ("partial", 1, 1, 1)
        assert await queue(made) == [("hours", "hours", "2")]
        assert set(await standing(made)) == {81_001, 81_002, 81_003, 81_005}
        desk.faults.rules.remove(broken)
        desk.clock.advance(timedelta(hours=1))
        run = await made.sync("hours")
        assert (run.state, run.counts["deleted"]) == ("succeeded", 1)
        assert await queue(made) == []
        assert 81_003 not in await standing(made)


async def test_hours_of_deleted_tickets(install: Install) -> None:
    """A deleted ticket keeps its hours, which were worked; a ticket that the source has never had keeps none."""
    desk = a_desk()
    async with install(desk) as made:
        await made.sync("tickets")
        await made.sync("hours")
        do(desk, "DELETE", "tickets/2")
        await made.sync("tickets")
        assert counts(await made.sync("hours", mode="full"))["unchanged"] == 4
        with desk.lock:
            desk.time_entries.drop(81_004)
            desk.tickets.drop(3)
        run = await made.sync("hours")
        assert (run.state, run.counts["deleted"]) == ("succeeded", 1)
        assert set(await standing(made)) == {81_001, 81_002, 81_003}


async def test_a_limit_takes_so_many_months(install: Install) -> None:
    """Runs with a limit go on where the last one ended, and together hold everything."""
    async with install(a_desk()) as made:
        months = []
        while len(await standing(made)) < 4:
            run = await made.sync("hours", limit=1)
            assert run.state == "succeeded"
            months.append(run.counts["fetched"])
        assert months == [1, 3]


async def test_a_plan_without_time_entries_says_so_once(install: Install) -> None:
    """The run is partial with one sentence, everything stands, and once the plan has them all are read."""
    desk = a_desk()
    async with install(desk) as made:
        await made.sync("hours")
        desk.faults.add(Fault(match="time_entries", kind="403", code="require_feature", times=None))
        for mode in ("incremental", "full"):
            run = await made.sync("hours", mode=mode)
            assert (run.state, run.error_count) == ("partial", 1)
            assert "The account's plan lacks this feature; use a plan that has it." in run.errors[0]
            assert len(await standing(made)) == 4
        desk.faults.clear()
        do(desk, "POST", "tickets/1/time_entries", time_spent="00:20", executed_at=LONG_AGO)
        run = await made.sync("hours")
        assert (run.state, run.counts["created"]) == ("succeeded", 1)
        assert await queue(made) == []


@pytest.mark.parametrize("odd", [-900, 10**12])
async def test_an_absurd_duration_is_a_failure_of_its_ticket(install: Install, odd: int) -> None:
    """It is named without what was noted on it; the other entries are stored, and what stood of it stands."""
    desk = a_desk()
    async with install(desk) as made:
        await made.sync("hours")
        desk.time_entries.change(81_002, time_spent_in_seconds=odd, note="The combination is 4711")
        do(desk, "PUT", "time_entries/81003", time_spent="02:00")
        run = await made.sync("hours")
        assert (run.state, counts(run)) == ("partial", {"fetched": 2, "updated": 1, "unchanged": 1, "failed": 1})
        assert run.errors == [
            f"Failed to process hours 1: Time entry 81002 gives {odd} as its duration; hh:mm, hh:mm:ss or seconds up "
            "to a year are understood. Correct it at the helpdesk."
        ]
        assert (await standing(made))[81_002] == (1, 5400)
        do(desk, "PUT", "time_entries/81002", time_spent="00:10")
        run = await made.sync("hours")
        assert run.state == "succeeded"
        assert (await standing(made))[81_002] == (1, 600)
        assert await queue(made) == []


async def test_verify_agrees_with_hours_in_the_record(install: Install) -> None:
    """Time entries are no findings, neither those of a deleted ticket nor those of one that was never read."""
    desk = a_desk()
    async with install(desk) as made:
        await made.sync("hours")
        await made.sync("tickets")
        do(desk, "DELETE", "tickets/2")
        await made.sync("tickets")
        put_entry(desk, 81_009, 77, LATELY)
        await made.sync("hours")
        run = await made.app.dispatcher.submit(
            source="*", stream="verify", mode="verify", options={"source_check": True, "deep": True}
        )
        await made.app.dispatcher.wait(run.id)
        report = (await made.run(run)).report
        assert report is not None
        assert (report["agree"], report["record"]["findings"]) == (True, 0)
        assert "hours" not in report["source"]["freshdesk"]


async def test_hours_of_a_ticket_that_was_deleted_are_not_asked_for_for_ever(install: Install) -> None:
    """Where a deleted ticket is refused by its id, its hours leave the queue once the ticket is known to be deleted;
    what was worked on it stands."""
    desk = empty_service(switches=ServiceSwitches(deleted_view=403))
    put_ticket(desk, 1, 1, workspace_id=2)
    put_entry(desk, 81_001, 1, LATELY)
    async with install(desk) as made:
        await made.sync("tickets")
        desk.faults.add(Fault(match="/tickets/1/time_entries", kind="500", times=None))
        run = await made.sync("hours", mode="full")
        assert (run.state, await queue(made)) == ("partial", [("hours", "hours", "1")])
        desk.faults.clear()
        desk.perform({"method": "DELETE", "path": "tickets/1"})
        desk.clock.advance(7200)
        await made.sync("tickets")
        run = await made.sync("hours")
        assert (run.state, await queue(made)) == ("succeeded", [])
        assert await standing(made) == {81_001: (1, 5400)}
