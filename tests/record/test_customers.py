"""Whose a ticket is: its own company's, else that of a requester who has exactly one; on both databases the same."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select, text
from tests.record.made import NOW, a_ticket

from deskloom.billing import Rules
from deskloom.model import Company, Contact, Kind, TicketState, TimeEntry, TimeSheet
from deskloom.model import Record as Given
from deskloom.record import Record, open_record, store, upgrade
from deskloom.record.copies import Stored
from deskloom.record.customers import count_homeless
from deskloom.record.details import list_keys
from deskloom.record.histories import list_customers, list_marks, load_histories
from deskloom.record.hours import find_entries
from deskloom.record.listing import get_ticket, list_tickets
from deskloom.record.snapshot import open_snapshot
from deskloom.record.sources import bind_source
from deskloom.record.tables import tickets
from deskloom.record.tickets import keys_of_companies
from deskloom.record.work import load_work

ORCHARD = Company(external_id=90, stamp="a", name="Orchard", account_number="0042")
MILL = Company(external_id=91, stamp="a", name="Mill", account_number="7")
HERS = a_ticket(1, requester_id=70, company_id=None)
RULES = Rules(by="work", timezone="UTC", default_seconds=900)


def ada(company: int | None, *others: int) -> Contact:
    return Contact(
        external_id=70, stamp=f"{company} {others}", name="Ada", company_id=company, other_company_ids=others
    )


async def keep(record: Record, *items: Given, source: str = "desk") -> dict[Kind, Stored]:
    async with record.transaction() as tx:
        return await store(tx, source, items, now=NOW)


async def whose(record: Record) -> dict[int, tuple[int | None, int | None]]:
    """Ticket → the company it has itself, and the one it belongs to."""
    columns = tickets.c
    async with record.reading() as tx:
        rows = await tx.execute(select(columns.external_id, columns.company_id, columns.customer_id))
        return {row.external_id: (row.company_id, row.customer_id) for row in rows}


ARRIVALS = {"contact first": (ada(90), HERS), "ticket first": (HERS, ada(90))}


@pytest.mark.parametrize("apart", [False, True], ids=["in one page", "one by one"])
@pytest.mark.parametrize("items", ARRIVALS.values(), ids=ARRIVALS)
async def test_a_ticket_belongs_to_the_only_company_of_its_requester(
    record: Record, items: tuple[Given, ...], apart: bool
) -> None:
    """Whichever of the two arrives first; a contact of the same number in another source has no say in it."""
    await keep(record, Contact(external_id=70, stamp="b", company_id=91), source="other")
    for page in [[one] for one in items] if apart else [items]:
        await keep(record, *page)
    assert await whose(record) == {1: (None, 90)}


async def test_what_the_ticket_says_itself_counts(record: Record) -> None:
    """A company of its own goes before the requester's, and a requester with several, or with none, gives none."""
    await keep(record, ada(90), Contact(external_id=71, stamp="a", company_id=90, other_company_ids=(91,)))
    await keep(record, Contact(external_id=72, stamp="a"), a_ticket(1, company_id=91), HERS)
    await keep(record, *(a_ticket(key, requester_id=key, company_id=None) for key in (71, 72, 73)))
    await keep(record, a_ticket(2, requester_id=None, company_id=None), a_ticket(3, company_id=91))
    assert await whose(record) == {
        1: (None, 90), 2: (None, None), 3: (91, 91), 71: (None, None), 72: (None, None), 73: (None, None),
    }  # fmt: skip
    await keep(record, a_ticket(3, company_id=None), a_ticket(1, company_id=91))
    assert {key: whose for key, (_, whose) in (await whose(record)).items() if whose} == {1: 91, 3: 90}


async def test_tickets_follow_a_contact_who_changes_hands(record: Record) -> None:
    """Those without a company of their own move with it, and are named, so that their documents are made again;
    a deleted one moves too, of which nothing is made. The same again moves nothing."""
    own, gone = a_ticket(2, company_id=91), a_ticket(3, company_id=None, state=TicketState.DELETED)
    await keep(record, ada(None), HERS, own, gone)
    said = {}
    for now in (ada(90), ada(90), ada(91), ada(91, 90), ada(None)):
        stored = await keep(record, now)
        said[len(said), now.company_id, now.other_company_ids] = (stored.get(Kind.TICKET), await whose(record))
    moved = Stored(touched=("1",))
    assert said == {
        (0, 90, ()): (moved, {1: (None, 90), 2: (91, 91), 3: (None, 90)}),
        (1, 90, ()): (None, {1: (None, 90), 2: (91, 91), 3: (None, 90)}),
        (2, 91, ()): (moved, {1: (None, 91), 2: (91, 91), 3: (None, 91)}),
        (3, 91, (90,)): (moved, {1: (None, None), 2: (91, 91), 3: (None, None)}),
        (4, None, ()): (None, {1: (None, None), 2: (91, 91), 3: (None, None)}),
    }


async def test_whose_a_ticket_is_does_not_change_what_it_says(record: Record) -> None:
    """A ticket that follows its requester keeps its version, and is as unchanged as before when it is read again."""
    await keep(record, HERS, ada(90))
    assert (await keep(record, HERS))[Kind.TICKET] == Stored(unchanged=("1",))
    assert await whose(record) == {1: (None, 90)}


async def test_every_reader_knows_it(record: Record, record_url: str) -> None:
    """Reports, lists, one ticket, exports, documents and bills name the requester's company as the ticket's."""
    sheet = TimeSheet(entries=(TimeEntry(external_id=5, ticket_id=1, seconds=3600, worked_at=NOW),), ticket_id=1)
    await keep(record, ORCHARD, MILL, ada(90), HERS, sheet, a_ticket(2, requester_id=None, company_id=None))
    async with record.transaction() as tx:
        await bind_source(tx, "desk", "freshservice", "acme")
    async with record.reading() as tx:
        view = await tx.execute(text("SELECT ticket_id, company_account_number FROM ticket_details ORDER BY 1"))
        assert [tuple(row) for row in view] == [(1, "0042"), (2, None)]
        assert (await list_keys(tx, "0042"))[0] == [("desk", 1)]
        listed, _ = await list_tickets(tx, company="Orchard")
        assert [(row["id"], row["company_id"], row["account_number"]) for row in listed] == [(1, 90, "0042")]
        whole = await get_ticket(tx, "desk", 1)
        assert (whole["company_id"], whole["company"]) == (90, "Orchard")
        (history,) = await load_histories(tx, "desk", [1])
        assert (history.facts.company_id, history.facts.company, history.ticket.company_id) == (90, "Orchard", None)
        marked = await list_marks(tx, account_number="0042")
        assert [(one.id, one.company_id) for one in marked] == [(1, 90)]
        assert [one.id for one in await list_customers(tx)] == [90]
        assert await keys_of_companies(tx, "desk", ["90", "91"]) == ["1"]
        assert [entry.external_id for entry in await find_entries(tx, "desk", company_id=90)] == [5]
        (work,) = await load_work(tx, RULES, NOW.date(), NOW.date())
        assert (work.account_number, work.astray) == ("0042", None)
        assert await load_work(tx, RULES, NOW.date(), NOW.date(), account="7") == []
        assert await count_homeless(tx) == {"desk": 1}
    async with open_snapshot(record_url, account_number="0042") as snapshot:
        assert [[one.ticket.external_id for one in found] async for _, found in snapshot.tickets()] == [[1]]
        assert [[one["external_id"] for one in rows] async for _, rows in snapshot.contacts()] == [[70]]
        assert await snapshot.homeless() == []


async def test_a_ticket_and_its_requester_that_are_stored_at_once(record: Record) -> None:
    """Two transactions, neither of which sees what the other has not committed, end with a ticket that has moved."""
    if record.dialect == "sqlite":
        pytest.skip("one writer at a time")
    begun, other = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with record.transaction() as tx:
            await store(tx, "desk", [HERS], now=NOW)
            begun.set()
            await other.wait()

    async def second() -> None:
        await begun.wait()
        async with record.transaction() as tx:
            await tx.execute(text("SET LOCAL lock_timeout = 0"))
            waiting = asyncio.create_task(store(tx, "desk", [ada(90)], now=NOW))
            await asyncio.wait({waiting}, timeout=0.2)
            other.set()
            await waiting

    await asyncio.gather(first(), second())
    assert await whose(record) == {1: (None, 90)}


async def test_an_upgrade_says_whose_the_tickets_are(empty_url: str) -> None:
    """A record of before knows it after the upgrade, for tickets of contacts with one company."""
    record = open_record(empty_url)
    await upgrade(record, to="0004")
    blank = {"tags": "[]", "custom_fields": "{}", "raw": "{}"}
    async with record.transaction() as tx:
        for key, company, others in ((70, 90, "[]"), (71, 90, "[91]"), (72, None, "[]")):
            await tx.execute(
                text(
                    "INSERT INTO contacts (source, external_id, company_id, other_company_ids, other_emails, deleted,"
                    " custom_fields, fingerprint, version, stored_at, raw) VALUES ('desk', :key, :company,"
                    f" {_json(record, 'others')}, {_json(record, 'tags')}, false, {_json(record, 'custom_fields')},"
                    f" 'f', 1, {_moment(record)}, {_json(record, 'raw')})"
                ),
                {"key": key, "company": company, "others": others, **blank},
            )
        for key, requester, company in ((1, 70, None), (2, 70, 91), (3, 71, None), (4, 72, None), (5, None, None)):
            await tx.execute(
                text(
                    "INSERT INTO tickets (source, external_id, state, requester_id, company_id, tags, custom_fields,"
                    " listed_at, fingerprint, version, stored_at, raw) VALUES ('desk', :key, 'active', :requester,"
                    f" :company, {_json(record, 'tags')}, {_json(record, 'custom_fields')}, {_moment(record)}, 'f', 1,"
                    f" {_moment(record)}, {_json(record, 'raw')})"
                ),
                {"key": key, "requester": requester, "company": company, **blank},
            )
    await upgrade(record)
    try:
        assert await whose(record) == {
            1: (None, 90), 2: (91, 91), 3: (None, None), 4: (None, None), 5: (None, None),
        }  # fmt: skip
    finally:
        await record.aclose()


def _json(record: Record, name: str) -> str:
    return f":{name}" if record.dialect == "sqlite" else f"CAST(CAST(:{name} AS text) AS jsonb)"


def _moment(record: Record) -> str:
    return "'2025-06-01T12:00:00.000000Z'" if record.dialect == "sqlite" else "now()"
