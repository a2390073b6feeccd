"""`/companies`: customers of the record and their people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from deskloom.api.access import Viewer
from deskloom.api.errors import problems
from deskloom.api.shapes import Deskloom, Time, example, only
from deskloom.record import people

router = APIRouter(tags=["companies"])
AccountNumber = Annotated[str, Path(description="The customer's account number.", examples=["10042"])]


class Company(BaseModel):
    """A customer organisation."""

    model_config = example(
        source="freshdesk",
        id=31,
        name="Mill & Sons",
        description=None,
        account_number="10042",
        domains=["mill.example"],
        custom_fields={"account_number": "10042"},
        created_at="2024-11-02T10:00:00Z",
        updated_at="2025-01-31T09:00:00Z",
    )

    source: str
    id: int
    name: str | None
    description: str | None
    account_number: str | None = Field(description="Text, whatever the type of the source's field.")
    domains: list[str]
    custom_fields: dict[str, Any]
    created_at: Time | None
    updated_at: Time | None


class Contact(BaseModel):
    """A person of a company."""

    model_config = example(
        source="freshdesk",
        id=88,
        name="Ada Ferro",
        email="ada@mill.example",
        other_emails=[],
        phone=None,
        mobile=None,
        language="en",
        job_title="Office lead",
    )

    source: str
    id: int
    name: str | None
    email: str | None
    other_emails: list[str]
    phone: str | None
    mobile: str | None
    language: str | None
    job_title: str | None


@router.get("/companies", responses=problems(401, 403, 503))
async def list_companies(
    app: Deskloom,
    caller: Viewer,
    source: Annotated[str | None, Query(description="Only companies of this source.")] = None,
) -> list[Company]:
    """Every company, by name."""
    async with app.record.reading() as tx:
        return [_company_out(row) for row in await people.list_companies(tx, source=source)]


@router.get("/companies/{account_number}", responses=problems(401, 403, 404, 503))
async def get_company(app: Deskloom, caller: Viewer, account_number: AccountNumber) -> Company:
    """The company with this account number."""
    async with app.record.reading() as tx:
        return _company_out(await people.get_company(tx, account_number))


@router.get("/companies/{account_number}/contacts", responses=problems(401, 403, 404, 503))
async def list_contacts(app: Deskloom, caller: Viewer, account_number: AccountNumber) -> list[Contact]:
    """The people of the company with this account number, by name."""
    async with app.record.reading() as tx:
        company = await people.get_company(tx, account_number)
    return [Contact(**only(Contact, row), id=row["external_id"]) for row in company["contacts"]]


def _company_out(row: Mapping[str, Any]) -> Company:
    return Company(**only(Company, row), id=row["external_id"])
