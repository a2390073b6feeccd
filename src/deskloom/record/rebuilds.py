"""What copies of a collection hold beside the serving one: the copy that is being built, and the kept one.

`documents` says what the serving copy holds, `index_copies` the same of the two others, by the names that `building`
and `kept` give them. Putting a copy in the place of the serving one exchanges what the two tables say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, delete, func, insert, literal, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.model import Json
from deskloom.record.documents import UNCLAIMED, UNKNOWN, Claim, as_claim
from deskloom.record.statements import chunks, upsert
from deskloom.record.tables import documents, index_copies

ItemKey = tuple[str, str, str]
"""A document within its collection: source, item id, language."""
FIRST: ItemKey = ("", "", "")
_NAMES = ("source", "item_id", "language")
_KEY = tuple(index_copies.c[name] for name in _NAMES)
_UNKNOWN_VERSION = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What a copy holds for a document, at the version it was built from; `payload_hash` None: no point."""

    claim: Claim
    sections: Json
    payload_hash: str | None = None
    visibility: str | None = None
    error: str | None = None


def building(collection: str) -> str:
    """The name of the copy of a collection that is being built."""
    return f"{collection}/building"


def kept(collection: str) -> str:
    """The name of the copy of a collection that was replaced and is kept."""
    return f"{collection}/kept"


async def forget_copy(tx: AsyncConnection, copy: str) -> None:
    """The copy is no more, or to be built from nothing."""
    await tx.execute(delete(index_copies).where(index_copies.c.copy == copy))


async def rename_copy(tx: AsyncConnection, copy: str, name: str) -> None:
    """What was `copy` is `name` from now on; what `name` meant is forgotten."""
    await forget_copy(tx, name)
    await tx.execute(update(index_copies).where(index_copies.c.copy == copy).values(copy=name))


async def count_copied(tx: AsyncConnection, copy: str) -> int:
    """How many documents a copy is known to hold."""
    return int((await tx.execute(select(func.count()).where(index_copies.c.copy == copy))).scalar_one())


async def count_documents(tx: AsyncConnection, collection: str) -> int:
    """How many documents a collection is to hold."""
    query = select(func.count()).where(documents.c.collection == collection, documents.c.state != "gone")
    return int((await tx.execute(query)).scalar_one())


async def sample_documents(tx: AsyncConnection, collection: str, *, limit: int) -> list[Claim]:
    """Documents of a collection, chosen at random; they are not claimed."""
    query = select(documents).where(documents.c.collection == collection, documents.c.state != "gone")
    rows = (await tx.execute(query.order_by(func.random()).limit(limit))).mappings()
    return [as_claim(row, owner="") for row in rows]


async def outdated(tx: AsyncConnection, collection: str, *, after: ItemKey, limit: int) -> list[Claim]:
    """Documents, in key order, that the copy being built lacks or holds at another version. They are not claimed."""
    columns = documents.c
    key = tuple(columns[name] for name in _NAMES)
    query = select(documents).select_from(documents.outerjoin(index_copies, _same(collection)))
    query = query.where(*_lacking(collection), tuple_(*key) > tuple_(*(literal(part) for part in after)))
    rows = (await tx.execute(query.order_by(*key).limit(limit))).mappings()
    return [as_claim(row, owner="") for row in rows]


async def count_outdated(tx: AsyncConnection, collection: str) -> int:
    """How many documents the copy being built lacks or holds at another version."""
    query = select(func.count()).select_from(documents.outerjoin(index_copies, _same(collection)))
    return int((await tx.execute(query.where(*_lacking(collection)))).scalar_one())


async def vanished(tx: AsyncConnection, collection: str, *, limit: int) -> list[ItemKey]:
    """Documents that the copy being built holds and that are gone meanwhile."""
    query = select(*_KEY).select_from(index_copies.outerjoin(documents, _same(collection)))
    query = query.where(
        index_copies.c.copy == building(collection), or_(documents.c.state.is_(None), documents.c.state == "gone")
    )
    return [(row[0], row[1], row[2]) for row in await tx.execute(query.limit(limit))]


async def note_copied(tx: AsyncConnection, entries: Sequence[Copied]) -> None:
    """Note what the copy being built holds now."""
    rows = [
        {
            "copy": building(entry.claim.collection),
            **dict(zip(_NAMES, entry.claim.key[1:], strict=True)),
            "version": entry.claim.version,
            "published": dict(entry.sections),
            "payload_hash": entry.payload_hash,
            "visibility": entry.visibility,
            "error": entry.error,
        }
        for entry in entries
    ]
    await upsert(tx, index_copies, rows)


async def forget_copied(tx: AsyncConnection, collection: str, keys: Sequence[ItemKey]) -> None:
    """The copy being built holds these no longer."""
    for chunk in chunks(keys):
        await tx.execute(
            delete(index_copies).where(index_copies.c.copy == building(collection), tuple_(*_KEY).in_(chunk))
        )


async def count_claimed(tx: AsyncConnection, collection: str, *, now: datetime) -> int:
    """How many documents of a collection publishers are working on."""
    columns = documents.c
    working = and_(columns.claimed_by.is_not(None), columns.claimed_until > now)
    query = select(func.count()).select_from(documents).where(columns.collection == collection, working)
    return int((await tx.execute(query)).scalar_one())


async def exchange(tx: AsyncConnection, collection: str, *, embedder: str, rules: int, now: datetime) -> None:
    """The copy being built serves now, and what served is kept: what each of them holds changes places.

    A document that changed since the copy took it stays stale, or gone; one that the copy lacks has nothing published.
    """
    await _keep(tx, collection)
    columns, taken = documents.c, index_copies.c
    same = columns.version == taken.version
    held = taken.payload_hash.is_not(None)
    values = {
        "published": taken.published,
        "payload_hash": taken.payload_hash,
        "visibility": taken.visibility,
        "embedder": case((held, embedder), else_=None),
        "rules": case((held, rules), else_=None),
        "last_error": case((same, taken.error), else_=columns.last_error),
        "published_at": now,
        "state": case((columns.state == "gone", "gone"), (~same, "stale"), (held, "ready"), else_="failed"),
    }
    await tx.execute(update(documents).where(_same(collection), columns.collection == collection).values(**values))
    lacking = ~select(taken.version).where(_same(collection)).exists()
    absent = update(documents).where(columns.collection == collection, lacking)
    state = case((columns.state == "gone", "gone"), else_="stale")
    await tx.execute(absent.values(state=state, version=columns.version + 1, **UNKNOWN))
    await tx.execute(update(documents).where(columns.collection == collection).values(**UNCLAIMED))
    await forget_copy(tx, building(collection))


async def _keep(tx: AsyncConnection, collection: str) -> None:
    """Note what the serving copy holds as what the kept one holds; where that is not certain, at no version."""
    await forget_copy(tx, kept(collection))
    columns = documents.c
    version = case((columns.state.in_(("ready", "failed")), columns.version), else_=_UNKNOWN_VERSION)
    names = ["copy", *_NAMES, "version", "published", "payload_hash", "visibility", "error"]
    held = select(
        literal(kept(collection)),
        *(columns[name] for name in _NAMES),
        version,
        columns.published,
        columns.payload_hash,
        columns.visibility,
        columns.last_error,
    ).where(columns.collection == collection)
    await tx.execute(insert(index_copies).from_select(names, held))


def _same(collection: str) -> ColumnElement[bool]:
    return and_(
        index_copies.c.copy == building(collection), *(documents.c[name] == index_copies.c[name] for name in _NAMES)
    )


def _lacking(collection: str) -> list[ColumnElement[bool]]:
    columns = documents.c
    return [
        columns.collection == collection,
        columns.state != "gone",
        or_(index_copies.c.version.is_(None), index_copies.c.version != columns.version),
    ]
