"""`/companies`: customers of the record and their people."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response, StreamingResponse

from deskloom.api.access import Viewer
from deskloom.api.errors import problems
from deskloom.api.shapes import Deskloom, Time, example, only
from deskloom.record import details, people
from deskloom.wiring import App

router = APIRouter(tags=["companies"])
JSON = "application/json"
PAGE = 100
TOGETHER = 50
"""Tickets that are in memory at a time while a list is written."""
KEYS = 2000
"""Tickets whose keys are read at a time for it."""
Of = Annotated[str | None, Query(description="Only of this source.")]
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


class SameCustomer(BaseModel):
    """The same customer in another source."""

    source: str
    id: int
    name: str | None


class CompanyWhole(Company):
    """A customer organisation, by its account number."""

    also: list[SameCustomer] = Field(default=[], description="The same customer in other sources, if there.")


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
        counted_hours=0.25,
        hours_are_default=True,
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
    total_hours_spent: float = Field(description="The sum of the time entries, billable or not.")
    counted_hours: float = Field(
        description="What the ticket counts as where hours are used: the sum, or the default "
        "(`DESKLOOM_DEFAULT_HOURS`) if it has no time entries."
    )
    hours_are_default: bool = Field(description="Whether `counted_hours` is the default.")
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


@router.get("/companies/{account_number:path}/contacts", responses=problems(401, 403, 404, 409, 503))
async def list_contacts(
    app: Deskloom, caller: Viewer, account_number: AccountNumber, source: Of = None
) -> list[Contact]:
    """The people of the customer with this account number, by name."""
    async with app.record.reading() as tx:
        company = await people.get_company(tx, account_number.strip(), source=source)
    return [Contact(**only(Contact, row), id=row["external_id"]) for row in company["contacts"]]


@router.get(
    "/companies/{account_number:path}/tickets",
    response_model=list[TicketDetails],
    response_model_exclude_unset=True,
    responses={
        200: {
            "description": "The list; with `limit` or `cursor` a page of it.",
            "headers": {
                "Link": {
                    "description": 'The next page, as `<…>; rel="next"`; absent on the last one.',
                    "schema": {"type": "string"},
                }
            },
        },
        **problems(401, 403, 404, 409, 503),
    },
)
async def list_company_tickets(
    app: Deskloom,
    caller: Viewer,
    request: Request,
    account_number: AccountNumber,
    year: Annotated[
        int | None,
        Query(
            ge=1,
            le=9999,
            description="Only tickets that ended in this year (UTC): were closed, or else resolved; of those that are "
            "neither, the ones created in it.",
        ),
    ] = None,
    source: Of = None,
    limit: Annotated[int | None, Query(ge=1, le=500, description="A page of at most so many.")] = None,
    cursor: Annotated[str | None, Query(description="Where the page begins: from `Link` of the page before.")] = None,
) -> Response:
    """The customer's tickets with everything that was said, oldest first: all of them, or page by page."""
    number = account_number.strip()
    async with app.record.reading() as tx:
        await people.find_companies(tx, number, source=source)
    asked = Asked(app, number, source, year, internal=caller.internal)
    if limit is None and cursor is None:
        keys, following = await asked.keys(KEYS, None)
        begun = await asked.tickets(keys[:TOGETHER])
        return StreamingResponse(asked.body(keys, following, begun=begun), media_type=JSON)
    keys, following = await asked.keys(limit or PAGE, cursor)
    body = b"".join([part async for part in asked.body(keys, None)])
    return Response(body, media_type=JSON, headers=_link(request, asked, limit or PAGE, following))


def _link(request: Request, asked: Asked, limit: int, cursor: str | None) -> dict[str, str] | None:
    """The header that leads to the next page (RFC 8288)."""
    if cursor is None:
        return None
    given = {"year": asked.year, "source": asked.source, "limit": limit, "cursor": cursor}
    query = urlencode({name: value for name, value in given.items() if value is not None})
    path = request.scope["raw_path"].decode("ascii").partition("?")[0]
    return {"Link": f'<{path}?{query}>; rel="next"'}


@router.get(
    "/companies/{account_number:path}",
    response_model_exclude_unset=True,
    responses=problems(401, 403, 404, 409, 503),
)
async def get_company(app: Deskloom, caller: Viewer, account_number: AccountNumber, source: Of = None) -> CompanyWhole:
    """The company with this account number. Of a customer in several sources the first is told, and `also` names the
    others; 409 names the companies where two of one source have the number."""
    async with app.record.reading() as tx:
        found, *others = await people.find_companies(tx, account_number.strip(), source=source)
    also = [SameCustomer(**only(SameCustomer, row), id=row["external_id"]) for row in others]
    return CompanyWhole(**only(Company, found), id=found["external_id"], **({"also": also} if also else {}))


@dataclass(frozen=True, slots=True)
class Asked:
    """A question for a customer's tickets. Each part is read in a transaction of its own: an answer may take long."""

    app: App
    number: str
    source: str | None
    year: int | None
    internal: bool

    async def keys(self, limit: int, after: str | None) -> tuple[list[details.Key], str | None]:
        async with self.app.record.reading() as tx:
            return await details.list_keys(
                tx, self.number, source=self.source, year=self.year, limit=limit, after=after
            )

    async def tickets(self, keys: Sequence[details.Key]) -> list[TicketDetails]:
        async with self.app.record.reading() as tx:
            rows = await details.load_details(tx, keys)
        return [self._shown(row) for row in rows]

    async def body(
        self, keys: Sequence[details.Key], following: str | None, *, begun: Sequence[TicketDetails] | None = None
    ) -> AsyncIterator[bytes]:
        """The JSON list of these tickets and all that follow, a few at a time; `begun`: the first few, read already.

        What goes wrong on the way leaves the list open and the transfer unfinished.
        """
        opening = b"["
        while True:
            for at in range(0, len(keys), TOGETHER):
                found = await self.tickets(keys[at : at + TOGETHER]) if begun is None else begun
                begun = None
                if found:
                    yield opening + b",".join(one.model_dump_json(exclude_unset=True).encode() for one in found)
                    opening = b","
            if following is None:
                break
            keys, following = await self.keys(KEYS, following)
        yield b"[]" if opening == b"[" else b"]"

    def _shown(self, row: dict[str, Any]) -> TicketDetails:
        values = only(TicketDetails, row)
        if not self.internal:
            del values["notes"]
        entered = row["has_hours"]
        counted = row["total_hours_spent"] if entered else float(self.app.settings.default_hours)
        return TicketDetails(**values, counted_hours=counted, hours_are_default=not entered)


def _company_out(row: Mapping[str, Any]) -> Company:
    return Company(**only(Company, row), id=row["external_id"])
