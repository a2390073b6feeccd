"""What a document tells of a ticket, and the mark that changes with it, on both databases the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update
from tests.record.made import LATER, NOW, a_message, a_ticket

from deskloom.model import Agent, Codes, Company, Contact, TicketState, TimeEntry, TimeSheet
from deskloom.record import Record, store
from deskloom.record.histories import Customer, Worked, list_customers, list_marks, list_owners, load_histories
from deskloom.record.tables import tickets

ORCHARD = Company(external_id=90, stamp="a", name="Orchard", account_number="0042")
ADA = Contact(external_id=70, stamp="a", name="Ada", email="ada@example.com", company_id=90)
BO = Contact(external_id=71, stamp="a", name="Bo")
NOOR = Agent(external_id=7, stamp="a", name="Noor", email="noor@example.org")
OPEN = Codes(field="status", labels={2: "Open"})
SHEET = TimeSheet(
    entries=(
        TimeEntry(external_id=1, ticket_id=1, seconds=5400),
        TimeEntry(external_id=2, ticket_id=1, seconds=600, billable=False),
    ),
    ticket_id=1,
)
TICKET = a_ticket(1, responder_id=7, messages=(a_message(11, author_id=71), a_message(12, private=True, author_id=7)))


async def keep(record: Record, *items: Any, source: str = "desk") -> None:
    async with record.transaction() as tx:
        await store(tx, source, list(items), now=NOW)


async def marks(record: Record, **filters: Any) -> dict[tuple[str, int], str]:
    async with record.reading() as tx:
        return {(one.source, one.id): one.mark for one in await list_marks(tx, **filters)}


async def test_a_history_is_everything_about_a_ticket(record: Record) -> None:
    """The ticket with its messages, labels, people by name, and its time; deleted and unknown tickets are left out."""
    await keep(record, ORCHARD, ADA, BO, NOOR, OPEN, TICKET, SHEET, a_ticket(2, state=TicketState.SPAM), a_ticket(3))
    async with record.reading() as tx:
        first, second = await load_histories(tx, "desk", [3, 1, 2, 99])
    assert [message.external_id for message in first.ticket.messages or ()] == [11, 12]
    assert (first.ticket.external_id, first.facts.status, first.facts.company, first.facts.account_number) == (
        1,
        "Open",
        "Orchard",
        "0042",
    )
    assert (first.responder, first.worked) == ("Noor", Worked(2, 6000, 5400))
    assert {number: first.people[number] for number in (7, 71)} == {7: ("Noor", "noor@example.org"), 71: ("Bo", None)}
    assert (second.ticket.external_id, second.responder, second.worked) == (3, None, Worked())


@pytest.mark.parametrize(
    "change",
    [
        replace(TICKET, subject="Another"),
        replace(TICKET, updated_at=LATER),
        replace(TICKET, messages=(a_message(11, author_id=71, body_html="x"),)),
        replace(TICKET, messages=None, responder_id=None),
        replace(ORCHARD, name="Orchard & Sons"),
        replace(ORCHARD, account_number="7"),
        replace(ADA, name="Ada Ferro"),
        replace(BO, name="Bob"),
        replace(NOOR, name="Noor Lind"),
        Codes(field="status", labels={2: "Being processed"}),
        TimeSheet(entries=SHEET.entries[:1], ticket_id=1),
        replace(SHEET, entries=(replace(SHEET.entries[0], billable=False), SHEET.entries[1])),
    ],
)
async def test_a_mark_changes_with_whatever_a_document_tells(record: Record, change: Any) -> None:
    """Each thing that a history is made of, and only the ticket's own mark."""
    other = a_ticket(5, company_id=None, requester_id=None, status=3, messages=())
    await keep(record, ORCHARD, ADA, BO, NOOR, OPEN, TICKET, SHEET, other)
    before = await marks(record)
    assert await marks(record) == before
    await keep(record, change)
    after = await marks(record)
    assert (after["desk", 1] != before["desk", 1], after["desk", 5] == before["desk", 5]) == (True, True)


async def test_a_mark_stays_while_nothing_is_different(record: Record) -> None:
    """Not for what a document does not tell: custom fields that do not count, times of a service level, raw data."""
    await keep(record, ORCHARD, ADA, TICKET)
    before = await marks(record)
    await keep(record, replace(TICKET, due_by=NOW, raw={"new": True}, stamp="other"), replace(ADA, phone="1"))
    assert await marks(record) == before


async def test_a_listing_goes_page_by_page_through_all_that_is_there(record: Record) -> None:
    """By source and id; deleted tickets are not there; filters hold."""
    for source in ("b", "a"):
        await keep(record, ORCHARD, *(a_ticket(number) for number in (1, 2, 3)), source=source)
    await keep(record, a_ticket(4, company_id=None), source="a")
    async with record.transaction() as tx:
        await tx.execute(update(tickets).where(tickets.c.external_id == 2).values(deleted_at=NOW))
        pages, after = [], None
        while page := await list_marks(tx, after=after, limit=2):
            pages.append([(one.source, one.id, one.company_id, one.account_number) for one in page])
            after = page[-1]
        assert await list_owners(tx) == ["a", "b"]
        assert await list_customers(tx) == [
            Customer(source=source, id=90, name="Orchard", account_number="0042") for source in ("a", "b")
        ]
    assert pages == [
        [("a", 1, 90, "0042"), ("a", 3, 90, "0042")],
        [("a", 4, None, None), ("b", 1, 90, "0042")],
        [("b", 3, 90, "0042")],
    ]
    assert list(await marks(record, source="b", account_number="0042")) == [("b", 1), ("b", 3)]
    assert await marks(record, updated_since=LATER) == {}
