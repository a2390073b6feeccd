"""`/search`: questions, by meaning and by word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.requests import HTTPConnection

from deskloom.api.access import Viewer
from deskloom.api.errors import problems
from deskloom.api.metrics import Metrics
from deskloom.api.shapes import EXAMPLE_TIME, Deskloom, TimeIn, example
from deskloom.errors import InvalidRequest
from deskloom.search import Found, Mode
from deskloom.search import Query as Question

router = APIRouter(tags=["search"])
Values = Annotated[list[str], Query(description="Any of these values; may be given several times.")]


class Hit(BaseModel):
    """Something that was found."""

    collection: str
    source: str
    id: str = Field(description="The object's id at its source.")
    title: str
    snippet: str
    score: float = Field(description="Comparable within one answer only; higher is better.")
    matched: list[str] = Field(description="What found it: names of vectors, or keyword.")
    url: str | None = Field(description="Where a person reads it.")
    updated_at: str | None
    payload: dict[str, Any]


class SearchAnswer(BaseModel):
    """Hits, best first."""

    model_config = example(
        query="printer offline after update",
        took_ms=14.2,
        hits=[
            {
                "collection": "support_tickets",
                "source": "freshdesk",
                "id": "412",
                "title": "Printer offline",
                "snippet": "Since the update on Monday the printer in room 12 shows as offline …",
                "score": 0.048387,
                "matched": ["symptom_vec", "keyword"],
                "url": "https://acme.freshdesk.com/a/tickets/412",
                "updated_at": EXAMPLE_TIME,
                "payload": {"ticket_id": "412", "status": "Open", "priority": "High"},
            }
        ],
    )

    query: str
    took_ms: float
    hits: list[Hit]


def hit_out(found: Found) -> Hit:
    """A hit as callers see it."""
    return Hit(
        collection=found.collection,
        source=found.source,
        id=found.id,
        title=found.title,
        snippet=found.snippet,
        score=found.score,
        matched=list(found.matched),
        url=found.url,
        updated_at=found.updated_at,
        payload=found.payload,
    )


@router.get("/search", responses=problems(401, 403, 503))
async def search(
    app: Deskloom,
    caller: Viewer,
    connection: HTTPConnection,
    q: Annotated[str, Query(min_length=1, max_length=4000, description="The question, in words.")],
    within: Annotated[
        list[str], Query(alias="in", description="Collections: tickets, kb; default all. Commas may separate them.")
    ] = [],  # noqa: B006 - FastAPI copies defaults
    vector: Annotated[
        Literal["symptom", "cause", "resolution", "intent", "procedure"] | None,
        Query(description="Ask one vector only, by meaning; default fuses them all."),
    ] = None,
    mode: Annotated[Mode, Query(description="By meaning and by word, or by one of them.")] = "hybrid",
    status: Values = [],  # noqa: B006
    priority: Values = [],  # noqa: B006
    company: Values = [],  # noqa: B006
    source: Values = [],  # noqa: B006
    tag: Values = [],  # noqa: B006
    language: Values = [],  # noqa: B006
    updated_since: Annotated[TimeIn | None, Query(description="Only what changed at or after this time.")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="Most hits.")] = 10,
) -> SearchAnswer:
    """Search tickets and articles. What the caller's role may not read is neither searched nor quoted."""
    if vector is not None and mode == "keyword":
        raise InvalidRequest("mode=keyword asks no vector. Leave out vector, or use mode=semantic.", parameter="mode")
    given = {
        "status": status,
        "priority": priority,
        "company": company,
        "source": source,
        "tags": tag,
        "language": language,
    }
    metrics: Metrics = connection.app.state.metrics
    with metrics.timed_search(mode) as timing:
        hits = await app.search.search(
            Question(
                text=q,
                collections=_collections(within),
                vector=vector,
                mode=mode,
                filters={name: values for name, values in given.items() if values},
                updated_since=updated_since,
                limit=limit,
                internal=caller.internal,
            )
        )
    return SearchAnswer(query=q, took_ms=timing.milliseconds(), hits=[hit_out(hit) for hit in hits])


def _collections(within: Sequence[str]) -> tuple[str, ...]:
    names = [name.strip() for entry in within for name in entry.split(",")]
    return tuple(dict.fromkeys(name for name in names if name))
