"""What the record says the index holds: read in pages to be compared, counted, and taken back where it is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, and_, case, func, literal, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.record.documents import UNCLAIMED, UNKNOWN, Key
from deskloom.record.statements import chunks
from deskloom.record.tables import documents

ItemKey = tuple[str, str, str]
"""A document within its collection: source, item id, language."""
_NAMES = ("source", "item_id", "language")
_ITEM = tuple(documents.c[name] for name in _NAMES)
_KEY = (documents.c.collection, *_ITEM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a copy of the index holds for a document, as the record knows it.

    `payload_hash` None: not known, or nothing. `settled`: the document is ready and nobody is publishing it, so that
    the index must hold exactly this; `lost`: it was published once, what became of the point is not known.
    """

    collection: str
    source: str
    item_id: str
    language: str
    version: int
    state: str
    published: Mapping[str, str]
    payload_hash: str | None
    embedder: str | None
    rules: int | None
    claimed_by: str | None
    published_at: datetime | None

    @property
    def key(self) -> Key:
        return self.collection, self.source, self.item_id, self.language

    @property
    def item(self) -> ItemKey:
        return self.source, self.item_id, self.language

    @property
    def settled(self) -> bool:
        return self.state == "ready" and self.claimed_by is None and self.payload_hash is not None

    @property
    def lost(self) -> bool:
        waits = self.state == "stale" and self.claimed_by is None
        return waits and self.payload_hash is None and self.published_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many points of a source a collection must hold at least and may hold at most; `mark` moves with every
    change of its documents."""

    least: int
    most: int
    mark: tuple[int, int, datetime | None]


async def read_standings(
    tx: AsyncConnection,
    collection: str,
    *,
    limit: int,
    source: str | None = None,
    after: ItemKey | None = None,
) -> list[Standing]:
    """Documents in key order after a key."""
    query = _serving(collection)
    if source is not None:
        query = query.where(documents.c.source == source)
    if after is not None:
        query = query.where(tuple_(*_ITEM) > tuple_(*(literal(part) for part in after)))
    rows = await tx.execute(query.order_by(*_ITEM).limit(limit))
    return [Standing(**row) for row in rows.mappings()]


async def find_standings(tx: AsyncConnection, collection: str, items: Iterable[ItemKey]) -> dict[ItemKey, Standing]:
    """The documents of these keys that exist."""
    found: dict[ItemKey, Standing] = {}
    for chunk in chunks(sorted(set(items))):
        query = _serving(collection)
        for row in (await tx.execute(query.where(tuple_(*_ITEM).in_(chunk)))).mappings():
            standing = Standing(**row)
            found[standing.item] = standing
    return found


def _serving(collection: str) -> Select[tuple[object, ...]]:
    return select(*(documents.c[name] for name in Standing.__slots__)).where(documents.c.collection == collection)


async def tally(tx: AsyncConnection, collection: str, source: str) -> Tally:
    """Count the points that must be there: those of documents that are published, whether or not they wait to be
    published anew. A document that is being published, or whose publisher died, may have one or not."""
    columns = documents.c
    free, known = columns.claimed_by.is_(None), columns.payload_hash.is_not(None)
    certain = and_(free, known, columns.state != "failed")
    never = and_(free, ~known, or_(columns.state == "failed", columns.published_at.is_(None)))
    query = select(
        func.sum(case((certain, 1), else_=0)),
        func.sum(case((never, 0), else_=1)),
        func.count(),
        func.sum(columns.version),
        func.max(columns.published_at, type_=columns.published_at.type),
    ).where(columns.collection == collection, columns.source == source)
    least, most, rows, versions, last = (await tx.execute(query)).one()
    return Tally(least=int(least or 0), most=int(most or 0), mark=(rows, int(versions or 0), last))


async def take_back(tx: AsyncConnection, standings: Sequence[Standing], *, now: datetime) -> list[Key]:
    """Make documents stale with nothing known as published, so that their points are written whole.

    Only those that still stand as they were seen; returns their keys. A publisher that is at work on one of them comes
    too late: what it wrote is written again.
    """
    seen = {standing.key: standing for standing in standings}
    taken: list[Key] = []
    for chunk in chunks(sorted(seen)):
        query = select(*(documents.c[name] for name in Standing.__slots__)).where(tuple_(*_KEY).in_(chunk))
        rows = [Standing(**row) for row in (await tx.execute(query.order_by(*_KEY).with_for_update())).mappings()]
        same = [row.key for row in rows if row == seen[row.key]]
        values = UNKNOWN | UNCLAIMED | {"state": "stale", "version": documents.c.version + 1, "stale_since": now}
        values |= {"attempts": 0, "next_attempt_at": None, "last_error": None}
        if same:
            await tx.execute(update(documents).where(tuple_(*_KEY).in_(same)).values(**values))
        taken += same
    return taken


async def take_over(tx: AsyncConnection, owners: str) -> list[Key]:
    """Give back what publishers whose names begin with `owners` have claimed, as unknown; returns the keys."""
    held = documents.c.claimed_by.startswith(owners, autoescape=True)
    rows = await tx.execute(select(*_KEY).where(held).order_by(*_KEY))
    keys = [(row[0], row[1], row[2], row[3]) for row in rows]
    if keys:
        await tx.execute(update(documents).where(held).values(**UNCLAIMED, **UNKNOWN))
    return keys
