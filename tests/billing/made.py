"""Invented terms and work, and Hypothesis strategies for any."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from deskloom.billing import Terms, Work

FIRST, LAST = date(2024, 1, 1), date(2025, 12, 31)


def some_terms(number: int = 1, **changes: object) -> Terms:
    terms = Terms(id=UUID(int=number), account_number="10042", valid_from=FIRST, rate=Decimal("100.00"), currency="USD")
    return replace(terms, **changes)


def some_work(entry: int | None, day: str, seconds: int, **changes: object) -> Work:
    work = Work(source="desk", ticket_id=1, entry_id=entry, day=date.fromisoformat(day), seconds=seconds)
    return replace(work, **changes)


days = st.dates(FIRST, LAST)
hours = st.integers(0, 16).map(lambda quarters: Decimal(quarters) / 4)


@st.composite
def terms_lists(draw: st.DrawFn) -> list[Terms]:
    """Terms of one account that do not overlap, with gaps or without."""
    turns = sorted(draw(st.sets(days, max_size=5)) | {FIRST})
    found = []
    for place, begins in enumerate(turns[::2]):
        ends = turns[2 * place + 1] - timedelta(days=1) if 2 * place + 1 < len(turns) else None
        if ends is not None and ends < begins:
            continue
        found.append(
            some_terms(
                place + 1,
                valid_from=begins,
                valid_to=ends,
                rate=draw(st.integers(1, 30000)) * Decimal("0.01"),
                prepaid_monthly_hours=draw(hours),
                prepaid_yearly_hours=draw(hours),
                year_start=draw(st.none() | st.sampled_from([date(2020, 7, 1), date(2020, 2, 29), date(2020, 3, 15)])),
                increment_minutes=draw(st.sampled_from([0, 6, 15, 60])),
                increment_per=draw(st.sampled_from(["entry", "ticket"])),
            )
        )
    return found


def works(*, least: int = -600, most: int = 100_000, first: date = FIRST, last: date = LAST) -> st.SearchStrategy[Work]:
    """Pieces of work of a few tickets between two days, of so many seconds."""
    return st.builds(
        Work,
        source=st.sampled_from(["desk", "service"]),
        ticket_id=st.integers(1, 4),
        entry_id=st.integers(1, 1000),
        day=st.dates(first, last),
        seconds=st.integers(least, most),
        billable=st.sampled_from([True, True, True, False]),
    )


def piles(**bounds: Any) -> st.SearchStrategy[list[Work]]:
    """Work of which no two pieces are the same entry; bounds as `works` takes them."""
    return st.lists(works(**bounds), max_size=25, unique_by=lambda work: work.entry_id)
