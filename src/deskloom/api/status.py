"""`/sync/status`: where every stream stands, in one object."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom import documents
from deskloom.api.access import Operator
from deskloom.api.errors import problems
from deskloom.api.shapes import EXAMPLE_TIME, Deskloom, Time, example
from deskloom.model import Json, Kind
from deskloom.protocols import Stream
from deskloom.record import checkpoints, customers, failures, hours, logs
from deskloom.record import documents as record_documents
from deskloom.record import runs as record_runs
from deskloom.record.checkpoints import Checkpoint
from deskloom.record.runs import Run

router = APIRouter(tags=["helpdesk sync"])
SUCCEEDED = ("succeeded", "partial")


class StreamStatus(BaseModel):
    """Where one stream of one source stands."""

    source: str
    stream: str
    last_success: Time | None = Field(description="When a run of it last came to its end.")
    last_attempt: Time | None = Field(description="When a run of it was last started.")
    checkpoint: Json | None = Field(description="The source's own bookmark, as committed.")
    in_progress: bool
    items: int = Field(
        description="Documents of it, in the index or on their way; of hours, time entries in the record."
    )
    failed: int = Field(description="Items in the retry queue.")
    pending_index: int = Field(description="Documents that wait to be published.")
    lag_seconds: float | None = Field(description="Since the start of the last run that came to its end.")
    last_error: str | None = Field(description="The last error of the last run.")


class SyncStatus(BaseModel):
    """Where everything stands."""

    model_config = example(
        last_ticket_sync=EXAMPLE_TIME,
        last_kb_sync=EXAMPLE_TIME,
        total_tickets=20000,
        total_kb_articles=321,
        tickets_without_company=12,
        sync_in_progress=False,
        service_running=True,
        initialized=True,
        background_tasks=0,
        queued_events=0,
        timestamp="2025-01-31T09:10:00Z",
        streams=[
            {
                "source": "freshdesk",
                "stream": "tickets",
                "last_success": EXAMPLE_TIME,
                "last_attempt": EXAMPLE_TIME,
                "checkpoint": {"updated_since": EXAMPLE_TIME},
                "in_progress": False,
                "items": 20000,
                "failed": 1,
                "pending_index": 0,
                "lag_seconds": 600.0,
                "last_error": None,
            }
        ],
    )

    last_ticket_sync: Time | None = Field(description="From the sync log: when a ticket last changed here.")
    last_kb_sync: Time | None = Field(description="From the sync log: when an article last changed here.")
    total_tickets: int = Field(description="Points in the index.")
    total_kb_articles: int = Field(description="Points in the index.")
    tickets_without_company: int = Field(
        description="Tickets in the record that name no company, and whose requester has none, or several."
    )
    sync_in_progress: bool
    service_running: bool
    initialized: bool
    background_tasks: int = Field(description="Runs under way in this process.")
    queued_events: int
    timestamp: Time
    streams: list[StreamStatus]


@router.get("/sync/status", responses=problems(401, 403, 503))
async def read_status(app: Deskloom, caller: Operator) -> SyncStatus:
    """Where every stream stands. 503 names the part that is down."""
    now = app.clock()
    async with app.record.reading() as tx:
        last_ticket = await logs.last_sync(tx, documents.TICKETS)
        last_article = await logs.last_sync(tx, documents.ARTICLES)
        active = {(run.source, run.stream) for run in await record_runs.open_runs(tx)}
        known = {(each.source, each.stream): each for each in await checkpoints.all_checkpoints(tx)}
        failed = await failures.count_failures(tx)
        counted = await record_documents.counts(tx)
        worked = await hours.count_entries(tx)
        homeless = await customers.count_homeless(tx)
        streams = [
            await _stream(
                tx, name, stream, known=known, active=active, counted=counted, worked=worked, failed=failed, now=now
            )
            for name, source in app.sources.items()
            for stream in source.streams.values()
            if stream.asked_for
        ]
    return SyncStatus(
        last_ticket_sync=last_ticket,
        last_kb_sync=last_article,
        total_tickets=await app.index.count(documents.TICKETS),
        total_kb_articles=await app.index.count(documents.ARTICLES),
        tickets_without_company=sum(homeless.values()),
        sync_in_progress=bool(active),
        service_running=not app.dispatcher.stopping,
        initialized=True,
        background_tasks=len(app.dispatcher.tasks),
        queued_events=0,
        timestamp=now,
        streams=streams,
    )


async def _stream(
    tx: AsyncConnection,
    source: str,
    stream: Stream,
    *,
    known: Mapping[tuple[str, str], Checkpoint],
    active: set[tuple[str, str]],
    counted: Mapping[tuple[str, str, str], int],
    worked: Mapping[str, int],
    failed: Mapping[tuple[str, str], int],
    now: datetime,
) -> StreamStatus:
    last = await record_runs.last_run(tx, source, stream.name)
    good = await record_runs.last_run(tx, source, stream.name, SUCCEEDED)
    checkpoint = known.get((source, stream.name))
    states = {state: n for (name, of, state), n in counted.items() if (name, of) == (stream.collection, source)}
    began = good.started_at if good else None
    return StreamStatus(
        source=source,
        stream=stream.name,
        last_success=good.finished_at if good else None,
        last_attempt=last.started_at or last.created_at if last else None,
        checkpoint=checkpoint.cursor if checkpoint else None,
        in_progress=(source, stream.name) in active,
        items=worked.get(source, 0) if stream.kind is Kind.HOURS else _shown(states),
        failed=failed.get((source, stream.name), 0),
        pending_index=states.get("stale", 0) + states.get("gone", 0),
        lag_seconds=max(0.0, (now - began).total_seconds()) if began else None,
        last_error=_last_error(last),
    )


def _shown(states: Mapping[str, int]) -> int:
    return sum(n for state, n in states.items() if state != "gone")


def _last_error(run: Run | None) -> str | None:
    return run.errors[-1] if run and run.errors else None
