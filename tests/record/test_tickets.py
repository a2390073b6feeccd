"""Tickets in the record: what counts as a change, what is written, what comes out again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select, text
from tests.record.made import EARLIER, LATER, NOW, a_message, a_ticket, as_loaded, tickets

from deskloom.documents import TicketFacts
from deskloom.errors import InvalidRequest, NotFound
from deskloom.model import Agent, Codes, Company, Contact, Kind, TicketState, Tombstone
from deskloom.record import Record, Stored, store
from deskloom.record.copies import fingerprint
from deskloom.record.listing import get_ticket, list_tickets
from deskloom.record.store import keys, stamps
from deskloom.record.tables import messages as messages_table
from deskloom.record.tables import tickets as tickets_table
from deskloom.record.tickets import load_tickets, store_tickets, ticket_stamps

_examples = count()
anywhere = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@contextmanager
def written(record: Record) -> Iterator[list[str]]:
    """The statements that change something."""
    seen: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        if statement.split()[0] in ("INSERT", "UPDATE", "DELETE"):
            seen.append(statement)

    engine = record._engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


async def put(record: Record, *items, now=NOW, source: str = "desk") -> Stored:
    async with record.transaction() as tx:
        return await store_tickets(tx, source, items, now=now)


async def get(record: Record, *numbers: int, source: str = "desk"):
    async with record.reading() as tx:
        return await load_tickets(tx, source, [str(number) for number in numbers])


async def version(record: Record, number: int) -> tuple[int, object]:
    async with record.reading() as tx:
        query = select(tickets_table.c.version, tickets_table.c.deleted_at).where(tickets_table.c.external_id == number)
        return tuple((await tx.execute(query)).one())


@anywhere
@given(given_tickets=st.lists(tickets(), max_size=4, unique_by=lambda ticket: ticket.external_id))
async def test_what_goes_in_comes_out(record: Record, given_tickets) -> None:
    """Any tickets a source may give come out as they went in, are unchanged the second time, and are written once."""
    source = f"s{next(_examples)}"
    await put(record, *given_tickets, source=source)
    out = await get(record, *(ticket.external_id for ticket in given_tickets), source=source)
    assert {key: ticket for key, (ticket, _) in out.items()} == {
        ticket.key: as_loaded(ticket) for ticket in given_tickets
    }
    with written(record) as statements:
        again = await put(record, *given_tickets, source=source, now=LATER)
    assert set(again.unchanged) == {ticket.key for ticket in given_tickets}
    assert again == Stored(unchanged=again.unchanged)
    assert statements == []


@anywhere
@given(first=tickets(), second=tickets())
async def test_the_last_of_two_states_stands(record: Record, first, second) -> None:
    """After any two states of a ticket the record holds the second, with the first's messages if it has none."""
    source = f"s{next(_examples)}"
    second = replace(second, external_id=first.external_id)
    await put(record, first, source=source)
    await put(record, second, source=source)
    out = await get(record, first.external_id, source=source)
    said = first.messages if second.messages is None else second.messages
    assert out[first.key][0] == as_loaded(replace(second, messages=said))


@given(ticket=tickets())
def test_fingerprint_does_not_depend_on_order(ticket) -> None:
    """A fingerprint depends on the content alone: neither on the order of members nor on the offset of a time."""
    row = {"custom_fields": ticket.custom_fields, "created_at": ticket.created_at, "tags": list(ticket.tags)}
    turned = dict(reversed(list(row.items()))) | {"custom_fields": dict(reversed(list(ticket.custom_fields.items())))}
    if ticket.created_at is not None and EARLIER.year < ticket.created_at.year < 9000:
        turned["created_at"] = ticket.created_at.astimezone(NOW.tzinfo)
    assert fingerprint(row) == fingerprint(turned)


async def test_created_updated_unchanged(record: Record) -> None:
    """A new ticket is created, an edited one updated with a higher version, an equal one unchanged."""
    assert await put(record, a_ticket(1), a_ticket(2)) == Stored(created=("1", "2"))
    done = await put(record, a_ticket(1, status=4, stamp="new"), a_ticket(2))
    assert done == Stored(updated=("1",), unchanged=("2",))
    assert (await version(record, 1), await version(record, 2)) == ((2, None), (1, None))


@pytest.mark.parametrize(
    "change",
    [
        {"stamp": "other"},
        {"updated_at": LATER},
        {"due_by": EARLIER},
        {"first_responded_at": NOW},
        {"updated_at": None, "stamp": None},
    ],
)
async def test_quiet_columns_only_touch(record: Record, change: dict) -> None:
    """Noise of service levels is stored, but is no change: the version stays and no document need be made again."""
    await put(record, a_ticket(1))
    assert await put(record, a_ticket(1, **change), now=LATER) == Stored(touched=("1",))
    assert (await get(record, 1))["1"][0] == a_ticket(1, **change)
    assert await version(record, 1) == (1, None)


async def test_raw_alone_is_no_change(record: Record) -> None:
    """Links signed anew at every read, which stand in the raw JSON only, cause no write."""
    await put(record, a_ticket(1, raw={"link": "https://files.example/1?signature=a"}))
    with written(record) as statements:
        done = await put(record, a_ticket(1, raw={"link": "https://files.example/1?signature=b"}))
    assert (done, statements) == (Stored(unchanged=("1",)), [])


async def test_raw_is_stored(record: Record) -> None:
    """The source's own JSON is kept beside the typed columns, for tickets and messages."""
    raw = {"id": 1, "nested": {"list": [1, 2.5, None, "ü"]}}
    await put(record, a_ticket(1, raw=raw, messages=(a_message(5, raw={"id": 5}),)))
    async with record.reading() as tx:
        assert (await tx.execute(select(tickets_table.c.raw))).scalar_one() == raw
        assert (await tx.execute(select(messages_table.c.raw))).scalar_one() == {"id": 5}


async def test_messages_are_replaced_as_a_set(record: Record) -> None:
    """One edited, one added and one removed message cost exactly these writes."""
    await put(record, a_ticket(1, messages=(a_message(1), a_message(2), a_message(3))))
    said = (a_message(1), a_message(2, body_text="edited"), a_message(4))
    assert await put(record, a_ticket(1, messages=said)) == Stored(updated=("1",))
    assert (await get(record, 1))["1"][0].messages == said


async def test_unreadable_messages_keep_the_old_ones(record: Record) -> None:
    """A ticket whose messages could not be read keeps those it has; it has no stamp, so it is read again."""
    await put(record, a_ticket(1))
    assert await put(record, a_ticket(1, messages=None, stamp=None, status=5)) == Stored(updated=("1",))
    assert (await get(record, 1))["1"][0] == a_ticket(1, stamp=None, status=5)
    async with record.reading() as tx:
        assert await ticket_stamps(tx, "desk", ["1"]) == {}


async def test_unknown_messages_are_not_empty(record: Record) -> None:
    """Messages that were never read are unknown, not none; messages that are none are none."""
    await put(record, a_ticket(1, messages=None), a_ticket(2, messages=()))
    out = await get(record, 1, 2)
    assert (out["1"][0].messages, out["2"][0].messages) == (None, ())


async def test_the_last_of_equal_keys_counts(record: Record) -> None:
    """A page that repeats a ticket, or a ticket that repeats a message, stores the last."""
    twice = a_ticket(1, messages=(a_message(1), a_message(1, body_text="last")))
    assert await put(record, a_ticket(1, subject="first"), twice) == Stored(created=("1",))
    assert (await get(record, 1))["1"][0] == replace(twice, messages=(a_message(1, body_text="last"),))


@pytest.mark.parametrize("state", [TicketState.DELETED, TicketState.SPAM])
async def test_deletion_and_return(record: Record, state: TicketState) -> None:
    """A deleted or spam ticket keeps its row and the time of its deletion, and comes back as it was."""
    await put(record, a_ticket(1))
    assert await put(record, a_ticket(1, state=state, messages=None), now=NOW) == Stored(deleted=("1",))
    assert await put(record, a_ticket(1, state=state, messages=None), now=LATER) == Stored(unchanged=("1",))
    assert await version(record, 1) == (2, NOW)
    assert await put(record, a_ticket(1), now=LATER) == Stored(updated=("1",))
    assert await version(record, 1) == (3, None)
    assert (await get(record, 1))["1"][0] == a_ticket(1)


async def test_first_seen_dead(record: Record) -> None:
    """A ticket first seen in the bin is stored and counted as deleted, so that nobody makes a document of it."""
    assert await put(record, a_ticket(1, state=TicketState.SPAM)) == Stored(deleted=("1",))


async def test_tombstone(record: Record) -> None:
    """A tombstone deletes once, forgets the stamp, ignores what is not there, and can be undone by the ticket."""
    await put(record, a_ticket(1), a_ticket(2))
    grave = [Tombstone(kind=Kind.TICKET, key=key, reason="not listed") for key in ("1", "9")]
    async with record.transaction() as tx:
        assert await store(tx, "desk", grave, now=NOW) == {Kind.TICKET: Stored(deleted=("1",))}
        assert await store(tx, "desk", grave, now=LATER) == {Kind.TICKET: Stored(unchanged=("1",))}
        assert await stamps(tx, "desk", Kind.TICKET, ["1", "2"]) == {"2": "stamp 2"}
        assert await keys(tx, "desk", Kind.TICKET) == frozenset({"2"})
    assert (await get(record, 1))["1"][0].state is TicketState.DELETED
    assert await put(record, a_ticket(1)) == Stored(updated=("1",))


async def test_later_record_of_a_page_counts(record: Record) -> None:
    """A ticket and its tombstone in one page: the later one counts."""
    grave = Tombstone(kind=Kind.TICKET, key="1", reason="deleted")
    async with record.transaction() as tx:
        assert await store(tx, "desk", [grave, a_ticket(1)], now=NOW) == {Kind.TICKET: Stored(created=("1",))}
        assert await store(tx, "desk", [a_ticket(1), grave], now=NOW) == {Kind.TICKET: Stored(deleted=("1",))}


async def test_sources_do_not_mix(record: Record) -> None:
    """The same number in two sources is two tickets."""
    await put(record, a_ticket(1), source="a")
    await put(record, a_ticket(1, subject="other"), source="b")
    assert (await get(record, 1, source="a"))["1"][0] == a_ticket(1)


async def test_more_than_one_chunk(record: Record) -> None:
    """More tickets than fit into one statement are stored, looked up and loaded as one."""
    many = [a_ticket(number, messages=(a_message(number),)) for number in range(1, 1201)]
    assert len((await put(record, *many)).created) == 1200
    assert len((await put(record, *many)).unchanged) == 1200
    assert len(await get(record, *range(1, 1201))) == 1200


async def test_huge_text(record: Record) -> None:
    """A text of several megabytes is stored whole."""
    huge = "spam " * 1_000_000
    await put(record, a_ticket(1, description_text=huge, requester_email="a" * 5000, tags=("t" * 5000,)))
    assert (await get(record, 1))["1"][0].description_text == huge


async def people(record: Record) -> None:
    """A company, a contact, two agents and the code tables."""
    async with record.transaction() as tx:
        await store(
            tx,
            "desk",
            [
                Codes(field="status", labels={2: "Open", 4: "Resolved", 17: "On hold"}),
                Codes(field="priority", labels={1: "Low", 4: "Urgent"}),
                Codes(field="channel", labels={1: "Email"}),
                Company(external_id=90, stamp="a", name="Orchard Ltd", account_number="0042"),
                Contact(external_id=70, stamp="a", name="Nora Field", email="nora@example.com"),
                Agent(external_id=71, stamp="a", name="Ivo Agent", email="ivo@example.org"),
                Agent(external_id=70, stamp="a", name="Hidden by the contact"),
            ],
            now=NOW,
        )


async def test_facts(record: Record) -> None:
    """What the record knows beside a ticket; a requester may be an agent (T48), a code may have no label."""
    await people(record)
    await put(
        record, a_ticket(1), a_ticket(2, requester_id=71, company_id=None, status=99, priority=None, channel=None)
    )
    await put(record, a_ticket(3, requester_id=12, requester_name="As given", requester_email="given@example.com"))
    out = await get(record, 1, 2, 3)
    known = {
        "status": "Open",
        "priority": "Low",
        "channel": "Email",
        "company_id": 90,
        "company": "Orchard Ltd",
        "account_number": "0042",
    }
    assert {key: facts for key, (_, facts) in out.items()} == {
        "1": TicketFacts(**known, requester_name="Nora Field", requester_email="nora@example.com"),
        "2": TicketFacts(status="99", requester_name="Ivo Agent", requester_email="ivo@example.org"),
        "3": TicketFacts(**known, requester_name="As given", requester_email="given@example.com"),
    }


async def listed(record: Record, **filters) -> list[int]:
    async with record.reading() as tx:
        rows, cursor = await list_tickets(tx, **filters)
    assert cursor is None
    return [row["id"] for row in rows]


async def test_filters(record: Record) -> None:
    """Every filter of the ticket list, last changed first; deleted tickets are only there when asked for."""
    await people(record)
    await put(
        record,
        a_ticket(1, status=4, tags=("vpn",)),
        a_ticket(2, priority=4, company_id=None),
        a_ticket(3, state=TicketState.DELETED),
        a_ticket(4, status=17, tags=('say "hi"', "100%"), state=TicketState.ARCHIVED),
    )
    await put(record, a_ticket(8, updated_at=None, created_at=None), source="other")
    assert await listed(record) == [4, 2, 1, 8]
    assert await listed(record, source="desk") == [4, 2, 1]
    assert await listed(record, status="Resolved") == [1]
    assert await listed(record, status=4) == [1]
    assert await listed(record, status="4") == [1]
    assert await listed(record, status="resolved-ish") == []
    assert await listed(record, priority="Urgent") == [2]
    assert await listed(record, company="0042") == [4, 1]
    assert await listed(record, company="Orchard Ltd") == [4, 1]
    assert await listed(record, tag="vpn") == [1]
    assert await listed(record, tag='say "hi"') == [4]
    assert await listed(record, tag="vp") == []
    assert await listed(record, updated_since=EARLIER + timedelta(minutes=2)) == [4, 2]
    assert await listed(record, state=TicketState.DELETED) == [3]
    assert await listed(record, state=TicketState.ARCHIVED) == [4]


async def test_paging(record: Record) -> None:
    """Pages cover every ticket once, in order, however many share a time."""
    await put(record, *(a_ticket(number, updated_at=NOW + timedelta(seconds=number // 4)) for number in range(1, 24)))
    seen: list[int] = []
    after = None
    while True:
        async with record.reading() as tx:
            rows, after = await list_tickets(tx, limit=5, after=after)
        seen += [row["id"] for row in rows]
        if after is None:
            break
    assert seen == list(range(23, 0, -1))


@pytest.mark.parametrize("cursor", ["", "x", "!!", "WzFd", "W251bGwsbnVsbCxudWxsXQ", "é", "a" * 5000])
async def test_foreign_cursor(record: Record, cursor: str) -> None:
    """A cursor that is not ours is refused by name."""
    with pytest.raises(InvalidRequest) as caught:
        await listed(record, after=cursor)
    assert caught.value.facts == {"parameter": "after"}


async def test_whole_ticket(record: Record) -> None:
    """One ticket with its labels, people and messages, as callers see it."""
    await people(record)
    await put(record, a_ticket(1, messages=(a_message(2, author_id=71, private=True), a_message(1))))
    async with record.reading() as tx:
        row = await get_ticket(tx, "desk", "1")
        public = await get_ticket(tx, "desk", 1, private=False)
    said = row.pop("messages")
    assert row == {
        "source": "desk",
        "id": 1,
        "state": "active",
        "subject": "Subject 1",
        "description_html": "<p>Description 1</p>",
        "description_text": "Description 1",
        "status": "Open",
        "status_code": 2,
        "priority": "Low",
        "priority_code": 1,
        "channel": "Email",
        "channel_code": 1,
        "type": "Question",
        "requester_id": 70,
        "requester_name": "Nora Field",
        "requester_email": "nora@example.com",
        "responder_id": None,
        "responder_name": None,
        "group_id": None,
        "company_id": 90,
        "company": "Orchard Ltd",
        "account_number": "0042",
        "tags": ["mail", "urgent"],
        "custom_fields": {"cf_floor": 3},
        "created_at": EARLIER,
        "updated_at": EARLIER + timedelta(minutes=1),
        "due_by": LATER,
        "first_responded_at": None,
        "resolved_at": None,
        "closed_at": None,
        "version": 1,
        "stored_at": NOW,
        "time_entries": [],
        "total_hours_spent": Decimal("0.0000"),
    }
    assert [(entry["id"], entry["author_name"], entry["private"]) for entry in said] == [
        (1, "Nora Field", False),
        (2, "Ivo Agent", True),
    ]
    assert [entry["id"] for entry in public["messages"]] == [1]


@pytest.mark.parametrize("key", ["2", "3", "x", "٣", "9" * 40, "-1", ""])
async def test_absent_ticket(record: Record, key: str) -> None:
    """A ticket that is deleted, never was, or could not be, is not found."""
    await put(record, a_ticket(3, state=TicketState.DELETED))
    async with record.reading() as tx:
        with pytest.raises(NotFound, match="There is no ticket"):
            await get_ticket(tx, "desk", key)


async def test_columns_that_came_later_change_nothing_while_they_are_empty(record: Record) -> None:
    """A ticket has the fingerprint that it had before a migration added columns, until it has a value in one of them:
    an upgrade makes no ticket look changed."""
    later = {"workspace_id", "resolution_html", "resolution_text"}
    for number, workspace in ((1, None), (2, 3)):
        await put(record, a_ticket(number, workspace_id=workspace))
    async with record.reading() as tx:
        rows = (await tx.execute(select(tickets_table).order_by(tickets_table.c.external_id))).mappings().all()
    without = {"stamp", "raw", "deleted_at", "listed_at", "fingerprint", "version", "stored_at", "messages_fingerprint"}
    without |= {"updated_at", "due_by", "first_responded_at", "customer_id", *later}
    assert [row["fingerprint"] == fingerprint(row, without=without) for row in rows] == [True, False]


async def test_row_and_messages_stand_or_fall_together(record: Record) -> None:
    """What is stored in a transaction that fails is not there afterwards."""

    async def fail() -> None:
        async with record.transaction() as tx:
            await store_tickets(tx, "desk", [a_ticket(1)], now=NOW)
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        await fail()
    async with record.reading() as tx:
        assert (await tx.execute(text("SELECT count(*) FROM tickets"))).scalar() == 0
        assert (await tx.execute(text("SELECT count(*) FROM messages"))).scalar() == 0
