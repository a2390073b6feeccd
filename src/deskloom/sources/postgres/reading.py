"""The statements that read a declared table: by key, by change, by name. Values travel as text, cast by PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from deskloom.sources.postgres.catalog import quote
from deskloom.sources.postgres.declared import Declared

PAGE = 200
"""Rows that are read, and committed, together, at most."""
FIRST = 20
"""Rows of the first page: how large they are is not known yet."""
HEAVY, LIGHT = 8_000_000, 2_000_000
"""Characters of a page above which the next one has fewer rows, and below which it may have more."""
KEYS = 5_000
"""Keys that are listed together."""


@dataclass(frozen=True, slots=True)
class Found:
    """A row as it was read. `at` is its change column as text, `alive` whether it is to be found."""

    key: str
    parts: tuple[str, ...]
    at: str | None
    alive: bool
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a transaction sees, as `pg_snapshot` writes it: every transaction before `xmin` has ended, none from `xmax`
    on had begun."""

    text: str

    @property
    def xmin(self) -> int:
        return int(self.text.split(":")[0])

    @property
    def xmax(self) -> int:
        return int(self.text.split(":")[1])


async def snapshot(connection: asyncpg.Connection) -> Snapshot:
    """The snapshot of the transaction that is open on a connection."""
    return Snapshot(await connection.fetchval("SELECT pg_current_snapshot()::text"))


def key_text(parts: Sequence[str]) -> str:
    """The key of a row as the record holds it: the column's text, or a JSON list of several."""
    return parts[0] if len(parts) == 1 else json.dumps(list(parts), ensure_ascii=False)


def key_parts(declared: Declared, key: str) -> tuple[str, ...] | None:
    """The columns' texts of a key; None for a text that cannot be one."""
    if len(declared.key) == 1:
        return (key,)
    try:
        parts = json.loads(key)
    except (ValueError, RecursionError):
        return None
    return tuple(map(str, parts)) if isinstance(parts, list) and len(parts) == len(declared.key) else None


def select(declared: Declared) -> str:
    """The head of every statement: the key's columns as text, the change column as text, alive, then the columns."""
    changed = declared.settings.changed
    at = f"{quote(changed)}::text" if changed else "NULL::text"
    return (
        f"SELECT {_key(declared)}, {at} AS changed_at_text, ({declared.living}) AS is_alive, {declared.selected} "
        f"FROM {declared.table.quoted}"
    )


def found(declared: Declared, rows: Collection[asyncpg.Record]) -> list[Found]:
    """The rows of such a statement; of those that are alike in the key the last."""
    width = len(declared.key)
    made: dict[str, Found] = {}
    for row in rows:
        parts = tuple(row[place] for place in range(width))
        values = dict(zip(declared.columns, list(row.values())[width + 2 :], strict=True))
        made[key_text(parts)] = Found(key_text(parts), parts, row[width], bool(row[width + 1]), values)
    return list(made.values())


@dataclass(slots=True)
class _Pace:
    """How many rows the next page may have, by the weight of the one before."""

    rows: int = FIRST

    def follow(self, page: Collection[asyncpg.Record]) -> None:
        weight = sum(len(value) for row in page for value in row.values() if isinstance(value, str | bytes))
        if weight > HEAVY:
            self.rows = max(1, self.rows // 4)
        elif weight < LIGHT:
            self.rows = min(PAGE, self.rows * 2)


async def _pages(
    connection: asyncpg.Connection, declared: Declared, statement: str, values: Sequence[str]
) -> AsyncIterator[list[Found]]:
    """The rows of a statement, sorted once by the server, and fetched a page at a time."""
    cursor, pace = await connection.cursor(statement, *values), _Pace()
    while rows := await cursor.fetch(pace.rows):
        yield found(declared, rows)
        pace.follow(rows)


def by_key(
    connection: asyncpg.Connection, declared: Declared, after: Sequence[str] | None, *, where: str | None = None
) -> AsyncIterator[list[Found]]:
    """Living rows (or those that meet `where`), in the order of the key, after a key."""
    order = ", ".join(map(quote, declared.key))
    bound = f" AND ({order}) > ({_casts(declared, 1)})" if after is not None else ""
    condition = f"({where or declared.living}) AND {declared.named}{bound}"
    return _pages(connection, declared, f"{select(declared)} WHERE {condition} ORDER BY {order}", after or ())


def by_change(
    connection: asyncpg.Connection, declared: Declared, since: str | None, after: Sequence[str] | None
) -> AsyncIterator[list[Found]]:
    """Rows, dead ones too, whose change column is at or after `since`, in its order, after a (change, *key)."""
    assert declared.settings.changed is not None
    changed, values = quote(declared.settings.changed), list[str]()
    cast = declared.table.columns[declared.settings.changed].cast
    order = ", ".join([changed, *map(quote, declared.key)])
    if after is not None:
        bound, values = f"({order}) > ($1::text::{cast}, {_casts(declared, 2)})", list(after)
    elif since is not None:
        bound, values = f"{changed} >= $1::text::{cast}", [since]
    else:
        bound = f"{changed} IS NOT NULL"
    statement = f"{select(declared)} WHERE {bound} AND {declared.named} ORDER BY {order}"
    return _pages(connection, declared, statement, values)


async def living_keys(connection: asyncpg.Connection, declared: Declared) -> AsyncIterator[list[str]]:
    """The key of every living row."""
    condition = f"({declared.living}) AND {declared.named}"
    cursor = await connection.cursor(f"SELECT {_key(declared)} FROM {declared.table.quoted} WHERE {condition}")
    while rows := await cursor.fetch(KEYS):
        yield [key_text(tuple(row)) for row in rows]


async def canonical(
    connection: asyncpg.Connection, declared: Declared, keys: Sequence[Sequence[str]]
) -> list[tuple[str, ...] | None]:
    """Keys as PostgreSQL writes them (`true` for `t`, no blanks after a `char`); None for what cannot be a key."""
    width = len(declared.key)
    if any(len(parts) != width or "\x00" in "".join(parts) for parts in keys):
        return [(await canonical(connection, declared, [parts]))[0] if _fits(parts, width) else None for parts in keys]
    if not keys:
        return []
    names = ", ".join(f"c{place}" for place in range(width))
    casts = ", ".join(f"(c{place}::{_cast(declared, name)})::text" for place, name in enumerate(declared.key))
    arrays = ", ".join(f"${place}::text[]" for place in range(1, width + 1))
    statement = f"SELECT {casts} FROM unnest({arrays}) WITH ORDINALITY AS asked({names}, place) ORDER BY place"
    try:
        async with connection.transaction():  # a savepoint, where one is open: a text that cannot be cast spoils it
            return [tuple(row) for row in await connection.fetch(statement, *map(list, zip(*keys, strict=True)))]
    except asyncpg.DataError:
        if len(keys) == 1:
            return [None]
    return [(await canonical(connection, declared, [parts]))[0] for parts in keys]


def _fits(parts: Sequence[str], width: int) -> bool:
    return len(parts) == width and "\x00" not in "".join(parts)


async def some(connection: asyncpg.Connection, declared: Declared, keys: Sequence[Sequence[str]]) -> list[Found]:
    """The rows of these keys, written as PostgreSQL writes them, dead or alive, in any order."""
    if not keys:
        return []
    columns = ", ".join(map(quote, declared.key))
    names = ", ".join(f"c{place}" for place in range(len(declared.key)))
    casts = ", ".join(f"c{place}::{_cast(declared, name)}" for place, name in enumerate(declared.key))
    arrays = ", ".join(f"${place}::text[]" for place in range(1, len(declared.key) + 1))
    statement = f"{select(declared)} WHERE ({columns}) IN (SELECT {casts} FROM unnest({arrays}) AS asked({names}))"
    return found(declared, await connection.fetch(statement, *map(list, zip(*keys, strict=True))))


async def one(connection: asyncpg.Connection, declared: Declared, parts: Sequence[str]) -> Found | None:
    """The row of a key, dead or alive; None for one that is not there, or that cannot be a key of this table."""
    (key,) = await canonical(connection, declared, [parts])
    rows = await some(connection, declared, [key]) if key is not None else []
    return rows[0] if rows else None


def _key(declared: Declared) -> str:
    return ", ".join(f"{quote(name)}::text AS k{place}" for place, name in enumerate(declared.key))


def _casts(declared: Declared, first: int) -> str:
    return ", ".join(f"${first + place}::text::{_cast(declared, name)}" for place, name in enumerate(declared.key))


def _cast(declared: Declared, name: str) -> str:
    return declared.table.columns[name].cast
