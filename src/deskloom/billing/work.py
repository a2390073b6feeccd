"""What was done for a company, and how it divides into prepaid, billable and unbilled time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from typing import Literal
from zoneinfo import ZoneInfo

from deskloom.billing.amounts import month_of
from deskloom.billing.terms import Terms, terms_on

TicketKey = tuple[str, int]
"""Source and number of a ticket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What hours count, whatever the company: by which date, in whose days, and what a ticket without any counts."""

    by: Literal["work", "close"]
    timezone: str
    default_seconds: int

    def day_of(self, moment: datetime, *, may_be_date: bool) -> date:
        """The day of a moment in the books' time zone.

        Helpdesks write a work date that was given without a time of day as midnight UTC; `may_be_date` keeps it.
        """
        utc = moment.astimezone(UTC)
        if may_be_date and utc.time() == time():
            return utc.date()
        return moment.astimezone(ZoneInfo(self.timezone)).date()


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A time entry, or (`entry_id` None) what a closed ticket without any counts as; `day` is when it counts."""

    source: str
    ticket_id: int
    entry_id: int | None
    day: date
    seconds: int
    billable: bool = True
    agent_id: int | None = field(default=None, compare=False)
    worked_on: date | None = field(default=None, compare=False)

    @property
    def ticket(self) -> TicketKey:
        return self.source, self.ticket_id

    @property
    def key(self) -> tuple[str, int, int]:
        return self.source, self.ticket_id, self.entry_id or 0

    @property
    def place(self) -> tuple[date, str, int, int]:
        """What work is put in order by: prepaid time goes to the earliest."""
        return self.day, self.source, self.ticket_id, self.entry_id or 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Where the time of one piece of work went, in seconds:
    worked + added by rounding = monthly + yearly + billable + not_billable + without_terms."""

    work: Work
    terms: Terms | None
    added: int = 0
    monthly: int = 0
    yearly: int = 0
    billable: int = 0
    not_billable: int = 0
    without_terms: int = 0


def allocate(work: Iterable[Work], terms: Sequence[Terms]) -> list[Share]:
    """Divide work, earliest first: prepaid hours of the month, then those of the contract year, the rest is billable.

    Work that is marked not billable uses no prepaid time; nor does a negative duration, which nothing can be paid
    for. The result does not depend on the order in which work became known.
    """
    ordered = sorted(work, key=lambda each: each.place)
    at = {day: terms_on(terms, day) for day in {each.day for each in ordered}}
    allowed = {each.id: (each.monthly_seconds, each.yearly_seconds) for each in terms}
    added = _round_up(ordered, at)
    of_month: dict[date, int] = defaultdict(int)
    of_year: dict[date, int] = defaultdict(int)
    shares: list[Share] = []
    for each in ordered:
        agreed = at[each.day]
        if agreed is None:
            shares.append(Share(work=each, terms=None, without_terms=each.seconds))
            continue
        if not _counts(each):
            shares.append(Share(work=each, terms=agreed, not_billable=each.seconds))
            continue
        extra = added.get(each.key, 0)
        rest = each.seconds + extra
        month, year = month_of(each.day), agreed.year_of(each.day)
        monthly = min(rest, max(0, allowed[agreed.id][0] - of_month[month]))
        of_month[month] += monthly
        yearly = min(rest - monthly, max(0, allowed[agreed.id][1] - of_year[year]))
        of_year[year] += yearly
        shares.append(
            Share(
                work=each,
                terms=agreed,
                added=extra,
                monthly=monthly,
                yearly=yearly,
                billable=rest - monthly - yearly,
            )
        )
    return shares


def _counts(work: Work) -> bool:
    return work.billable and work.seconds >= 0


def _round_up(ordered: Sequence[Work], at: Mapping[date, Terms | None]) -> dict[tuple[str, int, int], int]:
    """Seconds that billing in steps adds, by piece of work; those of a ticket's month go to its last piece."""
    sums: dict[tuple[object, ...], tuple[int, int, Work]] = {}
    for each in ordered:
        agreed = at[each.day]
        if agreed is None or not agreed.increment_minutes or not _counts(each):
            continue
        whole = (agreed.id, each.ticket, month_of(each.day))
        group: tuple[object, ...] = whole if agreed.increment_per == "ticket" else (*whole, each.key)
        total = sums[group][0] if group in sums else 0
        sums[group] = (total + each.seconds, agreed.increment_minutes * 60, each)
    return {last.key: -total % step for total, step, last in sums.values() if total % step}


def settle_defaults(work: Iterable[Work], known: Mapping[tuple[str, int, int], Work]) -> list[Work]:
    """The work with the default of a ticket that an invoice counted already kept as it was counted, as long as the
    ticket still has it on that day: another setting is for tickets to come. A default of nothing is no work."""
    settled: list[Work] = []
    for each in work:
        if each.entry_id is None:
            counted = known.get(each.key)
            if counted is not None and counted.day == each.day:
                each = replace(each, seconds=counted.seconds)
            if not each.seconds:
                continue
        settled.append(each)
    return settled
