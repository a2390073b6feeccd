"""Help articles in the record, one row an article and language."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.errors import NotFound
from deskloom.model import Article, Visibility
from deskloom.record.copies import BEGINNING, Copies, Stored, live_keys, row_of, store_copies, stored_stamps
from deskloom.record.paging import beyond, encode_place
from deskloom.record.statements import Row, chunks, holds_tag
from deskloom.record.tables import articles

ARTICLES = Copies(table=articles, identity=("external_id", "language"), quiet=("updated_at",), grave={})
_FIELDS = tuple(part.name for part in fields(Article) if part.name != "raw")
_LONG = frozenset({"body_html", "body_text", "stamp"})
_SHORT = ("source", *(name for name in _FIELDS if name not in _LONG))


async def store_articles(tx: AsyncConnection, source: str, items: Sequence[Article], *, now: datetime) -> Stored:
    """Store articles; keys are `id:language`."""
    rows = []
    for item in items:
        row = row_of(item, articles, source)
        rows.append(row | {"deleted_at": None, "listed_at": item.updated_at or item.created_at or BEGINNING})
    stored, _ = await store_copies(tx, ARTICLES, rows, now=now)
    return stored


async def article_stamps(tx: AsyncConnection, source: str, keys: Iterable[str]) -> dict[str, str]:
    """Key → stamp, for articles that are stored."""
    return await stored_stamps(tx, ARTICLES, source, keys)


async def article_keys(tx: AsyncConnection, source: str) -> frozenset[str]:
    """The keys of every article that is not deleted."""
    return await live_keys(tx, ARTICLES, source)


async def load_articles(tx: AsyncConnection, source: str, keys: Iterable[str]) -> dict[str, Article]:
    """Articles that are not deleted, by key, without `raw`; keys that are not stored are missing from the answer."""
    wanted = set(keys)
    found: dict[str, Article] = {}
    for chunk in chunks(sorted({int(key.split(":", 1)[0]) for key in wanted})):
        query = select(*(articles.c[name] for name in _FIELDS)).where(
            articles.c.source == source, articles.c.external_id.in_(chunk), articles.c.deleted_at.is_(None)
        )
        for row in (await tx.execute(query)).mappings():
            values = dict(row) | {"tags": tuple(row["tags"]), "visibility": Visibility(row["visibility"])}
            article = Article(**values)
            if article.key in wanted:
                found[article.key] = article
    return found


async def list_articles(
    tx: AsyncConnection,
    *,
    source: str | None = None,
    language: str | None = None,
    published: bool | None = None,
    visibilities: Sequence[Visibility] | None = None,
    folder_id: int | None = None,
    tag: str | None = None,
    updated_since: datetime | None = None,
    limit: int = 100,
    after: str | None = None,
) -> tuple[list[Row], str | None]:
    """Articles that match every filter, without their bodies, last changed first, and the cursor of the next page."""
    columns = articles.c
    query = select(columns.listed_at, *(columns[name] for name in _SHORT)).where(columns.deleted_at.is_(None))
    wanted = {"source": source, "language": language, "published": published, "folder_id": folder_id}
    for name, value in wanted.items():
        if value is not None:
            query = query.where(columns[name] == value)
    if visibilities is not None:
        query = query.where(columns.visibility.in_([entry.value for entry in visibilities]))
    if tag is not None:
        query = query.where(holds_tag(tx, columns.tags, tag))
    if updated_since is not None:
        query = query.where(columns.updated_at >= updated_since)
    place = (columns.listed_at, columns.source, columns.external_id, columns.language)
    if after is not None:
        query = query.where(beyond(place, after, (datetime, str, int, str)))
    query = query.order_by(*(column.desc() for column in place)).limit(limit + 1)
    rows = list((await tx.execute(query)).mappings())
    last = rows[limit - 1] if len(rows) > limit else None
    cursor = encode_place([last[column.name] for column in place]) if last else None
    return [_named(dict(row)) for row in rows[:limit]], cursor


async def get_article(tx: AsyncConnection, source: str, id: str | int, language: str | None = None) -> Row:
    """One article with its texts, and `languages`: every language it exists in.

    Without a language the one it was first written in (the oldest; then by name). Raises `NotFound`.
    """
    missing = NotFound(f'There is no article {id} of source "{source}" in the record.', source=source, id=str(id))
    number = str(id)
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        raise missing
    columns = articles.c
    query = select(columns.source, *(columns[name] for name in _FIELDS if name != "stamp"), columns.version).where(
        columns.source == source, columns.external_id == int(number), columns.deleted_at.is_(None)
    )
    query = query.order_by(columns.created_at.is_(None), columns.created_at, columns.language)
    rows = [dict(row) for row in (await tx.execute(query)).mappings()]
    if not rows:
        raise missing
    languages = sorted(row["language"] for row in rows)
    chosen = next((row for row in rows if language is None or row["language"] == language), None)
    if chosen is None:
        raise NotFound(
            f'Article {id} of source "{source}" does not exist in "{language}", but in {", ".join(languages)}.',
            source=source,
            id=number,
            languages=languages,
        )
    return _named(chosen) | {"languages": languages}


def _named(row: Row) -> Row:
    row.pop("listed_at", None)
    row["id"] = row.pop("external_id")
    return row
