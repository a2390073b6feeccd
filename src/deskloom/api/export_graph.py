"""`/exports/graph`: the record as a graph, one node or relation a line."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated

import structlog
from fastapi import APIRouter, Query
from starlette.responses import Response, StreamingResponse

from deskloom.api.access import Agent
from deskloom.api.errors import answer, problems
from deskloom.api.shapes import Deskloom
from deskloom.errors import DeskloomError
from deskloom.exports.graph import Graph
from deskloom.exports.graph_lines import to_line
from deskloom.exports.graph_similar import AT_LEAST, Alike
from deskloom.exports.markdown import ticket_markdown
from deskloom.model import Kind
from deskloom.record.histories import History
from deskloom.record.snapshot import open_snapshot
from deskloom.wiring import App

log = structlog.get_logger(__name__)
router = APIRouter(tags=["exports"])
MOST = 50
"""Neighbours of one ticket or article."""


@router.get(
    "/exports/graph",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "One JSON object a line: first `graph`, then every `node`, every `relation`, at last `end` "
            "with their numbers. An answer without `end` is incomplete; one that failed on the way ends with `error`, "
            "whose value is the problem.",
            "content": {
                "application/x-ndjson": {
                    "schema": {"type": "string"},
                    "example": '{"node": {"id": "freshdesk:company:31", "label": "Company", "properties": {…}}}\n'
                    '{"relation": {"type": "BELONGS_TO", "start": "freshdesk:ticket:412", '
                    '"end": "freshdesk:company:31", "properties": {}}}\n',
                }
            },
        },
        **problems(401, 403, 404, 409, 503),
    },
)
async def read_graph(
    app: Deskloom,
    caller: Agent,
    similar: Annotated[
        int, Query(ge=0, le=MOST, description="Relations to so many alike of each ticket and article; 0: none.")
    ] = 0,
    at_least: Annotated[float, Query(ge=0, le=1, description="How alike they must be: cosine.")] = AT_LEAST,
    notes: Annotated[bool, Query(description="Internal notes too: in documents, and what they link to.")] = False,
    company: Annotated[str | None, Query(description="Only the customer with this account number.")] = None,
) -> Response:
    """Companies, contacts, tickets and articles with their relations, and the documents in folders, as one moment saw
    them."""
    alike = Alike(app.index, similar, at_least) if similar else None
    batches = _batches(app, company, alike, notes=notes)
    first = await anext(batches)  # what cannot be answered at all is told with its own status

    async def body() -> AsyncIterator[bytes]:
        async with aclosing(batches):
            yield first
            try:
                async for batch in batches:
                    yield batch
            except DeskloomError as error:
                log.warning("the graph broke off", code=error.code)
                yield json.dumps({"error": json.loads(bytes(answer(error).body))}).encode() + b"\n"

    return StreamingResponse(body(), media_type="application/x-ndjson")


async def _batches(app: App, company: str | None, alike: Alike | None, *, notes: bool) -> AsyncGenerator[bytes]:
    def link(source: str, kind: Kind, key: str) -> str | None:
        known = app.sources.get(source)
        return known.link(kind, key) if known else None

    def document(history: History) -> str:
        url = link(history.source, Kind.TICKET, history.ticket.key)
        return ticket_markdown(history, url=url, default_hours=app.settings.default_hours, notes=notes)

    async with open_snapshot(app.settings.record_url(), account_number=company) as snapshot:
        graph = Graph(snapshot, link, document, notes, alike)
        async with aclosing(graph.read()) as batches:
            async for batch in batches:
                yield b"".join(map(to_line, batch))
