"""The traps of Freshservice's tickets by their numbers in HELPDESK-APIS section 6, and what each ticket costs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.sources.desk import NOW, Shelf, put_entry, put_message, put_ticket, stamp, timing_of
from tests.sources.servicedesk import empty_service, put_workspace, reading_service

from deskloom.errors import AccessRefused, SourceUnavailable, Unreadable
from deskloom.http import Meter, metered
from deskloom.model import Kind, Ticket, TicketState
from deskloom.sandbox import Fault
from deskloom.sandbox.freshservice import FreshserviceDesk, Switches


def queries(desk: FreshserviceDesk, path: str = "/api/v2/tickets") -> list[dict[str, str]]:
    """The queries of every request for a path, in order."""
    targets = [urlsplit(entry["request"].removeprefix("GET ")) for entry in desk.calls.log]
    return [{name: values[0] for name, values in parse_qs(one.query).items()} for one in targets if one.path == path]


async def read_all(desk: FreshserviceDesk, **options: Any) -> Shelf:
    shelf = Shelf()
    async with reading_service(desk) as source:
        await shelf.read(source, "tickets", **options)
    return shelf


def service(**switches: Any) -> FreshserviceDesk:
    return empty_service(switches=Switches(**switches))


# ------------------------------------------------------------------------------------------- windows, order, paging


async def test_t01_tickets_older_than_a_month_arrive() -> None:
    """Every list is asked with `updated_since`, so a ticket made and changed long ago is read too."""
    desk = service(deleted_window=True)
    put_ticket(desk, 1, "2019-03-01T10:00:00Z", created_at="2019-03-01T09:00:00Z")
    put_ticket(desk, 2, "2019-03-01T10:00:00Z", created_at="2019-03-01T09:00:00Z", deleted=True)
    assert set((await read_all(desk)).tickets()) == {1, 2}
    assert all("updated_since" in query for query in queries(desk))


@pytest.mark.parametrize("order_by", ["refused", "ignored", "honoured"])
@pytest.mark.parametrize("inclusive", [True, False])
async def test_t03_t05_t10_t13_all_pages_arrive_once(order_by: str, inclusive: bool) -> None:
    """However the list is sorted, and however tickets share their seconds, all of them arrive once, with every
    parameter on every page."""
    desk = service(order_by=order_by, updated_since_inclusive=inclusive)
    for key in range(1, 331):
        put_ticket(desk, key, [key, 400, 401, 402 + key // 130][key % 4], deleted=True, created_at=stamp(key * 7 % 331))
    shelf = await read_all(desk)
    assert (set(shelf.tickets()), shelf.stored) == (set(range(1, 331)), 330)
    first, *others = [query for query in queries(desk) if "filter" in query]
    common = {name: first[name] for name in ("updated_since", "order_type", "filter")}
    assert all(common.items() <= query.items() for query in others[:3])
    assert {query.get("order_by") for query in others} == ({None} if order_by == "refused" else {"updated_at"})


async def test_t06_a_cursor_alone_finds_what_follows_it() -> None:
    """A read of a list in no order of change goes on in the middle of it: no page number outlives its window."""
    desk = service()
    for key in range(1, 241):
        put_ticket(desk, key, key // 60, deleted=True, created_at=stamp(key * 7 % 241))
    whole = await read_all(desk)
    for page in whole.pages:
        shelf = Shelf(cursor=page.cursor)
        done = {record.key for earlier in whole.pages[: whole.pages.index(page) + 1] for record in earlier.records}
        async with reading_service(desk) as source:
            await shelf.read(source, "tickets")
        met = {record.key for one in shelf.pages for record in one.records}
        assert done | met == {str(key) for key in range(1, 241)}


@pytest.mark.parametrize("ahead", [timedelta(days=900), timedelta(days=-900)])
async def test_t07_our_clock_does_not_matter(ahead: timedelta) -> None:
    """The watermark is the helpdesk's own stamp, whatever our clock shows."""
    desk = service()
    put_ticket(desk, 1, 5)
    shelf = Shelf()
    async with reading_service(desk, timing=replace(timing_of(desk), now=lambda: NOW + ahead)) as source:  # type: ignore[arg-type]
        await shelf.read(source, "tickets")
        put_ticket(desk, 2, 6)
        await shelf.read(source, "tickets")
    assert set(shelf.tickets()) == {1, 2}
    assert shelf.cursor is not None
    assert shelf.cursor["passes"]["active"]["mark"] == stamp(6)


@pytest.mark.parametrize(("count", "calls"), [(99, 1), (100, 1), (101, 2), (200, 2)])
async def test_t08_t25_an_exactly_full_last_page_is_the_end(count: int, calls: int) -> None:
    """All conversations and time entries, neither the first thirty nor a page too many."""
    desk = service()
    for key in range(1, 131):
        put_ticket(desk, key, key, deleted=True)  # makes a Link header known
    put_ticket(desk, 500, 5)
    for key in range(1, count + 1):
        put_message(desk, key, 500)  # type: ignore[arg-type]
        put_entry(desk, key, 500, stamp(key))  # type: ignore[arg-type]
    async with reading_service(desk) as source:
        await Shelf().read(source, "tickets")
        desk.calls.reset()
        ticket = await source.fetch("tickets", "500")
    assert isinstance(ticket, Ticket)
    assert [message.external_id for message in ticket.messages or ()] == list(range(1, count + 1))
    assert [entry.external_id for entry in ticket.time_entries or ()] == list(range(1, count + 1))
    assert desk.calls.endpoints["GET /tickets/[id]/conversations"] == calls
    assert desk.calls.endpoints["GET /tickets/[id]/time_entries"] == calls


async def test_t09_t14_the_feed_is_the_list() -> None:
    """`/tickets/filter`, with its pages of thirty, is never used, and no filter narrows the list to one agent's."""
    desk = service()
    for key in range(1, 41):
        put_ticket(desk, key, key, status=5, responder_id=2, deleted=key > 5)
    assert len((await read_all(desk)).tickets()) == 40
    assert {query.get("filter") for query in queries(desk)} == {None, "deleted", "spam"}
    assert not [name for name in desk.calls.endpoints if "filter" in name]


# ------------------------------------------------------------------------------------------ deletion, spam, refusals


async def test_t16_t19_deleted_and_spam_tickets_are_reported_by_passes_of_their_own() -> None:
    """Tickets that leave the normal list come as deleted or spam, for a call a list, without their children."""
    desk = service()
    for key in (1, 2, 3):
        put_ticket(desk, key, key)
    shelf = Shelf()
    async with reading_service(desk) as source:
        await shelf.read(source, "tickets")
        desk.clock.advance(300)
        desk.perform({"method": "DELETE", "path": "tickets/1"})
        desk.perform({"spam": 2})
        desk.clock.advance(200)
        desk.calls.reset()
        assert await shelf.read(source, "tickets") == 2
    assert {key: ticket.state for key, ticket in shelf.tickets().items()} == {
        1: TicketState.DELETED,
        2: TicketState.SPAM,
        3: TicketState.ACTIVE,
    }
    assert (dict(desk.calls.endpoints), desk.calls.credits) == ({"GET /tickets": 3}, 3)


@pytest.mark.parametrize("bumps", [True, False])
async def test_t16_a_deletion_is_noticed_within_a_day_even_without_a_new_stamp(bumps: bool) -> None:
    """Where deleting and restoring do not move `updated_at`, the daily whole pass finds it."""
    desk = service(delete_bumps=bumps, restore_bumps=bumps)
    for key in (1, 2):
        put_ticket(desk, key, key)
    shelf = Shelf()
    async with reading_service(desk) as source:
        await shelf.read(source, "tickets")
        desk.perform({"method": "DELETE", "path": "tickets/1"})
        desk.clock.advance(90_000)
        await shelf.read(source, "tickets")
        assert shelf.tickets()[1].state is TicketState.DELETED


async def test_t17_t18_only_flags_say_that_a_ticket_is_gone() -> None:
    """Resolved, closed and custom statuses, 6 and 7 too, are those of normal tickets."""
    desk = service()
    for status in (4, 5, 6, 7, 8):
        put_ticket(desk, status, status, status=status)
    tickets = (await read_all(desk)).tickets()
    assert {key: (ticket.state, ticket.status) for key, ticket in tickets.items()} == {
        status: (TicketState.ACTIVE, status) for status in (4, 5, 6, 7, 8)
    }


async def test_t20_a_ticket_refused_after_it_was_listed_is_set_aside() -> None:
    """403 on one ticket's view: the run goes on, what is stored of it stays, and it is read again later."""
    desk = service()
    for key in (1, 2, 3):
        put_ticket(desk, key, key, tags=["vpn"])
    shelf = Shelf()
    async with reading_service(desk) as source:
        await shelf.read(source, "tickets")
        before = shelf.tickets()[2]
        desk.perform({"method": "PUT", "path": "tickets/2", "body": {"priority": 4}})
        desk.faults.add(Fault(match=r"/tickets/2(/|\?|$)", kind="403", times=None))
        await shelf.read(source, "tickets")
        assert [(one.key, one.retry) for one in shelf.failures] == [("2", True)]
        assert shelf.tickets()[2] == before  # a list row, which lacks its tags, must not take its place
        with pytest.raises(Unreadable):
            await source.fetch("tickets", "2")
        desk.faults.clear()
        fetched = await source.fetch("tickets", "2")
        assert isinstance(fetched, Ticket)
        assert (fetched.priority, fetched.tags) == (4, ("vpn",))


@pytest.mark.parametrize("view", [200, 404])
async def test_t20_a_ticket_deleted_after_it_was_listed(view: int) -> None:
    """One that vanishes between list and view arrives as deleted, or is set aside until the list of the deleted."""
    desk = service(deleted_view=view)
    for key in (1, 2):
        put_ticket(desk, key, key)
    desk.faults.before(r"/tickets/1\?|/tickets/1$", lambda: desk.tickets.change(1, deleted=True) and None)
    shelf = await read_all(desk)
    assert {key: one.state for key, one in shelf.tickets().items()} == {
        1: TicketState.DELETED,
        2: TicketState.ACTIVE,
    }
    assert [one.key for one in shelf.failures] == ([] if view == 200 else ["1"])


async def test_t20_a_ticket_deleted_after_it_was_viewed_arrives_as_deleted() -> None:
    """Its conversations are not there: the ticket is looked up before anything is concluded."""
    desk = service()
    for key in (1, 2):
        put_ticket(desk, key, key)
    desk.faults.before("/tickets/2/conversations", lambda: desk.tickets.change(2, deleted=True) and None)
    desk.faults.add(Fault(match="/tickets/2/conversations", kind="404"))
    assert (await read_all(desk)).tickets()[2].state is TicketState.DELETED


# --------------------------------------------------------------------------------------------------------- children


async def test_t24_all_messages_are_read() -> None:
    """Not the ten oldest of an include: all of them, in order, private notes apart from replies."""
    desk = service()
    put_ticket(desk, 1, 1)
    for key in range(1, 132):
        put_message(desk, key, 1, private=key % 2 == 0, source=2 if key % 2 == 0 else 0)  # type: ignore[arg-type]
    messages = (await read_all(desk)).tickets()[1].messages
    assert [(one.external_id, one.private, one.kind) for one in messages or ()] == [
        (key, key % 2 == 0, "note" if key % 2 == 0 else "reply") for key in range(1, 132)
    ]


@pytest.mark.parametrize(("credits", "folds"), [(1, True), (2, False), (3, False)])
@pytest.mark.parametrize("count", [0, 9, 10, 11])
async def test_t24_a_short_thread_comes_with_the_view_where_that_is_cheaper(
    credits: int, folds: bool, count: int
) -> None:
    """The account's own answer says what it costs; ten conversations may be the oldest ten, so they are asked for."""
    desk = service(view_conversations_credits=credits)
    for ticket in (1, 2, 3):
        put_ticket(desk, ticket, ticket)
        for key in range(count):
            put_message(desk, 100 * ticket + key, ticket)  # type: ignore[arg-type]
    shelf = await read_all(desk)
    assert {key: len(one.messages or ()) for key, one in shelf.tickets().items()} == {1: count, 2: count, 3: count}
    assert "conversations" not in shelf.tickets()[1].raw
    asked = desk.calls.endpoints.get("GET /tickets/[id]/conversations", 0)
    assert asked == (3 if count >= 10 else 0 if folds else 2)  # the first view asks what it costs


async def test_t26_children_older_than_the_watermark_come_with_their_ticket() -> None:
    """A changed ticket brings all of its messages, however old, and one that was deleted is missing."""
    desk = service()
    put_ticket(desk, 1, 100)
    for key in (1, 2, 3):
        put_message(desk, key, 1)  # type: ignore[arg-type]
    shelf = Shelf()
    async with reading_service(desk) as source:
        await shelf.read(source, "tickets")
        desk.perform({"method": "DELETE", "path": "conversations/2"})
        await shelf.read(source, "tickets")
    assert [one.external_id for one in shelf.tickets()[1].messages or ()] == [1, 3]


@pytest.mark.parametrize("part", ["conversations", "time_entries"])
async def test_t27_children_that_cannot_be_read_are_unknown(part: str) -> None:
    """A fault leaves the old ones, is reported, and the ticket is read again when it is met next."""
    desk = service()
    for key in (1, 2):
        put_ticket(desk, key, key, tags=["vpn"], stats={"closed_at": stamp(3)})
        put_message(desk, key, key)  # type: ignore[arg-type]
    shelf = Shelf()
    async with reading_service(desk) as source:
        await shelf.read(source, "tickets")
        desk.faults.add(Fault(match=f"/tickets/1/{part}", kind="500", times=None))
        desk.perform({"method": "PUT", "path": "tickets/1", "body": {"priority": 3}})
        await shelf.read(source, "tickets")
        ticket = shelf.pages[-2].records[0]
        assert isinstance(ticket, Ticket)
        assert (ticket.messages, ticket.time_entries, ticket.stamp, ticket.priority) == (None, None, None, 3)
        assert (ticket.tags, ticket.closed_at is not None) == (("vpn",), True)  # what the view told is not lost
        assert [(one.kind, one.key, one.retry) for one in shelf.failures] == [(Kind.TICKET, "1", True)]
        desk.faults.clear()
        put_message(desk, 3, 1)  # type: ignore[arg-type]
        await shelf.read(source, "tickets")
    assert len(shelf.tickets()[1].messages or ()) == 2


async def test_t27_many_failures_in_a_row_mean_that_the_helpdesk_is_down() -> None:
    """Five tickets that fail one after another stop the read instead of setting every ticket aside."""
    desk = service()
    for key in range(1, 30):
        put_ticket(desk, key, key)
    desk.faults.add(Fault(match="/conversations", kind="503", times=None))
    with pytest.raises(SourceUnavailable, match="answered 503 after 4 tries"):
        await read_all(desk)


async def test_t28_t29_anything_may_be_null_and_nothing_is_dropped() -> None:
    """Unknown members stay in the raw object, with urgency and impact; null and empty lists stay apart."""
    desk = service()
    put_ticket(desk, 1, 1, subject=None, description=None, tags=None, due_by=None, type=None, urgency=3, new=[1, None])
    put_message(desk, 5, 1, user_id=None, body=None, to_emails=None, cc_emails=[], created_at="yesterday")  # type: ignore[arg-type]
    ticket = (await read_all(desk)).tickets()[1]
    assert (ticket.subject, ticket.description_html, ticket.tags, ticket.due_by) == (None, None, (), None)
    assert (ticket.raw["new"], ticket.raw["urgency"], ticket.raw["impact"]) == ([1, None], 3, 1)
    message = (ticket.messages or ())[0]
    assert (message.author_id, message.body_html, message.to_emails, message.cc_emails) == (None, None, None, ())
    assert (message.created_at, message.raw["created_at"]) == (None, "yesterday")


async def test_t33_only_what_says_so_is_public() -> None:
    """A message is private unless it says `private: false`."""
    desk = service()
    put_ticket(desk, 1, 1)
    for key, private in ((1, True), (2, False), (3, None)):
        put_message(desk, key, 1, private=private)  # type: ignore[arg-type]
    assert [one.private for one in (await read_all(desk)).tickets()[1].messages or ()] == [True, False, True]


# ------------------------------------------------------------------------------------------------------------- costs


@pytest.mark.parametrize(("list_tags", "credits"), [(True, 3), (False, 4)])
async def test_t30_a_ticket_costs_three_calls(list_tags: bool, credits: int) -> None:
    """N tickets cost three calls each and their lists; a credit each where lists carry tags; without changes three."""
    desk = service(list_tags=list_tags, order_by="ignored")
    for key in range(1, 121):
        put_ticket(desk, key, key * 60, tags=["vpn"])
    shelf = Shelf()
    async with reading_service(desk) as source:
        with metered(Meter()) as meter:
            await shelf.read(source, "tickets")
        assert {name: count for name, count in desk.calls.endpoints.items() if "[id]" in name} == {
            "GET /tickets/[id]": 120,
            "GET /tickets/[id]/conversations": 119,
            "GET /tickets/[id]/time_entries": 120,
        }
        lists = desk.calls.endpoints["GET /tickets"]
        assert lists == 2 + 2 + (not list_tags)  # two pages, the deleted and the spam, and a 400 that is not repeated
        assert meter.credits <= 120 * credits + 2 * 7 + 8
        assert {one.tags for one in shelf.tickets().values()} == {("vpn",)}
        desk.calls.reset()
        assert await shelf.read(source, "tickets") == 0
    assert (dict(desk.calls.endpoints), desk.calls.credits) == ({"GET /tickets": 3}, 3)


@pytest.mark.parametrize(("changed", "lists"), [(2, 3), (3, 4)])
async def test_t30_includes_are_bought_where_they_are_cheapest(changed: int, lists: int) -> None:
    """A page of one or two changed tickets is not worth its includes, one of three is asked for once more."""
    desk = service(list_tags=True)
    for key in range(1, 11):
        put_ticket(desk, key, key, requester_id=2, tags=["vpn"], stats={"closed_at": stamp(3)})
    shelf = Shelf()
    async with reading_service(desk) as source:
        await shelf.read(source, "tickets")
        desk.clock.advance(100)
        for key in range(1, changed + 1):
            desk.perform({"method": "PUT", "path": f"tickets/{key}", "body": {"priority": 3}})
        desk.clock.advance(100)
        desk.calls.reset()
        assert await shelf.read(source, "tickets") == changed
    assert desk.calls.endpoints["GET /tickets"] == lists
    found = [shelf.tickets()[key] for key in range(1, changed + 1)]
    assert {(one.requester_name, one.tags, one.closed_at is not None) for one in found} == {("Agent 2", ("vpn",), True)}
    assert desk.calls.credits == (3 + 6 * 2 if changed == 2 else 3 + 7 + 3 * 3)


async def test_t36_t38_a_run_waits_for_its_budget() -> None:
    """On the smallest plan a read takes minutes instead of failing, and uses no more than its share."""
    desk = empty_service(plan="starter")
    for key in range(1, 61):
        put_ticket(desk, key, key)
    shelf = Shelf()
    async with reading_service(desk, rate_share=0.6) as source:
        with metered(Meter()) as meter:
            await shelf.read(source, "tickets")
    assert len(shelf.tickets()) == 60
    assert meter.waited_seconds > 120
    assert set(desk.calls.statuses) <= {"200", "400", "404"}


# ------------------------------------------------------------------------------------------------- errors and values


async def test_t11_t39_a_list_that_is_refused_fails_the_read() -> None:
    """403 on the only ticket list is an error with its remedy, never an empty account."""
    desk = service()
    put_ticket(desk, 1, 1)
    desk.faults.add(Fault(match=r"/tickets\?", kind="403", times=None, code="require_feature"))
    with pytest.raises(AccessRefused, match="The account's plan lacks this feature"):
        await read_all(desk)


async def test_t40_a_list_that_is_refused_for_a_moment_is_read() -> None:
    """403 that passes costs a wait and nothing else."""
    desk = service()
    put_ticket(desk, 1, 1)
    desk.faults.add(Fault(match=r"/tickets\?", kind="403", times=2))
    assert set((await read_all(desk)).tickets()) == {1}


async def test_t43_t45_nothing_is_sent_that_the_api_does_not_know() -> None:
    """Every parameter is a documented one, but for those that are tried once; times are sent with `Z`."""
    desk = service()
    put_workspace(desk, 2, "IT")
    put_workspace(desk, 3, "HR")
    put_ticket(desk, 1, 1)
    async with reading_service(desk) as source:
        for stream in ("tickets", "hours"):
            await Shelf().read(source, stream)
        assert await source.fetch("tickets", "1") is not None
        assert await source.fetch("hours", "1") is not None
    refused = [entry["request"] for entry in desk.calls.log if entry["outcome"] == "400"]
    assert len(refused) == 3  # both, each alone; never again, in any stream
    assert all("order_by" in one or "tags" in one for one in refused)
    assert {query["updated_since"][-1] for query in queries(desk)} == {"Z"}


async def test_t47_t48_ids_stay_exact_and_requesters_may_be_agents() -> None:
    """Ids are integers from end to end; the requester's name comes with the ticket, an agent's too."""
    desk = service()
    big = 1_848_295_627_395_446_801
    put_ticket(desk, big, 1, requester_id=2, department_id=big + 4)
    ticket = (await read_all(desk)).tickets()[big]
    assert (ticket.key, ticket.company_id) == (str(big), big + 4)
    assert (ticket.requester_id, ticket.requester_name, ticket.requester_email) == (2, "Agent 2", "agent2@example.com")


async def test_t50_close_times_come_from_the_stats_only() -> None:
    """`closed_at` is what the stats say, with any offset; a closed ticket without it has none."""
    desk = service()
    put_ticket(desk, 1, 90, status=5, stats={"closed_at": "2026-09-01T10:00:00+05:30", "resolved_at": None})
    put_ticket(desk, 2, 91, status=5)
    tickets = (await read_all(desk)).tickets()
    assert tickets[1].closed_at == datetime(2026, 9, 1, 4, 30, tzinfo=UTC)
    assert (tickets[1].resolved_at, tickets[2].closed_at) == (None, None)
