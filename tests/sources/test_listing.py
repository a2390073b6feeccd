"""What a Freshdesk listing holds, what it costs, and when it proves nothing."""

from __future__ import annotations

import pytest
from tests.sources.desk import Shelf, empty_desk, put_message, put_ticket, reading, stamp
from tests.sources.freshdesk_rig import desk_of

from deskloom.errors import AccessRefused, NotFound, SourceUnavailable
from deskloom.model import Kind, Ticket, TicketState
from deskloom.protocols import Listed, Source
from deskloom.sandbox import Desk, Fault, Switches
from deskloom.sandbox.freshdesk.edits import perform


async def listed(source: Source, stream: str) -> dict[str, Listed]:
    return {one.key: one async for batch in source.listing(stream) for one in batch}


def with_people(desk: Desk) -> Desk:
    for key in range(1, 131):
        made = {"created_at": stamp(0), "updated_at": stamp(key)}
        desk.companies.put({"id": 3000 + key, "name": f"Company {key:03}", "domains": [], "custom_fields": {}, **made})
        desk.contacts.put({"id": 1000 + key, "name": f"Person {key:03}", "email": f"p{key}@example.com", **made})
    return desk


async def test_a_listing_of_tickets_costs_a_credit_for_a_page() -> None:
    """450 tickets: no replies are read, no includes are paid for, and each of the three lists ends with one page."""
    desk = empty_desk()
    for key in range(1, 451):
        put_ticket(desk, key, key, deleted=key <= 20, spam=20 < key <= 30)
        put_message(desk, 1000 + key, key)
    async with reading(desk) as source:
        found = await listed(source, "tickets")
    assert sorted(map(int, found)) == list(range(1, 451))
    assert {int(key) for key, one in found.items() if one.gone} == set(range(1, 31))
    assert dict(desk.calls.endpoints) == {"GET /tickets": 5 + 1 + 1}
    assert desk.calls.credits == 7


@pytest.mark.parametrize("stream", ["companies", "contacts", "agents"])
async def test_people_are_listed_as_they_are_read(stream: str) -> None:
    """Keys and stamps are those of records that were read; a blocked contact is alive, a deleted one gone."""
    desk = with_people(empty_desk())
    async with reading(desk) as source:
        shelf = Shelf()
        await shelf.read(source, stream)
        desk.contacts.change(1005, _blocked=True)
        desk.contacts.change(1006, deleted=True)
        found = await listed(source, stream)
    kept = {key: record.stamp for (_, key), record in shelf.records.items()}
    gone = {key for key, one in found.items() if one.gone}
    assert gone == ({"1006"} if stream == "contacts" else set())
    assert {key: one.stamp for key, one in found.items() if key not in gone} == {
        key: mark for key, mark in kept.items() if key not in gone
    }


async def test_a_stream_without_a_list_says_so() -> None:
    """Code tables have no keys that could be missing."""
    async with reading(empty_desk()) as source:
        with pytest.raises(NotFound, match="no list of all codes"):
            await listed(source, "codes")


async def test_a_list_that_is_closed_to_the_key_proves_nothing() -> None:
    """An agent list that may not be read raises instead of being empty."""
    async with reading(with_people(empty_desk()), key="sandbox-agent") as source:
        with pytest.raises(AccessRefused):
            await listed(source, "agents")


async def test_a_folder_that_goes_away_meanwhile_makes_the_listing_useless() -> None:
    """Its articles may have been moved or deleted: the listing raises."""
    desk = desk_of("kb", Switches())
    desk.faults.before(
        "folders/57/articles", lambda: perform(desk, {"method": "DELETE", "path": "solutions/folders/57"})
    )
    async with reading(desk) as source:
        with pytest.raises(SourceUnavailable, match="went away"):
            await listed(source, "kb")


async def test_one_page_that_fails_in_the_middle_makes_the_listing_useless() -> None:
    """A list whose second page never comes raises, although the pages after it would."""
    desk = desk_of("contacts", Switches())
    desk.faults.add(Fault(match="contacts", kind="503", times=9, skip=1))
    async with reading(desk) as source:
        with pytest.raises(SourceUnavailable):
            await listed(source, "contacts")


@pytest.mark.parametrize("archived_listed", [False, True])
async def test_an_archived_ticket_is_not_gone(archived_listed: bool) -> None:
    """Whether its list holds it or not (open question), by its id it is found among the archived."""
    desk = empty_desk(switches=Switches(archived_listed=archived_listed))
    put_ticket(desk, 1, 1)
    put_ticket(desk, 2, 2, status=5)
    desk.archive(ids=[2])
    async with reading(desk) as source:
        found = await listed(source, "tickets")
        archived = await source.fetch("tickets", "2")
    assert {key: one.gone for key, one in found.items()} == {"1": False} | ({"2": False} if archived_listed else {})
    assert isinstance(archived, Ticket)
    assert archived.state is TicketState.ARCHIVED
    assert not archived_listed or found["2"].stamp == archived.stamp


async def test_a_ticket_deleted_while_the_lists_are_read_ends_as_gone() -> None:
    """It is met alive in the first list and deleted in the second: the later counts."""
    desk = empty_desk()
    for key in range(1, 4):
        put_ticket(desk, key, key)
    desk.faults.before("filter=deleted", lambda: perform(desk, {"method": "DELETE", "path": "tickets/2"}))
    async with reading(desk) as source:
        found = await listed(source, "tickets")
    assert {key: one.gone for key, one in found.items()} == {"1": False, "2": True, "3": False}


async def test_a_merged_ticket_is_listed_like_a_closed_one() -> None:
    """Merging closes the second ticket; it is alive in the list, with the stamp a read gives it."""
    desk = empty_desk()
    for key in (1, 2):
        put_ticket(desk, key, key)
    perform(desk, {"method": "PUT", "path": "tickets/merge", "body": {"primary_id": 1, "ticket_ids": [2]}})
    desk.clock.advance(600)
    async with reading(desk) as source:
        shelf = Shelf()
        await shelf.read(source, "tickets")
        found = await listed(source, "tickets")
    assert {key: (one.gone, one.stamp) for key, one in found.items()} == {
        key: (False, shelf.records[Kind.TICKET, key].stamp) for key in ("1", "2")
    }


async def test_every_language_and_draft_of_an_article_is_listed() -> None:
    """A draft is not deleted, and a translation is an object of its own."""
    desk = desk_of("kb", Switches())
    desk.languages = ["en", "de"]
    perform(desk, {"method": "PUT", "path": "solutions/articles/701", "body": {"status": 1}})
    body = {"title": "Titel", "description": "<p>Text</p>", "status": 2}
    perform(desk, {"method": "POST", "path": "solutions/articles/702/de", "body": body})
    async with reading(desk) as source:
        found = await listed(source, "kb")
    assert found.keys() == {f"{row['id']}:en" for row in desk.articles} | {"702:de"}
    assert not any(one.gone for one in found.values())
