"""The sync log: one row for every item a page brought, written in the page's transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, func, insert, select
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


async def prune_log(tx: AsyncConnection, *, before: datetime) -> int:
    """Drop entries older than a time; returns how many."""
    return (await tx.execute(delete(sync_logs).where(sync_logs.c.synced_at < before))).rowcount
