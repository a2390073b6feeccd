"""Invoices of a month: drafted from the record as it is now, issued once, corrected by the next, packed as files."""

from __future__ import annotations

import asyncio
import csv
import io
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.billing import Ledger, Rules, Statement, Terms, Work, state
from deskloom.billing.amounts import last_day, named, shown_hours
from deskloom.billing.corrections import changed_work
from deskloom.billing.statement import first_day
from deskloom.billing.work import TicketKey, settle_defaults
from deskloom.errors import Ambiguous, Conflict, NotFound, RequestError
from deskloom.exports.quickbooks import cell, to_csv, to_iif
from deskloom.record import billing as books
from deskloom.record import work as record_work
from deskloom.record.billing import Invoice, Owner
from deskloom.record.work import Found, Undated
from deskloom.settings import Settings

Format = Literal["csv", "iif", "both"]
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file in a zip, the earliest there is: equal invoices are equal bytes."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A statement as things are now, and what issuing it would add to the work that is counted."""

    statement: Statement
    covers_from: date
    changed: tuple[tuple[Work, bool], ...]
    ledger: Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class NotBilled:
    """An account that a month's run leaves out, and why: `code` for machines, `reason` for people."""

    account_number: str
    companies: tuple[str, ...]
    code: str
    reason: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Astray:
    """Work of the month that is nobody's: how many tickets, entries and seconds, by why."""

    why: str
    tickets: int
    entries: int
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """Every account's month: what was issued, what can be, what cannot, and work that is nobody's."""

    month: date
    issued: tuple[Invoice, ...] = ()
    drafts: tuple[Draft, ...] = ()
    not_billed: tuple[NotBilled, ...] = ()
    astray: tuple[Astray, ...] = ()
    undated: Undated = field(default_factory=lambda: Undated(0, 0))


def rules_of(settings: Settings) -> Rules:
    """The rules that the settings give."""
    return Rules(
        by=settings.billing_by,
        timezone=settings.billing_timezone,
        default_seconds=int((settings.default_hours * 3600).to_integral_value()),
    )


async def draft(
    tx: AsyncConnection, rules: Rules, account: str, month: date, *, invoice_date: date | None = None
) -> Draft:
    """An account's month as things are now, whether it was issued or not.

    Raises `NotFound` for an account that nothing is known of, `Ambiguous` where two companies of a source have it.
    """
    owners = (await books.load_owners(tx, account)).get(account, [])
    terms = await books.load_terms(tx, account)
    ledger = (await books.load_ledgers(tx, account)).get(account, Ledger())
    if not owners and not terms and not ledger.months:
        raise NotFound(f'No company has the account number "{account}".', account_number=account)
    if refusal := _twice(account, owners):
        raise refusal
    first, last = _span(terms, ledger, month)
    found = await record_work.load_work(tx, rules, first, last, account=account)
    every = await _beside(tx, rules, month, {account: found}, {account: ledger}, account=account)
    return await asyncio.to_thread(every.draft, account, owners, terms, invoice_date)


async def draft_all(tx: AsyncConnection, rules: Rules, month: date) -> Month:
    """Every account's month as things are now. An account that cannot be billed is said, and the rest goes on."""
    owners, ledgers = await books.load_owners(tx), await books.load_ledgers(tx)
    terms: dict[str, list[Terms]] = {}
    for each in await books.load_terms(tx):
        terms.setdefault(each.account_number, []).append(each)
    issued = await books.load_invoices(tx, month=month)
    spans = [_span(terms.get(account, []), ledgers.get(account, Ledger()), month) for account in {*terms, *ledgers}]
    first, last = min([month, *(span[0] for span in spans)]), max([last_day(month), *(span[1] for span in spans)])
    found: dict[str, list[Found]] = {}
    astray: list[Found] = []
    for piece in await record_work.load_work(tx, rules, first, last):
        if piece.account_number is not None:
            found.setdefault(piece.account_number, []).append(piece)
        elif month <= piece.work.day <= last_day(month):
            astray.append(piece)
    every = await _beside(tx, rules, month, found, ledgers)
    left = sorted({*terms, *ledgers, *found} - {invoice.account_number for invoice in issued})
    drafts, not_billed = await asyncio.to_thread(every.sorted_out, left, owners, terms)
    return Month(
        month=month,
        issued=tuple(issued),
        drafts=tuple(drafts),
        not_billed=tuple(not_billed),
        astray=tuple(_count(astray)),
        undated=await record_work.load_undated(tx, rules),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """What drafts of a month are made from."""

    rules: Rules
    month: date
    found: Mapping[str, Sequence[Found]]
    ledgers: Mapping[str, Ledger]
    subjects: Mapping[TicketKey, str | None]
    issued_by: Mapping[str, Rules]
    agent_days: Mapping[tuple[str, int, date], int]
    unread: Mapping[str, Sequence[TicketKey]]

    def draft(
        self, account: str, owners: Sequence[Owner], terms: Sequence[Terms], invoice_date: date | None = None
    ) -> Draft:
        ledger = self.ledgers.get(account, Ledger())
        work = settle_defaults((piece.work for piece in self.found.get(account, ())), ledger.counted)
        names = [owner.name for owner in owners if owner.name and owner.alive]
        first = first_day(terms, self.month)
        return Draft(
            statement=state(
                account,
                self.month,
                company=names[0] if names else None,
                terms=terms,
                work=work,
                ledger=ledger,
                subjects=self.subjects,
                rules=self.rules,
                issued_by=self.issued_by.get(account),
                agent_seconds=self.agent_days,
                unread=self.unread.get(account, ()),
                invoice_date=invoice_date,
            ),
            covers_from=first,
            changed=tuple(changed_work(ledger, work, first, self.month)),
            ledger=ledger,
        )

    def sorted_out(
        self, accounts: Iterable[str], owners: Mapping[str, Sequence[Owner]], terms: Mapping[str, Sequence[Terms]]
    ) -> tuple[list[Draft], list[NotBilled]]:
        drafts: list[Draft] = []
        not_billed: list[NotBilled] = []
        for account in accounts:
            its = owners.get(account, ())
            if refusal := _twice(account, its):
                seconds = sum(piece.work.seconds for piece in self.found.get(account, ()) if self._here(piece))
                not_billed.append(_left_out(account, its, refusal.code, refusal.message, seconds))
                continue
            made = self.draft(account, its, terms.get(account, ()))
            if reason := why_not(made.statement):
                seconds = sum(ticket.worked for ticket in made.statement.tickets)
                # An account without terms and without work is a customer who is not billed by the hour.
                if seconds or account in terms:
                    not_billed.append(_left_out(account, its, *reason, seconds))
                continue
            drafts.append(made)
        return drafts, not_billed

    def _here(self, piece: Found) -> bool:
        return self.month <= piece.work.day <= last_day(self.month)


async def _beside(
    tx: AsyncConnection,
    rules: Rules,
    month: date,
    found: Mapping[str, Sequence[Found]],
    ledgers: Mapping[str, Ledger],
    *,
    account: str | None = None,
) -> _Loaded:
    """What is needed beside the work: subjects of corrected tickets, the last invoices' rules, agents' days."""
    subjects = {piece.work.ticket: piece.subject for pieces in found.values() for piece in pieces}
    counted = {work.ticket for ledger in ledgers.values() for work in ledger.counted.values()}
    subjects |= await record_work.load_subjects(tx, counted - subjects.keys())
    days = {
        piece.work.worked_on
        for pieces in found.values()
        for piece in pieces
        if piece.work.worked_on and month <= piece.work.day <= last_day(month)
    }
    unread: dict[str, list[TicketKey]] = {}
    for number, ticket in await record_work.load_unread(tx, rules, month, last_day(month), account=account):
        if number is not None:
            unread.setdefault(number, []).append(ticket)
    return _Loaded(
        rules=rules,
        month=month,
        found=found,
        ledgers=ledgers,
        subjects=subjects,
        issued_by=await books.load_last_rules(tx, account),
        agent_days=await record_work.load_agent_days(tx, rules, min(days), max(days)) if days else {},
        unread=unread,
    )


async def issue(
    tx: AsyncConnection,
    rules: Rules,
    made: Draft,
    *,
    shown: Mapping[str, object],
    files: tuple[bytes, bytes],
    by: str | None,
    now: datetime,
) -> Invoice:
    """Make a draft an invoice, for good. The account is locked, and the draft was made within the lock.

    `shown`: the statement as callers see it, `files`: it as CSV and IIF. What stands is kept as it is.
    """
    statement = made.statement
    assert statement.terms is not None
    invoice = Invoice(
        number=statement.number,
        account_number=statement.account_number,
        month=statement.month,
        position=len(made.ledger.months) + 1,
        issued_at=now,
        issued_by=by,
        invoice_date=statement.invoice_date,
        due_date=statement.due_date,
        currency=statement.terms.currency,
        total=statement.total,
        covers_from=made.covers_from,
        rules=rules,
        statement=dict(shown),
        csv=files[0],
        iif=files[1],
    )
    await books.store_invoice(tx, invoice, made.changed)
    return invoice


def require_issuable(made: Draft, rules: Rules, *, now: datetime, accept_warnings: bool) -> None:
    """Raise `Conflict` unless the month is over, there is something to say, and warnings are accepted."""
    statement = made.statement
    month = named(statement.month)
    if rules.day_of(now, may_be_date=False) <= last_day(statement.month):
        raise Conflict(
            f"{month} has not ended yet ({rules.timezone}). Issue its invoice from {_next(statement.month)} on.",
            month=month,
        )
    if not statement.billed and (reason := why_not(statement)):
        raise Conflict(f"Account {statement.account_number}, {month}: {reason[1]}", month=month, reason=reason[0])
    if statement.warnings and not accept_warnings:
        first = statement.warnings[0].detail
        more = f" (and {len(statement.warnings) - 1} more)" if len(statement.warnings) > 1 else ""
        raise Conflict(
            f"{first}{more} Correct it at the helpdesk, or issue with accept_warnings (--accept-warnings).",
            warnings=[warned.detail for warned in statement.warnings],
        )


def why_not(statement: Statement) -> tuple[str, str] | None:
    """Why a statement makes no invoice: code and sentence; None if it does."""
    if statement.lines:
        return None
    unagreed = sum(ticket.without_terms for ticket in statement.tickets)
    if unagreed or statement.terms is None:
        month = named(statement.month)
        command = f"deskloom billing terms add {statement.account_number} --from {month}-01 --rate 100.00"
        return "no_terms", f"No terms hold for the work of {month}. Add some, for example: {command}"
    if statement.tickets:
        return "nothing_to_list", "All hours are prepaid or not billable, and the terms do not list those."
    return "no_work", "There is no work in the month, and nothing to correct."


def file_name(account: str, month: date, suffix: str) -> str:
    """A safe file name for an invoice: `10042-202501.csv`."""
    return f"{_UNSAFE.sub('_', account).strip('.') or '_'}-{month:%Y%m}.{suffix}"


def pack_month(month: Month, kind: Format) -> bytes:
    """Every invoice of a month, issued or as it would be now, as one zip."""
    made = [(invoice.account_number, invoice.csv, invoice.iif) for invoice in month.issued]
    made += [(each.statement.account_number, to_csv(each.statement), to_iif(each.statement)) for each in month.drafts]
    files: dict[str, bytes] = {}
    for account, as_csv, as_iif in sorted(made):
        for suffix, content in (("csv", as_csv), ("iif", as_iif)):
            if kind in (suffix, "both"):
                name = file_name(account, month.month, suffix)
                # Two accounts may differ only in what a file name cannot hold.
                files[name if name not in files else f"{len(files)}-{name}"] = content
    return pack(files, month.not_billed)


def pack(files: Mapping[str, bytes], not_billed: Sequence[NotBilled]) -> bytes:
    """Invoices and the list of accounts that have none as one zip: sorted, equal bytes for equal contents."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow(("AccountNumber", "Companies", "Hours", "Code", "Reason"))
    for each in not_billed:
        companies = cell("; ".join(each.companies))
        hours = shown_hours(each.seconds)
        rows.writerow((cell(each.account_number), companies, hours, each.code, cell(each.reason)))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:  # compressors differ from version to version
        for name, content in sorted({**files, "not-billed.csv": text.getvalue().encode()}.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, content)
    return packed.getvalue()


def _span(terms: Sequence[Terms], ledger: Ledger, month: date) -> tuple[date, date]:
    """The days whose work has a say in a month's statement and in the corrections that stand on it."""
    first = min([first_day(terms, month), *(span[0] for span in ledger.spans)])
    return first, max([last_day(month), *(span[1] for span in ledger.spans)])


def _twice(account: str, owners: Sequence[Owner]) -> RequestError | None:
    alive = [owner for owner in owners if owner.alive]
    for source in sorted({owner.source for owner in alive}):
        same = [owner for owner in alive if owner.source == source]
        if len(same) > 1:
            which = " and ".join(f'"{owner.name or "without a name"}" ({owner.external_id})' for owner in same)
            return Ambiguous(
                f"{len(same)} companies of {source} have the account number {account}: {which}. Give each its own "
                "there, and sync.",
                account_number=account,
                companies=[owner.name or str(owner.external_id) for owner in same],
            )
    return None


def _left_out(account: str, owners: Sequence[Owner], code: str, reason: str, seconds: int) -> NotBilled:
    names = tuple(owner.name or str(owner.external_id) for owner in owners if owner.alive)
    return NotBilled(account_number=account, companies=names, code=code, reason=reason, seconds=seconds)


def _count(astray: Sequence[Found]) -> Iterable[Astray]:
    for why in sorted({piece.astray for piece in astray if piece.astray}):
        own = [piece.work for piece in astray if piece.astray == why]
        entries = sum(1 for work in own if work.entry_id is not None)
        yield Astray(why, len({work.ticket for work in own}), entries, sum(work.seconds for work in own))


def _next(month: date) -> date:
    return date.fromordinal(last_day(month).toordinal() + 1)
