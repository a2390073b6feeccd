"""Checkpoints: the source's bookmark of each stream, saved in the transaction of the page it follows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.model import Cursor
from deskloom.record.statements import upsert
from deskloom.record.tables import checkpoints, runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Where a stream is. `completed_at`: when a read last reached its end; `items`: how many records all reads took."""

    source: str
    stream: str
    cursor: Cursor
    items: int
    updated_at: datetime
    completed_at: datetime | None


async def load_checkpoint(tx: AsyncConnection, source: str, stream: str) -> Cursor | None:
    """The cursor to read on from; None if nothing was read yet."""
    columns = checkpoints.c
    query = select(columns.cursor).where(columns.source == source, columns.stream == stream)
    cursor: Cursor | None = (await tx.execute(query)).scalar()
    return cursor


async def save_checkpoint(
    tx: AsyncConnection,
    source: str,
    stream: str,
    cursor: Cursor,
    *,
    now: datetime,
    completed: bool,
    items: int = 0,
) -> None:
    """Move a stream's bookmark; `completed` says that the read reached its end, `items` what the page held."""
    row = {"source": source, "stream": stream, "cursor": cursor, "items": items, "updated_at": now}
    row["completed_at"] = now if completed else None
    columns = checkpoints.c
    keep = ("items",) if completed else ("items", "completed_at")
    await upsert(tx, checkpoints, [row], keep=keep, also={"items": columns["items"] + items})


async def drop_checkpoint(tx: AsyncConnection, source: str, stream: str) -> None:
    """Forget a stream's bookmark: the next read starts at the beginning."""
    await tx.execute(delete(checkpoints).where(checkpoints.c.source == source, checkpoints.c.stream == stream))


async def all_checkpoints(tx: AsyncConnection) -> list[Checkpoint]:
    """Every checkpoint, by source and stream."""
    query = select(checkpoints).order_by(checkpoints.c.source, checkpoints.c.stream)
    return [Checkpoint(**row) for row in (await tx.execute(query)).mappings()]


async def complete_since(tx: AsyncConnection, source: str, stream: str) -> datetime | None:
    """The start of the run whose read of a stream last reached its end: what changed before it was read by then.

    None if no read ever reached the end. If that run is not known any more, the time when its read ended.
    """
    columns = checkpoints.c
    query = select(columns.completed_at).where(columns.source == source, columns.stream == stream)
    ended: datetime | None = (await tx.execute(query)).scalar()
    if ended is None:
        return None
    begun = select(func.max(runs.c.started_at, type_=runs.c.started_at.type)).where(
        runs.c.source == source,
        runs.c.mode.in_(("incremental", "full")),
        runs.c.started_at <= ended,
        or_(runs.c.finished_at.is_(None), runs.c.finished_at >= ended),
    )
    started: datetime | None = (await tx.execute(begun)).scalar()
    return started or ended
