"""The traps of Freshdesk by their numbers in HELPDESK-APIS section 6; those of the client are in tests/http."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.sources.desk import NOW, Shelf, empty_desk, put_message, put_ticket, reading, stamp, timing_of

from deskloom.errors import AccessRefused, SourceUnavailable, Unreadable, WindowStuck
from deskloom.http import Meter, metered
from deskloom.model import Contact, Kind, Ticket, TicketState, Tombstone, Visibility
from deskloom.sandbox import Desk, Fault, Switches
from deskloom.sandbox.freshdesk.edits import perform


def queries(desk: Desk, path: str = "/api/v2/tickets") -> list[dict[str, str]]:
    """The queries of every request for a path, in order."""
    targets = [urlsplit(entry["request"].removeprefix("GET ")) for entry in desk.calls.log]
    return [{name: values[0] for name, values in parse_qs(one.query).items()} for one in targets if one.path == path]


async def read_all(desk: Desk, stream: str = "tickets", **options: object) -> Shelf:
    shelf = Shelf()
    async with reading(desk) as source:
        await shelf.read(source, stream, **options)  # type: ignore[arg-type]
    return shelf


# ------------------------------------------------------------------------------------------- windows, order, paging


async def test_t01_tickets_older_than_a_month_arrive() -> None:
    """Every list is asked with `updated_since`, so a ticket made and changed long ago is read too."""
    desk = empty_desk()
    put_ticket(desk, 1, "2019-03-01T10:00:00Z", created_at="2019-03-01T09:00:00Z")
    put_ticket(desk, 2, 0)
    assert set((await read_all(desk)).tickets()) == {1, 2}
    assert all("updated_since" in query for query in queries(desk))


@pytest.mark.slow
async def test_t02_more_than_30000_tickets_arrive() -> None:
    """The window rolls, so the 300-page cap of the list is never met."""
    desk = empty_desk()
    for key in range(1, 30_301):
        put_ticket(desk, key, key // 2, deleted=True)
    assert len((await read_all(desk)).tickets()) == 30_300
    assert {query["page"] for query in queries(desk)} == {"1"}


@pytest.mark.parametrize("inclusive", [True, False])
async def test_t03_tickets_of_the_same_second_are_not_skipped(inclusive: bool) -> None:
    """However tickets share their seconds, and however `updated_since` is meant, all of them arrive once."""
    desk = empty_desk(switches=Switches(updated_since_inclusive=inclusive))
    for key in range(1, 331):
        put_ticket(desk, key, [key, 400, 401, 402 + key // 130][key % 4], deleted=True)
    shelf = await read_all(desk)
    assert (set(shelf.tickets()), shelf.stored) == (set(range(1, 331)), 330)


@pytest.mark.slow
async def test_t04_a_second_with_too_many_tickets_is_an_error() -> None:
    """30,000 tickets with one stamp cannot be listed completely: the read says so and does not loop."""
    desk = empty_desk()
    for key in range(1, 30_102):
        put_ticket(desk, key, 7, spam=True)
    with pytest.raises(WindowStuck, match="has 30,000 or more spam tickets that changed at 2026-10-01T00:00:07Z"):
        await read_all(desk)


async def test_t05_rows_that_move_do_not_hide_others() -> None:
    """Tickets that change between two pages move to the end; none of the others is stepped over."""
    desk = empty_desk()
    for key in range(1, 251):
        put_ticket(desk, key, 7, deleted=True)

    def move() -> None:
        for key in (3, 50, 99, 100):
            desk.tickets.change(key, updated_at=stamp(9000 + key))

    desk.faults.before(r"filter=deleted", move, nth=2)
    desk.faults.before(r"filter=deleted", lambda: desk.tickets.change(1, updated_at=stamp(9999)) and None, nth=3)
    shelf = await read_all(desk)
    assert set(shelf.tickets()) == set(range(1, 251))
    assert shelf.tickets()[50].stamp == f"{stamp(9050)} deleted"
    assert {(query["order_by"], query["order_type"]) for query in queries(desk)} == {("updated_at", "asc")}


async def test_t06_the_window_and_the_place_in_it_are_one() -> None:
    """Every cursor alone finds all that follows it: no page number outlives the window it was counted in."""
    desk = empty_desk()
    for key in range(1, 241):
        put_ticket(desk, key, key // 60, deleted=True)
    whole = await read_all(desk)
    for page in whole.pages:
        shelf = Shelf(cursor=page.cursor)
        done = {record.key for earlier in whole.pages[: whole.pages.index(page) + 1] for record in earlier.records}
        async with reading(desk) as source:
            await shelf.read(source, "tickets")
        assert done | {record.key for one in shelf.pages for record in one.records} == {
            str(key) for key in range(1, 241)
        }


@pytest.mark.parametrize("ahead", [timedelta(days=900), timedelta(days=-900)])
async def test_t07_our_clock_does_not_matter(ahead: timedelta) -> None:
    """The watermark is the helpdesk's own stamp, whatever our clock shows."""
    desk = empty_desk()
    put_ticket(desk, 1, 5)
    shelf = Shelf()
    timing = replace(timing_of(desk), now=lambda: NOW + ahead)
    async with reading(desk, timing=timing) as source:
        await shelf.read(source, "tickets")
        put_ticket(desk, 2, 6)
        await shelf.read(source, "tickets")
    assert set(shelf.tickets()) == {1, 2}
    assert shelf.cursor is not None
    assert shelf.cursor["passes"]["active"]["mark"] == stamp(6)


@pytest.mark.parametrize(("count", "calls"), [(99, 1), (100, 1), (101, 2), (200, 2)])
async def test_t08_an_exactly_full_last_page_is_the_end(count: int, calls: int) -> None:
    """Where the account sends Link headers, their absence on a full page ends the list without another call."""
    desk = empty_desk()
    for key in range(1, 131):
        put_ticket(desk, key, key, deleted=True)  # makes a Link header known
    put_ticket(desk, 500, 5)
    for key in range(1, count + 1):
        put_message(desk, key, 500)
    async with reading(desk) as source:
        shelf = Shelf()
        await shelf.read(source, "tickets")
        desk.calls.reset()
        ticket = await source.fetch("tickets", "500")
    assert isinstance(ticket, Ticket)
    assert [message.external_id for message in ticket.messages or ()] == list(range(1, count + 1))
    assert desk.calls.endpoints["GET /tickets/[id]/conversations"] == calls


async def test_t12_contacts_have_no_cap() -> None:
    """A long list of contacts is walked to its end."""
    desk = empty_desk()
    for key in range(1, 2001):
        desk.contacts.put({"id": 1000 + key, "name": f"P{key:05}", "created_at": stamp(0), "updated_at": stamp(key)})
    assert len((await read_all(desk, "contacts")).records) == 2000


async def test_t14_t15_the_feed_is_the_list_of_all_tickets() -> None:
    """Search is never used, and no filter narrows the normal list to one agent's tickets."""
    desk = empty_desk()
    put_ticket(desk, 1, 1, status=5, responder_id=2)
    assert set((await read_all(desk)).tickets()) == {1}
    assert [query.get("filter") for query in queries(desk)] == [None, "deleted", "spam"]
    assert not [name for name in desk.calls.endpoints if "search" in name]


# --------------------------------------------------------------------------------- deletion, spam, archive, merge


async def test_t16_t19_deleted_and_spam_tickets_are_reported_by_passes_of_their_own() -> None:
    """Tickets that leave the normal list come as deleted or spam, without a call for their messages."""
    desk = empty_desk()
    for key in (1, 2, 3):
        put_ticket(desk, key, key)
    shelf = Shelf()
    async with reading(desk) as source:
        await shelf.read(source, "tickets")
        desk.clock.advance(600)
        perform(desk, {"method": "DELETE", "path": "tickets/1"})
        perform(desk, {"spam": 2})
        desk.clock.advance(600)
        desk.calls.reset()
        assert await shelf.read(source, "tickets") == 2
    assert {key: ticket.state for key, ticket in shelf.tickets().items()} == {
        1: TicketState.DELETED,
        2: TicketState.SPAM,
        3: TicketState.ACTIVE,
    }
    assert set(shelf.cursor["passes"]) == {"active", "deleted", "spam"}  # type: ignore[index]
    assert desk.calls.endpoints == {"GET /tickets": 3}


async def test_t16_a_deletion_without_a_new_stamp_is_noticed_within_a_day() -> None:
    """Where deleting and restoring do not move `updated_at`, the daily whole pass finds it; a restored one is read."""
    desk = empty_desk(switches=Switches(delete_bumps=False, restore_bumps=False))
    for key in (1, 2):
        put_ticket(desk, key, key)
    shelf = Shelf()
    async with reading(desk) as source:
        await shelf.read(source, "tickets")
        perform(desk, {"method": "DELETE", "path": "tickets/1"})
        desk.clock.advance(90_000)
        await shelf.read(source, "tickets")
        assert shelf.tickets()[1].state is TicketState.DELETED
        desk.calls.reset()
        assert await shelf.read(source, "tickets") == 0
        assert desk.calls.total == 3


async def test_t17_t18_only_flags_say_that_a_ticket_is_gone() -> None:
    """Resolved, closed and custom statuses, 6 and 7 too, are those of normal tickets."""
    desk = empty_desk()
    for status in (4, 5, 6, 7, 8):
        put_ticket(desk, status, status, status=status)
    tickets = (await read_all(desk)).tickets()
    assert {key: (ticket.state, ticket.status) for key, ticket in tickets.items()} == {
        status: (TicketState.ACTIVE, status) for status in (4, 5, 6, 7, 8)
    }


async def test_t20_a_ticket_refused_after_it_was_listed_is_set_aside() -> None:
    """403 on one ticket's messages and view: the run goes on, the ticket is read again later."""
    desk = empty_desk()
    for key in (1, 2, 3):
        put_ticket(desk, key, key)
        put_message(desk, key, key)
    desk.faults.add(Fault(match=r"/tickets/2(/|\?|$)", kind="403", times=None))
    shelf = Shelf()
    async with reading(desk) as source:
        await shelf.read(source, "tickets")
        assert [(one.key, one.retry) for one in shelf.failures] == [("2", True)]
        assert (shelf.tickets()[2].messages, shelf.tickets()[2].stamp) == (None, None)
        assert len(shelf.tickets()[3].messages or ()) == 1
        with pytest.raises(Unreadable):
            await source.fetch("tickets", "2")
        desk.faults.clear()
        assert await shelf.read(source, "tickets") == 1  # within the overlap: stamp None is never known
        assert len(shelf.tickets()[2].messages or ()) == 1


async def test_t20_a_ticket_deleted_after_it_was_listed_arrives_as_deleted() -> None:
    """A ticket that vanishes between list and messages is looked up by id before anything is concluded."""
    desk = empty_desk()
    for key in (1, 2):
        put_ticket(desk, key, key)
    desk.faults.before("/tickets/1/conversations", lambda: desk.tickets.change(1, deleted=True))
    desk.faults.add(Fault(match="/tickets/1/conversations", kind="404"))
    assert {key: one.state for key, one in (await read_all(desk)).tickets().items()} == {
        1: TicketState.DELETED,
        2: TicketState.ACTIVE,
    }


async def test_t21_archived_tickets_are_read_by_their_own_path() -> None:
    """A ticket that is archived is not taken for deleted, and its messages are read from the archive."""
    desk = empty_desk(switches=Switches(archived_listed=True))
    put_ticket(desk, 1, 1, status=5)
    put_message(desk, 11, 1)
    desk.archive(ids=[1])
    ticket = (await read_all(desk)).tickets()[1]
    assert (ticket.state, [one.external_id for one in ticket.messages or ()]) == (TicketState.ARCHIVED, [11])
    async with reading(desk) as source:
        fetched = await source.fetch("tickets", "1")
        assert isinstance(fetched, Ticket)
        assert fetched.state is TicketState.ARCHIVED
        assert await source.fetch("tickets", "2") is None


async def test_t22_a_listing_with_a_hole_proves_nothing() -> None:
    """When a folder is gone in mid-walk, articles are yielded but no listing that would delete the others."""
    desk = solutions()
    desk.faults.add(Fault(match="/folders/56/articles", kind="404", times=None))
    shelf = await read_all(desk, "kb")
    assert ({key for _, key in shelf.records}, shelf.listing) == ({"701:en", "702:en", "701:de", "704:en"}, None)


async def test_t23_a_deleted_contact_leaves_a_tombstone() -> None:
    """A contact that is deleted vanishes from the list and is reported from the list of the deleted."""
    desk = empty_desk()
    for key in (1001, 1002):
        desk.contacts.put({"id": key, "name": f"P{key}", "created_at": stamp(0), "updated_at": stamp(0)})
    shelf = Shelf()
    async with reading(desk) as source:
        await shelf.read(source, "contacts")
        perform(desk, {"method": "DELETE", "path": "contacts/1001"})
        await shelf.read(source, "contacts")
    assert shelf.records[Kind.CONTACT, "1001"] == Tombstone(
        kind=Kind.CONTACT, key="1001", reason="deleted at the helpdesk", stamp="2026-11-02T09:00:00Z deleted"
    )
    assert isinstance(shelf.records[Kind.CONTACT, "1002"], Contact)


# ------------------------------------------------------------------- children: replies, notes, articles, visibility


async def test_t24_t25_all_messages_are_read() -> None:
    """Neither the ten oldest of an include nor the thirty of a default page: all of them, in order."""
    desk = empty_desk()
    put_ticket(desk, 1, 1)
    for key in range(1, 232):
        put_message(desk, key, 1, private=key % 2 == 0, source=2 if key % 2 == 0 else 0)
    messages = (await read_all(desk)).tickets()[1].messages
    assert messages is not None
    assert [(one.external_id, one.private, one.kind) for one in messages] == [
        (key, key % 2 == 0, "note" if key % 2 == 0 else "reply") for key in range(1, 232)
    ]


async def test_t26_children_older_than_the_watermark_come_with_their_ticket() -> None:
    """A changed ticket brings all of its messages, however old, and one that was deleted is missing."""
    desk = empty_desk()
    put_ticket(desk, 1, 100)
    for key in (1, 2, 3):
        put_message(desk, key, 1)
    shelf = Shelf()
    async with reading(desk) as source:
        await shelf.read(source, "tickets")
        perform(desk, {"method": "DELETE", "path": "conversations/2"})
        await shelf.read(source, "tickets")
    assert [one.external_id for one in shelf.tickets()[1].messages or ()] == [1, 3]


async def test_t27_messages_that_cannot_be_read_are_unknown() -> None:
    """A fault leaves the old messages, is reported, and the ticket is read again when it is met next."""
    desk = empty_desk()
    for key in (1, 2):
        put_ticket(desk, key, key)
        put_message(desk, key, key)
    shelf = Shelf()
    async with reading(desk) as source:
        await shelf.read(source, "tickets")
        desk.faults.add(Fault(match="/tickets/1/conversations", kind="500", times=None))
        perform(desk, {"method": "PUT", "path": "tickets/1", "body": {"priority": 3}})
        await shelf.read(source, "tickets")
        assert [(one.kind, one.key, one.retry) for one in shelf.failures] == [(Kind.TICKET, "1", True)]
        assert shelf.tickets()[1].priority == 3
        assert len(shelf.tickets()[1].messages or ()) == 1
        desk.faults.clear()
        put_message(desk, 3, 1)
        await shelf.read(source, "tickets")
    assert len(shelf.tickets()[1].messages or ()) == 2


async def test_t27_many_failures_in_a_row_mean_that_the_helpdesk_is_down() -> None:
    """Five tickets that fail one after another stop the read instead of setting every ticket aside."""
    desk = empty_desk()
    for key in range(1, 30):
        put_ticket(desk, key, key)
    desk.faults.add(Fault(match="/conversations", kind="503", times=None))
    with pytest.raises(SourceUnavailable, match="answered 503 after 4 tries"):
        await read_all(desk)


async def test_t28_members_nobody_knows_are_kept() -> None:
    """The raw object is kept whole beside the typed members."""
    desk = empty_desk()
    put_ticket(desk, 1, 1, brand_new_member={"a": [1, None]})
    put_message(desk, 5, 1, another="x")
    ticket = (await read_all(desk)).tickets()[1]
    assert ticket.raw["brand_new_member"] == {"a": [1, None]}
    assert ticket.messages is not None
    assert ticket.messages[0].raw["another"] == "x"


async def test_t29_anything_may_be_null() -> None:
    """Null authors, texts, lists and times stay missing; null and empty lists stay apart."""
    desk = empty_desk()
    put_ticket(desk, 1, 1, subject=None, description=None, tags=None, due_by=None, type=None, custom_fields=None)
    put_message(desk, 5, 1, user_id=None, body=None, to_emails=None, cc_emails=[], created_at="yesterday")
    ticket = (await read_all(desk)).tickets()[1]
    assert (ticket.subject, ticket.description_html, ticket.tags, ticket.due_by) == (None, None, (), None)
    assert ticket.messages is not None
    message = ticket.messages[0]
    assert (message.author_id, message.body_html, message.to_emails, message.cc_emails) == (None, None, None, ())
    assert (message.created_at, message.raw["created_at"]) == (None, "yesterday")


async def test_t30_calls_are_the_fewest_possible() -> None:
    """N tickets cost N calls for messages and one list call for 99 of them; a sync without changes costs three."""
    desk = empty_desk()
    for key in range(1, 151):
        put_ticket(desk, key, key * 60)
    shelf = Shelf()
    async with reading(desk) as source:
        with metered(Meter()) as meter:
            await shelf.read(source, "tickets")
        assert desk.calls.endpoints == {"GET /tickets": 2 + 2, "GET /tickets/[id]/conversations": 150}
        assert (meter.calls, meter.credits) == (desk.calls.total, desk.calls.credits)
        desk.calls.reset()
        assert await shelf.read(source, "tickets") == 0
    assert desk.calls.endpoints == {"GET /tickets": 3}


def solutions(**switches: object) -> Desk:
    """44 → 55 (public: 701, 702 draft) and 56 (agents: 703) → 57 (some companies: 704); 701 in German too."""
    desk = empty_desk(switches=Switches(**switches))  # type: ignore[arg-type]
    desk.languages = ["en", "de"]
    made = {"created_at": stamp(0), "updated_at": stamp(0)}
    desk.categories.put({"id": 44, "name": "Network", "description": None, **made})
    for folder, parent, visibility in ((55, None, 1), (56, None, 3), (57, 56, 4)):
        row = {"id": folder, "name": f"Folder {folder}", "category_id": 44, "parent_folder_id": parent}
        desk.folders.put({**row, "visibility": visibility, **made})
    for key, folder, status in ((701, 55, 2), (702, 55, 1), (703, 56, 2), (704, 57, 2)):
        row = {"id": key, "title": f"Article {key}", "description": "<p>Steps</p>", "status": status, "agent_id": 1}
        desk.articles.put({**row, "folder_id": folder, "category_id": 44, "hits": 0, **made})
    body = {"title": "Artikel 701", "description": "<p>Schritte</p>", "status": 2}
    perform(desk, {"method": "POST", "path": "solutions/articles/701/de", "body": body})
    return desk


@pytest.mark.parametrize("nested", [False, True])
async def test_t31_subfolders_are_walked(nested: bool) -> None:
    """Articles below subfolders arrive once, whether a category lists nested folders or only its roots."""
    shelf = await read_all(solutions(solutions_nested=nested), "kb")
    keys = frozenset({"701:en", "701:de", "702:en", "703:en", "704:en"})
    assert ({key for _, key in shelf.records}, shelf.stored, shelf.listing) == (keys, 5, keys)


async def test_t31_accounts_without_subfolders_are_read() -> None:
    """Where `/subfolders` is not there, the rest of the tree is still whole."""
    shelf = await read_all(solutions(subfolders=False, solutions_nested=True), "kb")
    assert len(shelf.records) == 5
    assert shelf.listing is not None


async def test_t32_visibility_and_drafts_are_carried() -> None:
    """Visibility comes from the folder, and a draft is not published; a changed folder changes its articles."""
    desk = solutions()
    shelf = Shelf()
    async with reading(desk) as source:
        await shelf.read(source, "kb")
        seen = {key: (one.published, one.visibility) for (_, key), one in shelf.records.items()}  # type: ignore[union-attr]
        assert seen == {
            "701:en": (True, Visibility.PUBLIC),
            "701:de": (True, Visibility.PUBLIC),
            "702:en": (False, Visibility.PUBLIC),
            "703:en": (True, Visibility.INTERNAL),
            "704:en": (True, Visibility.RESTRICTED),
        }
        desk.folders.change(55, visibility=2)
        desk.articles.change(703, hits=999)
        assert await shelf.read(source, "kb") == 3
        assert {record.key for record in shelf.pages[-1].records} == {"701:en", "701:de", "702:en"}
        assert await source.fetch("kb", "701:de") == shelf.records[Kind.ARTICLE, "701:de"]
        assert await source.fetch("kb", "702:de") is None


async def test_t33_only_what_says_so_is_public() -> None:
    """A message is private unless it says `private: false`."""
    desk = empty_desk()
    put_ticket(desk, 1, 1)
    for key, private in ((1, True), (2, False), (3, None)):
        put_message(desk, key, 1, private=private)
    messages = (await read_all(desk)).tickets()[1].messages
    assert [one.private for one in messages or ()] == [True, False, True]


async def test_t34_a_first_message_that_repeats_the_description_is_kept() -> None:
    """Web chat sends the first message twice; the record keeps both, and documents tell them apart."""
    desk = empty_desk()
    put_ticket(desk, 1, 1, source=15, description="Hello, my screen is black")
    put_message(desk, 1, 1, body="Hello, my screen is black", incoming=True)
    ticket = (await read_all(desk)).tickets()[1]
    assert ticket.description_html == (ticket.messages or ())[0].body_html


# ------------------------------------------------------------------------------------------------- limits and errors


async def test_t36_t38_a_run_waits_for_its_budget_and_says_so() -> None:
    """On the smallest plan a read takes minutes instead of failing, and uses no more than its share."""
    desk = empty_desk(plan="trial")
    for key in range(1, 91):
        put_ticket(desk, key, key)
    shelf = Shelf()
    async with reading(desk, rate_share=0.6) as source:
        with metered(Meter()) as meter:
            await shelf.read(source, "tickets")
    assert len(shelf.tickets()) == 90
    assert meter.waited_seconds > 120
    assert desk.calls.statuses == {"200": desk.calls.total}


async def test_t39_a_list_that_is_refused_fails_the_read() -> None:
    """403 on the ticket list that stays is an error with its remedy, never an empty account."""
    desk = empty_desk()
    put_ticket(desk, 1, 1)
    desk.faults.add(Fault(match=r"/tickets\?", kind="403", times=None, code="require_feature"))
    with pytest.raises(AccessRefused, match="The account's plan lacks this feature"):
        await read_all(desk)


async def test_t40_a_list_that_is_refused_for_a_moment_is_read() -> None:
    """403 that passes costs a wait and nothing else."""
    desk = empty_desk()
    put_ticket(desk, 1, 1)
    desk.faults.add(Fault(match=r"/tickets\?", kind="403", times=2))
    assert set((await read_all(desk)).tickets()) == {1}


async def test_t43_t45_nothing_is_sent_that_the_api_does_not_know() -> None:
    """Every parameter is a documented one, and times are sent with `Z`, so that no `+` needs escaping."""
    desk = solutions()
    put_ticket(desk, 1, 1)
    async with reading(desk) as source:
        for stream in source.streams:
            await Shelf().read(source, stream)
        await source.fetch("tickets", "1")
    assert desk.calls.statuses == {"200": desk.calls.total}
    assert {query["updated_since"][-1] for query in queries(desk)} == {"Z"}


async def test_t47_ids_beyond_53_bits_stay_exact() -> None:
    """Ids are integers from end to end."""
    desk = empty_desk()
    big = 1_848_295_627_395_446_801
    put_ticket(desk, big, 1, requester_id=big + 2, company_id=big + 4)
    ticket = (await read_all(desk)).tickets()[big]
    assert (ticket.key, ticket.requester_id, ticket.company_id) == (str(big), big + 2, big + 4)


async def test_t48_a_requester_may_be_an_agent() -> None:
    """Name and address of an agent who asks come with the ticket, as a contact's do."""
    desk = empty_desk()
    put_ticket(desk, 1, 1, requester_id=2)
    ticket = (await read_all(desk)).tickets()[1]
    assert (ticket.requester_id, ticket.requester_name, ticket.requester_email) == (2, "Agent 2", "agent2@example.com")


async def test_t50_close_times_come_from_the_stats_only() -> None:
    """`closed_at` is what the stats say, with any offset; a closed ticket without it has none."""
    desk = empty_desk()
    put_ticket(desk, 1, 90, status=5, stats={"closed_at": "2026-09-01T10:00:00+05:30", "resolved_at": None})
    put_ticket(desk, 2, 91, status=5)
    tickets = (await read_all(desk)).tickets()
    assert tickets[1].closed_at == datetime(2026, 9, 1, 4, 30, tzinfo=UTC)
    assert (tickets[1].resolved_at, tickets[2].closed_at) == (None, None)
