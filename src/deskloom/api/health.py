"""`/health/live`, `/health/ready` and `/sync/health`: whether the process is up and its parts can be used."""

from __future__ import annotations

from datetime import timedelta
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
WAITED_FOR = timedelta(seconds=30)
"""A run that is queued for longer has nobody who takes it."""


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
    """What performs runs: `running` counts those under way, wherever they are."""

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
    mirror: Part | None = Field(None, description="The copy of the sync log at Supabase; null where there is none.")


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
        embedder=await _embedder(app),
        sources=sources,
        dispatcher=await _dispatcher(app),
        events=EventsPart(status="ok", queued=0),
        mirror=_mirror(app),
    )
    vital: list[Part] = [components.record, components.index, components.dispatcher]
    parts = [*vital, components.embedder, components.events, *sources.values()]
    parts += [components.mirror] if components.mirror else []
    if any(part.status == "down" for part in vital):
        return Health(status="down", components=components)
    worst: State = "ok" if all(part.status == "ok" for part in parts) else "degraded"
    return Health(status=worst, components=components)


def _mirror(app: App) -> Part | None:
    if app.mirror is None:
        return None
    return Part(status="degraded" if app.mirror.trouble else "ok", detail=app.mirror.trouble)


async def _record(app: App) -> tuple[RecordPart, dict[str, SourcePart]]:
    kind = app.record.dialect
    sources: dict[str, SourcePart] = {}
    try:
        async with app.record.reading() as tx:
            for name, source in app.sources.items():
                runs = [
                    await record_runs.last_run(tx, name, stream.name, ("succeeded", "partial", "failed"))
                    for stream in source.streams.values()
                    if stream.asked_for
                ]
                good = [
                    await record_runs.last_run(tx, name, stream.name, ("succeeded", "partial"))
                    for stream in source.streams.values()
                    if stream.asked_for
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


async def _dispatcher(app: App) -> DispatcherPart:
    """Runs that nobody takes mean that there is no worker, or none with room."""
    if app.dispatcher.stopping:
        return DispatcherPart(
            status="down", detail="Stopping: no run is started any more.", running=len(app.dispatcher.tasks)
        )
    try:
        async with app.record.reading() as tx:
            found = await record_runs.open_runs(tx)
    except DeskloomError:  # which is told of the record
        return DispatcherPart(status="ok", running=len(app.dispatcher.tasks))
    running = sum(run.state == "running" for run in found)
    waiting = sum(run.state == "queued" and run.created_at < app.clock() - WAITED_FOR for run in found)
    if waiting and not app.dispatcher.tasks:
        detail = f"No worker has taken {waiting} of the queued runs. Start one: deskloom worker"
        return DispatcherPart(status="degraded", detail=detail, running=running)
    return DispatcherPart(status="ok", running=running)


async def _embedder(app: App) -> EmbedderPart:
    """The model of the tickets; one that the settings do not name, or that cannot be opened, is worth a word."""
    try:
        embedder = await app.models.of(documents.TICKETS)
        differing = await app.models.differing(documents.TICKETS)
    except DeskloomError as error:
        return EmbedderPart(status="degraded", detail=error.message, name=str(app.models.configured), dimensions=0)
    return EmbedderPart(
        status="degraded" if differing else "ok",
        detail=differing,
        name=embedder.name,
        dimensions=embedder.dimensions,
    )


async def _index(app: App) -> IndexPart:
    try:
        points = {name: await app.index.count(name) for name in app.collections}
    except DeskloomError as error:
        return IndexPart(status="down", detail=error.message, points={})
    return IndexPart(status="ok", points=points)
