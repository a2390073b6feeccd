"""`/sync/failures`: the queue of items that could not be read or published, and when each is tried again."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from deskloom.api.access import Operator
from deskloom.api.errors import problems
from deskloom.api.runs import RunOut, run_out
from deskloom.api.shapes import After, Body, Deskloom, Listed, PageSize, Time, example
from deskloom.api.start import NOUNS, start_runs
from deskloom.errors import AlreadyRunning, InvalidRequest, NotFound
from deskloom.record import failures as record_failures
from deskloom.wiring import App

FAILURE = "6d2f1f6e-1c55-4f0e-8a39-0f6d1a2b3c4d"
router = APIRouter(tags=["failures"])


class Failure(BaseModel):
    """An item that failed."""

    model_config = example(
        id=FAILURE,
        source="freshdesk",
        stream="tickets",
        kind="ticket",
        item_id="12345",
        error="its replies and notes cannot be read",
        attempts=2,
        first_failed_at="2025-01-31T09:00:00Z",
        last_failed_at="2025-01-31T09:02:00Z",
        next_attempt_at="2025-01-31T09:06:00Z",
    )

    id: UUID
    source: str
    stream: str
    kind: str
    item_id: str
    error: str
    attempts: int
    first_failed_at: Time
    last_failed_at: Time
    next_attempt_at: Time | None = Field(description="null: only a change at the source can mend it.")


class RetryRequest(Body):
    """What to try again now."""

    model_config = Body.model_config | example(ids=[FAILURE])

    ids: list[UUID] | None = Field(None, max_length=500, description="Failures; null: all of them.")


class Retried(BaseModel):
    """What is tried again now."""

    retried: int = Field(description="Failures that are due now.", examples=[3])
    runs: list[RunOut] = Field(description="Runs that were started for them.")
    errors: list[str] = Field(description="Streams no run was started for, and why.", examples=[[]])


@router.get("/sync/failures", responses=problems(401, 403, 503))
async def list_failures(
    app: Deskloom,
    caller: Operator,
    source: Annotated[str | None, Query(description="Only failures of this source.")] = None,
    stream: Annotated[str | None, Query(description="Only failures of this stream.")] = None,
    limit: PageSize = 50,
    after: After = None,
) -> Listed[Failure]:
    """Items that failed, those that failed last first."""
    async with app.record.reading() as tx:
        rows, following = await record_failures.list_failures(
            tx, source=source, stream=stream, limit=limit, after=after
        )
    return Listed(items=[_failure_out(row) for row in rows], next=following)


@router.post("/sync/failures/retry", responses=problems(401, 403, 404, 413, 503))
async def retry_failures(app: Deskloom, caller: Operator, asked: RetryRequest | None = None) -> Retried:
    """Make failed items due now, and start a run for each stream concerned unless one is in progress."""
    async with app.record.transaction() as tx:
        ids = asked.ids if asked else None
        due = await record_failures.retry_now(tx, ids, now=app.clock())
        if missing := set(ids or ()) - {row.id for row in due}:
            raise NotFound(f"There is no failure {min(missing)} in the retry queue.", failure_id=min(missing))
    answer = Retried(retried=len(due), runs=[], errors=[])
    for source, stream in sorted({(row.source, _main_stream(app, row.source, row.stream)) for row in due}):
        try:
            started = await start_runs(
                app, stream=stream, source=source, full=False, since=None, limit=None, requested_by=caller.name
            )
        except (AlreadyRunning, InvalidRequest) as error:
            answer.errors.append(f"{source}/{stream}: {error.message}")
        else:
            answer.runs.extend(run_out(run) for run in started.runs)
    return answer


@router.delete("/sync/failures/{failure_id}", status_code=204, responses=problems(401, 403, 404, 503))
async def delete_failure(
    app: Deskloom, caller: Operator, failure_id: Annotated[UUID, Path(description="The failure's id.")]
) -> None:
    """Give up on an item. It is read again when it changes at the source."""
    async with app.record.transaction() as tx:
        await record_failures.delete_failure(tx, failure_id)


def _main_stream(app: App, source: str, stream: str) -> str:
    """The stream a run is started for: the one that failed, or the one that needs it."""
    if stream in NOUNS or source not in app.sources:
        return stream
    streams = app.sources[source].streams.values()
    return next((each.name for each in streams if stream in each.needs), stream)


def _failure_out(row: record_failures.Failure) -> Failure:
    return Failure(
        id=row.id,
        source=row.source,
        stream=row.stream,
        kind=row.kind,
        item_id=row.key,
        error=row.reason,
        attempts=row.attempts,
        first_failed_at=row.first_failed_at,
        last_failed_at=row.last_failed_at,
        next_attempt_at=row.next_attempt_at,
    )
