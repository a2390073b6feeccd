"""Reading the view `ticket_details` for one customer, on both databases the same."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.record.made import NOW, a_message, a_ticket

from deskloom.errors import Ambiguous, InvalidRequest, NotFound
from deskloom.model import Company, TimeEntry, TimeSheet
from deskloom.record import Record, store
from deskloom.record.details import list_keys, load_details
from deskloom.record.people import find_companies, get_company

LAST, FIRST = datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)


async def test_a_customer_s_tickets_by_year(record: Record) -> None:
    """Only that customer's, oldest first, times as times and messages as lists; the year is UTC's."""
    async with record.transaction() as tx:
        await store(
            tx,
            "desk",
            [
                Company(external_id=90, stamp="a", name="Orchard", account_number="0042"),
                Company(external_id=91, stamp="a", name="Mill", account_number="42"),
                a_ticket(1, company_id=90, created_at=FIRST, messages=(a_message(5), a_message(6, private=True))),
                a_ticket(2, company_id=90, created_at=LAST),
                a_ticket(3, company_id=91, created_at=FIRST),
                a_ticket(4, company_id=90, created_at=LAST, closed_at=FIRST),
                a_ticket(5, company_id=90, created_at=LAST, resolved_at=FIRST),
                TimeSheet(entries=(TimeEntry(external_id=1, ticket_id=2, seconds=5400),), ticket_id=2),
            ],
            now=NOW,
        )
        keys, following = await list_keys(tx, "0042")
        rows = await load_details(tx, [*keys, ("desk", 99)])
        years = {year: (await list_keys(tx, "0042", year=year))[0] for year in (2024, 2025)}
        assert await list_keys(tx, "nobody", year=9999) == ([], None)
    assert (keys, following) == ([("desk", 2), ("desk", 4), ("desk", 5), ("desk", 1)], None)
    assert [(row["ticket_id"], row["created_at"], row["total_hours_spent"], row["has_hours"]) for row in rows] == [
        (2, LAST, 1.5, True),
        (4, LAST, 0, False),
        (5, LAST, 0, False),
        (1, FIRST, 0, False),
    ]
    assert years == {2024: [("desk", 2)], 2025: [("desk", 4), ("desk", 5), ("desk", 1)]}
    assert [[said["id"] for said in rows[3][name]] for name in ("conversations", "notes")] == [[5], [6]]


async def test_pages_follow_each_other(record: Record) -> None:
    """From cursor to cursor every ticket once, in the same order; those without a time last."""
    times = (None, NOW, FIRST, NOW, None)
    async with record.transaction() as tx:
        company = Company(external_id=90, stamp="a", name="Orchard", account_number="7")
        made = [a_ticket(number, created_at=time) for number, time in enumerate(times, start=1)]
        for source in ("b", "a"):
            await store(tx, source, [company, *made], now=NOW)
        whole, _ = await list_keys(tx, "7")
        pages, after = [], None
        while True:
            page, after = await list_keys(tx, "7", limit=3, after=after)
            pages.append(page)
            if after is None:
                break
        with pytest.raises(InvalidRequest):
            await list_keys(tx, "7", after="x")
    assert whole == [(source, number) for numbers in ((3,), (2, 4), (1, 5)) for source in "ab" for number in numbers]
    assert [key for page in pages for key in page] == whole
    assert [len(page) for page in pages] == [3, 3, 3, 1]


async def test_one_number_is_one_customer(record: Record) -> None:
    """In each source once; two of one source are named, unless they are not meant."""
    async with record.transaction() as tx:
        twice = [Company(external_id=n, stamp="a", name=f"C{n}", account_number="7") for n in (1, 2)]
        await store(tx, "a", twice[:1], now=NOW)
        await store(tx, "b", twice[:1], now=NOW)
        found = await find_companies(tx, "7")
        assert [(row["source"], row["external_id"]) for row in found] == [("a", 1), ("b", 1)]
        assert [row["source"] for row in (await get_company(tx, "7"))["also"]] == ["b"]
        await store(tx, "b", twice, now=NOW)
        with pytest.raises(Ambiguous, match=r'"7" belongs to C1 \(b 1\) and C2 \(b 2\)'):
            await find_companies(tx, "7")
        assert len(await find_companies(tx, "7", source="a")) == 1
        with pytest.raises(NotFound, match='source "c"'):
            await find_companies(tx, "7", source="c")
