"""Which hours count, for whom and in which month: read off a record on either database."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import select
from tests.billing.conftest import Books, entry
from tests.billing.made import some_terms

from deskloom.billing import Rules, Statement
from deskloom.billing.amounts import read_month
from deskloom.errors import Ambiguous, NotFound
from deskloom.exports.invoices import Month, draft, draft_all
from deskloom.model import TicketState
from deskloom.record import billing as record_billing
from deskloom.record.tables import time_entries

RULES = Rules(by="work", timezone="UTC", default_seconds=900)
BY_CLOSE = replace(RULES, by="close")
HOUR = 3600


async def agree(books: Books, **changes: object) -> None:
    async with books.record.transaction() as tx:
        await record_billing.store_terms(tx, some_terms(**changes))


async def stated(books: Books, month: str, *, account: str = "10042", rules: Rules = RULES) -> Statement:
    async with books.record.reading() as tx:
        return (await draft(tx, rules, account, read_month(month))).statement


async def all_of(books: Books, month: str, *, rules: Rules = RULES) -> Month:
    async with books.record.reading() as tx:
        return await draft_all(tx, rules, read_month(month))


def lines(statement: Statement) -> list[tuple[int, bool, int]]:
    return [(line.ticket[1], line.default, line.seconds) for line in statement.lines]


@pytest.fixture
async def mill(books: Books) -> Books:
    """A company with terms, of a source whose hours were read."""
    await books.company(10, "Mill & Sons", "10042")
    await books.hours_read()
    await agree(books)
    return books


async def test_a_closed_ticket_without_entries_counts_once(mill: Books) -> None:
    """It counts in the month it was closed, or resolved if it never was, is shown as such, and is not stored; a ticket
    that has an entry, or is open, has no default."""
    await mill.ticket(1, 10, closed="2025-02-03", resolved="2025-01-31")
    await mill.ticket(2, 10, resolved="2025-01-31")
    await mill.ticket(3, 10)
    await mill.ticket(4, 10, closed="2025-01-10")
    await mill.sheet(4, entry(41, 4, "2025-02-01", 60))
    january, february = await stated(mill, "2025-01"), await stated(mill, "2025-02")
    assert (lines(january), lines(february)) == ([(2, True, 900)], [(1, True, 900), (4, False, 60)])
    assert [line.description for line in january.lines] == ["2025-01, ticket 2: Subject 2 (no time was logged)"]
    assert lines(await stated(mill, "2025-01", rules=replace(RULES, default_seconds=0))) == []
    async with mill.record.reading() as tx:
        assert (await tx.execute(select(time_entries.c.external_id))).scalars().all() == [41]


async def test_hours_that_were_never_read_are_not_guessed(books: Books) -> None:
    """As long as a source's time entries were not read completely, its tickets count nothing, and a warning says so."""
    await books.company(10, "Mill & Sons", "10042")
    await agree(books)
    await books.ticket(1, 10, closed="2025-01-10")
    found = await stated(books, "2025-01")
    assert (found.lines, [(each.code, each.detail) for each in found.warnings]) == (
        (),
        [
            (
                "hours_unread",
                "The time entries of 1 closed freshdesk tickets (1) were never read; nothing is counted for them.",
            )
        ],
    )
    await books.hours_read()
    assert lines(await stated(books, "2025-01")) == [(1, True, 900)]


async def test_billing_by_close(mill: Books) -> None:
    """Billed by close, all of a ticket's hours count on the day it was closed, at that day's rate; those of open
    tickets wait."""
    await agree(mill, valid_to=date(2025, 1, 31))
    await agree(mill, number=2, valid_from=date(2025, 2, 1), rate=Decimal("120.00"))
    await mill.ticket(1, 10, closed="2025-02-03")
    await mill.sheet(1, entry(11, 1, "2024-12-30", HOUR), entry(12, 1, "2025-01-02", HOUR))
    await mill.ticket(2, 10)
    await mill.sheet(2, entry(21, 2, "2025-02-01", 1800))
    assert lines(await stated(mill, "2025-01", rules=BY_CLOSE)) == []
    february = await stated(mill, "2025-02", rules=BY_CLOSE)
    assert [(line.ticket[1], line.seconds, str(line.amount)) for line in february.lines] == [(1, 2 * HOUR, "240.00")]
    month = await all_of(mill, "2025-02", rules=BY_CLOSE)
    assert (month.undated.entries, month.undated.seconds) == (1, 1800)


async def test_months_are_those_of_the_time_zone(mill: Books) -> None:
    """Work in the evening of the month's last day counts in that month where the books are; a bare date stays."""
    await mill.ticket(1, 10)
    await mill.sheet(
        1,
        entry(11, 1, "2025-02-01T03:00:00+00:00", 60),
        entry(12, 1, "2025-02-01T00:00:00+00:00", 600),
        entry(13, 1, "2025-01-01T04:59:59+00:00", 6000),
    )
    new_york = replace(RULES, timezone="America/New_York")
    assert lines(await stated(mill, "2025-01", rules=new_york)) == [(1, False, 60)]
    assert lines(await stated(mill, "2025-02", rules=new_york)) == [(1, False, 600)]
    assert lines(await stated(mill, "2024-12", rules=new_york)) == [(1, False, 6000)]
    assert lines(await stated(mill, "2025-02")) == [(1, False, 660)]


async def test_work_that_is_nobodys_is_counted(mill: Books) -> None:
    """Work on tickets that are deleted, unknown, or without a company or account number is on no statement, and told
    with its tickets, entries and hours."""
    await mill.company(20, "Ash", None)
    await mill.ticket(1, 10)
    await mill.ticket(2, 10, state=TicketState.DELETED)
    await mill.ticket(3, None)
    await mill.ticket(4, 20)
    await mill.ticket(6, None, closed="2025-01-05")
    for number in (1, 2, 3, 4, 5):
        await mill.sheet(
            number, entry(number * 10, number, "2025-01-05", number), entry(number, number, "2025-01-06", 1)
        )
    month = await all_of(mill, "2025-01")
    assert [(each.statement.account_number, lines(each.statement)) for each in month.drafts] == [
        ("10042", [(1, False, 2)])
    ]
    assert [(each.why, each.tickets, each.entries, each.seconds) for each in month.astray] == [
        ("deleted_ticket", 1, 2, 3),
        ("no_account_number", 1, 2, 5),
        ("no_company", 2, 2, 904),
        ("no_ticket", 1, 2, 6),
    ]
    assert month.not_billed == ()


async def test_deleted_entries_and_moved_tickets_follow(mill: Books) -> None:
    """A draft is always what the record holds now: a deleted entry is gone, a moved ticket is the other company's."""
    await mill.company(20, "Oak", "2001")
    await agree(mill, number=2, account_number="2001")
    await mill.ticket(1, 10)
    await mill.sheet(1, entry(11, 1, "2025-01-05", HOUR), entry(12, 1, "2025-01-06", HOUR))
    assert lines(await stated(mill, "2025-01")) == [(1, False, 2 * HOUR)]
    await mill.sheet(1, entry(12, 1, "2025-01-06", HOUR))
    assert lines(await stated(mill, "2025-01")) == [(1, False, HOUR)]
    await mill.ticket(1, 20)
    assert lines(await stated(mill, "2025-01")) == []
    assert lines(await stated(mill, "2025-01", account="2001")) == [(1, False, HOUR)]


async def test_one_customer_in_two_helpdesks(mill: Books) -> None:
    """The same account number in two sources is the same customer; twice in one source it is an error that names both,
    and a deleted company does not count."""
    await mill.company(77, "Mill and Sons", "10042", source="freshservice")
    await mill.hours_read("freshservice")
    await mill.ticket(1, 10, closed="2025-01-02")
    await mill.ticket(1, 77, closed="2025-01-03", source="freshservice")
    found = await stated(mill, "2025-01")
    assert [(line.ticket, line.seconds) for line in found.lines] == [
        (("freshdesk", 1), 900),
        (("freshservice", 1), 900),
    ]
    await mill.company(11, "Mill North", "10042")
    with pytest.raises(Ambiguous, match=r'"Mill & Sons" \(10\) and "Mill North" \(11\)'):
        await stated(mill, "2025-01")
    with pytest.raises(NotFound, match='"4711"'):
        await stated(mill, "2025-01", account="4711")


async def test_what_is_absurd_is_counted_and_said(mill: Books) -> None:
    """An entry of more than a day, a day of more than 24 hours of one agent, whichever company it was for, and a
    negative time are named; all but the last count exactly."""
    await mill.company(20, "Oak", "2001")
    await mill.ticket(1, 10)
    await mill.ticket(2, 20)
    await mill.sheet(
        1,
        entry(11, 1, "2025-01-05", 25 * HOUR, agent=8),
        entry(12, 1, "2025-01-06", 20 * HOUR),
        entry(13, 1, "2025-01-07", -HOUR),
    )
    await mill.sheet(2, entry(21, 2, "2025-01-06", 5 * HOUR))
    found = await stated(mill, "2025-01")
    assert [(each.code, each.detail, each.ticket_id, each.entry_id) for each in found.warnings] == [
        ("long_entry", "Time entry 11 of freshdesk ticket 1 lasts 25.00 h, more than a day.", 1, 11),
        (
            "long_day",
            "Time entry 12 of freshdesk ticket 1 is of 2025-01-06, on which agent 7 logged 25.00 h altogether.",
            1,
            12,
        ),
        (
            "negative_entry",
            "Time entry 13 of freshdesk ticket 1 lasts -1.00 h: a negative time is not billed.",
            1,
            13,
        ),
    ]
    assert [(line.kind, line.seconds, str(line.amount)) for line in found.lines] == [
        ("billable", 45 * HOUR, "4500.00"),
        ("not_billable", -HOUR, "0.00"),
    ]


async def test_days_without_terms_are_not_billed(mill: Books) -> None:
    """Work before the terms begin is on no line, counted as such, and warned of."""
    await agree(mill, valid_from=date(2025, 1, 15))
    await mill.ticket(1, 10)
    await mill.sheet(1, entry(11, 1, "2025-01-14", HOUR), entry(12, 1, "2025-01-15", HOUR))
    found = await stated(mill, "2025-01")
    assert (lines(found), [ticket.without_terms for ticket in found.tickets]) == ([(1, False, HOUR)], [HOUR])
    assert [each.detail for each in found.warnings] == [
        "1.00 h were worked on days for which no terms hold, and are not billed."
    ]
    assert (await stated(mill, "2024-12")).lines == ()
