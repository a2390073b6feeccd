"""Billing in the record: terms, issued invoices, the work they counted, and whose an account number is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.billing import Ledger, Rules, Terms, Work
from deskloom.billing.amounts import last_day
from deskloom.errors import NotFound
from deskloom.model import Json
from deskloom.record.statements import upsert
from deskloom.record.tables import billing_terms, companies, invoice_work, invoices

_TERMS = tuple(part.name for part in fields(Terms))
_LOCK = 1_113_812_553
"""First half of the advisory locks of accounts; any number, but always the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """An issued invoice, which never changes. `statement`: as callers saw it; `csv`, `iif`: its files, byte for byte.

    `position` counts the account's invoices in the order they were issued, from 1; `covers_from` is the first day
    whose work had a say in it.
    """

    number: str
    account_number: str
    month: date
    position: int
    issued_at: datetime
    issued_by: str | None
    invoice_date: date
    due_date: date
    currency: str
    total: Decimal
    covers_from: date
    rules: Rules
    statement: Json
    csv: bytes
    iif: bytes


@dataclass(frozen=True, slots=True)
class Owner:
    """A company that has an account number."""

    source: str
    external_id: int
    name: str | None
    alive: bool


async def lock_account(tx: AsyncConnection, account_number: str) -> None:
    """Let no other transaction change this account's terms or invoices until this one ends.

    On SQLite a transaction that writes is alone anyway.
    """
    if tx.dialect.name == "postgresql":
        await tx.execute(
            text("SELECT pg_advisory_xact_lock(:ours, hashtext(:account))"),
            {"ours": _LOCK, "account": account_number},
        )


# ------------------------------------------------------------------------------------------------------------ terms


async def load_terms(tx: AsyncConnection, account_number: str | None = None) -> list[Terms]:
    """The terms of an account, or of all of them, earliest first."""
    query = select(*(billing_terms.c[name] for name in _TERMS))
    if account_number is not None:
        query = query.where(billing_terms.c.account_number == account_number)
    query = query.order_by(billing_terms.c.account_number, billing_terms.c.valid_from)
    return [Terms(**row) for row in (await tx.execute(query)).mappings()]


async def store_terms(tx: AsyncConnection, terms: Terms) -> None:
    """Store terms, in place of those with the same id."""
    await upsert(tx, billing_terms, [asdict(terms)])


async def delete_terms(tx: AsyncConnection, terms_id: UUID) -> None:
    """Remove terms."""
    await tx.execute(delete(billing_terms).where(billing_terms.c.id == terms_id))


async def load_owners(tx: AsyncConnection, account_number: str | None = None) -> dict[str, list[Owner]]:
    """The companies behind an account number, or behind every one, by source and id; deleted ones too."""
    columns = companies.c
    query = select(columns.account_number, columns.source, columns.external_id, columns.name, columns.deleted_at)
    query = query.where(
        columns.account_number.is_not(None) if account_number is None else columns.account_number == account_number
    )
    found: dict[str, list[Owner]] = {}
    for row in await tx.execute(query.order_by(columns.source, columns.external_id)):
        found.setdefault(row.account_number, []).append(
            Owner(row.source, row.external_id, row.name, row.deleted_at is None)
        )
    return found


# --------------------------------------------------------------------------------------------------------- invoices


async def load_invoices(
    tx: AsyncConnection, *, account_number: str | None = None, month: date | None = None
) -> list[Invoice]:
    """Issued invoices, by account and in the order they were issued."""
    query = select(invoices)
    if account_number is not None:
        query = query.where(invoices.c.account_number == account_number)
    if month is not None:
        query = query.where(invoices.c.month == month)
    query = query.order_by(invoices.c.account_number, invoices.c.position)
    return [
        Invoice(**dict(row) | {"rules": Rules(**row["rules"]), "csv": bytes(row["csv"]), "iif": bytes(row["iif"])})
        for row in (await tx.execute(query)).mappings()
    ]


async def get_invoice(tx: AsyncConnection, account_number: str, month: date) -> Invoice:
    """The invoice of a month; `NotFound` if none was issued."""
    found = await load_invoices(tx, account_number=account_number, month=month)
    if not found:
        raise NotFound(
            f"No invoice of {month:%Y-%m} was issued to account {account_number}.",
            account_number=account_number,
            month=f"{month:%Y-%m}",
        )
    return found[0]


async def load_last_rules(tx: AsyncConnection, account_number: str | None = None) -> dict[str, Rules]:
    """The rules that the last invoice of an account, or of every one, was made by."""
    query = select(invoices.c.account_number, invoices.c.rules)
    if account_number is not None:
        query = query.where(invoices.c.account_number == account_number)
    rows = await tx.execute(query.order_by(invoices.c.account_number, invoices.c.position))
    return {row.account_number: Rules(**row.rules) for row in rows}


async def load_ledgers(tx: AsyncConnection, account_number: str | None = None) -> dict[str, Ledger]:
    """What the issued invoices of an account, or of every one, have counted: of each piece of work the last word."""
    columns = (invoices.c.account_number, invoices.c.month, invoices.c.covers_from)
    query = select(*columns, invoices.c.number, invoices.c.position)
    if account_number is not None:
        query = query.where(invoices.c.account_number == account_number)
    months: dict[str, set[date]] = {}
    spans: dict[str, list[tuple[date, date]]] = {}
    for row in await tx.execute(query.order_by(invoices.c.account_number, invoices.c.position)):
        months.setdefault(row.account_number, set()).add(row.month)
        spans.setdefault(row.account_number, []).append((row.covers_from, last_day(row.month)))
    counted: dict[str, dict[tuple[str, int, int], Work]] = {}
    work = select(invoices.c.account_number, invoice_work).join_from(
        invoices, invoice_work, invoices.c.number == invoice_work.c.number
    )
    if account_number is not None:
        work = work.where(invoices.c.account_number == account_number)
    for row in await tx.execute(work.order_by(invoices.c.account_number, invoices.c.position)):
        known = counted.setdefault(row.account_number, {})
        known.pop((row.source, row.ticket_id, row.entry_id), None)
        if not row.gone:
            piece = Work(
                source=row.source,
                ticket_id=row.ticket_id,
                entry_id=row.entry_id or None,
                day=row.day,
                seconds=row.seconds,
                billable=row.billable,
            )
            known[piece.key] = piece
    return {
        account: Ledger(months=frozenset(its), spans=tuple(spans[account]), counted=counted.get(account, {}))
        for account, its in months.items()
    }


async def store_invoice(tx: AsyncConnection, invoice: Invoice, work: Sequence[tuple[Work, bool]]) -> None:
    """Store an invoice with what it adds to the work that is counted; True: it is gone. The account is locked."""
    row = {part.name: getattr(invoice, part.name) for part in fields(Invoice)} | {"rules": asdict(invoice.rules)}
    await tx.execute(insert(invoices).values(row))
    rows: list[dict[str, Any]] = [
        {
            "number": invoice.number,
            "source": each.source,
            "ticket_id": each.ticket_id,
            "entry_id": each.entry_id or 0,
            "day": each.day,
            "seconds": each.seconds,
            "billable": each.billable,
            "gone": gone,
        }
        for each, gone in work
    ]
    if rows:
        await tx.execute(insert(invoice_work), rows)
