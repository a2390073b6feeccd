"""`/runs`: what was synced, what is being synced, starting and stopping it."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from deskloom.api.access import Operator
from deskloom.api.errors import problems
from deskloom.api.shapes import After, Body, Deskloom, Listed, PageSize, Time, TimeIn, example
from deskloom.api.start import start_runs
from deskloom.record import runs as record_runs
from deskloom.record.runs import Run

State = Literal["queued", "running", "succeeded", "partial", "failed", "cancelled"]
ENDED = frozenset({"succeeded", "partial", "failed", "cancelled"})
RunId = Annotated[UUID, Path(description="The run's id.")]
router = APIRouter(tags=["runs"])


class Progress(BaseModel):
    """How far a run is."""

    done: int
    total: int | None = Field(description="Items expected; null while unknown.")
    phase: str = Field(description="What it is doing, for people.", examples=["reading tickets"])


class Counts(BaseModel):
    """What a run did. Items are those of its own stream; calls are those of every stream it needed."""

    fetched: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    skipped: int = 0
    failed: int = 0
    embedded: int = Field(0, description="Texts the model was given.")
    indexed: int = Field(0, description="Points written or deleted.")
    api_calls: int = 0
    api_credits: float = 0
    waited_seconds: float = Field(0, description="Time spent waiting for the helpdesk's rate limit.")


EXAMPLE: dict[str, Any] = {
    "id": "0b6f5c1e-8b1f-4f5e-9d2a-3c4b5a697887",
    "source": "freshdesk",
    "stream": "tickets",
    "mode": "incremental",
    "state": "partial",
    "requested_by": "cron",
    "since": None,
    "limit": 100,
    "created_at": "2025-01-31T09:00:00Z",
    "started_at": "2025-01-31T09:00:00.100000Z",
    "finished_at": "2025-01-31T09:00:42Z",
    "progress": {"done": 100, "total": 100, "phase": "publishing"},
    "counts": {
        "fetched": 100,
        "created": 12,
        "updated": 80,
        "unchanged": 7,
        "deleted": 0,
        "skipped": 0,
        "failed": 1,
        "embedded": 143,
        "indexed": 92,
        "api_calls": 204,
        "api_credits": 204,
        "waited_seconds": 3.5,
    },
    "errors": ["Failed to process ticket 12345: Empty content"],
    "error_count": 1,
    "takeovers": 0,
    "cancel_requested": False,
    "options": {},
    "report": None,
}


class RunOut(BaseModel):
    """One pass over one stream of a source."""

    model_config = example(**EXAMPLE)

    id: UUID
    source: str
    stream: str
    mode: str
    state: State
    requested_by: str | None
    since: Time | None
    limit: int | None = Field(description="Most items it takes; null: all.")
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    progress: Progress
    counts: Counts
    errors: list[str] = Field(description="The first 100.")
    error_count: int
    takeovers: int = Field(description="How often it went on after its worker died.")
    cancel_requested: bool
    options: dict[str, Any] = Field(description="What the mode was told beside the rest.")
    report: dict[str, Any] | None = Field(description="What a verify, sweep or reindex found; null for other modes.")


class RunRequest(Body):
    """A run to start."""

    model_config = Body.model_config | example(stream="tickets", mode="incremental", limit=None)

    source: str | None = Field(None, description="A source's name or kind; null: every configured helpdesk.")
    stream: Literal["tickets", "kb", "hours", "rows"]
    mode: Literal["incremental", "full"] = "incremental"
    since: TimeIn | None = Field(None, description="Only what changed at the source at or after this time.")
    limit: int | None = Field(None, ge=1, le=500, description="Most items it takes; null: all.")
    requested_by: str | None = Field(None, max_length=100, description="Who or what asks, for the list of runs.")


def run_out(run: Run) -> RunOut:
    """A run of the record as callers see it."""
    return RunOut(
        id=run.id,
        source=run.source,
        stream=run.stream,
        mode=run.mode,
        state=run.state,
        requested_by=run.requested_by,
        since=run.since and run.since.astimezone(UTC),
        limit=run.limit,
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        progress=Progress(**({"done": 0, "total": None, "phase": run.state} | run.progress)),
        counts=Counts(**run.counts),
        errors=run.errors,
        error_count=run.error_count,
        takeovers=run.takeovers,
        cancel_requested=run.cancel_requested,
        options=run.options,
        report=run.report,
    )


@router.get("/runs", responses=problems(401, 403, 503))
async def list_runs(
    app: Deskloom,
    caller: Operator,
    source: Annotated[str | None, Query(description="Only runs of this source.")] = None,
    stream: Annotated[str | None, Query(description="Only runs of this stream.")] = None,
    state: Annotated[State | None, Query(description="Only runs in this state.")] = None,
    limit: PageSize = 50,
    after: After = None,
) -> Listed[RunOut]:
    """Runs, newest first."""
    async with app.record.reading() as tx:
        rows, following = await record_runs.list_runs(
            tx, source=source, stream=stream, state=state, limit=limit, after=after
        )
    return Listed(items=[run_out(run) for run in rows], next=following)


@router.post("/runs", status_code=201, responses=problems(401, 403, 409, 413, 503))
async def create_runs(app: Deskloom, caller: Operator, asked: RunRequest) -> list[RunOut]:
    """Start a run for every source meant. Sources that are being synced already are left out; 409 if that is all."""
    started = await start_runs(
        app,
        stream=asked.stream,
        source=asked.source,
        full=asked.mode == "full",
        since=asked.since,
        limit=asked.limit,
        requested_by=asked.requested_by or caller.name,
    )
    return [run_out(run) for run in started.runs]


@router.get("/runs/{run_id}", responses=problems(401, 403, 404, 503))
async def get_run(app: Deskloom, caller: Operator, run_id: RunId) -> RunOut:
    """One run."""
    async with app.record.reading() as tx:
        return run_out(await record_runs.get_run(tx, run_id))


@router.post("/runs/{run_id}/cancel", responses=problems(401, 403, 404, 503))
async def cancel_run(app: Deskloom, caller: Operator, run_id: RunId) -> RunOut:
    """Ask a run to stop; it does so at its next page. What it has committed stays. An ended run stays as it is."""
    await app.dispatcher.cancel(run_id)
    async with app.record.reading() as tx:
        return run_out(await record_runs.get_run(tx, run_id))
