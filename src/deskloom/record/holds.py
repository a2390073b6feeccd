"""Deletions that wait for a person's word: more than one run may remove had gone from a complete listing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.errors import NotFound
from deskloom.model import Kind
from deskloom.record.statements import insert
from deskloom.record.tables import holds, runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A held deletion: `keys` are the `gone` objects of `known` that a run would have removed. At most one a stream.

    `held_at` is when it was last held; `allowed_at` and `allowed_by` whose word has come since.
    """

    id: UUID
    source: str
    stream: str
    kind: str
    gone: int
    known: int
    keys: list[str]
    reason: str
    held_at: datetime
    allowed_at: datetime | None
    allowed_by: str | None


async def hold_deletion(
    tx: AsyncConnection,
    *,
    source: str,
    stream: str,
    kind: Kind,
    keys: Sequence[str],
    known: int,
    reason: str,
    now: datetime,
) -> None:
    """Note a deletion that waits. One that is held already stands for what is gone now, and needs a new word."""
    values = {
        "id": uuid4(),
        "source": source,
        "stream": stream,
        "kind": kind.value,
        "gone": len(keys),
        "known": known,
        "keys": list(keys),
        "reason": reason,
        "held_at": now,
        "allowed_at": None,
        "allowed_by": None,
    }
    columns = holds.c
    identity = {"id", "source", "stream", "kind"}
    statement = insert(tx, holds).values(values)
    again = {name: statement.excluded[name] for name in values if name not in identity}
    await tx.execute(
        statement.on_conflict_do_update(index_elements=[columns.source, columns.stream, columns.kind], set_=again)
    )


async def drop_hold(tx: AsyncConnection, source: str, stream: str, kind: Kind) -> None:
    """Listing and record agree again, or the deletion was done: nothing waits any more."""
    columns = holds.c
    await tx.execute(
        delete(holds).where(columns.source == source, columns.stream == stream, columns.kind == kind.value)
    )


async def list_holds(tx: AsyncConnection, *, source: str | None = None) -> list[Hold]:
    """What waits, by source and stream."""
    query = select(holds).order_by(holds.c.source, holds.c.stream, holds.c.kind)
    if source is not None:
        query = query.where(holds.c.source == source)
    return [Hold(**row) for row in (await tx.execute(query)).mappings()]


async def get_hold(tx: AsyncConnection, hold_id: UUID) -> Hold:
    """One hold; `NotFound` if there is none (any more)."""
    row = (await tx.execute(select(holds).where(holds.c.id == hold_id))).mappings().first()
    if row is None:
        raise NotFound(f"There is no hold {hold_id}: nothing waits, or it was settled.", hold_id=str(hold_id))
    return Hold(**row)


async def mark_allowed(tx: AsyncConnection, source: str, stream: str, *, by: str, now: datetime) -> None:
    """Note whose word a stream's hold has; nothing if it was settled meanwhile."""
    columns = holds.c
    query = update(holds).where(columns.source == source, columns.stream == stream)
    await tx.execute(query.values(allowed_at=now, allowed_by=by))


async def shown_keys(tx: AsyncConnection, source: str, stream: str, kind: Kind) -> frozenset[str]:
    """What a person's word covers: the keys of the hold, and those that the last sweep named if it was a dry run."""
    query = select(holds.c["keys"]).where(
        holds.c.source == source, holds.c.stream == stream, holds.c.kind == kind.value
    )
    found = set((await tx.execute(query)).scalar() or ())
    columns = runs.c
    last = select(columns.options, columns.report).where(
        columns.source == source, columns.stream == stream, columns.mode == "sweep", columns.report.is_not(None)
    )
    row = (await tx.execute(last.order_by(columns.created_at.desc()).limit(1))).mappings().first()
    if row is not None and row["options"].get("dry_run"):
        found |= set(row["report"].get("would_hold", ()))
    return frozenset(found)
