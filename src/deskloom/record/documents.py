"""What should be in the index and what is there: one row a document, claimed in batches by publishers.

A document is `stale` (to be published), `gone` (its point is to be deleted), `ready`, or `failed` (set aside until its
content changes). `version` grows whenever it must be looked at again; a publisher's result counts only for the version
it claimed. What the index holds is known only through publishers that reported: where one died, or came back too late,
the hashes are forgotten and the point is written whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, RowMapping, case, delete, func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.record.statements import Row, chunks, upsert
from deskloom.record.tables import PENDING_DOCUMENT, collections, documents

Key = tuple[str, str, str, str]
_KEY = (documents.c.collection, documents.c.source, documents.c.item_id, documents.c.language)
UNKNOWN: Row = {"published": {}, "payload_hash": None, "embedder": None, "rules": None}
UNCLAIMED: Row = {"claimed_by": None, "claimed_until": None}
_FRESH: Row = {"attempts": 0, "next_attempt_at": None, "last_error": None}
_AGAIN = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A document a publisher works on. `published` maps section → hash of the text the index holds; empty: unknown."""

    collection: str
    source: str
    item_id: str
    language: str
    version: int
    gone: bool
    published: Mapping[str, str]
    payload_hash: str | None
    embedder: str | None
    rules: int | None
    attempts: int
    owner: str

    @property
    def key(self) -> Key:
        return self.collection, self.source, self.item_id, self.language


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What the index now holds for a claimed document."""

    claim: Claim
    sections: Mapping[str, str]
    payload_hash: str
    embedder: str
    rules: int
    visibility: str | None = None


async def mark_stale(
    tx: AsyncConnection, collection: str, source: str, keys: Iterable[tuple[str, str]], *, now: datetime
) -> None:
    """Documents, by (item id, language), that must be published again; new ones are added."""
    columns = documents.c
    new = {
        "state": "stale",
        "version": 1,
        "published": {},
        "attempts": 0,
        "stale_since": now,
    }
    again = {
        "state": "stale",
        "version": columns.version + 1,
        "stale_since": case((columns.state == "stale", columns.stale_since), else_=now),
        **_FRESH,
    }
    named = [
        {"collection": collection, "source": source, "item_id": item, "language": lang} for item, lang in set(keys)
    ]
    await upsert(tx, documents, [row | new for row in named], keep=("published",), also=again)


async def mark_gone(
    tx: AsyncConnection, collection: str, source: str, keys: Iterable[tuple[str, str]], *, now: datetime
) -> None:
    """Documents whose points must be deleted. Those that never were documents are left alone."""
    columns = documents.c
    for chunk in chunks(sorted(set(keys))):
        query = update(documents).where(columns.collection == collection, columns.source == source)
        query = query.where(tuple_(columns.item_id, columns.language).in_(chunk), columns.state != "gone")
        await tx.execute(query.values(state="gone", version=columns.version + 1, stale_since=now, **_FRESH))


async def languages_of(tx: AsyncConnection, collection: str, source: str, items: Iterable[str]) -> set[tuple[str, str]]:
    """(item id, language) of every document that these items have, or had."""
    columns = documents.c
    found: set[tuple[str, str]] = set()
    for chunk in chunks(set(items)):
        query = select(columns.item_id, columns.language)
        query = query.where(columns.collection == collection, columns.source == source, columns.item_id.in_(chunk))
        found |= {(row.item_id, row.language) for row in await tx.execute(query)}
    return found


async def claim(
    tx: AsyncConnection,
    *,
    owner: str,
    limit: int,
    until: datetime,
    now: datetime,
    source: str | None = None,
    collection: str | None = None,
    keys: Sequence[Key] | None = None,
) -> list[Claim]:
    """Up to `limit` documents that are stale or gone, due, and claimed by nobody (or by one whose time is over).

    `keys`: of these only, at most `CHUNK` of them. The longest waiting come first. On PostgreSQL rows another publisher
    is claiming right now are passed over.
    Documents of a closed collection are left alone; it cannot be closed before this transaction ends.
    """
    columns = documents.c
    states = select(collections.c.name, collections.c.state).with_for_update(read=True)
    closed = [row.name for row in await tx.execute(states) if row.state == "closed"]
    query = select(documents).where(
        PENDING_DOCUMENT,
        or_(columns.next_attempt_at.is_(None), columns.next_attempt_at <= now),
        or_(columns.claimed_until.is_(None), columns.claimed_until <= now),
        columns.collection.not_in(closed),
        *_within(collection, source),
        *([tuple_(*_KEY).in_(list(keys))] if keys is not None else []),
    )
    query = query.order_by(columns.stale_since).limit(limit).with_for_update(skip_locked=True)
    rows = list((await tx.execute(query)).mappings())
    abandoned = [row for row in rows if row["claimed_by"] is not None]
    await _set(tx, map(_key, abandoned), UNKNOWN)
    await _set(tx, map(_key, rows), {"claimed_by": owner, "claimed_until": until})
    lost = {_key(row) for row in abandoned}
    return [as_claim(row, owner, known=_key(row) not in lost) for row in rows]


def as_claim(row: RowMapping, owner: str, *, known: bool = True) -> Claim:
    """A row of `documents` as the claim of `owner`; unless `known`, with what the index holds unknown."""
    what = {name: row[name] for name in UNKNOWN} if known else UNKNOWN
    return Claim(
        collection=row["collection"],
        source=row["source"],
        item_id=row["item_id"],
        language=row["language"],
        version=row["version"],
        gone=row["state"] == "gone",
        attempts=row["attempts"],
        owner=owner,
        **what,
    )


async def mark_published(tx: AsyncConnection, done: Sequence[Published], *, now: datetime) -> int:
    """Note what the index holds now; returns how many documents are ready.

    One that changed since it was claimed stays stale (or gone), with the new hashes. One whose claim was taken over
    meanwhile is made stale with hashes unknown, and one that was forgotten is made gone: its late publisher may have
    overwritten, or brought back, a point.
    """
    stored = await _locked(tx, [entry.claim.key for entry in done])
    ready = 0
    written: list[Row] = []
    for entry in done:
        old = stored.get(entry.claim.key)
        if old is None:
            written.append(_ghost(entry, now))
        elif old["claimed_by"] != entry.claim.owner:
            written.append(dict(old) | _late(old))
        else:
            same = old["version"] == entry.claim.version
            ready += same
            written.append(
                dict(old)
                | UNCLAIMED
                | (_FRESH | {"state": "ready"} if same else {})
                | {
                    "published": dict(entry.sections),
                    "payload_hash": entry.payload_hash,
                    "embedder": entry.embedder,
                    "rules": entry.rules,
                    "visibility": entry.visibility,
                    "published_at": now,
                }
            )
    await upsert(tx, documents, written)
    return ready


async def forget(tx: AsyncConnection, claims: Sequence[Claim]) -> int:
    """Drop the rows of documents whose points were deleted, gone or found to be; returns how many.

    One that changed since it was claimed stays, with hashes unknown: its point is not there any more.
    """
    stored = await _locked(tx, [entry.key for entry in claims])
    dropped: list[Key] = []
    kept: list[Row] = []
    for entry in claims:
        old = stored.get(entry.key)
        if old is None:
            continue
        if old["version"] == entry.version and old["claimed_by"] == entry.owner:
            dropped.append(entry.key)
        elif old["claimed_by"] == entry.owner:
            kept.append(dict(old) | UNCLAIMED | UNKNOWN)
        else:
            kept.append(dict(old) | _late(old))
    for chunk in chunks(sorted(dropped)):
        await tx.execute(delete(documents).where(tuple_(*_KEY).in_(chunk)))
    await upsert(tx, documents, kept)
    return len(dropped)


def _late(old: RowMapping) -> Row:
    state = "gone" if old["state"] == "gone" else "stale"
    return UNKNOWN | UNCLAIMED | {"state": state, "version": old["version"] + 1, "next_attempt_at": None}


def _ghost(entry: Published, now: datetime) -> Row:
    names = ("collection", "source", "item_id", "language")
    row: Row = {column.name: None for column in documents.c} | dict(zip(names, entry.claim.key, strict=True))
    return row | UNKNOWN | _FRESH | {"state": "gone", "version": entry.claim.version + 1, "stale_since": now}


async def mark_failed(
    tx: AsyncConnection,
    claim: Claim,
    error: str,
    *,
    next_attempt_at: datetime | None,
    now: datetime,
    unpublished: bool = False,
) -> None:
    """Note that a claimed document could not be published; with no next attempt it waits for its content to change.

    `unpublished` says that its point was deleted, or that what the index holds is not known. A gone document is always
    tried again, a day later if no time is given. A claim that was taken over changes nothing.
    """
    old = (await _locked(tx, [claim.key])).get(claim.key)
    if old is None or old["claimed_by"] != claim.owner:
        return
    values: Row = dict(UNCLAIMED)
    if unpublished:
        values |= UNKNOWN
    if old["version"] == claim.version:
        values |= {"attempts": old["attempts"] + 1, "last_error": error, "next_attempt_at": next_attempt_at}
        if next_attempt_at is None:
            values |= {"next_attempt_at": now + _AGAIN} if claim.gone else {"state": "failed"}
    await _set(tx, [claim.key], values)


async def release(tx: AsyncConnection, owner: str | None) -> int:
    """Give back every claim of a publisher that stops or is known to be dead; None: every claim there is.

    What the index holds for these documents is taken as unknown, so a batch cut short is written whole again.
    """
    query = update(documents).where(documents.c.claimed_by.is_not(None))
    if owner is not None:
        query = query.where(documents.c.claimed_by == owner)
    return (await tx.execute(query.values(**UNCLAIMED, **UNKNOWN))).rowcount


async def renew(tx: AsyncConnection, owner: str, *, until: datetime, now: datetime) -> int:
    """Keep a publisher's claims that have not lapsed; returns how many."""
    query = update(documents).where(documents.c.claimed_by == owner, documents.c.claimed_until > now)
    return (await tx.execute(query.values(claimed_until=until))).rowcount


async def owners(tx: AsyncConnection, collection: str, source: str) -> list[str]:
    """Who claims documents of a source and collection, whether the claims have lapsed or not."""
    query = select(documents.c.claimed_by).distinct().where(documents.c.claimed_by.is_not(None))
    return list((await tx.execute(query.where(*_within(collection, source)))).scalars())


async def is_claimed_beside(tx: AsyncConnection, owner: str, collection: str, source: str, *, now: datetime) -> bool:
    """Whether somebody else is publishing documents of a source and collection."""
    columns = documents.c
    query = select(columns.item_id).where(columns.claimed_by.is_not(None), columns.claimed_by != owner)
    query = query.where(columns.claimed_until > now, *_within(collection, source))
    return (await tx.execute(query.limit(1))).first() is not None


async def pending(tx: AsyncConnection, *, source: str | None = None, collection: str | None = None) -> int:
    """How many documents wait to be published or deleted, due or not."""
    query = select(func.count()).select_from(documents).where(PENDING_DOCUMENT, *_within(collection, source))
    return int((await tx.execute(query)).scalar_one())


async def counts(tx: AsyncConnection) -> dict[tuple[str, str, str], int]:
    """How many documents there are by (collection, source, state)."""
    group = (documents.c.collection, documents.c.source, documents.c.state)
    rows = await tx.execute(select(*group, func.count().label("n")).group_by(*group).order_by(*group))
    return {(row.collection, row.source, row.state): row.n for row in rows}


async def restale(tx: AsyncConnection, collection: str, *, now: datetime, source: str | None = None) -> int:
    """Make every document of a collection stale, so that each is compared and published anew; hashes are kept."""
    columns = documents.c
    query = update(documents).where(*_within(collection, source), columns.state != "gone")
    result = await tx.execute(query.values(state="stale", version=columns.version + 1, stale_since=now, **_FRESH))
    return result.rowcount


async def unpublish(tx: AsyncConnection, collection: str) -> int:
    """The index of a collection was lost: every document of it is stale and nothing of it is published."""
    columns = documents.c
    state = case((columns.state == "gone", "gone"), else_="stale")
    query = update(documents).where(columns.collection == collection)
    result = await tx.execute(query.values(state=state, version=columns.version + 1, **UNKNOWN, **_FRESH))
    return result.rowcount


def _within(collection: str | None, source: str | None) -> list[ColumnElement[bool]]:
    wanted = ((documents.c.collection, collection), (documents.c.source, source))
    return [column == value for column, value in wanted if value is not None]


def _key(row: RowMapping) -> Key:
    return row["collection"], row["source"], row["item_id"], row["language"]


async def _locked(tx: AsyncConnection, keys: Iterable[Key]) -> dict[Key, RowMapping]:
    found: dict[Key, RowMapping] = {}
    for chunk in chunks(sorted(set(keys))):
        query = select(documents).where(tuple_(*_KEY).in_(chunk)).order_by(*_KEY).with_for_update()
        found |= {_key(row): row for row in (await tx.execute(query)).mappings()}
    return found


async def _set(tx: AsyncConnection, keys: Iterable[Key], values: Row) -> None:
    for chunk in chunks(sorted(keys)):
        await tx.execute(update(documents).where(tuple_(*_KEY).in_(chunk)).values(**values))
