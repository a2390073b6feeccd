"""The sync log: one row for every item a page brought, written in the page's transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.record.tables import sync_logs


async def log_items(tx: AsyncConnection, collection: str, items: Iterable[tuple[str, str]], *, now: datetime) -> None:
    """Note items, given as (item id, item type), as synced now."""
    rows = [
        {"collection": collection, "item_id": item_id, "item_type": item_type, "synced_at": now}
        for item_id, item_type in items
    ]
    if rows:
        await tx.execute(insert(sync_logs), rows)


async def last_sync(tx: AsyncConnection, collection: str) -> datetime | None:
    """When an item of a collection was last synced; None: never."""
    query = select(func.max(sync_logs.c.synced_at, type_=sync_logs.c.synced_at.type))
    moment: datetime | None = (await tx.execute(query.where(sync_logs.c.collection == collection))).scalar()
    return moment


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """An entry of the sync log."""

    id: int
    collection: str
    item_id: str
    item_type: str
    synced_at: datetime


async def read_log(tx: AsyncConnection, *, after: int, through: int, limit: int) -> list[LogRow]:
    """Entries with ids over `after` and up to `through`, in order of id."""
    columns = sync_logs.c
    query = select(sync_logs).where(columns.id > after, columns.id <= through).order_by(columns.id).limit(limit)
    return [LogRow(**row) for row in (await tx.execute(query)).mappings()]


async def highest_log_id(tx: AsyncConnection) -> int:
    """The highest id given to an entry yet, also to one that is not committed."""
    if tx.dialect.name == "sqlite":  # one writer at a time: what is not committed has no id yet
        return int((await tx.execute(select(func.max(sync_logs.c.id)))).scalar() or 0)
    query = text("SELECT pg_sequence_last_value(pg_get_serial_sequence('sync_logs', 'id')::regclass)")
    return int((await tx.execute(query)).scalar() or 0)


async def writers(tx: AsyncConnection) -> tuple[int, int]:
    """The oldest transaction that still writes, and the next to begin; equal where none writes.

    A number once seen as the next, when it has become at most the oldest: whatever wrote at the time has ended.
    On SQLite, where a reader never sees beside a writer, always equal.
    """
    if tx.dialect.name == "sqlite":
        return 0, 0
    ends = "pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint"
    oldest, following = (await tx.execute(text(f"SELECT {ends} FROM pg_current_snapshot() AS s"))).one()
    return int(oldest), int(following)


async def prune_log(tx: AsyncConnection, *, before: datetime) -> int:
    """Drop entries older than a time; returns how many."""
    return (await tx.execute(delete(sync_logs).where(sync_logs.c.synced_at < before))).rowcount
