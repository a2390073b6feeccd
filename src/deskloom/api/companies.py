"""`/companies`: customers of the record and their people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from deskloom.api.access import Viewer
from deskloom.api.errors import problems
from deskloom.api.shapes import Deskloom, Time, example, only
from deskloom.record import details, people

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


class Said(BaseModel):
    """A public message of a ticket."""

    id: int
    body: str | None
    body_html: str | None
    from_email: str | None
    to_emails: list[str] | None
    created_at: Time | None
    updated_at: Time | None
    incoming: bool
    private: bool
    user_id: int | None
    support_email: str | None


class Note(BaseModel):
    """A private note of a ticket."""

    id: int
    body: str | None
    from_email: str | None
    created_at: Time | None
    private: bool
    user_id: int | None


class TicketDetails(BaseModel):
    """A ticket in the flat shape reports expect."""

    model_config = example(
        ticket_id=412,
        ticket_number=412,
        subject="Printer offline",
        description="<p>Since the update the printer is offline.</p>",
        description_text="Since the update the printer is offline.",
        status="Open",
        priority="High",
        requester_email="ada@mill.example",
        requester_name="Ada Ferro",
        created_at="2025-01-30T16:20:00Z",
        last_updated_at="2025-01-31T09:00:00Z",
        closed_at=None,
        total_hours_spent=0.0,
        conversations=[
            {
                "id": 9001,
                "body": "Please switch it off and on again.",
                "body_html": "<p>Please switch it off and on again.</p>",
                "from_email": "support@acme.example",
                "to_emails": ["ada@mill.example"],
                "created_at": "2025-01-31T09:00:00Z",
                "updated_at": "2025-01-31T09:00:00Z",
                "incoming": False,
                "private": False,
                "user_id": 7,
                "support_email": "support@acme.example",
            }
        ],
        source="freshdesk",
        notes=[
            {
                "id": 9002,
                "body": "Driver 4.2 is broken.",
                "from_email": None,
                "created_at": "2025-01-31T09:00:00Z",
                "private": True,
                "user_id": 7,
            }
        ],
    )

    ticket_id: int
    ticket_number: int
    subject: str | None
    description: str | None
    description_text: str | None
    status: str | None
    priority: str | None
    requester_email: str | None
    requester_name: str | None
    created_at: Time | None
    last_updated_at: Time | None
    closed_at: Time | None
    total_hours_spent: float
    conversations: list[Said] = Field(description="Public messages, oldest first.")
    source: str
    notes: list[Note] = Field(default=[], description="Only for roles that may read private notes.")


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


@router.get(
    "/companies/{account_number}/tickets",
    response_model_exclude_unset=True,
    responses=problems(401, 403, 404, 503),
)
async def list_company_tickets(
    app: Deskloom,
    caller: Viewer,
    account_number: AccountNumber,
    year: Annotated[int | None, Query(ge=1, le=9999, description="Only tickets created in this year (UTC).")] = None,
) -> list[TicketDetails]:
    """The company's tickets with everything that was said, oldest first."""
    async with app.record.reading() as tx:
        await people.get_company(tx, account_number)
        rows = await details.list_details(tx, account_number, year=year)
    if not caller.internal:
        for row in rows:
            del row["notes"]
    return [TicketDetails(**only(TicketDetails, row)) for row in rows]


def _company_out(row: Mapping[str, Any]) -> Company:
    return Company(**only(Company, row), id=row["external_id"])
