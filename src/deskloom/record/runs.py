"""Runs: at most one active for a source and stream, held by a lease, fenced against workers that come back too late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import and_, case, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.errors import AlreadyRunning, LeaseLost, NotFound, RecordUnavailable
from deskloom.model import Json
from deskloom.record.paging import beyond, encode_place
from deskloom.record.statements import Row, insert
from deskloom.record.tables import ACTIVE_RUN, run_help, runs

ERRORS_KEPT = 100
_NAMES = {"tickets": "Ticket sync", "kb": "KB sync", "hours": "Hours sync", "verify": "Verify"}
Held = tuple[UUID, int]
"""A run as its worker holds it: id and fence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One pass over one stream. `fence` counts its workers; `takeovers` those that died."""

    id: UUID
    source: str
    stream: str
    mode: str
    state: str
    requested_by: str | None
    since: datetime | None
    limit: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    progress: Json
    counts: Json
    errors: list[str]
    error_count: int
    owner: str | None
    lease_until: datetime | None
    fence: int
    takeovers: int
    cancel_requested: bool
    options: Json
    report: Json | None

    @property
    def held(self) -> Held:
        return self.id, self.fence


_COLUMNS = [runs.c["item_limit" if part.name == "limit" else part.name].label(part.name) for part in fields(Run)]


async def create_run(
    tx: AsyncConnection,
    *,
    source: str,
    stream: str,
    mode: str,
    requested_by: str | None,
    since: datetime | None,
    limit: int | None,
    now: datetime,
    options: Json | None = None,
) -> Run:
    """Queue a run; `options` are what its mode needs beside the rest.

    Raises `AlreadyRunning` (its `run_id` is the id, as text, of the one in progress)."""
    row: Row = {
        "id": uuid4(),
        "source": source,
        "stream": stream,
        "mode": mode,
        "state": "queued",
        "requested_by": requested_by,
        "since": since,
        "item_limit": limit,
        "created_at": now,
        "progress": {},
        "counts": {},
        "errors": [],
        "error_count": 0,
        "fence": 0,
        "takeovers": 0,
        "cancel_requested": False,
        "options": options or {},
    }
    statement = insert(tx, runs).values(row)
    # Not an exception and a look: a violated index would end the caller's transaction on PostgreSQL.
    statement = statement.on_conflict_do_nothing(index_elements=[runs.c.source, runs.c.stream], index_where=ACTIVE_RUN)
    for _ in range(3):
        if (await tx.execute(statement)).rowcount:
            return await get_run(tx, row["id"])
        query = select(runs.c.id).where(runs.c.source == source, runs.c.stream == stream, ACTIVE_RUN)
        if (active := (await tx.execute(query)).scalar()) is not None:
            what = _NAMES.get(stream, f'Sync of "{stream}"')
            raise AlreadyRunning(f"{what} already in progress", run_id=str(active), source=source, stream=stream)
    raise RecordUnavailable(f"Runs of {source}/{stream} begin and end too fast to queue another. Try again.")


async def take_run(
    tx: AsyncConnection, run_id: UUID, *, owner: str, now: datetime, lease_until: datetime, force: bool = False
) -> Run | None:
    """Become the worker of a run that is queued, or whose worker's lease is over (`force`: whose worker is dead).

    None if there is nothing to take. The fence moves, so that an earlier worker cannot commit any more.
    """
    columns = runs.c
    running = columns.state == "running"
    free = running if force else and_(running, or_(columns.lease_until.is_(None), columns.lease_until <= now))
    statement = update(runs).where(columns.id == run_id, or_(columns.state == "queued", free))
    statement = statement.values(
        state="running",
        owner=owner,
        lease_until=lease_until,
        started_at=case((columns.started_at.is_(None), now), else_=columns.started_at),
        fence=columns.fence + 1,
        takeovers=columns.takeovers + case((running, 1), else_=0),
    )
    taken = (await tx.execute(statement)).rowcount
    return await get_run(tx, run_id) if taken else None


async def save_progress(
    tx: AsyncConnection,
    run: Run | Held,
    *,
    progress: Json,
    counts: Json,
    errors: Sequence[str],
    error_count: int,
    lease_until: datetime,
    now: datetime,
) -> bool:
    """Note how far a run is and renew its lease; returns whether it was asked to stop.

    Belongs into every transaction of the run's worker: raises `LeaseLost` when the run is another's or over, and the
    page is rolled back with it.
    """
    values: Row = {"progress": progress, "counts": counts, "errors": list(errors[:ERRORS_KEPT])}
    values |= {"error_count": error_count, "lease_until": lease_until}
    return (await _change(tx, run, values)).cancel_requested


async def finish_run(
    tx: AsyncConnection,
    run: Run | Held,
    *,
    state: str,
    now: datetime,
    progress: Json | None = None,
    counts: Json | None = None,
    errors: Sequence[str] | None = None,
    error_count: int | None = None,
    report: Json | None = None,
) -> Run:
    """End a run that is held: succeeded, partial, failed or cancelled. What is None stays. Raises `LeaseLost`."""
    given: Row = {"progress": progress, "counts": counts, "error_count": error_count, "report": report}
    given["errors"] = None if errors is None else list(errors[:ERRORS_KEPT])
    values = {name: value for name, value in given.items() if value is not None}
    return await _change(tx, run, values | {"state": state, "finished_at": now, "lease_until": None})


async def requeue_run(tx: AsyncConnection, run: Run | Held) -> Run:
    """Give a held run back unfinished, at a graceful stop: the next worker goes on with it. Raises `LeaseLost`."""
    return await _change(tx, run, {"state": "queued", "owner": None, "lease_until": None})


async def retake_run(tx: AsyncConnection, run: Run | Held, *, lease_until: datetime) -> Run:
    """Go on with a held run after the database was away: the same worker, a new fence. Raises `LeaseLost`.

    What is still on its way through an earlier connection comes before this, or is refused by the fence.
    """
    return await _change(tx, run, {"fence": runs.c.fence + 1, "lease_until": lease_until})


@dataclass(frozen=True, slots=True)
class Help:
    """What a helper did for a run in one step, until the run's worker adds it to the run."""

    counts: Mapping[str, int]
    errors: Sequence[str]


async def post_help(tx: AsyncConnection, run: Held, help: Help) -> None:
    """Note what was done for another worker's run. Raises `LeaseLost` when it was taken over or has ended."""
    run_id, fence = run
    query = select(runs.c.id).where(runs.c.id == run_id, runs.c.fence == fence, runs.c.state == "running")
    if (await tx.execute(query)).scalar() is None:
        raise LeaseLost(f"Run {run_id} was taken over, or has ended; it is not helped any more.", run_id=run_id)
    if help.counts or help.errors:
        row = {"id": uuid4(), "run_id": run_id, "counts": dict(help.counts), "errors": list(help.errors)}
        await tx.execute(run_help.insert().values(row))


async def collect_help(tx: AsyncConnection, run_id: UUID) -> list[Help]:
    """Take what helpers did out of the record; the same transaction must add it to the run."""
    statement = delete(run_help).where(run_help.c.run_id == run_id).returning(run_help.c.counts, run_help.c.errors)
    return [Help(row.counts, row.errors) for row in await tx.execute(statement)]


async def _change(tx: AsyncConnection, run: Run | Held, values: Row) -> Run:
    run_id, fence = run.held if isinstance(run, Run) else run
    columns = runs.c
    statement = update(runs).where(columns.id == run_id, columns.fence == fence, columns.state == "running")
    row = (await tx.execute(statement.values(**values).returning(*_COLUMNS))).mappings().first()
    if row is None:
        raise LeaseLost(f"Run {run_id} is no longer this worker's: another took it over, or it ended.", run_id=run_id)
    return Run(**row)


async def request_cancel(tx: AsyncConnection, run_id: UUID, *, now: datetime) -> Run:
    """Ask a run to stop at its next page; one that is queued ends at once, one that is over stays as it is."""
    columns = runs.c
    queued = columns.state == "queued"
    statement = update(runs).where(columns.id == run_id, ACTIVE_RUN)
    await tx.execute(
        statement.values(
            cancel_requested=True,
            state=case((queued, "cancelled"), else_=columns.state),
            finished_at=case((queued, now), else_=columns.finished_at),
        )
    )
    return await get_run(tx, run_id)


async def get_run(tx: AsyncConnection, run_id: UUID) -> Run:
    """One run; `NotFound` if there is none."""
    row = (await tx.execute(select(*_COLUMNS).where(runs.c.id == run_id))).mappings().first()
    if row is None:
        raise NotFound(f"There is no run {run_id}.", run_id=str(run_id))
    return Run(**row)


async def list_runs(
    tx: AsyncConnection,
    *,
    source: str | None = None,
    stream: str | None = None,
    state: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> tuple[list[Run], str | None]:
    """Runs, newest first, and the cursor of the next page (None: there is none)."""
    query = select(*_COLUMNS)
    for column, value in ((runs.c.source, source), (runs.c.stream, stream), (runs.c.state, state)):
        if value is not None:
            query = query.where(column == value)
    if after is not None:
        query = query.where(beyond((runs.c.created_at, runs.c.id), after, (datetime, UUID)))
    query = query.order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(limit + 1)
    found = [Run(**row) for row in (await tx.execute(query)).mappings()]
    last = found[limit - 1] if len(found) > limit else None
    return found[:limit], encode_place((last.created_at, last.id)) if last else None


async def open_runs(tx: AsyncConnection) -> list[Run]:
    """Every run that is queued or running, oldest first."""
    query = select(*_COLUMNS).where(ACTIVE_RUN).order_by(runs.c.created_at, runs.c.id)
    return [Run(**row) for row in (await tx.execute(query)).mappings()]


async def last_run(
    tx: AsyncConnection,
    source: str,
    stream: str,
    states: Sequence[str] | None = None,
    *,
    mode: str | None = None,
) -> Run | None:
    """The newest sync of a stream, of those in one of the states and of one mode (None: any); a sweep is none."""
    query = select(*_COLUMNS).where(runs.c.source == source, runs.c.stream == stream, runs.c.mode != "sweep")
    if states is not None:
        query = query.where(runs.c.state.in_(list(states)))
    if mode is not None:
        query = query.where(runs.c.mode == mode)
    row = (await tx.execute(query.order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(1))).mappings().first()
    return Run(**row) if row else None


async def prune_runs(tx: AsyncConnection, *, source: str, requested_by: str, keep: int) -> None:
    """Forget a source's ended runs that one caller asked for and that brought nothing to mend, but for the newest."""
    columns = runs.c
    mine = (columns.source == source, columns.requested_by == requested_by, columns.state == "succeeded")
    newest = select(columns.id).where(*mine).order_by(columns.created_at.desc(), columns.id.desc()).limit(keep)
    kept = [row.id for row in await tx.execute(newest)]
    await tx.execute(delete(runs).where(*mine, columns.id.not_in(kept)))
