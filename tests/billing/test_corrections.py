"""What changes after an invoice was issued, and what the next one says about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.billing.made import piles, some_terms, some_work, terms_lists

from deskloom.billing import Ledger, Terms, Work, allocate
from deskloom.billing.amounts import last_day, month_of
from deskloom.billing.corrections import changed_work, correct
from deskloom.billing.statement import first_day
from deskloom.billing.work import settle_defaults

HOUR = 3600
JANUARY, FEBRUARY = date(2025, 1, 1), date(2025, 2, 1)


def issued(ledger: Ledger, work: list[Work], terms: list[Terms], month: date) -> Ledger:
    """The ledger after another invoice, as the record keeps it."""
    first = first_day(terms, month)
    counted = dict(ledger.counted)
    for piece, gone in changed_work(ledger, work, first, month):
        counted.pop(piece.key, None)
        if not gone:
            counted[piece.key] = piece
    return Ledger(months=ledger.months | {month}, spans=(*ledger.spans, (first, last_day(month))), counted=counted)


def billed(ledger: Ledger, work: list[Work], terms: list[Terms], month: date) -> int:
    """Billable seconds on the invoice of a month: its own, and corrections."""
    own = sum(share.billable for share in allocate(work, terms) if month_of(share.work.day) == month)
    return own + sum(each.billable for each in correct(ledger, work, terms))


_WINTER = piles(first=date(2024, 10, 1), last=date(2025, 4, 30), most=20_000)


@settings(max_examples=100)
@given(st.data(), terms_lists())
def test_all_invoices_together_are_as_one_made_at_the_end(data: st.DataObject, terms: list[Terms]) -> None:
    """However work is added, edited and deleted between invoices, and in whatever order months are issued, the
    invoices add up to what the invoiced months are worth in the end."""
    ledger, total = Ledger(), 0
    months = data.draw(
        st.lists(st.dates(date(2024, 11, 1), date(2025, 3, 31)).map(month_of), unique=True, min_size=1, max_size=4)
    )
    for month in months:
        work = data.draw(_WINTER)
        total += billed(ledger, work, terms, month)
        ledger = issued(ledger, work, terms, month)
    work = data.draw(_WINTER)
    total += sum(each.billable for each in correct(ledger, work, terms))
    in_the_end = [share for share in allocate(work, terms) if month_of(share.work.day) in ledger.months]
    assert total == sum(share.billable for share in in_the_end)


@given(piles(), terms_lists())
def test_nothing_is_corrected_where_nothing_changed(work: list[Work], terms: list[Terms]) -> None:
    """An issued month whose work is as it was has no correction."""
    ledger = issued(Ledger(), work, terms, JANUARY)
    assert (correct(ledger, work, terms), changed_work(ledger, work, first_day(terms, JANUARY), JANUARY)) == ([], [])


def test_a_correction_names_the_ticket_that_changed() -> None:
    """A late entry that takes prepaid hours from another ticket is charged to its own ticket."""
    terms = [some_terms(prepaid_monthly_hours=1)]
    work = [some_work(1, "2025-01-20", HOUR, ticket_id=5)]
    ledger = issued(Ledger(), work, terms, JANUARY)
    late = some_work(2, "2025-01-03", HOUR, ticket_id=9)
    (found,) = correct(ledger, [*work, late], terms)
    assert (found.ticket, found.month, found.billable, found.prepaid) == (("desk", 9), JANUARY, HOUR, 0)


def test_a_change_of_yearly_hours_is_felt_in_later_invoiced_months() -> None:
    """Late work of January takes yearly hours that February had used: February is corrected, by January's ticket."""
    terms = [some_terms(prepaid_yearly_hours=1)]
    work = [some_work(1, "2025-02-10", HOUR, ticket_id=5)]
    ledger = issued(issued(Ledger(), work, terms, JANUARY), work, terms, FEBRUARY)
    found = correct(ledger, [*work, some_work(2, "2025-01-03", HOUR, ticket_id=9)], terms)
    assert [(each.ticket[1], each.month, each.billable, each.prepaid) for each in found] == [
        (9, JANUARY, 0, HOUR),
        (9, FEBRUARY, HOUR, -HOUR),
    ]


def test_months_that_were_never_invoiced_are_not_corrected() -> None:
    """Late work of a month without an invoice stands on that month's own, whatever was issued after it."""
    terms = [some_terms()]
    ledger = issued(Ledger(), [], terms, FEBRUARY)
    assert correct(ledger, [some_work(1, "2025-01-03", HOUR)], terms) == []
    assert correct(ledger, [some_work(1, "2025-03-03", HOUR)], terms) == []


def test_work_moved_to_another_month_moves_its_money() -> None:
    """An entry whose date is moved from an invoiced month into the next is taken back there and billed here."""
    terms = [some_terms()]
    work = some_work(1, "2025-01-31", HOUR)
    ledger = issued(Ledger(), [work], terms, JANUARY)
    moved = [replace(work, day=work.day + timedelta(days=1))]
    assert billed(ledger, moved, terms, FEBRUARY) == 0
    assert billed(issued(ledger, moved, terms, FEBRUARY), moved, terms, date(2025, 3, 1)) == 0


def test_a_counted_default_is_not_changed_by_the_setting() -> None:
    """What a ticket without entries counted on an invoice stays, whatever the setting says now; new ones follow it."""
    counted = some_work(None, "2025-01-31", 900)
    now = [replace(counted, seconds=0), replace(counted, ticket_id=2, seconds=0), some_work(None, "2025-02-01", 1800)]
    assert settle_defaults(now[:2], {counted.key: counted}) == [counted]
    assert settle_defaults(now[2:], {counted.key: counted}) == now[2:]
