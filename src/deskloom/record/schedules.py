"""Schedules: what is started when, changed at run time, and claimed so that exactly one process starts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.errors import AlreadyThere, NotFound
from deskloom.model import Json
from deskloom.record.statements import Row, insert
from deskloom.record.tables import schedules


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When runs of one mode over one stream are started. `source` is `*` where a run is not about one source.

    `next_at`: when it is started next, jitter included (None: disabled); `last_at`: when it last was, by the clock of
    the process that did.
    """

    id: UUID
    source: str
    stream: str
    mode: str
    cron: str
    timezone: str
    jitter_seconds: int
    enabled: bool
    options: Json
    created_at: datetime
    next_at: datetime | None
    last_at: datetime | None
    last_run_id: UUID | None
    last_error: str | None


_COLUMNS = [schedules.c[part.name] for part in fields(Schedule)]


async def create_schedule(
    tx: AsyncConnection,
    *,
    source: str,
    stream: str,
    mode: str,
    cron: str,
    timezone: str,
    jitter_seconds: int,
    enabled: bool,
    options: Json,
    next_at: datetime | None,
    now: datetime,
) -> Schedule:
    """Store a new schedule. Raises `AlreadyThere` (fact `schedule_id`) if source, stream and mode have one."""
    row: Row = {
        "id": uuid4(),
        "source": source,
        "stream": stream,
        "mode": mode,
        "cron": cron,
        "timezone": timezone,
        "jitter_seconds": jitter_seconds,
        "enabled": enabled,
        "options": options,
        "created_at": now,
        "next_at": next_at,
    }
    statement = insert(tx, schedules).values(row)
    statement = statement.on_conflict_do_nothing(index_elements=["source", "stream", "mode"])
    if (await tx.execute(statement)).rowcount:
        return await get_schedule(tx, row["id"])
    columns = schedules.c
    same = (columns.source == source, columns.stream == stream, columns.mode == mode)
    known = (await tx.execute(select(columns.id).where(*same))).scalar()
    raise AlreadyThere(
        f"There is a schedule for {mode} of {source}/{stream} already. Change it: deskloom schedules set {known}",
        schedule_id=str(known),
    )


async def list_schedules(tx: AsyncConnection, *, enabled: bool | None = None) -> list[Schedule]:
    """Every schedule (`enabled`: only those that are, or are not), by source, stream and mode."""
    columns = schedules.c
    query = select(*_COLUMNS).order_by(columns.source, columns.stream, columns.mode)
    if enabled is not None:
        query = query.where(columns.enabled.is_(enabled))
    return [Schedule(**row) for row in (await tx.execute(query)).mappings()]


async def get_schedule(tx: AsyncConnection, schedule_id: UUID) -> Schedule:
    """One schedule; `NotFound` if there is none."""
    row = (await tx.execute(select(*_COLUMNS).where(schedules.c.id == schedule_id))).mappings().first()
    if row is None:
        raise _missing(schedule_id)
    return Schedule(**row)


async def change_schedule(tx: AsyncConnection, schedule_id: UUID, values: Mapping[str, Any]) -> Schedule:
    """Give columns other values; `NotFound` if there is no such schedule."""
    statement = update(schedules).where(schedules.c.id == schedule_id).values(**values).returning(*_COLUMNS)
    row = (await tx.execute(statement)).mappings().first()
    if row is None:
        raise _missing(schedule_id)
    return Schedule(**row)


async def move_schedule(tx: AsyncConnection, known: Schedule, next_at: datetime | None) -> bool:
    """Set when it is started next, unless another process moved or changed it meanwhile; then False.

    Of several processes that find a schedule due one gets True; the row is its own until its transaction ends.
    """
    columns = schedules.c
    planned = columns.next_at.is_(None) if known.next_at is None else columns.next_at == known.next_at
    same = (columns.cron == known.cron, columns.timezone == known.timezone, columns.enabled.is_(True))
    statement = update(schedules).where(columns.id == known.id, planned, *same).values(next_at=next_at)
    return bool((await tx.execute(statement)).rowcount)


async def delete_schedule(tx: AsyncConnection, schedule_id: UUID) -> None:
    """Remove a schedule; runs it started stay. Raises `NotFound`."""
    if not (await tx.execute(delete(schedules).where(schedules.c.id == schedule_id))).rowcount:
        raise _missing(schedule_id)


def _missing(schedule_id: UUID) -> NotFound:
    return NotFound(f"There is no schedule {schedule_id}.", schedule_id=str(schedule_id))
