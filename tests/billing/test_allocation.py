"""How work divides into prepaid, billable and unbilled time."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import astuple, fields, is_dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.billing.made import piles, some_terms, some_work, terms_lists

from deskloom.billing import Ledger, Rules, Share, Terms, Work, allocate, state
from deskloom.billing.amounts import charge, hours_of, last_day, month_of, read_month, seconds_of, written

HOUR = 3600
RULES = Rules(by="work", timezone="UTC", default_seconds=900)


def divided(work: list[Work], terms: list[Terms]) -> list[tuple[int | None, int, int, int, int, int]]:
    return [
        (s.work.entry_id, s.monthly, s.yearly, s.billable, s.not_billable, s.without_terms)
        for s in allocate(work, terms)
    ]


def test_prepaid_hours_of_the_month_go_first_then_those_of_the_year() -> None:
    """The earliest work takes the month's prepaid hours, then the year's; what is left over is billable."""
    terms = [some_terms(prepaid_monthly_hours=Decimal(2), prepaid_yearly_hours=Decimal("1.5"))]
    work = [
        some_work(2, "2025-01-20", 2 * HOUR),
        some_work(1, "2025-01-10", HOUR),
        some_work(3, "2025-01-30", 2 * HOUR),
        some_work(4, "2025-02-01", 3 * HOUR),
        some_work(5, "2025-02-02", HOUR, billable=False),
    ]
    assert divided(work, terms) == [
        (1, HOUR, 0, 0, 0, 0),
        (2, HOUR, HOUR, 0, 0, 0),
        (3, 0, HOUR // 2, 3 * HOUR // 2, 0, 0),
        (4, 2 * HOUR, 0, HOUR, 0, 0),
        (5, 0, 0, 0, HOUR, 0),
    ]


def test_a_contract_year_begins_on_its_day() -> None:
    """Yearly hours are there anew on the anniversary, even in the middle of a month, and not on 1 January."""
    terms = [some_terms(prepaid_yearly_hours=Decimal(1), year_start=date(2020, 3, 15))]
    work = [some_work(number, day, HOUR) for number, day in enumerate(("2025-01-02", "2025-03-14", "2025-03-15"), 1)]
    assert [(share.work.entry_id, share.yearly, share.billable) for share in allocate(work, terms)] == [
        (1, HOUR, 0),
        (2, 0, HOUR),
        (3, HOUR, 0),
    ]
    leap = some_terms(year_start=date(2020, 2, 29))
    assert [leap.year_of(day) for day in (date(2025, 2, 27), date(2025, 2, 28), date(2024, 2, 29))] == [
        date(2024, 2, 29),
        date(2025, 2, 28),
        date(2024, 2, 29),
    ]


def test_terms_that_change_within_a_month_do_not_give_its_hours_twice() -> None:
    """Of a month's prepaid hours what was used under the old terms counts under the new ones."""
    terms = [
        some_terms(1, valid_to=date(2025, 1, 15), prepaid_monthly_hours=Decimal(2)),
        some_terms(2, valid_from=date(2025, 1, 16), prepaid_monthly_hours=Decimal(3)),
    ]
    work = [some_work(1, "2025-01-10", 3 * HOUR), some_work(2, "2025-01-20", 3 * HOUR)]
    assert [(share.monthly, share.billable) for share in allocate(work, terms)] == [
        (2 * HOUR, HOUR),
        (HOUR, 2 * HOUR),
    ]


@pytest.mark.parametrize(("per", "added"), [("entry", [300, 0, 840]), ("ticket", [0, 240, 840])])
def test_steps_round_each_entry_or_each_ticket_up(per: str, added: list[int]) -> None:
    """Billing in steps of 15 minutes adds what is missing, for each entry or for each ticket and month."""
    terms = [some_terms(increment_minutes=15, increment_per=per)]
    work = [
        some_work(1, "2025-01-01", 600),
        some_work(2, "2025-01-02", 960 if per == "ticket" else 900),
        some_work(3, "2025-02-01", 60),
        some_work(4, "2025-02-02", 60, billable=False),
    ]
    shares = allocate(work, terms)
    assert [share.added for share in shares] == [*added, 0]
    assert [share.billable for share in shares[:3]] == [
        piece.seconds + more for piece, more in zip(work, added, strict=False)
    ]


@given(piles(), terms_lists())
def test_hours_are_conserved(work: list[Work], terms: list[Terms]) -> None:
    """Entries (and what steps add) = prepaid + billable + unbilled, in whole seconds, each piece and altogether."""
    shares = allocate(work, terms)
    assert Counter(share.work for share in shares) == Counter(work)
    for share in shares:
        parts = (share.monthly, share.yearly, share.billable, share.not_billable, share.without_terms)
        assert all(type(part) is int for part in (*parts, share.added))
        assert share.work.seconds + share.added == sum(parts)
        assert 0 <= share.added < 3600
        assert min(share.monthly, share.yearly, share.billable) >= 0
    prepaid = sum(share.monthly + share.yearly for share in shares)
    billable = sum(share.billable for share in shares)
    unbilled = sum(share.not_billable + share.without_terms for share in shares)
    added = sum(share.added for share in shares)
    assert sum(piece.seconds for piece in work) + added == prepaid + billable + unbilled


@given(piles(), terms_lists())
def test_statements_conserve_hours(work: list[Work], terms: list[Terms]) -> None:
    """The statements of all months hold every second of the work once, and their lines every billable one."""
    months = sorted({month_of(piece.day) for piece in work})
    made = [
        state("10042", month, company=None, terms=terms, work=work, ledger=Ledger(), subjects={}, rules=RULES)
        for month in months
    ]
    tickets = [ticket for statement in made for ticket in statement.tickets]
    assert sum(ticket.worked for ticket in tickets) == sum(piece.seconds for piece in work)
    lines = [line for statement in made for line in statement.lines]
    assert sum(line.seconds for line in lines if line.kind == "billable") == sum(t.billable for t in tickets)
    prepaid = sum(ticket.prepaid_monthly + ticket.prepaid_yearly for ticket in tickets)
    assert sum(line.seconds for line in lines if line.kind == "prepaid") == prepaid
    assert all(line.amount == charge(line.seconds, line.rate, "USD") for line in lines)


@given(piles(), terms_lists(), st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter(work: list[Work], terms: list[Terms], chance: random.Random) -> None:
    """Work divides in the same way in whatever order it, and the terms, became known."""
    mixed, other = work[:], terms[:]
    chance.shuffle(mixed)
    chance.shuffle(other)
    assert allocate(mixed, other) == allocate(work, terms)


@given(piles(least=0), terms_lists())
def test_prepaid_hours_are_used_up_before_anything_is_billed(work: list[Work], terms: list[Terms]) -> None:
    """Nothing is billable while prepaid hours are left, and never more is taken than was agreed."""
    month: Counter[date] = Counter()
    year: Counter[date] = Counter()
    for share in allocate(work, terms):
        if share.terms is None:
            continue
        its_month, its_year = month_of(share.work.day), share.terms.year_of(share.work.day)
        month[its_month] += share.monthly
        year[its_year] += share.yearly
        assert not share.monthly or month[its_month] <= share.terms.monthly_seconds
        assert not share.yearly or year[its_year] <= share.terms.yearly_seconds
        if share.billable:
            assert month[its_month] >= share.terms.monthly_seconds
            assert year[its_year] >= share.terms.yearly_seconds


def floats_in(value: Any) -> list[Any]:
    """Every float within dataclasses, containers and attributes."""
    if isinstance(value, float):
        return [value]
    if is_dataclass(value) and not isinstance(value, type):
        return [found for part in fields(value) for found in floats_in(getattr(value, part.name))]
    if isinstance(value, dict):
        return [found for pair in value.items() for part in pair for found in floats_in(part)]
    if isinstance(value, list | tuple | set | frozenset):
        return [found for part in value for found in floats_in(part)]
    return []


def test_no_float_anywhere() -> None:
    """A statement holds integers and decimals only, and its sums are exact where floats are not."""
    assert floats_in([{"a": (0.5,)}, Share(work=some_work(1, "2025-01-01", 1), terms=None)]) == [0.5]
    terms = [some_terms(rate=Decimal("0.1")), some_terms(2, rate=Decimal("0.2"))]
    terms = [replace(terms[0], valid_to=date(2025, 1, 15)), replace(terms[1], valid_from=date(2025, 1, 16))]
    work = [some_work(1, "2025-01-01", HOUR), some_work(2, "2025-01-31", HOUR)]
    made = state(
        "10042", date(2025, 1, 1), company=None, terms=terms, work=work, ledger=Ledger(), subjects={}, rules=RULES
    )
    assert floats_in(made) == []
    assert floats_in([astuple(line) for line in made.lines]) == []
    assert (made.total, str(made.total)) == (Decimal("0.3"), "0.30")
    assert 0.1 + 0.2 != 0.3


def test_amounts_are_what_the_invoice_shows() -> None:
    """An amount is the shown quantity times the shown rate, rounded half up once, also for what is taken back."""
    assert [str(hours_of(seconds)) for seconds in (0, 1, 1200, 5400, -1200)] == [
        "0.00000",
        "0.00028",
        "0.33333",
        "1.50000",
        "-0.33333",
    ]
    assert [str(charge(seconds, Decimal("85.50"), "USD")) for seconds in (2700, -2700, 0)] == [
        "64.13",
        "-64.13",
        "0.00",
    ]
    assert [str(charge(5400, Decimal("85.5"), unit)) for unit in ("JPY", "KWD")] == ["128", "128.250"]
    assert [written(Decimal(text)) for text in ("1", "1.50000", "0.33333", "120.5", "1E+2")] == [
        "1.00",
        "1.50",
        "0.33333",
        "120.50",
        "100.00",
    ]
    assert seconds_of(Decimal("0.25")) == 900
    with pytest.raises(ValueError, match="whole number of seconds"):
        seconds_of(Decimal("0.0001"))


@pytest.mark.parametrize("text", ["2025-13", "2025-00", "2025-1", "25-01", "2025-01-01", "", "٢٠٢٥-٠١", "1969-12"])
def test_what_is_not_a_month_is_refused(text: str) -> None:
    """A month is a year of four digits and a month of two; the sentence shows how."""
    with pytest.raises(ValueError, match=r"is not a month\. Write it like 2025-01"):
        read_month(text)


def test_months_end_on_their_last_day() -> None:
    """Leap years and the end of the year included."""
    ends = [last_day(read_month(text)) for text in ("2024-02", "2025-02", "2025-12")]
    assert ends == [date(2024, 2, 29), date(2025, 2, 28), date(2025, 12, 31)]


def test_days_are_those_of_the_books() -> None:
    """A moment falls on the day it has in the billing time zone; a work date given without a time keeps its day."""
    rules = Rules(by="work", timezone="America/New_York", default_seconds=0)
    evening = datetime(2025, 2, 1, 3, 30, tzinfo=UTC)
    midnight = datetime(2025, 2, 1, tzinfo=UTC)
    assert rules.day_of(evening, may_be_date=True) == date(2025, 1, 31)
    assert rules.day_of(midnight, may_be_date=True) == date(2025, 2, 1)
    assert rules.day_of(midnight, may_be_date=False) == date(2025, 1, 31)
