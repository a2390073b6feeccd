"""Reading the view `ticket_details` for one customer, on both databases the same."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.record.made import NOW, a_message, a_ticket

from deskloom.model import Company
from deskloom.record import Record, store
from deskloom.record.details import list_details


async def test_a_customer_s_tickets_by_year(record: Record) -> None:
    """Only that customer's, oldest first, times as times and messages as lists; the year is UTC's."""
    last, first = datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
    async with record.transaction() as tx:
        await store(
            tx,
            "desk",
            [
                Company(external_id=90, stamp="a", name="Orchard", account_number="0042"),
                Company(external_id=91, stamp="a", name="Mill", account_number="42"),
                a_ticket(1, company_id=90, created_at=first, messages=(a_message(5), a_message(6, private=True))),
                a_ticket(2, company_id=90, created_at=last),
                a_ticket(3, company_id=91, created_at=first),
            ],
            now=NOW,
        )
        rows = await list_details(tx, "0042")
        years = {year: [row["ticket_id"] for row in await list_details(tx, "0042", year=year)] for year in (2024, 2025)}
        assert await list_details(tx, "nobody", year=9999) == []
    assert [(row["ticket_id"], row["created_at"], row["total_hours_spent"]) for row in rows] == [
        (2, last, 0),
        (1, first, 0),
    ]
    assert years == {2024: [2], 2025: [1]}
    assert [[said["id"] for said in rows[1][name]] for name in ("conversations", "notes")] == [[5], [6]]
