"""Which model made the points of each collection, and whether another copy of it is being built."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.model import Json
from deskloom.record.statements import Row, insert
from deskloom.record.tables import collections

SERVING, CLOSED = "serving", "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """A collection of the index. `embedder`, `previous` and `rebuild["embedder"]` are choices of a model, as JSON.

    While `state` is "closed" no document of it is claimed: a rebuilt copy is about to take the place of the old one.
    """

    name: str
    embedder: Json
    previous: Json | None
    state: str
    rebuild: Json | None
    updated_at: datetime


async def bind_collection(tx: AsyncConnection, name: str, embedder: Json, *, now: datetime) -> Collection:
    """The collection as it is known; one that is new is tied to the given choice of a model."""
    row = {"name": name, "embedder": embedder, "state": SERVING, "updated_at": now}
    await tx.execute(insert(tx, collections).values(row).on_conflict_do_nothing(index_elements=["name"]))
    found = await get_collection(tx, name)
    assert found is not None
    return found


async def get_collection(tx: AsyncConnection, name: str) -> Collection | None:
    """One collection; None if nothing was ever bound to the name."""
    row = (await tx.execute(select(collections).where(collections.c.name == name))).mappings().first()
    return Collection(**row) if row else None


async def all_collections(tx: AsyncConnection) -> list[Collection]:
    """Every collection, by name."""
    query = select(collections).order_by(collections.c.name)
    return [Collection(**row) for row in (await tx.execute(query)).mappings()]


async def note_rebuild(tx: AsyncConnection, name: str, rebuild: Json | None, *, now: datetime) -> None:
    """Say that a copy is being built (its choice, its name in the index), or no longer is; claims go on."""
    await _set(tx, name, {"rebuild": rebuild, "state": SERVING, "updated_at": now})


async def close_collection(tx: AsyncConnection, name: str, *, now: datetime) -> None:
    """No document of the collection is claimed any more, once this is committed; claims that stand are not ended."""
    await _set(tx, name, {"state": CLOSED, "updated_at": now})


async def replace_embedder(
    tx: AsyncConnection, name: str, embedder: Json, *, previous: Json | None, now: datetime
) -> None:
    """Another copy serves from now on, made with `embedder`; the one before is kept under `previous`. Claims go on."""
    values = {"embedder": embedder, "previous": previous, "rebuild": None, "state": SERVING, "updated_at": now}
    await _set(tx, name, values)


async def forget_previous(tx: AsyncConnection, name: str, *, now: datetime) -> None:
    """The kept copy is gone."""
    await _set(tx, name, {"previous": None, "updated_at": now})


async def _set(tx: AsyncConnection, name: str, values: Row) -> None:
    await tx.execute(update(collections).where(collections.c.name == name).values(**values))
