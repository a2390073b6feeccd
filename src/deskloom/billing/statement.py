"""A company's month put together: lines, the tickets behind them, hours by what became of them, and warnings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

from deskloom.billing.amounts import charge, last_day, month_of, named
from deskloom.billing.corrections import Correction, Ledger, correct
from deskloom.billing.terms import Terms
from deskloom.billing.warnings import AgentDay, Warned, warn
from deskloom.billing.work import Rules, Share, TicketKey, Work, allocate, settle_defaults

Kind = Literal["billable", "prepaid", "not_billable", "correction"]
LONGEST_SUBJECT = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of an invoice, about one ticket. `seconds` is its quantity; a correction may take away.

    `month`: the month the work counts in, which for a correction is an earlier (or later) invoice's.
    """

    kind: Kind
    month: date
    ticket: TicketKey
    subject: str | None
    default: bool
    seconds: int
    rate: Decimal
    amount: Decimal
    item: str
    income_account: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketHours:
    """What a ticket took in the month, in seconds, by what became of it. `default`: no time was logged on it."""

    ticket: TicketKey
    subject: str | None
    default: bool
    worked: int
    added: int
    prepaid_monthly: int
    prepaid_yearly: int
    billable: int
    not_billable: int
    without_terms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """Prepaid seconds: what was agreed, what earlier months of the contract year used, what this month used."""

    begins: date
    granted: int
    before: int
    used: int

    @property
    def left(self) -> int:
        return max(0, self.granted - self.before - self.used)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A month of a company as its invoice would be. `terms` None: there never were any, and nothing can be billed."""

    account_number: str
    month: date
    number: str
    customer: str
    terms: Terms | None
    invoice_date: date
    due_date: date
    lines: tuple[Line, ...]
    tickets: tuple[TicketHours, ...]
    monthly: Allowance | None
    yearly: Allowance | None
    warnings: tuple[Warned, ...]
    not_invoiced: tuple[tuple[date, int], ...]
    """Earlier months that no invoice was issued for, and their billable seconds."""

    @property
    def total(self) -> Decimal:
        nothing = charge(0, Decimal(0), self.terms.currency) if self.terms else Decimal(0)
        return sum((line.amount for line in self.lines), nothing)

    @property
    def corrections(self) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line.kind == "correction")

    @property
    def billed(self) -> bool:
        """Whether there is anything that an invoice could say: work that terms hold for, or a correction."""
        return bool(self.corrections) or any(each.worked != each.without_terms for each in self.tickets)


def state(
    account_number: str,
    month: date,
    *,
    company: str | None,
    terms: Sequence[Terms],
    work: Iterable[Work],
    ledger: Ledger,
    subjects: Mapping[TicketKey, str | None],
    rules: Rules,
    issued_by: Rules | None = None,
    agent_seconds: Mapping[AgentDay, int] | None = None,
    unread: Sequence[TicketKey] = (),
    invoice_date: date | None = None,
) -> Statement:
    """A month's statement. `work` is all that the account has since `first_day`, whenever it became known.

    Corrections of invoiced months stand on every statement of a month without an invoice until one is issued.
    """
    settled = settle_defaults(work, ledger.counted)
    shares = allocate(settled, terms)
    here = [share for share in shares if month_of(share.work.day) == month]
    agreed = agreed_in(terms, month)
    dated = invoice_date or last_day(month)
    named_ticket = _Subjects(subjects)
    lines = [*_lines(here, month, named_ticket), *_corrected(correct(ledger, settled, terms), named_ticket)]
    return Statement(
        account_number=account_number,
        month=month,
        number=f"{account_number}-{month:%Y%m}",
        customer=(agreed.customer_name if agreed else None) or company or account_number,
        terms=agreed,
        invoice_date=dated,
        due_date=dated + timedelta(days=agreed.payment_days if agreed else 0),
        lines=tuple(lines),
        tickets=tuple(_tickets(here, named_ticket)),
        monthly=_monthly(agreed, here, month),
        yearly=_yearly(agreed, shares, month),
        warnings=tuple(
            warn(
                [share.work for share in here],
                agent_seconds=agent_seconds or {},
                unread=unread,
                without_terms=sum(share.without_terms for share in here),
                rules=rules,
                issued_by=issued_by,
            )
        ),
        not_invoiced=tuple(_not_invoiced(shares, ledger, month)),
    )


def agreed_in(terms: Sequence[Terms], month: date) -> Terms | None:
    """The terms an invoice of the month is written by: the last that hold in it, else the nearest before or after."""
    ordered = sorted(terms, key=lambda each: each.valid_from)
    begun = [each for each in ordered if each.valid_from <= last_day(month)]
    return begun[-1] if begun else next(iter(ordered), None)


def first_day(terms: Sequence[Terms], month: date) -> date:
    """The first day whose work has a say in a month: where the contract years of the month's terms began."""
    firsts = [month]
    for each in terms:
        if each.yearly_seconds and _holds_in(each, month):
            firsts.append(each.year_of(max(month, each.valid_from)))
    return min(firsts)


@dataclass(frozen=True, slots=True)
class _Subjects:
    known: Mapping[TicketKey, str | None]

    def of(self, ticket: TicketKey) -> str | None:
        return self.known.get(ticket)

    def described(self, ticket: TicketKey) -> str:
        subject = " ".join((self.of(ticket) or "").split())
        short = subject if len(subject) <= LONGEST_SUBJECT else f"{subject[: LONGEST_SUBJECT - 1]}…"
        return f"ticket {ticket[1]}{f': {short}' if short else ''}"


_SAID: Mapping[Kind, str] = {"prepaid": " (prepaid hours)", "not_billable": " (not billed)"}


def _lines(shares: Iterable[Share], month: date, subjects: _Subjects) -> Iterable[Line]:
    """Lines of the month's own work: one for each ticket, terms and kind, by ticket."""
    groups: dict[tuple[TicketKey, date, int], tuple[Kind, Terms, bool, int]] = {}
    for share in shares:
        if share.terms is None:
            continue
        parts: tuple[tuple[Kind, int], ...] = (
            ("billable", share.billable),
            ("prepaid", share.monthly + share.yearly),
            ("not_billable", share.not_billable),
        )
        for place, (kind, seconds) in enumerate(parts):
            if not seconds or (kind != "billable" and not share.terms.list_unbilled):
                continue
            key = (share.work.ticket, share.terms.valid_from, place)
            known = groups[key][3] if key in groups else 0
            groups[key] = (kind, share.terms, share.work.entry_id is None, known + seconds)
    for (ticket, _, _), (kind, terms, default, seconds) in sorted(groups.items()):
        said = f"{named(month)}, {subjects.described(ticket)}"
        said += " (no time was logged)" if default else ""
        yield _line(kind, month, ticket, subjects, terms, seconds, said + _SAID.get(kind, ""), default=default)


def _corrected(corrections: Iterable[Correction], subjects: _Subjects) -> Iterable[Line]:
    for each in corrections:
        said = f"Correction of {named(each.month)}, {subjects.described(each.ticket)}"
        if each.billable:
            yield _line("correction", each.month, each.ticket, subjects, each.terms, each.billable, said)
        if each.prepaid and each.terms.list_unbilled:
            said += _SAID["prepaid"]
            yield _line("correction", each.month, each.ticket, subjects, each.terms, each.prepaid, said, free=True)


def _line(
    kind: Kind,
    month: date,
    ticket: TicketKey,
    subjects: _Subjects,
    terms: Terms,
    seconds: int,
    description: str,
    *,
    default: bool = False,
    free: bool = False,
) -> Line:
    rate = Decimal(0) if free or kind in ("prepaid", "not_billable") else terms.rate
    return Line(
        kind=kind,
        month=month,
        ticket=ticket,
        subject=subjects.of(ticket),
        default=default,
        seconds=seconds,
        rate=rate,
        amount=charge(seconds, rate, terms.currency),
        item=terms.item,
        income_account=terms.income_account,
        description=description,
    )


def _tickets(shares: Sequence[Share], subjects: _Subjects) -> Iterable[TicketHours]:
    for ticket in sorted({share.work.ticket for share in shares}):
        own = [share for share in shares if share.work.ticket == ticket]
        yield TicketHours(
            ticket=ticket,
            subject=subjects.of(ticket),
            default=all(share.work.entry_id is None for share in own),
            worked=sum(share.work.seconds for share in own),
            added=sum(share.added for share in own),
            prepaid_monthly=sum(share.monthly for share in own),
            prepaid_yearly=sum(share.yearly for share in own),
            billable=sum(share.billable for share in own),
            not_billable=sum(share.not_billable for share in own),
            without_terms=sum(share.without_terms for share in own),
        )


def _monthly(agreed: Terms | None, here: Sequence[Share], month: date) -> Allowance | None:
    if agreed is None or not _holds_in(agreed, month):
        return None
    used = sum(share.monthly for share in here)
    return Allowance(begins=month, granted=agreed.monthly_seconds, before=0, used=used)


def _holds_in(agreed: Terms, month: date) -> bool:
    begins = max(month, agreed.valid_from)
    return begins <= last_day(month) and agreed.holds_on(begins)


def _yearly(agreed: Terms | None, shares: Sequence[Share], month: date) -> Allowance | None:
    if agreed is None or not _holds_in(agreed, month):
        return None
    last = last_day(month) if agreed.valid_to is None else min(last_day(month), agreed.valid_to)
    begins = agreed.year_of(last)
    own = [share for share in shares if share.terms is not None and share.terms.year_of(share.work.day) == begins]
    return Allowance(
        begins=begins,
        granted=agreed.yearly_seconds,
        before=sum(share.yearly for share in own if share.work.day < month),
        used=sum(share.yearly for share in own if month_of(share.work.day) == month),
    )


def _not_invoiced(shares: Iterable[Share], ledger: Ledger, month: date) -> Iterable[tuple[date, int]]:
    sums: dict[date, int] = {}
    for share in shares:
        its = month_of(share.work.day)
        if its < month and its not in ledger.months and share.billable:
            sums[its] = sums.get(its, 0) + share.billable
    return sorted(sums.items())
