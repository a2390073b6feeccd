"""`/health/live`, `/health/ready` and `/sync/health`: whether the process is up and its parts can be used."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from deskloom import documents
from deskloom.api.access import Viewer
from deskloom.api.errors import problems
from deskloom.api.shapes import Deskloom, Time, example
from deskloom.errors import DeskloomError
from deskloom.record import runs as record_runs
from deskloom.wiring import App

State = Literal["ok", "degraded", "down"]
router = APIRouter(tags=["health"])
plain = APIRouter(tags=["health"])


class Part(BaseModel):
    """One part. `detail` says what is wrong and what to do."""

    status: State
    detail: str | None = None


class RecordPart(Part):
    """The database."""

    kind: str = Field(examples=["sqlite"])


class IndexPart(Part):
    """The vector index."""

    points: dict[str, int] = Field(description="Points by collection.")


class EmbedderPart(Part):
    """The model."""

    name: str
    dimensions: int


class SourcePart(Part):
    """A helpdesk account, as its last runs found it; it is not called for this."""

    last_success: Time | None


class DispatcherPart(Part):
    """What performs runs."""

    running: int


class EventsPart(Part):
    """The queue of changes made by others."""

    queued: int


class Components(BaseModel):
    """Every part."""

    record: RecordPart
    index: IndexPart
    embedder: EmbedderPart
    sources: dict[str, SourcePart]
    dispatcher: DispatcherPart
    events: EventsPart


class Health(BaseModel):
    """The worst of its parts counts: down if record, index or dispatcher is, else degraded."""

    model_config = example(
        status="degraded",
        components={
            "record": {"status": "ok", "detail": None, "kind": "sqlite"},
            "index": {"status": "ok", "detail": None, "points": {"support_tickets": 20000, "kb_procedures": 321}},
            "embedder": {"status": "ok", "detail": None, "name": "all-MiniLM-L6-v2", "dimensions": 384},
            "sources": {
                "freshdesk": {
                    "status": "degraded",
                    "detail": 'Freshdesk "acme" refused the API key (401 from /api/v2/agents/me).',
                    "last_success": "2025-01-31T09:00:00Z",
                }
            },
            "dispatcher": {"status": "ok", "detail": None, "running": 0},
            "events": {"status": "ok", "detail": None, "queued": 0},
        },
    )

    status: State
    components: Components


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


@plain.get("/health/live")
async def read_liveness() -> Alive:
    """The process is up."""
    return Alive()


_ANSWERS: dict[int | str, dict[str, Any]] = {
    503: {"model": Health, "description": "Down: record, index or dispatcher cannot be used."}
}


@plain.get("/health/ready", responses={**problems(401), **_ANSWERS})
async def read_readiness(app: Deskloom, caller: Viewer, response: Response) -> Health:
    """Whether requests can be served: 200 for ok and degraded, 503 for down."""
    health = await inspect(app)
    if health.status == "down":
        response.status_code = 503
    return health


@router.get("/sync/health", responses={**problems(401, 403), **_ANSWERS})
async def read_health(app: Deskloom, caller: Viewer, response: Response) -> Health:
    """The state of every part: 200 for ok and degraded, 503 for down."""
    return await read_readiness(app, caller, response)


async def inspect(app: App) -> Health:
    """Look at every part. Nothing that costs is called: no helpdesk, no model."""
    record, sources = await _record(app)
    components = Components(
        record=record,
        index=await _index(app),
        embedder=EmbedderPart(status="ok", name=app.embedder.name, dimensions=app.embedder.dimensions),
        sources=sources,
        dispatcher=DispatcherPart(
            status="down" if app.dispatcher.stopping else "ok",
            detail="Stopping: no run is started any more." if app.dispatcher.stopping else None,
            running=len(app.dispatcher.tasks),
        ),
        events=EventsPart(status="ok", queued=0),
    )
    vital: list[Part] = [components.record, components.index, components.dispatcher]
    parts = [*vital, components.embedder, components.events, *sources.values()]
    if any(part.status == "down" for part in vital):
        return Health(status="down", components=components)
    worst: State = "ok" if all(part.status == "ok" for part in parts) else "degraded"
    return Health(status=worst, components=components)


async def _record(app: App) -> tuple[RecordPart, dict[str, SourcePart]]:
    kind = app.record.dialect
    sources: dict[str, SourcePart] = {}
    try:
        async with app.record.reading() as tx:
            for name, source in app.sources.items():
                runs = [
                    await record_runs.last_run(tx, name, stream.name, ("succeeded", "partial", "failed"))
                    for stream in source.streams.values()
                    if stream.collection
                ]
                good = [
                    await record_runs.last_run(tx, name, stream.name, ("succeeded", "partial"))
                    for stream in source.streams.values()
                    if stream.collection
                ]
                failed = next((run for run in runs if run and run.state == "failed"), None)
                sources[name] = SourcePart(
                    status="degraded" if failed else "ok",
                    detail=failed.errors[-1] if failed and failed.errors else None,
                    last_success=max((run.finished_at for run in good if run and run.finished_at), default=None),
                )
    except DeskloomError as error:
        return RecordPart(status="down", detail=error.message, kind=kind), {}
    return RecordPart(status="ok", kind=kind), sources


async def _index(app: App) -> IndexPart:
    try:
        points = {name: await app.index.count(name) for name in (documents.TICKETS, documents.ARTICLES)}
    except DeskloomError as error:
        return IndexPart(status="down", detail=error.message, points={})
    return IndexPart(status="ok", points=points)
