"""`/tickets/…/markdown` and `/exports/markdown`: tickets as documents, one by one or as a whole tree of files."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import Response, StreamingResponse

from deskloom.api.access import Agent, Viewer
from deskloom.api.errors import problems
from deskloom.api.shapes import Body, Deskloom, Identifier, SourceName, TimeIn, example
from deskloom.errors import Forbidden, InvalidRequest
from deskloom.exports.markdown import mark_of, ticket_markdown
from deskloom.exports.markdown_paths import Tree, plan_tree
from deskloom.model import Kind
from deskloom.record import listing, people
from deskloom.record.histories import History, Marked, list_customers, list_marks, list_owners, load_histories
from deskloom.wiring import App

router = APIRouter(tags=["exports"])
PAGE = 500
"""Tickets of a listing that are read in one transaction."""
MOST = 200
"""Documents in one answer."""
MEDIA_TYPE = "text/markdown; charset=utf-8"
Notes = Annotated[bool, Query(description="Internal notes too, in a section of their own; needs the role agent.")]


class Wanted(BaseModel):
    """A ticket by its source and its id there."""

    source: str
    id: int = Field(ge=0, lt=2**63)


class Documents(Body):
    """Which documents are wanted."""

    model_config = Body.model_config | example(tickets=[{"source": "freshdesk", "id": 412}], notes=False)

    tickets: list[Wanted] = Field(max_length=MOST)
    notes: bool = Field(default=False, description="Internal notes too.")


class Document(BaseModel):
    """A ticket as markdown."""

    source: str
    id: int
    text: str


class Made(BaseModel):
    """The documents of those tickets that are there."""

    model_config = example(documents=[{"source": "freshdesk", "id": 412, "text": "---\nsource: …"}])

    documents: list[Document]


@router.get(
    "/tickets/{source}/{ticket_id}/markdown",
    response_class=Response,
    responses={
        200: {
            "description": "Front matter, facts, description, conversation.",
            "content": {"text/markdown": {"schema": {"type": "string"}, "example": "---\nsource: …"}},
        },
        **problems(401, 403, 404, 503),
    },
)
async def get_ticket_markdown(
    app: Deskloom, caller: Viewer, source: SourceName, ticket_id: Identifier, notes: Notes = False
) -> Response:
    """The ticket as one markdown document, as a knowledge tree stores it."""
    if notes and not caller.internal:
        raise Forbidden("Internal notes need the role agent. Leave notes out, or ask with another key.", role="agent")
    number = listing.ticket_number(source, ticket_id)
    async with app.record.reading() as tx:
        found = await load_histories(tx, source, [number])
    if not found:
        raise listing.no_ticket(source, ticket_id)
    [text] = await asyncio.to_thread(_written, app, found, notes=notes)
    return Response(text, media_type=MEDIA_TYPE)


@router.get(
    "/exports/markdown",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "One JSON object a line: where each document belongs, and a mark that changes when its text "
            "may have changed. The last line has `end` and the count; an answer without it is incomplete.",
            "content": {
                "application/x-ndjson": {
                    "schema": {"type": "string"},
                    "example": '{"path": "Acme_Works/Ticket_412.md", "source": "freshdesk", "id": 412, '
                    '"account_number": "10042", "mark": "5d41402abc4b2a76b9719d911017c592"}\n'
                    '{"end": true, "count": 1}\n',
                }
            },
        },
        **problems(401, 403, 404, 409, 503),
    },
)
async def list_markdown(
    app: Deskloom,
    caller: Agent,
    source: Annotated[str | None, Query(description="Only tickets of this source.")] = None,
    company: Annotated[str | None, Query(description="Only tickets of the customer with this account number.")] = None,
    since: Annotated[TimeIn | None, Query(description="Only tickets that changed at or after this time.")] = None,
    notes: Notes = False,
) -> Response:
    """Every ticket's place in a tree of documents, with a mark: whoever keeps the marks of the last time need only
    ask for the texts of those that differ."""
    async with app.record.reading() as tx:
        owners = await list_owners(tx)
        if source is not None and source not in {*owners, *app.sources}:
            known = ", ".join(sorted({*owners, *app.sources})) or "none is configured"
            raise InvalidRequest(f'There is no source "{source}". Sources: {known}', parameter="source")
        if company is not None:
            await people.find_companies(tx, company)
        tree = plan_tree(await list_customers(tx), owners)
        filters = {"source": source, "account_number": company, "updated_since": since}
        first = await list_marks(tx, **filters, limit=PAGE)  # type: ignore[arg-type]

    async def lines() -> AsyncIterator[bytes]:
        page, count = first, 0
        while page:
            count += len(page)
            yield "".join(_line(app, tree, one, notes=notes) for one in page).encode()
            if len(page) < PAGE:
                break
            async with app.record.reading() as tx:
                page = await list_marks(tx, **filters, after=page[-1], limit=PAGE)  # type: ignore[arg-type]
        yield f'{{"end": true, "count": {count}}}\n'.encode()

    return StreamingResponse(lines(), media_type="application/x-ndjson")


@router.post("/exports/markdown", responses=problems(401, 403, 503))
async def make_markdown(app: Deskloom, caller: Agent, body: Documents) -> Made:
    """The texts of some documents. Tickets that are no longer there are missing from the answer."""
    made: list[Document] = []
    for source in sorted({one.source for one in body.tickets}):
        async with app.record.reading() as tx:
            found = await load_histories(tx, source, [one.id for one in body.tickets if one.source == source])
        texts = await asyncio.to_thread(_written, app, found, notes=body.notes)
        made += [
            Document(source=source, id=one.ticket.external_id, text=text)
            for one, text in zip(found, texts, strict=True)
        ]
    return Made(documents=made)


def _written(app: App, found: Iterable[History], *, notes: bool) -> list[str]:
    return [
        ticket_markdown(
            one,
            url=_link(app, one.source, one.ticket.external_id),
            default_hours=app.settings.default_hours,
            notes=notes,
        )
        for one in found
    ]


def _line(app: App, tree: Tree, one: Marked, *, notes: bool) -> str:
    url = _link(app, one.source, one.id)
    line = {
        "path": tree.ticket(one.source, one.id, one.company_id),
        "source": one.source,
        "id": one.id,
        "account_number": one.account_number,
        "mark": mark_of(one.mark, url=url, notes=notes, default_hours=app.settings.default_hours),
    }
    return json.dumps(line, ensure_ascii=False) + "\n"


def _link(app: App, source: str, number: int) -> str | None:
    known = app.sources.get(source)
    return known.link(Kind.TICKET, str(number)) if known else None
