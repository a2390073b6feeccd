"""`/billing/{account_number}/terms`: what was agreed with a company, from when to when.

Rates and hours are decimals written as text; a JSON number with a fraction is a float to most programs, and refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Path
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.api.access import Agent, Operator
from deskloom.api.companies import AccountNumber
from deskloom.api.errors import problems
from deskloom.api.shapes import Body, Deskloom, example
from deskloom.billing import Terms
from deskloom.billing.amounts import seconds_of, written
from deskloom.billing.terms import first_changed, overlapping
from deskloom.errors import Conflict, InvalidRequest, NotFound
from deskloom.record import billing as books

_EXACT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,4})?")


def _exact(value: Any) -> Decimal:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not _EXACT.fullmatch(value):
        raise ValueError('must be a decimal written as text, with at most four decimals, for example "120.50"')
    return Decimal(value)


def _exact_hours(value: Any) -> Decimal:
    hours = _exact(value)
    seconds_of(hours)
    return hours


_DECIMAL = WithJsonSchema({"type": "string", "pattern": f"^{_EXACT.pattern}$"})
Rate = Annotated[Decimal, BeforeValidator(_exact), _DECIMAL]
Hours = Annotated[Decimal, BeforeValidator(_exact_hours), _DECIMAL]
router = APIRouter(tags=["billing"])
TermsId = Annotated[UUID, Path(description="The id of the terms.")]
Text = Annotated[str, Field(min_length=1, max_length=200)]

TERMS: dict[str, Any] = {
    "valid_from": "2025-01-01",
    "valid_to": None,
    "rate": "120.00",
    "currency": "USD",
    "prepaid_monthly_hours": "5.00",
    "prepaid_yearly_hours": "20.00",
    "year_start": "2024-07-01",
    "increment_minutes": 15,
    "increment_per": "ticket",
    "payment_days": 30,
    "item": "Support",
    "customer_name": "Mill & Sons",
    "receivable_account": "Accounts Receivable",
    "income_account": "Services",
    "list_unbilled": True,
}
TERMS_ID = "7c0e4f0a-5f6b-4f0d-9a57-2f1f3a5b7c9d"


class TermsIn(Body):
    """What was agreed with a company."""

    model_config = Body.model_config | example(**TERMS)

    valid_from: date = Field(description="The first day whose work is billed like this.")
    valid_to: date | None = Field(None, description="The last such day; null: no end.")
    rate: Rate = Field(description="What an hour costs.")
    currency: str = Field("USD", pattern="^[A-Z]{3}$", description="ISO 4217; the same in all terms of an account.")
    prepaid_monthly_hours: Hours = Field(Decimal(0), description="Hours of a calendar month that are paid already.")
    prepaid_yearly_hours: Hours = Field(
        Decimal(0), description="Hours of a contract year that are paid already, used after the month's."
    )
    year_start: date | None = Field(
        None, description="A day on which a contract year begins, as do its anniversaries; null: 1 January."
    )
    increment_minutes: int = Field(
        0, ge=0, le=480, description="Time is billed in steps of so many minutes; 0: exactly."
    )
    increment_per: Literal["entry", "ticket"] = Field(
        "entry", description="Round each time entry up, or each ticket's month."
    )
    payment_days: int = Field(30, ge=0, le=365, description="Days from the invoice's date until it is due.")
    item: Text = Field("Support", description="Product or service in QuickBooks.")
    customer_name: Text | None = Field(None, description="Customer in QuickBooks; null: the company's name.")
    receivable_account: Text = Field("Accounts Receivable", description="Account in QuickBooks Desktop (IIF).")
    income_account: Text = Field("Services", description="Account in QuickBooks Desktop (IIF).")
    list_unbilled: bool = Field(
        True, description="An invoice also lists prepaid and not billable work, at a price of nothing."
    )


class TermsOut(BaseModel):
    """What was agreed with a company, as it stands."""

    model_config = example(id=TERMS_ID, account_number="10042", **TERMS)

    id: UUID
    account_number: str
    valid_from: date
    valid_to: date | None = Field(description="The last day; null: no end.")
    rate: str
    currency: str
    prepaid_monthly_hours: str
    prepaid_yearly_hours: str
    year_start: date | None
    increment_minutes: int
    increment_per: str
    payment_days: int
    item: str
    customer_name: str | None
    receivable_account: str
    income_account: str
    list_unbilled: bool


class TermsListed(BaseModel):
    """Every terms of an account, earliest first."""

    items: list[TermsOut]


@router.get("/billing/{account_number}/terms", responses=problems(401, 403, 404, 503))
async def list_terms(app: Deskloom, caller: Agent, account_number: AccountNumber) -> TermsListed:
    """The account's terms, earliest first."""
    async with app.record.reading() as tx:
        found = await books.load_terms(tx, account_number)
        if not found:
            await _require_company(tx, account_number)
    return TermsListed(items=[terms_out(terms) for terms in found])


@router.post("/billing/{account_number}/terms", status_code=201, responses=problems(401, 403, 404, 409, 413, 503))
async def create_terms(app: Deskloom, caller: Operator, account_number: AccountNumber, asked: TermsIn) -> TermsOut:
    """Add terms. 409 where they overlap others, or would change what an invoiced month costs."""
    terms = Terms(id=uuid4(), account_number=account_number, **dict(asked))
    async with app.record.transaction() as tx:
        await books.lock_account(tx, account_number)
        await _require_company(tx, account_number)
        known = await books.load_terms(tx, account_number)
        await _require_fitting(tx, account_number, known, [*known, terms])
        await books.store_terms(tx, terms)
    return terms_out(terms)


@router.put("/billing/{account_number}/terms/{terms_id}", responses=problems(401, 403, 404, 409, 413, 503))
async def replace_terms(
    app: Deskloom, caller: Operator, account_number: AccountNumber, terms_id: TermsId, asked: TermsIn
) -> TermsOut:
    """Give terms other values, all of them. What an invoiced month costs cannot be changed; an end can be set after
    it, and new terms added from there."""
    terms = Terms(id=terms_id, account_number=account_number, **dict(asked))
    async with app.record.transaction() as tx:
        await books.lock_account(tx, account_number)
        known = await books.load_terms(tx, account_number)
        others = _without(known, terms_id, account_number)
        await _require_fitting(tx, account_number, known, [*others, terms])
        await books.store_terms(tx, terms)
    return terms_out(terms)


@router.delete(
    "/billing/{account_number}/terms/{terms_id}", status_code=204, responses=problems(401, 403, 404, 409, 503)
)
async def delete_terms(app: Deskloom, caller: Operator, account_number: AccountNumber, terms_id: TermsId) -> None:
    """Remove terms; 409 where an invoiced month was billed by them."""
    async with app.record.transaction() as tx:
        await books.lock_account(tx, account_number)
        known = await books.load_terms(tx, account_number)
        await _require_fitting(tx, account_number, known, _without(known, terms_id, account_number))
        await books.delete_terms(tx, terms_id)


def terms_out(terms: Terms) -> TermsOut:
    """Terms as callers see them."""
    values = {name: getattr(terms, name) for name in TermsOut.model_fields}
    return TermsOut(**{name: written(value) if isinstance(value, Decimal) else value for name, value in values.items()})


def _without(known: Sequence[Terms], terms_id: UUID, account_number: str) -> list[Terms]:
    others = [each for each in known if each.id != terms_id]
    if len(others) == len(known):
        raise NotFound(f"Account {account_number} has no terms {terms_id}.", terms_id=str(terms_id))
    return others


async def _require_company(tx: AsyncConnection, account_number: str) -> None:
    if not await books.load_owners(tx, account_number):
        raise NotFound(
            f'No company has the account number "{account_number}". Sync the companies first.',
            account_number=account_number,
        )


async def _require_fitting(
    tx: AsyncConnection, account_number: str, before: Sequence[Terms], after: Sequence[Terms]
) -> None:
    """Refuse terms that contradict each other or an issued invoice."""
    for each in after:
        if each.valid_to is not None and each.valid_to < each.valid_from:
            raise InvalidRequest("valid_to is the last day, and must not be before valid_from.", parameter="valid_to")
    if clash := overlapping(after):
        one, other = clash
        raise Conflict(
            f"Terms from {one.valid_from} (to {one.valid_to or 'no end'}) and from {other.valid_from} overlap. Set the "
            f"valid_to of the first to the day before: deskloom billing terms set {account_number} {one.id} --to …",
            terms_id=str(one.id),
        )
    if len({each.currency for each in after}) > 1:
        raise Conflict(
            f"All terms of account {account_number} must be in one currency, as its invoices and their corrections are."
        )
    invoices = await books.load_ledgers(tx, account_number)
    for first, last in invoices[account_number].spans if account_number in invoices else ():
        if day := first_changed(before, after, first, last):
            raise Conflict(
                f"This would change what {day} costs, and an invoice that goes up to {last} counts on it. Let the old "
                "terms end, and new ones begin, after that day.",
                day=day.isoformat(),
                invoiced_to=last.isoformat(),
            )
