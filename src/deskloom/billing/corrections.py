"""What changed in months that are invoiced: the difference, ticket by ticket, between what was counted and what is so.

An invoice keeps which work it counted. A correction is what a ticket's change makes of the months that were invoiced,
were they billed anew: tickets are changed one after another, and each is charged with the step it makes. So the steps
add up to the whole difference, and all invoices together come to what one made at the end would have come to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from deskloom.billing.amounts import last_day, month_of
from deskloom.billing.terms import Terms
from deskloom.billing.work import TicketKey, Work, allocate


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What an account's issued invoices say: their months, the spans of days they looked at, the work they counted.

    A span begins where the contract year of its month does: prepaid hours that were used before decide about it.
    """

    months: frozenset[date] = frozenset()
    spans: tuple[tuple[date, date], ...] = ()
    counted: Mapping[tuple[str, int, int], Work] = field(default_factory=dict)

    def covers(self, day: date) -> bool:
        """Whether an invoice looked at that day."""
        return any(first <= day <= last for first, last in self.spans)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What a ticket's change adds to (or takes from) an invoiced month, in seconds, at the terms of that time."""

    ticket: TicketKey
    month: date
    terms: Terms
    billable: int = 0
    prepaid: int = 0


Sums = dict[tuple[date, UUID], tuple[int, int]]


def correct(ledger: Ledger, work: Iterable[Work], terms: Sequence[Terms]) -> list[Correction]:
    """The corrections that issued months need for what is so now; empty where nothing changed."""
    before, after = _by_ticket(ledger.counted.values()), _by_ticket(each for each in work if ledger.covers(each.day))
    known = {each.id: each for each in terms}
    standing = dict(before)
    sums = _sums(standing, terms, ledger.months)
    found: list[Correction] = []
    for ticket in sorted(before.keys() | after.keys()):
        if before.get(ticket) == after.get(ticket):
            continue
        standing[ticket] = after.get(ticket, ())
        changed = _sums(standing, terms, ledger.months)
        for month, by in sorted(sums.keys() | changed.keys(), key=lambda key: (key[0], known[key[1]].valid_from)):
            old, new = sums.get((month, by), (0, 0)), changed.get((month, by), (0, 0))
            if old != new:
                found.append(
                    Correction(
                        ticket=ticket,
                        month=month,
                        terms=known[by],
                        billable=new[0] - old[0],
                        prepaid=new[1] - old[1],
                    )
                )
        sums = changed
    return found


def changed_work(ledger: Ledger, work: Iterable[Work], first: date, month: date) -> list[tuple[Work, bool]]:
    """What an invoice of `month` that looks at the days from `first` has to add to what is counted.

    Each piece of work that is new or another, and (True) each that is gone.
    """
    now = {each.key: each for each in work if ledger.covers(each.day) or first <= each.day <= last_day(month)}
    new = [(each, False) for key, each in sorted(now.items()) if ledger.counted.get(key) != each]
    return new + [(each, True) for key, each in sorted(ledger.counted.items()) if key not in now]


def _by_ticket(work: Iterable[Work]) -> dict[TicketKey, tuple[Work, ...]]:
    found: dict[TicketKey, list[Work]] = defaultdict(list)
    for each in sorted(work, key=lambda each: each.place):
        found[each.ticket].append(each)
    return {ticket: tuple(pieces) for ticket, pieces in found.items()}


def _sums(standing: Mapping[TicketKey, Sequence[Work]], terms: Sequence[Terms], months: frozenset[date]) -> Sums:
    """Billable and prepaid seconds of the invoiced months, by month and terms."""
    sums: Sums = {}
    for share in allocate((each for pieces in standing.values() for each in pieces), terms):
        month = month_of(share.work.day)
        if share.terms is not None and month in months:
            billable, prepaid = sums.get((month, share.terms.id), (0, 0))
            key = month, share.terms.id
            sums[key] = (billable + share.billable, prepaid + share.monthly + share.yearly)
    return sums
