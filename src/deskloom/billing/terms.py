"""What was agreed with a company, from which day to which, and what may still be changed about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Literal
from uuid import UUID

from deskloom.billing.amounts import seconds_of

Increment = Literal["entry", "ticket"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an hour costs and what is prepaid, for work done from `valid_from` through `valid_to` (None: no end).

    `rate`: for an hour, in `currency`. Prepaid hours of a month or contract year that are not used are gone when it
    ends; they are not prorated. `year_start`: a day on which a contract year begins, which its anniversaries do too
    (None: 1 January). `increment_minutes`: time is billed in such steps, rounded up for each entry or for each
    ticket and month (0: to the second). `item`, `customer_name` and the two accounts are names in QuickBooks.
    `list_unbilled`: an invoice also lists prepaid and not billable work, at a price of nothing.
    """

    id: UUID
    account_number: str
    valid_from: date
    valid_to: date | None = None
    rate: Decimal
    currency: str = "USD"
    prepaid_monthly_hours: Decimal = Decimal(0)
    prepaid_yearly_hours: Decimal = Decimal(0)
    year_start: date | None = None
    increment_minutes: int = 0
    increment_per: Increment = "entry"
    payment_days: int = 30
    item: str = "Support"
    customer_name: str | None = None
    receivable_account: str = "Accounts Receivable"
    income_account: str = "Services"
    list_unbilled: bool = True

    @property
    def monthly_seconds(self) -> int:
        return seconds_of(self.prepaid_monthly_hours)

    @property
    def yearly_seconds(self) -> int:
        return seconds_of(self.prepaid_yearly_hours)

    def holds_on(self, day: date) -> bool:
        """Whether work of that day is billed by these terms."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)

    def year_of(self, day: date) -> date:
        """The first day of the contract year that a day belongs to."""
        start = self.year_start or date(1970, 1, 1)
        begins = _anniversary(start, day.year)
        return begins if begins <= day else _anniversary(start, day.year - 1)

    def money(self) -> tuple[object, ...]:
        """What decides about amounts; the rest is how an invoice looks."""
        return (
            self.rate,
            self.currency,
            self.monthly_seconds,
            self.yearly_seconds,
            _anniversary(self.year_start or date(1970, 1, 1), 2000),
            self.increment_minutes,
            self.increment_per if self.increment_minutes else None,
        )


def _anniversary(start: date, year: int) -> date:
    """A day in another year; 29 February is 28 February where there is none."""
    try:
        return start.replace(year=year)
    except ValueError:
        return date(year, 2, 28)


def terms_on(terms: Sequence[Terms], day: date) -> Terms | None:
    """The terms that hold on a day; terms of one account never overlap."""
    return next((each for each in terms if each.holds_on(day)), None)


def overlapping(terms: Sequence[Terms]) -> tuple[Terms, Terms] | None:
    """Two terms that both hold on some day, if there are any."""
    ordered = sorted(terms, key=lambda each: each.valid_from)
    for one, other in pairwise(ordered):
        if one.valid_to is None or other.valid_from <= one.valid_to:
            return one, other
    return None


def first_changed(before: Sequence[Terms], after: Sequence[Terms], first: date, last: date) -> date | None:
    """The first day of a span for which other amounts would be agreed on than before; None: all stays as it was."""
    turns = {first}
    for each in (*before, *after):
        turns.add(each.valid_from)
        if each.valid_to is not None:
            turns.add(each.valid_to + timedelta(days=1))
    for day in sorted(turn for turn in turns if first <= turn <= last):
        old, new = terms_on(before, day), terms_on(after, day)
        if (old and old.money()) != (new and new.money()):
            return day
    return None
