"""Time entries in the record: what a sheet changes, what it must not, and what is read of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from tests.record.made import LATER, NOW, a_ticket

from deskloom.model import Agent, Kind, Ticket, TicketState, TimeEntry, TimeSheet, Tombstone
from deskloom.record import Record, hours
from deskloom.record.copies import Stored
from deskloom.record.listing import get_ticket
from deskloom.record.store import stamps, store
from deskloom.record.tables import time_entries

MARCH, APRIL = datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC)


def an_entry(number: int, ticket: int = 1, **changes: Any) -> TimeEntry:
    entry = TimeEntry(
        external_id=number,
        ticket_id=ticket,
        seconds=600 * number,
        worked_at=MARCH + timedelta(days=number),
        agent_id=70,
        note=f"Note {number}",
        started_at=MARCH,
        created_at=MARCH,
        updated_at=MARCH,
        raw={"id": number},
    )
    return replace(entry, **changes)


def of_ticket(ticket: int, *entries: TimeEntry, **more: Any) -> TimeSheet:
    return TimeSheet(entries=entries, ticket_id=ticket, **more)


def of_march(*entries: TimeEntry) -> TimeSheet:
    return TimeSheet(entries=entries, since=MARCH, before=APRIL)


async def kept(record: Record, *records: Ticket | TimeSheet | Tombstone | Agent, now: datetime = NOW) -> Stored:
    async with record.transaction() as tx:
        return (await store(tx, "acme", records, now=now)).get(Kind.HOURS, Stored())


async def standing(record: Record, *tickets: int) -> dict[int, list[int]]:
    """Ids of the entries that stand, by ticket."""
    async with record.reading() as tx:
        found = await hours.load_entries(tx, "acme", tickets)
    return {ticket: [entry.external_id for entry in entries] for ticket, entries in found.items()}


async def suspected(record: Record, *sheets: TimeSheet) -> list[int]:
    async with record.reading() as tx:
        return await hours.suspects(tx, "acme", sheets)


async def test_entries_come_back_as_they_were(record: Record) -> None:
    """What was stored is what is loaded, `raw` apart, by work date, and `raw` stands beside it."""
    first, second = an_entry(1), an_entry(2, billable=False, worked_at=None, agent_id=None, note=None, started_at=None)
    assert await kept(record, of_ticket(1, second, first)) == Stored(created=("2", "1"))
    async with record.reading() as tx:
        assert await hours.load_entries(tx, "acme", [1, 5]) == {1: [replace(first, raw={}), replace(second, raw={})]}
        assert await hours.load_entries(tx, "another", [1]) == {}
        assert (await tx.execute(select(time_entries.c.raw))).scalars().all() == [{"id": 1}, {"id": 2}]


async def test_what_is_unchanged_is_not_written(record: Record) -> None:
    """An equal sheet writes nothing; one entry that changed is written alone; a bare `updated_at` is touched."""
    await kept(record, of_ticket(1, an_entry(1), an_entry(2)))
    assert await kept(record, of_ticket(1, an_entry(1, raw={"link": "new"}), an_entry(2)), now=LATER) == Stored(
        unchanged=("1", "2")
    )
    changed = an_entry(2, seconds=5)
    assert await kept(record, of_ticket(1, an_entry(1, updated_at=NOW), changed), now=LATER) == Stored(
        touched=("1",), updated=("2",)
    )
    async with record.reading() as tx:
        rows = await tx.execute(select(time_entries.c.external_id, time_entries.c.version).order_by("external_id"))
        assert [tuple(row) for row in rows] == [(1, 1), (2, 2)]


async def test_what_a_tickets_sheet_lacks_is_deleted(record: Record) -> None:
    """A ticket's own sheet is the truth about it; what comes back lives again, and no other ticket is touched."""
    await kept(record, of_ticket(1, an_entry(1), an_entry(2)), of_ticket(3, an_entry(3, 3)))
    assert await kept(record, of_ticket(1, an_entry(2))) == Stored(unchanged=("2",), deleted=("1",))
    assert await standing(record, 1, 3) == {1: [2], 3: [3]}
    assert await kept(record, of_ticket(1, an_entry(2))) == Stored(unchanged=("2",))
    assert await kept(record, of_ticket(1, an_entry(1), an_entry(2))) == Stored(updated=("1",), unchanged=("2",))
    assert await standing(record, 1, 3) == {1: [1, 2], 3: [3]}


@pytest.mark.parametrize("old_first", [True, False])
@pytest.mark.parametrize("together", [True, False])
async def test_an_entry_that_moved_lives_at_its_new_ticket(record: Record, old_first: bool, together: bool) -> None:
    """Whichever sheet comes first, and whether in one page or two, an entry that changed its ticket is not lost."""
    await kept(record, of_ticket(1, an_entry(1), an_entry(2)))
    sheets = [of_ticket(1, an_entry(1)), of_ticket(4, an_entry(2, 4))]
    sheets = sheets if old_first else sheets[::-1]
    for part in [sheets] if together else [[sheet] for sheet in sheets]:
        await kept(record, *part)
    assert await standing(record, 1, 4) == {1: [1], 4: [2]}


async def test_an_unread_entry_stands(record: Record) -> None:
    """What the source has and nobody can read is neither changed nor deleted, nor suspected."""
    await kept(record, of_ticket(1, an_entry(1), an_entry(2)))
    sheet = of_ticket(1, an_entry(1), unread={2: (1, "Time entry 2 makes no sense.")})
    assert await kept(record, sheet) == Stored(unchanged=("1",))
    assert await standing(record, 1) == {1: [1, 2]}
    assert await suspected(record, replace(sheet, ticket_id=None, since=MARCH, before=APRIL)) == []
    assert sheet.stamp is None


async def test_a_ticket_that_never_was_takes_its_entries_along(record: Record) -> None:
    """A tombstone of a ticket's hours deletes them; the tombstone of the ticket alone does not: they were worked."""
    await kept(record, a_ticket(1), of_ticket(1, an_entry(1)), of_ticket(2, an_entry(2, 2)))
    await kept(record, Tombstone(kind=Kind.TICKET, key="1", reason="deleted"))
    assert await standing(record, 1) == {1: [1]}
    gone = Tombstone(kind=Kind.HOURS, key="1", reason="the source says that it does not exist")
    assert await kept(record, gone) == Stored(deleted=("1",))
    assert await kept(record, gone) == Stored()
    assert await standing(record, 1, 2) == {2: [2]}


async def test_entries_that_come_with_a_ticket(record: Record) -> None:
    """They are its sheet; where they could not be read (None) what stands stands, and an empty set deletes."""
    ticket = a_ticket(1, time_entries=(an_entry(1), an_entry(2)))
    assert await kept(record, ticket) == Stored(created=("1", "2"))
    assert await kept(record, replace(ticket, time_entries=None)) == Stored()
    assert await kept(record, replace(ticket, time_entries=(an_entry(2),))) == Stored(unchanged=("2",), deleted=("1",))
    assert await kept(record, replace(ticket, state=TicketState.DELETED, time_entries=None)) == Stored()
    assert await standing(record, 1) == {1: [2]}
    assert await kept(record, replace(ticket, time_entries=())) == Stored(deleted=("2",))


async def test_a_sheet_of_a_span_deletes_nothing_and_names_suspects(record: Record) -> None:
    """An entry of the span that the sheet lacks is a suspect, by its ticket; one outside the span is none."""
    inside, edge = an_entry(1, 11), an_entry(2, 12, worked_at=APRIL)
    undated, other = an_entry(3, 13, worked_at=None), an_entry(4, 14, worked_at=MARCH)
    await kept(record, of_march(inside, edge, undated, other))
    assert await kept(record, of_march()) == Stored()
    assert await suspected(record, of_march()) == [11, 14]
    assert await suspected(record, of_march(other)) == [11]
    assert await suspected(record, of_ticket(11)) == []
    assert await suspected(record, TimeSheet(entries=(), before=MARCH)) == [13]
    assert await suspected(record, TimeSheet(entries=(edge,), since=APRIL)) == []
    assert await suspected(record, TimeSheet(entries=())) == [11, 12, 13, 14]
    assert await suspected(record, of_march(), of_ticket(11, inside)) == [14]
    await kept(record, of_ticket(11))
    assert await suspected(record, of_march()) == [14]


async def test_the_record_knows_the_stamp_of_a_sheet(record: Record) -> None:
    """The stamp of what stands in a scope is that of the source's sheet exactly while nothing in it differs."""
    east = an_entry(1).worked_at.astimezone(datetime.fromisoformat("2025-01-01T00:00:00+05:30").tzinfo)
    entries = (an_entry(1, worked_at=east), an_entry(2))
    await kept(record, of_ticket(1, *entries))
    sheets = [of_ticket(1, *entries), of_march(*reversed(entries)), of_ticket(9), TimeSheet(entries=(), since=APRIL)]

    async def known(*sheets: TimeSheet) -> list[bool]:
        async with record.reading() as tx:
            found = await stamps(tx, "acme", Kind.HOURS, [sheet.key for sheet in sheets])
        return [found[sheet.key] == sheet.stamp for sheet in sheets]

    assert await known(*sheets) == [True] * 4
    for changes in ({"seconds": 7}, {"billable": False}, {"note": None}, {"agent_id": 1}, {"updated_at": NOW}):
        other = (an_entry(1, **changes), an_entry(2))
        assert await known(of_ticket(1, *other), of_march(*other)) == [False, False], changes
    assert await known(of_ticket(1, an_entry(1)), of_march(), of_ticket(9, an_entry(3, 9))) == [False] * 3
    await kept(record, of_ticket(1, an_entry(1)))
    assert await known(*sheets) == [False, False, True, True]


async def test_what_is_read_of_a_month_and_a_company(record: Record) -> None:
    """Entries are found by work date and by company, those of deleted tickets too; sums are of seconds."""
    await kept(record, a_ticket(1), a_ticket(2, company_id=91, state=TicketState.DELETED))
    await kept(record, of_ticket(1, an_entry(1), an_entry(5, worked_at=APRIL), an_entry(6, worked_at=None)))
    await kept(record, of_ticket(2, an_entry(2, 2), an_entry(3, 2)), of_ticket(8, an_entry(4, 8)))
    await kept(record, of_ticket(2, an_entry(2, 2)))

    async def found(**which: Any) -> list[int]:
        async with record.reading() as tx:
            return [entry.external_id for entry in await hours.find_entries(tx, "acme", **which)]

    assert await found() == [1, 2, 4, 5, 6]
    assert await found(since=MARCH, before=APRIL) == [1, 2, 4]
    assert await found(since=APRIL) == [5]
    assert await found(company_id=91, before=APRIL) == [2]
    assert await found(company_id=90) == [1, 5, 6]
    async with record.reading() as tx:
        assert await hours.seconds_spent(tx, "acme", [1, 2, 8, 9]) == {1: 7200, 2: 1200, 8: 2400}
        assert await hours.count_entries(tx) == {"acme": 5}


async def test_a_ticket_shows_its_hours(record: Record) -> None:
    """A ticket is shown with its entries, the agents' names, and their sum in hours, exact to four decimals."""
    agent = Agent(external_id=70, stamp="s", name="Ben")
    await kept(record, agent, a_ticket(1), a_ticket(2), of_ticket(1, an_entry(1, seconds=103), an_entry(2, seconds=1)))
    async with record.reading() as tx:
        row, bare = await get_ticket(tx, "acme", 1), await get_ticket(tx, "acme", 2)
    assert (bare["time_entries"], bare["total_hours_spent"]) == ([], Decimal("0.0000"))
    assert row["total_hours_spent"] == Decimal("0.0289")
    assert row["time_entries"][0] == {
        "id": 1,
        "agent_id": 70,
        "agent_name": "Ben",
        "hours": Decimal("0.0286"),
        "seconds": 103,
        "billable": True,
        "worked_at": MARCH + timedelta(days=1),
        "note": "Note 1",
    }


@given(parts=st.lists(st.integers(0, 40_000_000), max_size=5))
@settings(max_examples=50)
def test_hours_are_rounded_once(parts: Sequence[int]) -> None:
    """A sum in hours is less than a fifth of a second from the sum of the seconds."""
    assert abs(hours.in_hours(sum(parts)) * 3600 - sum(parts)) <= Decimal("0.18")
