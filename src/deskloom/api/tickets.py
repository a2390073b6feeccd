"""`/tickets`: tickets of the record, with everything that was said, and tickets like them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from deskloom.api.access import Caller, Viewer
from deskloom.api.errors import problems
from deskloom.api.search import Hit, hit_out
from deskloom.api.shapes import After, Deskloom, Identifier, Listed, PageSize, SourceName, Time, TimeIn, example, only
from deskloom.model import Kind
from deskloom.record import listing
from deskloom.search import Query as Question
from deskloom.wiring import App

ASKED = 2000
"""Characters of a ticket that tickets like it are looked for with; the model reads no more in one part."""
router = APIRouter(tags=["tickets"])

SHORT: dict[str, Any] = {
    "source": "freshdesk",
    "id": 412,
    "state": "active",
    "subject": "Printer offline",
    "status": "Open",
    "status_code": 2,
    "priority": "High",
    "priority_code": 3,
    "channel": "Email",
    "channel_code": 1,
    "type": "Incident",
    "requester_id": 88,
    "requester_name": "Ada Ferro",
    "requester_email": "ada@mill.example",
    "responder_id": 7,
    "responder_name": "Noor Lind",
    "group_id": None,
    "company_id": 31,
    "company": "Mill & Sons",
    "account_number": "10042",
    "tags": ["printer"],
    "created_at": "2025-01-30T16:20:00Z",
    "updated_at": "2025-01-31T09:00:00Z",
    "resolved_at": None,
    "closed_at": None,
    "version": 3,
    "url": "https://acme.freshdesk.com/a/tickets/412",
}


class TicketShort(BaseModel):
    """A ticket without its texts. Labels are the account's own; the numbers stand beside them."""

    model_config = example(**SHORT)

    source: str
    id: int
    state: str
    subject: str | None
    status: str | None
    status_code: int | None
    priority: str | None
    priority_code: int | None
    channel: str | None
    channel_code: int | None
    type: str | None
    requester_id: int | None
    requester_name: str | None
    requester_email: str | None
    responder_id: int | None
    responder_name: str | None
    group_id: int | None
    company_id: int | None
    company: str | None
    account_number: str | None
    tags: list[str]
    created_at: Time | None
    updated_at: Time | None
    resolved_at: Time | None
    closed_at: Time | None
    version: int = Field(description="Grows with every change that matters.")
    url: str | None = Field(description="Where a person reads it.")


class Said(BaseModel):
    """A reply or a note."""

    id: int
    kind: str = Field(description="The source's own word: reply, note, forward …")
    body: str | None
    body_html: str | None
    from_email: str | None
    to_emails: list[str] | None
    cc_emails: list[str] | None
    support_email: str | None
    user_id: int | None
    author_name: str | None
    incoming: bool
    private: bool
    created_at: Time | None
    updated_at: Time | None


SAID: dict[str, Any] = {
    "id": 9001,
    "kind": "reply",
    "body": "Please switch it off and on again.",
    "body_html": "<p>Please switch it off and on again.</p>",
    "from_email": "support@acme.example",
    "to_emails": ["ada@mill.example"],
    "cc_emails": [],
    "support_email": "support@acme.example",
    "user_id": 7,
    "author_name": "Noor Lind",
    "incoming": False,
    "private": False,
    "created_at": "2025-01-31T09:00:00Z",
    "updated_at": "2025-01-31T09:00:00Z",
}


class Worked(BaseModel):
    """A time entry: how long an agent worked on the ticket."""

    id: int
    agent_id: int | None
    agent_name: str | None
    hours: float = Field(description="To four decimals.")
    seconds: int
    billable: bool
    worked_at: Time | None = Field(description="When it was worked, by the helpdesk's own word.")
    note: str | None


WORKED: dict[str, Any] = {
    "id": 81001,
    "agent_id": 7,
    "agent_name": "Noor Lind",
    "hours": 1.5,
    "seconds": 5400,
    "billable": True,
    "worked_at": "2025-01-31T00:00:00Z",
    "note": "On site",
}


class TicketWhole(TicketShort):
    """A ticket with everything that was said."""

    model_config = example(
        **SHORT,
        description="Since the update the printer is offline.",
        description_html="<p>Since the update the printer is offline.</p>",
        due_by="2025-02-01T16:20:00Z",
        first_responded_at="2025-01-31T09:00:00Z",
        stored_at="2025-01-31T09:01:00Z",
        custom_fields={"cf_room": "12"},
        total_hours_spent=1.5,
        time_entries=[WORKED],
        conversations=[SAID],
        notes=[{**SAID, "id": 9002, "kind": "note", "private": True, "body": "Driver 4.2 is broken."}],
    )

    description: str | None
    description_html: str | None
    due_by: Time | None
    first_responded_at: Time | None
    stored_at: Time = Field(description="When the record took it from the source.")
    conversations: list[Said] | None = Field(description="Public, oldest first; null: they could not be read yet.")
    total_hours_spent: float = Field(description="The sum of the ticket's time entries, to four decimals.")
    time_entries: list[Worked] = Field(default=[], description="Only for roles that may read private notes.")
    custom_fields: dict[str, Any] = Field(default={}, description="Only for roles that may read private notes.")
    notes: list[Said] | None = Field(default=None, description="Only for roles that may read private notes.")


class Similar(BaseModel):
    """Tickets like a ticket, best first."""

    hits: list[Hit]


@router.get("/tickets", responses=problems(401, 403, 503))
async def list_tickets(
    app: Deskloom,
    caller: Viewer,
    source: Annotated[str | None, Query(description="Only tickets of this source.")] = None,
    status: Annotated[str | None, Query(description="A label or its number.", examples=["Open"])] = None,
    priority: Annotated[str | None, Query(description="A label or its number.", examples=["High"])] = None,
    company: Annotated[str | None, Query(description="An account number or a name.")] = None,
    tag: Annotated[str | None, Query(description="Only tickets with this tag.")] = None,
    updated_since: Annotated[TimeIn | None, Query(description="Only what changed at or after this time.")] = None,
    limit: PageSize = 50,
    after: After = None,
) -> Listed[TicketShort]:
    """Tickets that match every filter, last changed first."""
    async with app.record.reading() as tx:
        rows, following = await listing.list_tickets(
            tx,
            source=source,
            status=status,
            priority=priority,
            company=company,
            tag=tag,
            updated_since=updated_since,
            limit=limit,
            after=after,
        )
    items = [TicketShort(**only(TicketShort, row), url=_link(app, row)) for row in rows]
    return Listed(items=items, next=following)


@router.get("/tickets/{source}/{ticket_id}", response_model_exclude_unset=True, responses=problems(401, 403, 404, 503))
async def get_ticket(app: Deskloom, caller: Viewer, source: SourceName, ticket_id: Identifier) -> TicketWhole:
    """One ticket with everything that was said. `notes` is there only for roles that may read them."""
    row = await _ticket(app, caller, source, ticket_id)
    said = row["messages"]
    values = only(TicketWhole, row) | {
        "description": row["description_text"],
        "url": _link(app, row),
        "conversations": None if said is None else [_said(entry) for entry in said if not entry["private"]],
    }
    if caller.internal:
        values["notes"] = None if said is None else [_said(entry) for entry in said if entry["private"]]
        values["time_entries"] = [Worked(**entry) for entry in row["time_entries"]]
    else:
        del values["custom_fields"], values["time_entries"]
    return TicketWhole(**values)


@router.get("/tickets/{source}/{ticket_id}/similar", responses=problems(401, 403, 404, 503))
async def similar_tickets(
    app: Deskloom,
    caller: Viewer,
    source: SourceName,
    ticket_id: Identifier,
    limit: Annotated[int, Query(ge=1, le=100, description="Most hits.")] = 10,
) -> Similar:
    """Tickets like this one, by what was asked (subject and description)."""
    row = await _ticket(app, caller, source, ticket_id)
    text = "\n".join(part for part in (row["subject"], row["description_text"]) if part)[:ASKED]
    if not text.strip():
        return Similar(hits=[])
    asked = Question(text=text, collections=("tickets",), limit=limit + 1, internal=caller.internal)
    hits = [hit_out(hit) for hit in await app.search.search(asked)]
    others = [hit for hit in hits if (hit.source, hit.id) != (row["source"], str(row["id"]))]
    return Similar(hits=others[:limit])


async def _ticket(app: App, caller: Caller, source: str, ticket_id: str) -> dict[str, Any]:
    async with app.record.reading() as tx:
        return await listing.get_ticket(tx, source, ticket_id, private=caller.internal)


def _link(app: App, row: Mapping[str, Any]) -> str | None:
    source = app.sources.get(row["source"])
    return source.link(Kind.TICKET, str(row["id"])) if source else None


def _said(row: Mapping[str, Any]) -> Said:
    return Said(**only(Said, row), body=row["body_text"], user_id=row["author_id"])
