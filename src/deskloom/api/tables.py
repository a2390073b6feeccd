"""`/sync/run`, `/sync/items` and `/sync/stats`: the team's own tables."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from deskloom.api.access import Operator
from deskloom.api.errors import problems
from deskloom.api.shapes import EXAMPLE_TIME, Body, Deskloom, Time, example
from deskloom.api.start import ROWS, start_runs
from deskloom.errors import DeskloomError, NotFound, RecordUnavailable
from deskloom.record import documents as record_documents
from deskloom.record import failures
from deskloom.record import runs as record_runs
from deskloom.record.runs import Run
from deskloom.sync.single import item_stream
from deskloom.wiring import App

RUN = "0b6f5c1e-8b1f-4f5e-9d2a-3c4b5a697887"
WATCHED = 10
"""The last runs of a table whose throughput is told."""
_POLL = 0.2
_PATIENCE = 60.0
router = APIRouter(tags=["table sync"])


class TableRun(Body):
    """What to sync."""

    model_config = Body.model_config | example(force_full_sync=False, table=None)

    force_full_sync: bool = Field(
        False, description="Read everything, and rebuild the collection beside the one that serves."
    )
    table: str | None = Field(None, description="A declared table's name; null: every one.")


class TableStarted(BaseModel):
    """The run goes on in the background."""

    model_config = example(
        success=True, run_id=RUN, status_url=f"/api/v1/runs/{RUN}", mode="incremental", runs=[RUN], errors=[]
    )

    success: bool
    run_id: UUID = Field(description="The first of `runs`.")
    status_url: str
    mode: Literal["incremental", "full"]
    runs: list[UUID] = Field(description="One run for each table.")
    errors: list[str] = Field(description="Tables that were left out, because they are being synced already.")


class ItemSynced(BaseModel):
    """What became of one row."""

    model_config = example(table="templates", id="7", did="updated", run_id=RUN, errors=[])

    table: str
    id: str
    did: Literal["created", "updated", "unchanged", "deleted"]
    run_id: UUID
    errors: list[str]


class LastRun(BaseModel):
    """A sync of a table that has ended. `rows_per_second` counts rows that were read."""

    id: UUID
    mode: str
    state: str
    finished_at: Time | None
    fetched: int
    indexed: int
    seconds: float
    rows_per_second: float


class TableStats(BaseModel):
    """Where a table stands. `rows` is null, and `detail` says why, where its database cannot be asked."""

    model_config = example(
        table="templates",
        collection="journey_templates",
        follow="triggers",
        rows=1200,
        documents=3600,
        pending=0,
        failures=0,
        last_full_sync=EXAMPLE_TIME,
        last_incremental_sync=EXAMPLE_TIME,
        runs=[],
        warnings=[],
        detail=None,
    )

    table: str
    collection: str
    follow: str | None = Field(description="How changes are noticed: column, triggers or replication.")
    rows: int | None = Field(description="Rows at the source that meet the conditions.")
    documents: int = Field(description="What the index holds, or is about to: one for each row and language.")
    pending: int = Field(description="Documents that wait to be published.")
    failures: int
    last_full_sync: Time | None
    last_incremental_sync: Time | None
    runs: list[LastRun] = Field(description="The last runs, newest first.")
    warnings: list[str]
    detail: str | None


@router.post("/sync/run", responses=problems(401, 403, 409, 422, 503))
async def run_tables(app: Deskloom, caller: Operator, asked: TableRun | None = None) -> TableStarted:
    """Sync every table, or one. A full sync is never seen half done: the old copy serves until the new one is whole."""
    asked = asked or TableRun()
    started = await start_runs(
        app,
        stream=ROWS,
        source=asked.table,
        full=asked.force_full_sync,
        since=None,
        limit=None,
        requested_by=caller.name,
    )
    first = started.runs[0]
    return TableStarted(
        success=True,
        run_id=first.id,
        status_url=f"/api/v1/runs/{first.id}",
        mode="full" if asked.force_full_sync else "incremental",
        runs=[run.id for run in started.runs],
        errors=[error.message for error in started.refused],
    )


@router.post("/sync/items/{table}/{id:path}", responses=problems(401, 403, 404, 409, 503))
async def sync_item(
    app: Deskloom,
    caller: Operator,
    table: Annotated[str, Path(description="The declared table's name.", examples=["templates"])],
    id: Annotated[str, Path(description="The row's key.", examples=["7"])],
) -> ItemSynced:
    """Sync one row now, and say what that did; 404 if neither side has it."""
    source = app.source(table)
    if ROWS not in source.streams:
        raise NotFound(f'"{table}" is no table.', table=table)
    run = await app.dispatcher.submit(
        source=table,
        stream=item_stream(id),
        mode="single",
        requested_by=caller.name,
        options={"stream": ROWS, "key": id},
    )
    ended = await _ended(app, run)
    if ended.report is None:
        why = ended.errors[-1] if ended.errors else "It was stopped."
        if why.startswith("Neither side"):
            raise NotFound(why, table=table, id=id)
        raise RecordUnavailable(f'Row "{id}" of "{table}" could not be synced: {why}')
    return ItemSynced(table=table, id=id, did=ended.report["did"], run_id=run.id, errors=ended.errors)


async def _ended(app: App, run: Run) -> Run:
    """The run once it has ended, wherever it is performed."""
    await app.dispatcher.wait(run.id)
    deadline = asyncio.get_running_loop().time() + _PATIENCE
    while True:
        async with app.record.reading() as tx:
            now = await record_runs.get_run(tx, run.id)
        if now.finished_at is not None or asyncio.get_running_loop().time() > deadline:
            return now
        await asyncio.sleep(_POLL)


@router.get("/sync/stats", responses=problems(401, 403, 503))
async def read_stats(app: Deskloom, caller: Operator) -> list[TableStats]:
    """Where every table stands: rows at the source, documents, the last syncs and their throughput."""
    names = [name for name, source in app.sources.items() if ROWS in source.streams]
    return [await _stats(app, name) for name in names]


async def _stats(app: App, name: str) -> TableStats:
    source = app.sources[name]
    collection = source.streams[ROWS].collection or name
    async with app.record.reading() as tx:
        counted = await record_documents.counts(tx)
        failed = (await failures.count_failures(tx)).get((name, ROWS), 0)
        ended = [
            run
            for run in (await record_runs.list_runs(tx, source=name, stream=ROWS, limit=WATCHED))[0]
            if run.finished_at
        ]
        full = await record_runs.last_run(tx, name, ROWS, ("succeeded", "partial"), mode="full")
        latest = await record_runs.last_run(tx, name, ROWS, ("succeeded", "partial"), mode="incremental")
    states = {state: n for (of, owner, state), n in counted.items() if (of, owner) == (collection, name)}
    facts, detail = {}, None
    try:
        facts = await source.check()
    except DeskloomError as error:
        detail = error.message
    return TableStats(
        table=name,
        collection=collection,
        follow=facts.get("follow"),
        rows=facts.get("rows"),
        documents=sum(n for state, n in states.items() if state != "gone"),
        pending=states.get("stale", 0) + states.get("gone", 0),
        failures=failed,
        last_full_sync=full.finished_at if full else None,
        last_incremental_sync=latest.finished_at if latest else None,
        runs=[_last(run) for run in ended],
        warnings=facts.get("warnings", []),
        detail=detail,
    )


def _last(run: Run) -> LastRun:
    seconds = (run.finished_at - run.started_at).total_seconds() if run.finished_at and run.started_at else 0.0
    fetched = run.counts.get("fetched", 0)
    return LastRun(
        id=run.id,
        mode=run.mode,
        state=run.state,
        finished_at=run.finished_at,
        fetched=fetched,
        indexed=run.counts.get("indexed", 0),
        seconds=round(seconds, 3),
        rows_per_second=round(fetched / seconds, 1) if seconds else 0.0,
    )
