"""`/sync/tickets`, `/sync/kb` and `/sync/hours`: start a helpdesk sync and answer at once."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from deskloom.api.access import Operator
from deskloom.api.errors import problems
from deskloom.api.shapes import EXAMPLE_TIME, Deskloom, Time, TimeIn, example
from deskloom.api.start import NOUNS, start_runs
from deskloom.record import runs as record_runs
from deskloom.wiring import App

RUN = "0b6f5c1e-8b1f-4f5e-9d2a-3c4b5a697887"
router = APIRouter(tags=["helpdesk sync"])
historic = APIRouter()

Since = Annotated[
    TimeIn | None,
    Query(
        description="Only what changed at the source at or after this time; default: from the checkpoint.",
        openapi_examples={"time": {"value": EXAMPLE_TIME}},
    ),
]
Limit = Annotated[int, Query(ge=1, le=500, description="Most items this run takes; the next run goes on there.")]
SourceAsked = Annotated[
    str | None,
    Query(description="A source's name, or freshdesk or freshservice; default: every configured helpdesk."),
]
Full = Annotated[bool, Query(description="Ignore the checkpoint and read everything again.")]


class StartedRun(BaseModel):
    """A run that was started."""

    run_id: UUID
    source: str
    status_url: str = Field(description="Where the run can be followed.")


class SyncStarted(BaseModel):
    """The answer to a sync request: the run goes on in the background."""

    model_config = example(
        success=True,
        items_synced=0,
        last_sync_time=EXAMPLE_TIME,
        errors=[],
        run_id=RUN,
        status_url=f"/api/v1/runs/{RUN}",
        runs=[{"run_id": RUN, "source": "freshdesk", "status_url": f"/api/v1/runs/{RUN}"}],
    )

    success: bool
    items_synced: int
    last_sync_time: Time | None = Field(description="When the last sync of these sources was completed.")
    errors: list[str] = Field(description="Sources that were left out, because they are being synced already.")
    run_id: UUID = Field(description="The first of `runs`.")
    status_url: str
    runs: list[StartedRun] = Field(description="One run for each source.")


async def _start(
    app: App, caller: Operator, stream: str, since: Since, limit: int, source: str | None, full: bool
) -> SyncStarted:
    started = await start_runs(
        app, stream=stream, source=source, full=full, since=since, limit=limit, requested_by=caller.name
    )
    completed = []
    async with app.record.reading() as tx:
        for run in started.runs:
            last = await record_runs.last_run(tx, run.source, stream, ("succeeded", "partial"))
            if last is not None and last.finished_at is not None:
                completed.append(last.finished_at)
    runs = [StartedRun(run_id=run.id, source=run.source, status_url=f"/api/v1/runs/{run.id}") for run in started.runs]
    return SyncStarted(
        success=True,
        items_synced=0,
        last_sync_time=max(completed, default=None),
        errors=[f"{NOUNS[stream]} sync already in progress: {error.message}" for error in started.refused],
        run_id=runs[0].run_id,
        status_url=runs[0].status_url,
        runs=runs,
    )


@router.post("/sync/tickets", responses=problems(401, 403, 409, 503))
async def sync_tickets(
    app: Deskloom,
    caller: Operator,
    since: Since = None,
    limit: Limit = 100,
    source: SourceAsked = None,
    full: Full = False,
) -> SyncStarted:
    """Sync tickets with their replies and notes. Answers at once; 409 while a sync is in progress."""
    return await _start(app, caller, "tickets", since, limit, source, full)


@router.post("/sync/kb", responses=problems(401, 403, 409, 503))
async def sync_kb(
    app: Deskloom,
    caller: Operator,
    since: Since = None,
    limit: Limit = 100,
    source: SourceAsked = None,
    full: Full = False,
) -> SyncStarted:
    """Sync help articles in every language. Answers at once; 409 while a sync is in progress."""
    return await _start(app, caller, "kb", since, limit, source, full)


@router.post("/sync/hours", responses=problems(401, 403, 409, 503))
async def sync_hours(
    app: Deskloom,
    caller: Operator,
    since: Since = None,
    limit: Limit = 100,
    source: SourceAsked = None,
    full: Full = False,
) -> SyncStarted:
    """Sync time entries. An item of `limit` is a month, or a ticket, with all its entries; `since` is a work date."""
    return await _start(app, caller, "hours", since, limit, source, full)


@historic.post("/codex/sync/tickets")
async def sync_freshservice_tickets(
    app: Deskloom, caller: Operator, since: Since = None, limit: Limit = 100, full: Full = False
) -> SyncStarted:
    """The older spelling of `POST /api/sync/tickets?source=freshservice`."""
    return await _start(app, caller, "tickets", since, limit, "freshservice", full)
