"""The retry queue: items that could not be read, tried again after growing waits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.errors import NotFound
from deskloom.model import ItemFailure
from deskloom.record.paging import beyond, encode_place
from deskloom.record.statements import Row, chunks, upsert
from deskloom.record.tables import failures

LONGEST = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An item in the retry queue. No `next_attempt_at`: only a change at the source, or a person, can mend it."""

    id: UUID
    source: str
    stream: str
    kind: str
    key: str
    reason: str
    attempts: int
    first_failed_at: datetime
    last_failed_at: datetime
    next_attempt_at: datetime | None


def wait_after(attempts: int) -> timedelta:
    """How long to wait after so many attempts: 1, 2, 4 … minutes, at most a day."""
    return min(timedelta(minutes=1 << min(attempts - 1, 20)), LONGEST)


async def add_failures(
    tx: AsyncConnection, source: str, stream: str, items: Sequence[ItemFailure], *, now: datetime
) -> None:
    """Note items that failed; one that failed before counts one attempt more and waits longer."""
    latest = {(item.kind.value, item.key): item for item in items}
    columns = failures.c
    old: dict[tuple[str, str], Failure] = {}
    for chunk in chunks(sorted(key for _, key in latest)):
        query = select(failures).where(columns.source == source, columns.stream == stream, columns.key.in_(chunk))
        for row in (await tx.execute(query.with_for_update())).mappings():
            old[row["kind"], row["key"]] = Failure(**row)
    rows: list[Row] = []
    for (kind, key), item in latest.items():
        before = old.get((kind, key))
        attempts = before.attempts + 1 if before else 1
        rows.append(
            {
                "id": before.id if before else uuid4(),
                "source": source,
                "stream": stream,
                "kind": kind,
                "key": key,
                "reason": item.reason,
                "attempts": attempts,
                "first_failed_at": before.first_failed_at if before else now,
                "last_failed_at": now,
                "next_attempt_at": now + wait_after(attempts) if item.retry else None,
            }
        )
    await upsert(tx, failures, rows)


async def clear_failures(tx: AsyncConnection, source: str, stream: str, keys: Iterable[str]) -> int:
    """Take items that were read, or are gone, out of the queue; returns how many."""
    columns = failures.c
    cleared = 0
    for chunk in chunks(sorted(set(keys))):
        query = delete(failures).where(columns.source == source, columns.stream == stream, columns.key.in_(chunk))
        cleared += (await tx.execute(query)).rowcount
    return cleared


async def due_failures(tx: AsyncConnection, source: str, stream: str, now: datetime, limit: int) -> list[Failure]:
    """Items whose time has come, the longest waiting first."""
    columns = failures.c
    query = select(failures).where(columns.source == source, columns.stream == stream, columns.next_attempt_at <= now)
    query = query.order_by(columns.next_attempt_at, columns.id).limit(limit)
    return [Failure(**row) for row in (await tx.execute(query)).mappings()]


async def list_failures(
    tx: AsyncConnection,
    *,
    source: str | None = None,
    stream: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> tuple[list[Failure], str | None]:
    """The queue, last failed first, and the cursor of the next page (None: there is none)."""
    columns = failures.c
    query = select(failures)
    for column, value in ((columns.source, source), (columns.stream, stream)):
        if value is not None:
            query = query.where(column == value)
    if after is not None:
        query = query.where(beyond((columns.last_failed_at, columns.id), after, (datetime, UUID)))
    query = query.order_by(columns.last_failed_at.desc(), columns.id.desc()).limit(limit + 1)
    found = [Failure(**row) for row in (await tx.execute(query)).mappings()]
    last = found[limit - 1] if len(found) > limit else None
    return found[:limit], encode_place((last.last_failed_at, last.id)) if last else None


async def count_failures(tx: AsyncConnection) -> dict[tuple[str, str], int]:
    """How many items are in the queue, by (source, stream)."""
    group = (failures.c.source, failures.c.stream)
    rows = await tx.execute(select(*group, func.count().label("n")).group_by(*group))
    return {(row.source, row.stream): row.n for row in rows}


async def delete_failure(tx: AsyncConnection, failure_id: UUID) -> None:
    """Take one item out of the queue; `NotFound` if it is not there."""
    if not (await tx.execute(delete(failures).where(failures.c.id == failure_id))).rowcount:
        raise NotFound(f"There is no failure {failure_id} in the retry queue.", failure_id=str(failure_id))


async def retry_now(tx: AsyncConnection, ids: Sequence[UUID] | None, *, now: datetime) -> list[Failure]:
    """Make items due at once, None: all of them, also those that would not be retried by themselves.

    Returns them; ids that are not in the queue are left out.
    """
    query = update(failures).values(next_attempt_at=now)
    if ids is not None:
        query = query.where(failures.c.id.in_(list(ids)))
    rows = (await tx.execute(query.returning(*failures.c))).mappings()
    return sorted((Failure(**row) for row in rows), key=lambda failure: (failure.source, failure.stream, failure.key))
