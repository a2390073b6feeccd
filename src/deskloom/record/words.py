"""The word half of an index whose store has no sparse vectors: an inverted index in the record.

A list holds the postings of one word vector of one copy: (token, point, weight). What points are filtered by is kept
the same way, in lists called "=field": the token is the number itself, a time in microseconds, or 63 bits of a text's
hash. So one table answers a question with its filters, by the same statement on both databases, and the score is the
sum that the other indexes give.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.protocols import Where, WordEntry, Words
from deskloom.record.engine import Record
from deskloom.record.statements import chunks, insert
from deskloom.record.tables import word_lists, word_points, word_postings

Posting = tuple[int, int, int, float]
"""List, token, point and weight."""
HELD = -1
"""The token that stands for "has this list at all"; tokens of words are never below zero."""
BUDGET = 40_000
"""Postings that a question reads to choose its candidates. The commonest words beyond count for candidates alone:
measured on 20,000 real tickets, 47 ms instead of 171 for a question of 62 words, with the same ten best (0.997)."""
CANDIDATES = 4
"""Candidates for each hit asked for, where not every posting is read."""
_ASKED = {
    "sqlite": "SELECT json_extract(value, '$[0]') AS token, json_extract(value, '$[1]') AS factor"
    " FROM json_each(:asked)",
    "postgresql": "SELECT (value->>0)::bigint AS token, (value->>1)::float8 AS factor"
    " FROM jsonb_array_elements(CAST(:asked AS jsonb))",
}
_HAVING = "SELECT f.point FROM word_postings AS f WHERE"
_INSERT = {
    "sqlite": "INSERT INTO word_postings (list, token, point, weight) VALUES (?, ?, ?, ?)",
    "postgresql": "INSERT INTO word_postings (list, token, point, weight) SELECT * FROM unnest(CAST(:lists AS int[]),"
    " CAST(:tokens AS bigint[]), CAST(:points AS int[]), CAST(:weights AS real[]))",
}


class RecordWords:
    """A `WordIndex` in the record."""

    def __init__(self, record: Record, *, budget: int = BUDGET) -> None:
        self._record = record
        self._budget = budget

    async def put(self, copy: str, entries: Sequence[WordEntry]) -> None:
        names = {name for entry in entries for name in (*entry.words, *map(_field, entry.fields))}
        async with self._record.transaction() as tx:
            lists = await _open_lists(tx, copy, names)
            points = await _open_points(tx, copy, [entry.id for entry in entries])
            for chunk in chunks(points.values()):
                await tx.execute(delete(word_postings).where(word_postings.c.point.in_(chunk)))
            rows = await asyncio.to_thread(
                lambda: sorted(
                    row
                    for entry in entries
                    for row in (
                        *_word_rows(lists, points[entry.id], entry.words),
                        *_field_rows(lists, points[entry.id], entry.fields),
                    )
                )
            )
            await _insert(tx, rows)

    async def set_fields(self, copy: str, fields: Mapping[UUID, Mapping[str, Sequence[str | int]]]) -> None:
        async with self._record.transaction() as tx:
            lists = await _open_lists(tx, copy, {_field(name) for own in fields.values() for name in own})
            points = await _points(tx, copy, list(fields), keep=True)
            old = await _lists(tx, copy, fields=True)
            for chunk in chunks(points.values()):
                gone = delete(word_postings).where(word_postings.c.point.in_(chunk))
                await tx.execute(gone.where(word_postings.c.list.in_(old.values())))
            rows = [row for id, point in points.items() for row in _field_rows(lists, point, fields[id])]
            await _insert(tx, sorted(rows))

    async def delete(self, copy: str, ids: Sequence[UUID]) -> None:
        async with self._record.transaction() as tx:
            for chunk in chunks((await _points(tx, copy, ids, keep=True)).values()):
                await _forget(tx, chunk)

    async def query(
        self, copy: str, name: str, words: Words, *, rarity: bool, where: Where, limit: int
    ) -> list[tuple[UUID, float]]:
        """Best first. Where the question has many common words, hits beyond the first few dozen may be left out."""
        async with self._record.reading() as tx:
            lists = await _lists(tx, copy)
            if name not in lists or (conditions := _conditions(lists, where)) is None:
                return []
            asked = await _factors(tx, lists[name], words, rarity=rarity)
            chosen = _affordable(asked, self._budget)
            wanted = limit if len(chosen) == len(asked) else limit * CANDIDATES
            best = await _best(tx, lists[name], chosen, conditions, wanted)
            if len(chosen) < len(asked):
                among = f" AND p.point IN ({', '.join(str(point) for point, _ in best) or 'NULL'})"
                best = await _best(tx, lists[name], asked, among, limit)
            named: dict[int, UUID] = {}
            for chunk in chunks(point for point, _ in best):
                query = select(word_points.c.id, word_points.c.point).where(word_points.c.id.in_(chunk))
                named |= {row.id: row.point for row in await tx.execute(query)}
        return [(named[point], score) for point, score in best]

    async def words(self, copy: str, ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Words]]:
        columns = word_postings.c
        async with self._record.reading() as tx:
            points = await _points(tx, copy, ids)
            lists = {id: name for name, id in (await _lists(tx, copy, fields=False)).items()}
            found: dict[int, dict[str, list[tuple[int, float]]]] = {point: {} for point in points.values()}
            for chunk in chunks(points.values()):
                query = select(columns.list, columns.token, columns.point, columns.weight)
                query = query.where(columns.point.in_(chunk), columns.list.in_(lists), columns.token != HELD)
                for row in await tx.execute(query):
                    found[row.point].setdefault(lists[row.list], []).append((row.token, row.weight))
        return {
            id: {
                name: Words(tuple(token for token, _ in pairs), tuple(weight for _, weight in pairs))
                for name, pairs in found[point].items()
            }
            for id, point in points.items()
        }

    async def is_empty(self, copy: str) -> bool:
        async with self._record.reading() as tx:
            query = select(word_points.c.id).where(word_points.c.copy == copy).limit(1)
            return (await tx.execute(query)).first() is None

    async def copies(self, collection: str) -> Sequence[str]:
        async with self._record.reading() as tx:
            named = [select(table.c.copy).distinct() for table in (word_lists, word_points)]
            found = {copy for query in named for copy in (await tx.execute(query)).scalars()}
        return sorted(copy for copy in found if copy.startswith(f"{collection}__"))

    async def drop(self, copy: str) -> None:
        """In steps of some hundred points, so that others may write in between."""
        columns = word_points.c
        while True:
            async with self._record.transaction() as tx:
                some = await tx.execute(select(columns.id).where(columns.copy == copy).limit(500))
                if not (points := list(some.scalars())):
                    await tx.execute(delete(word_lists).where(word_lists.c.copy == copy))
                    return
                await _forget(tx, points)


# ------------------------------------------------------------------------------------------------------------- asking


async def _factors(tx: AsyncConnection, number: int, words: Words, *, rarity: bool) -> list[tuple[int, float, int]]:
    """Each token of a question that any point has: what its weights are multiplied by, and how many points have it."""
    columns = word_postings.c
    counts: dict[int, int] = {}
    for chunk in chunks((*words.indices, HELD)):
        query = select(columns.token, func.count()).where(columns.list == number, columns.token.in_(chunk))
        counts |= {row[0]: row[1] for row in await tx.execute(query.group_by(columns.token))}
    every = counts.pop(HELD, 0)
    asked = []
    for token, weight in zip(words.indices, words.weights, strict=True):
        if having := counts.get(token):
            rare = math.log(1 + (every - having + 0.5) / (having + 0.5)) if rarity else 1.0
            asked.append((token, weight * rare, having))
    return asked


def _affordable(asked: Sequence[tuple[int, float, int]], budget: int) -> list[tuple[int, float, int]]:
    """The words that count most, as many as may be read; at least one."""
    chosen: list[tuple[int, float, int]] = []
    cost = 0
    for one in sorted(asked, key=lambda one: -one[1]):
        cost += one[2]
        if chosen and cost > budget:
            break
        chosen.append(one)
    return chosen


async def _best(
    tx: AsyncConnection, number: int, asked: Sequence[tuple[int, float, int]], conditions: str, limit: int
) -> list[tuple[int, float]]:
    # The cross join keeps SQLite from reading the whole list first.
    statement = (
        f"WITH asked AS ({_ASKED[tx.dialect.name]}) SELECT p.point, SUM(p.weight * asked.factor) AS score"
        " FROM asked CROSS JOIN word_postings AS p WHERE p.list = :list AND p.token = asked.token"
        f"{conditions} GROUP BY p.point ORDER BY score DESC, p.point LIMIT :limit"
    )
    given = {"asked": json.dumps([one[:2] for one in asked]), "list": number, "limit": limit}
    return [(row[0], row[1]) for row in await tx.execute(text(statement), given)]


def _conditions(lists: Mapping[str, int], where: Where) -> str | None:
    """The filter in SQL, made of numbers alone; None: nothing can match."""
    made = ""
    for field, values in where.equals.items():
        if (number := lists.get(_field(field))) is None or not values:
            return None
        made += f" AND p.point IN ({_holding(number, values)})"
    for field, least in where.at_least.items():
        if (number := lists.get(_field(field))) is None:
            return None
        made += f" AND p.point IN ({_HAVING} f.list = {number} AND f.token >= {int(least)})"
    for field, values in where.exclude.items():
        if (number := lists.get(_field(field))) is not None and values:
            made += f" AND p.point NOT IN ({_holding(number, values)})"
    return made


def _holding(number: int, values: Sequence[str | int]) -> str:
    tokens = ", ".join(str(_token(value)) for value in values)
    return f"{_HAVING} f.list = {number} AND f.token IN ({tokens})"


# ------------------------------------------------------------------------------------------------------------ writing


async def _open_lists(tx: AsyncConnection, copy: str, names: Iterable[str]) -> dict[str, int]:
    """The numbers of these lists, made where they are not there."""
    there = await _lists(tx, copy)
    if fresh := sorted(set(names) - there.keys()):
        rows = [{"copy": copy, "name": name} for name in fresh]
        await tx.execute(insert(tx, word_lists).on_conflict_do_nothing(), rows)
        there = await _lists(tx, copy)
    return there


async def _lists(tx: AsyncConnection, copy: str, *, fields: bool | None = None) -> dict[str, int]:
    """Name → number of a copy's lists; with `fields` only those of filter fields, or only those of words."""
    rows = (await tx.execute(select(word_lists.c.name, word_lists.c.id).where(word_lists.c.copy == copy))).all()
    return {row.name: row.id for row in rows if fields in (None, row.name.startswith("="))}


async def _open_points(tx: AsyncConnection, copy: str, ids: Sequence[UUID]) -> dict[UUID, int]:
    """The numbers of these points, made where they are not there."""
    there = await _points(tx, copy, ids, keep=True)
    if fresh := sorted(set(ids) - there.keys()):
        rows = [{"copy": copy, "point": id} for id in fresh]
        await tx.execute(insert(tx, word_points).on_conflict_do_nothing(), rows)
        there |= await _points(tx, copy, fresh, keep=True)
    return there


async def _points(tx: AsyncConnection, copy: str, ids: Sequence[UUID], *, keep: bool = False) -> dict[UUID, int]:
    """The numbers of those points that are there; with `keep` another writer of them waits until this one is done."""
    columns = word_points.c
    found: dict[UUID, int] = {}
    for chunk in chunks(sorted(ids)):
        query = select(columns.point, columns.id).where(columns.copy == copy, columns.point.in_(chunk))
        query = query.order_by(columns.id).with_for_update() if keep else query
        found |= {row.point: row.id for row in await tx.execute(query)}
    return found


async def _forget(tx: AsyncConnection, points: Sequence[int]) -> None:
    await tx.execute(delete(word_postings).where(word_postings.c.point.in_(points)))
    await tx.execute(delete(word_points).where(word_points.c.id.in_(points)))


async def _insert(tx: AsyncConnection, rows: Sequence[Posting]) -> None:
    """Some ten thousand rows a batch of tickets: in the quickest way that each driver has."""
    if not rows:
        return
    if tx.dialect.name == "sqlite":
        await tx.exec_driver_sql(_INSERT["sqlite"], list(rows))
        return
    columns = (list(column) for column in zip(*rows, strict=True))
    await tx.execute(
        text(_INSERT["postgresql"]), dict(zip(("lists", "tokens", "points", "weights"), columns, strict=True))
    )


def _word_rows(lists: Mapping[str, int], point: int, words: Mapping[str, Words]) -> Iterable[Posting]:
    for name, own in words.items():
        yield lists[name], HELD, point, 0.0
        for token, weight in zip(own.indices, own.weights, strict=True):
            yield lists[name], token, point, weight


def _field_rows(lists: Mapping[str, int], point: int, fields: Mapping[str, Sequence[str | int]]) -> Iterable[Posting]:
    for name, values in fields.items():
        for token in {_token(value) for value in values}:
            yield lists[_field(name)], token, point, 0.0


def _field(name: str) -> str:
    return f"={name}"


def _token(value: str | int) -> int:
    """A number as it is; of a text so much of its hash that no two are taken for each other."""
    if isinstance(value, int):
        return value
    return int.from_bytes(hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest()[:8]) >> 1
