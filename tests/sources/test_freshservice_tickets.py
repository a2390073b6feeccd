"""What the Freshservice source does beside the traps: workspaces, hours, requested items, plan gates, checks."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from tests.sources.desk import NOW, Shelf, empty_desk, put_entry, put_message, put_ticket, stamp
from tests.sources.servicedesk import empty_service, open_service, put_workspace, reading_service

from deskloom.errors import AccessRefused, InvalidRequest, SettingInvalid, Unreadable, WrongProduct
from deskloom.model import Kind, Ticket, TicketState, TimeEntry, TimeSheet
from deskloom.protocols import Source
from deskloom.sandbox import Fault, SandboxServer
from deskloom.sandbox.freshservice import FreshserviceDesk, Switches
from deskloom.sources.freshservice.mapping import items_text, to_message, to_ticket
from deskloom.sources.freshservice.workspaces import Workspaces
from deskloom.sources.freshworks.values import instant


def spaced(*homes: int, **options: Any) -> FreshserviceDesk:
    """An account with workspaces, and in each a ticket (10 × its id), a deleted one and a field of its own."""
    desk = empty_service(**options)
    for home in homes:
        put_workspace(desk, home, f"Space {home}")
        put_ticket(desk, home * 10, home, workspace_id=home, custom_fields={f"only_{home}": "x"})
        put_ticket(desk, home * 10 + 1, home, workspace_id=home, deleted=True)
    return desk


async def read(source: Source, shelf: Shelf, stream: str = "tickets", **options: Any) -> int:
    return await shelf.read(source, stream, **options)


def said(shelf: Shelf) -> list[tuple[Kind, str]]:
    return [(one.kind, one.reason) for one in shelf.failures]


# -------------------------------------------------------------------------------------------------------- workspaces


async def test_tickets_of_every_workspace_arrive_with_their_own_fields() -> None:
    """Each workspace is asked for by itself, since asking for all at once leaves out its custom fields (rule 12)."""
    desk, shelf = spaced(2, 3, 7), Shelf()
    async with reading_service(desk) as source:
        await read(source, shelf)
    assert {key: (one.workspace_id, one.state, one.custom_fields) for key, one in shelf.tickets().items()} == {
        key: value
        for home in (2, 3, 7)
        for key, value in (
            (home * 10, (home, TicketState.ACTIVE, {f"only_{home}": "x"})),
            (home * 10 + 1, (home, TicketState.DELETED, {})),
        )
    }
    assert not any("workspace_id=0" in entry["request"] for entry in desk.calls.log)


@pytest.mark.parametrize("homes", [(), (2,)])
async def test_an_account_that_is_not_divided_is_asked_plainly(homes: tuple[int, ...]) -> None:
    """Without workspaces, or with one, no list is asked for a workspace, and none more than once."""
    desk, shelf = spaced(*homes), Shelf()
    put_ticket(desk, 99, 9)
    async with reading_service(desk) as source:
        await read(source, shelf)
        desk.calls.reset()
        await read(source, shelf)
    assert 99 in shelf.tickets()
    assert not any("workspace_id" in entry["request"] for entry in desk.calls.log)
    assert desk.calls.endpoints["GET /tickets"] == 3


async def test_an_account_whose_plan_has_no_workspaces_is_read() -> None:
    """`/workspaces` may be missing, or closed by the plan: then there is one."""
    for fault in (Fault(match="/workspaces", kind="404", times=None), _gate("/workspaces")):
        desk, shelf = spaced(2), Shelf()
        desk.faults.add(fault)
        async with reading_service(desk) as source:
            await read(source, shelf)
        assert (set(shelf.tickets()), shelf.failures) == ({20, 21}, [])


def _gate(match: str) -> Fault:
    return Fault(match=match, kind="403", times=None, code="require_feature")


async def test_workspaces_that_may_not_be_listed_are_a_warning() -> None:
    """The primary workspace is read, and it is said that there may be more."""
    desk, shelf = spaced(2, 3), Shelf()
    desk.faults.add(Fault(match="/workspaces", kind="403", times=None))
    async with reading_service(desk) as source:
        await read(source, shelf)
    assert set(shelf.tickets()) == {20, 21}
    assert [(one.key, one.retry) for one in shelf.failures] == [("*", False)]
    assert "The workspaces may not be listed, so only what is in the primary one is read" in shelf.failures[0].reason


async def test_a_workspace_that_is_closed_to_the_key_is_named() -> None:
    """The others are read; it is asked once a run, and read from where it was when it opens again."""
    desk, shelf = spaced(2, 3), Shelf()
    closed = desk.faults.add(Fault(match="workspace_id=3", kind="403", times=None))
    async with reading_service(desk) as source:
        await read(source, shelf)
        assert set(shelf.tickets()) == {20, 21}
        assert [(one.key, one.retry) for one in shelf.failures] == [("*", False)]
        assert shelf.failures[0].reason.startswith('Workspace "Space 3" (3) is not read: Freshservice')
        desk.calls.reset()
        await read(source, shelf)
        assert sum("workspace_id=3" in entry["request"] for entry in desk.calls.log) == 1
        found = {one.key async for batch in source.listing("tickets") for one in batch}
        assert found == {"20", "21"}
        desk.faults.rules.remove(closed)
        shelf.failures.clear()
        await read(source, shelf)
    assert (set(shelf.tickets()), shelf.failures) == ({20, 21, 30, 31}, [])


async def test_an_account_that_is_closed_in_every_workspace_fails() -> None:
    """No ticket list at all may be read: that is never an empty account."""
    desk = spaced(2, 3)
    desk.faults.add(Fault(match="workspace_id", kind="403", times=None))
    async with reading_service(desk) as source:
        with pytest.raises(AccessRefused):
            await read(source, Shelf())
        with pytest.raises(AccessRefused):
            [batch async for batch in source.listing("tickets")]


async def test_a_new_workspace_is_read_from_the_beginning() -> None:
    """It appears between two runs with tickets of long ago; those of the others are not read again."""
    desk, shelf = spaced(2, 3), Shelf()
    async with reading_service(desk) as source:
        await read(source, shelf)
        desk.clock.advance(3600)
        put_workspace(desk, 7, "Facilities")
        put_ticket(desk, 70, "2019-03-01T10:00:00Z", workspace_id=7, created_at="2019-03-01T09:00:00Z")
        assert await read(source, shelf) == 1
    assert 70 in shelf.tickets()


async def test_a_workspace_that_vanished_is_named_once() -> None:
    """Its tickets stand, its place is kept, and when it is back it is read on from there."""
    desk, shelf = spaced(2, 3, 7), Shelf()
    async with reading_service(desk) as source:
        await read(source, shelf)
        row = desk.workspaces.get(7)
        assert row is not None
        desk.clock.advance(3600)
        desk.workspaces.drop(7)
        await read(source, shelf)
        assert said(shelf) == [
            (
                Kind.TICKET,
                "Workspace 7 is no longer listed. Its tickets stand as they were read; a sweep asks for each of them.",
            )
        ]
        desk.clock.advance(3600)
        await read(source, shelf)
        assert len(shelf.failures) == 1
        desk.workspaces.put(row)
        desk.clock.advance(3600)
        put_ticket(desk, 72, desk.clock.stamp(), workspace_id=7)
        desk.clock.advance(3600)
        assert await read(source, shelf) == 1
    assert 72 in shelf.tickets()


async def test_a_ticket_that_moves_to_another_workspace_moves_in_the_record() -> None:
    """Its change brings it in the list of the new workspace."""
    desk, shelf = spaced(2, 3), Shelf()
    async with reading_service(desk) as source:
        await read(source, shelf)
        desk.perform({"method": "PUT", "path": "tickets/20/move_workspace", "body": {"workspace_id": 3}})
        desk.clock.advance(60)
        await read(source, shelf)
    assert shelf.tickets()[20].workspace_id == 3


async def test_a_client_s_ticket_without_a_department_is_the_client_s() -> None:
    """In MSP accounts a ticket belongs to its department, and else to the client whose workspace it is in."""
    desk, shelf = empty_service(msp=True), Shelf()
    for home in (2, 7):
        put_workspace(desk, home, f"Client {home}", kind="client")
    put_ticket(desk, 1, 1, workspace_id=7)
    put_ticket(desk, 2, 2, workspace_id=7, department_id=29001)
    async with reading_service(desk) as source:
        await read(source, shelf)
    assert {key: one.company_id for key, one in shelf.tickets().items()} == {1: -7, 2: 29001}


async def test_the_workspaces_are_asked_for_once_a_read() -> None:
    """However many tickets are read side by side, and although a clock of whole seconds goes back by parts of one."""

    class Account:
        """Answers one question, and tells the time as `http.Client` does after an answer with an older date."""

        def __init__(self) -> None:
            self.client, self.calls, self.parts = self, 0, count(9, -1)

        def now(self) -> datetime:
            return NOW + timedelta(seconds=next(self.parts) / 10)

        async def every(self, path: str, **_: Any) -> list[Any]:
            self.calls += 1
            await asyncio.sleep(0)
            return [{"id": 2}, {"id": 3}]

    account = Account()
    workspaces = Workspaces(account)  # type: ignore[arg-type]
    found = await asyncio.gather(*(workspaces.division() for _ in range(5)))
    assert ([len(division.workspaces) for division in found], account.calls) == ([2] * 5, 1)


async def test_a_limit_starves_no_workspace() -> None:
    """Slices go on where the last one stopped, and every list gets its turn."""
    desk, shelf, sizes = spaced(2, 3, 7), Shelf(), []
    async with reading_service(desk) as source:
        while not sizes or sizes[-1]:
            sizes.append(await read(source, shelf, limit=2))
    assert (sizes, len(shelf.tickets())) == ([2, 2, 2, 0], 6)


async def test_a_read_can_begin_at_a_time() -> None:
    """`cursor_since` yields what changed at or after the time, in every workspace."""
    desk = spaced(2, 3)
    for key, home in ((50, 2), (60, 3)):
        put_ticket(desk, key, 20_000, workspace_id=home)
        put_entry(desk, key, key, stamp(1))  # type: ignore[arg-type]
    when = instant(stamp(20_000))
    assert when is not None
    async with reading_service(desk) as source:
        for stream in ("tickets", "hours"):
            shelf = Shelf(cursor=source.cursor_since(stream, when))
            await read(source, shelf, stream)
            assert {key for _, key in shelf.records} == {"50", "60"}


# ------------------------------------------------------------------------------------------------------------- hours


async def test_time_entries_come_with_their_ticket() -> None:
    """In any form of duration; running timers are left out; what only Freshservice has stays in the raw object."""
    desk, shelf = empty_service(msp=True), Shelf()
    put_workspace(desk, 2, "Client", kind="client")
    put_ticket(desk, 1, 1)
    put_entry(desk, 11, 1, stamp(0), time_spent="120:30", billable=False, task_id=7)  # type: ignore[arg-type]
    put_entry(desk, 12, 1, stamp(0), timer_running=True)  # type: ignore[arg-type]
    put_entry(desk, 13, 1, None, time_spent="00:01:43", note=None)  # type: ignore[arg-type]
    async with reading_service(desk) as source:
        await read(source, shelf)
    first, second = shelf.tickets()[1].time_entries or ()
    assert (first.seconds, first.billable, first.ticket_id, first.worked_at) == (433_800, False, 1, instant(stamp(0)))
    assert (first.raw["task_id"], first.raw["work_type"]) == (7, "Remote support")
    assert (second.external_id, second.seconds, second.worked_at, second.note) == (13, 103, None, None)


async def test_an_entry_that_makes_no_sense_is_named_and_the_rest_goes_on() -> None:
    """The ticket is stored, and its sheet says which entry is unread; more than a day is kept as it is."""
    desk, shelf = empty_service(), Shelf()
    put_ticket(desk, 1, 1)
    put_entry(desk, 11, 1, stamp(0), time_spent="-01:00")  # type: ignore[arg-type]
    put_entry(desk, 12, 1, stamp(0), time_spent="30:00")  # type: ignore[arg-type]
    async with reading_service(desk) as source:
        await read(source, shelf)
        ticket, sheet = shelf.pages[0].records
        assert isinstance(ticket, Ticket)
        assert isinstance(sheet, TimeSheet)
        assert (ticket.time_entries, ticket.stamp) == (None, stamp(1))
        assert (sheet.key, [entry.seconds for entry in sheet.entries]) == ("1", [108_000])
        assert sheet.unread == {
            11: (
                1,
                'Time entry 11 gives "-01:00" as its duration; hh:mm, hh:mm:ss or seconds up to a year are understood. '
                "Correct it at the helpdesk.",
            )
        }
        assert await read(source, shelf) == 0  # a person must act: the ticket is not read for ever


@pytest.mark.parametrize("bumps", [False, True])
async def test_late_hours_are_found_without_the_ticket(bumps: bool) -> None:
    """An entry that is logged, changed or deleted later is in the ticket's sheet, whether or not the ticket moved."""
    desk, shelf = empty_service(switches=Switches(time_entry_bumps=bumps)), Shelf()
    for key in (1, 2):
        put_ticket(desk, key, key)
        put_entry(desk, 10 + key, key, stamp(key))  # type: ignore[arg-type]
    async with reading_service(desk) as source:
        assert await read(source, shelf, "hours") == 2
        assert await read(source, shelf, "hours") == 0
        desk.perform(
            {
                "method": "POST",
                "path": "tickets/2/time_entries",
                "body": {"time_entry": {"time_spent": "03:00", "agent_id": 1}},
            }
        )
        desk.perform({"method": "DELETE", "path": "tickets/2/time_entries/12"})
        assert await read(source, shelf, "hours") == 1
    sheet = shelf.records[Kind.HOURS, "2"]
    assert isinstance(sheet, TimeSheet)
    assert [entry.seconds for entry in sheet.entries] == [10_800]


async def test_hours_of_tickets_that_rest_are_read_in_a_full_read_only() -> None:
    """The stream asks for tickets that changed within `hours_days`; with nothing known, for all."""
    desk = empty_service()
    put_ticket(desk, 1, "2026-09-01T00:00:00Z")
    put_ticket(desk, 2, "2026-10-30T00:00:00Z")
    for key in (1, 2):
        put_entry(desk, key, key, stamp(key))  # type: ignore[arg-type]
    async with reading_service(desk, hours_days=30) as source:
        lately, all_of_them = Shelf(), Shelf()
        await read(source, lately, "hours")
        await read(source, all_of_them, "hours", full=True)
        assert (lately.alive(), all_of_them.alive()) == ({"2"}, {"1", "2"})
        await read(source, all_of_them, "hours")
        assert all_of_them.cursor is not None
        assert "since" not in all_of_them.cursor["passes"]["active"]


async def test_hours_go_on_where_a_limit_stopped_them() -> None:
    """So many sheets and no more; unchanged ones cost calls and do not count."""
    desk, shelf, sizes = empty_service(), Shelf(), []
    for key in range(1, 131):
        put_ticket(desk, key, key // 9)
        if key % 4 == 0:
            put_entry(desk, key, key, stamp(key))  # type: ignore[arg-type]
    async with reading_service(desk) as source:
        while not sizes or sizes[-1]:
            sizes.append(await read(source, shelf, "hours", limit=50))
    assert (sizes, len(shelf.records)) == ([50, 50, 30, 0], 130)


async def test_hours_of_one_ticket() -> None:
    """By id: a sheet, None for a ticket that does not exist, and an error where it is not known."""
    desk = empty_service()
    put_ticket(desk, 1, 1)
    put_entry(desk, 11, 1, stamp(1))  # type: ignore[arg-type]
    async with reading_service(desk) as source:
        sheet = await source.fetch("hours", "1")
        assert isinstance(sheet, TimeSheet)
        assert [(entry.external_id, entry.seconds) for entry in sheet.entries] == [(11, 5400)]
        assert isinstance(sheet.entries[0], TimeEntry)
        assert await source.fetch("hours", "2") is None
        for fault in (Fault(match="time_entries", kind="404"), Fault(match="time_entries", kind="403", times=None)):
            desk.faults.add(fault)
            with pytest.raises(Unreadable):
                await source.fetch("hours", "1")


async def test_a_ticket_deleted_while_hours_are_read_is_passed_over() -> None:
    """What was worked on it stands; the others are read."""
    desk, shelf = empty_service(switches=Switches(deleted_view=404)), Shelf()
    for key in (1, 2):
        put_ticket(desk, key, key)
        put_entry(desk, key, key, stamp(key))  # type: ignore[arg-type]
    desk.faults.before("/tickets/1/time_entries", lambda: desk.tickets.change(1, deleted=True) and None)
    async with reading_service(desk) as source:
        await read(source, shelf, "hours")
    assert (shelf.alive(), shelf.failures) == ({"2"}, [])


# ------------------------------------------------------------------------------------------------------- plan gates


async def test_a_plan_without_time_entries_is_said_once_a_read() -> None:
    """Tickets go on with their stamps, their time entries are unknown, and no more than a few calls are wasted."""
    desk, shelf = empty_service(switches=Switches(gated=("tickets/[id]/time_entries",))), Shelf()
    for key in range(1, 121):
        put_ticket(desk, key, key)
    async with reading_service(desk) as source:
        await read(source, shelf)
        assert {(one.time_entries, one.stamp is None) for one in shelf.tickets().values()} == {(None, False)}
        [(kind, reason)] = said(shelf)
        assert kind is Kind.HOURS
        assert reason.startswith("Tickets are read without their time entries: Freshservice")
        assert reason.endswith("The account's plan lacks this feature; use a plan that has it.")
        assert desk.calls.endpoints["GET /tickets/[id]/time_entries"] <= 8
        assert await read(source, shelf) == 0
        hours = Shelf()
        assert await read(source, hours, "hours") == 0
        assert [(one.kind, one.key, one.retry) for one in hours.failures] == [(Kind.HOURS, "*", False)]


async def test_a_key_that_may_not_read_time_entries_gives_up_asking() -> None:
    """A refusal may be one ticket's; five in a row are the key's."""
    desk, shelf = empty_service(), Shelf()
    for key in range(1, 61):
        put_ticket(desk, key, key)
    desk.faults.add(Fault(match="time_entries", kind="403", times=None))
    async with reading_service(desk) as source:
        await read(source, shelf)
        assert (len(shelf.tickets()), len(shelf.failures)) == (60, 1)
        assert desk.calls.endpoints["GET /tickets/[id]/time_entries"] < 40
        desk.faults.clear()
        desk.faults.add(Fault(match="tickets/3/time_entries", kind="403", times=None))
        shelf = Shelf()
        await read(source, shelf)
    assert {key for key, one in shelf.tickets().items() if one.time_entries is None} == {3}
    assert shelf.failures[0].reason.startswith("Some tickets are read without their time entries")


# ------------------------------------------------------------------------------------------------- requests and values


async def test_what_was_requested_is_the_text_of_a_service_request() -> None:
    """A service request has an empty description: its items say what was asked for, for one call, for those alone."""
    desk, shelf = empty_service(), Shelf()
    put_ticket(desk, 1, 1, type="Service Request", description="")
    put_ticket(desk, 2, 2, type="Service Request", description="<p>A laptop</p>")
    put_ticket(desk, 3, 3, type="Incident", description=None)
    item = {"id": 5, "ticket_id": 1, "remarks": "For the new colleague", "created_at": stamp(1), "updated_at": stamp(1)}
    desk.requested_items.put(item | {"custom_fields": {"which_model": "Light 14", "dock": None, "size": 14}})
    async with reading_service(desk) as source:
        await read(source, shelf)
    one, two, three = (shelf.tickets()[key] for key in (1, 2, 3))
    assert one.description_text == "For the new colleague\nwhich model: Light 14\nsize: 14"
    assert (one.description_html, one.raw["requested_items"][0]["id"]) == (None, 5)
    assert (two.description_html, three.description_html) == ("<p>A laptop</p>", None)
    assert desk.calls.endpoints["GET /tickets/[id]/requested_items"] == 1


def test_items_that_say_nothing_are_no_text() -> None:
    """Blank answers, and shapes nobody knows, make no line."""
    assert [items_text(items) for items in (None, [], [{"remarks": " ", "custom_fields": {"a": ""}}], ["x"], "x")] == [
        None
    ] * 5
    assert items_text([{"custom_fields": {"apps": ["Mail", "Chat"]}}, {"remarks": "Soon"}]) == "apps: Mail, Chat\nSoon"


async def test_resolution_notes_and_the_no_break_space() -> None:
    """Resolution notes are carried; the helpdesk's plain text loses the no-break space that it begins with."""
    desk, shelf = empty_service(), Shelf()
    put_ticket(desk, 1, 1, resolution_notes_html="<p>New cable</p>", _text="\u00a0It drops")
    put_ticket(desk, 2, 2)
    async with reading_service(desk) as source:
        await read(source, shelf)
    one = shelf.tickets()[1]
    assert (one.description_text, one.resolution_html, one.resolution_text) == (
        "It drops",
        "<p>New cable</p>",
        "New cable",
    )
    assert shelf.tickets()[2].resolution_html is None


def test_conversations_are_named_by_freshservice_s_own_codes() -> None:
    """Its codes are not Freshdesk's; one that nobody knows is named by its number."""
    kinds = [to_message({"id": 1, "source": code}).kind for code in (0, 1, 2, 3, 4, 5, 6, 9, None)]
    assert kinds == ["reply", "form", "note", "status", "meta", "feedback", "forward", "source 9", "unknown"]


def test_only_what_a_row_says_is_in_a_ticket() -> None:
    """A bare row makes a ticket whose other members are missing."""
    ticket = to_ticket({"id": "6", "status": 15}, state=TicketState.ACTIVE, stamp=None)
    assert ticket == Ticket(external_id=6, stamp=None, status=15, raw={"id": "6", "status": 15})


# ------------------------------------------------------------------------------------------------------------- checks


async def test_check_tells_whose_key_it_is_and_what_it_cannot_see() -> None:
    """A good account answers with facts; a narrow role and closed workspaces are warnings, since lists stay silent."""
    desk = spaced(2, 3)
    desk.agents.change(1, roles=[{"role_id": 1, "assignment_scope": "member_groups"}])
    async with reading_service(desk) as source:
        assert await source.check() == {
            "account": "127.0.0.1",
            "agent": "Agent 1",
            "email": "agent1@example.com",
            "mode": "workspaces",
            "workspaces": ["Space 2", "Space 3"],
            "warnings": [
                "The key's agent sees member groups only: other tickets will be missing without an error. Use the key "
                "of an agent whose role covers the entire helpdesk.",
                "The key's agent is not a member of these workspaces, which may be closed to it: Space 3.",
            ],
        }
    msp = empty_service(msp=True)
    put_workspace(msp, 2, "Client", kind="client")
    for each, mode in ((empty_service(), "plain"), (msp, "MSP")):
        async with reading_service(each) as source:
            facts = await source.check()
            assert (facts["mode"], facts["warnings"]) == (mode, [])


async def test_another_product_or_no_account_is_told() -> None:
    """A Freshdesk account, and a domain without one, each end with their own sentence."""
    with SandboxServer(empty_desk()) as sandbox:
        source = open_service(empty_service(), sandbox.url, key="sandbox")
        with pytest.raises(WrongProduct, match="as Freshdesk does, but Freshservice is expected"):
            await read(source, Shelf())
        await source.aclose()
    desk = empty_service()
    desk.faults.add(Fault(match=".", kind="404", times=None))
    async with reading_service(desk) as source:
        with pytest.raises(SettingInvalid, match=r"There is no Freshservice at 127\.0\.0\.1"):
            await source.check()
        with pytest.raises(SettingInvalid, match="Set FRESHSERVICE_DOMAIN"):
            await read(source, Shelf())


async def test_single_tickets_are_fetched_whole() -> None:
    """A ticket by id equals the listed one; deleted is a state, one that never was is None, a wrong id is refused."""
    desk, shelf = empty_service(switches=Switches(list_tags=True)), Shelf()
    put_ticket(desk, 1, 1, requester_id=2, tags=["vpn"])
    put_message(desk, 5, 1)  # type: ignore[arg-type]
    put_entry(desk, 6, 1, stamp(1))  # type: ignore[arg-type]
    put_ticket(desk, 2, 2, deleted=True)
    async with reading_service(desk) as source:
        await read(source, shelf)
        assert await source.fetch("tickets", "1") == shelf.tickets()[1]
        deleted = await source.fetch("tickets", "2")
        assert isinstance(deleted, Ticket)
        assert (deleted.state, deleted.messages, deleted.time_entries) == (TicketState.DELETED, None, None)
        assert await source.fetch("tickets", "99") is None
        with pytest.raises(InvalidRequest, match=r'"\.\./agents" is not an id of tickets'):
            await source.fetch("tickets", "../agents")
