"""The few statements that SQLite and PostgreSQL spell differently, and the cutting of long key lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Table, exists, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

Row = dict[str, Any]
T = TypeVar("T")

CHUNK = 500
"""Keys in one statement. Four columns a key stay far below SQLite's and PostgreSQL's limit of 32,766 parameters."""


def chunks(values: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """The values in lists of at most `size`."""
    remaining = iter(values)
    while chunk := list(islice(remaining, size)):
        yield chunk


def insert(tx: AsyncConnection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that knows ON CONFLICT, in the dialect of the connection."""
    return postgresql.insert(table) if tx.dialect.name == "postgresql" else sqlite.insert(table)


async def upsert(
    tx: AsyncConnection,
    table: Table,
    rows: Sequence[Row],
    *,
    keep: Iterable[str] = (),
    also: Mapping[str, Any] | None = None,
) -> None:
    """Insert rows that all have the same columns; a row with the same primary key is overwritten.

    On such a conflict the columns in `keep` stay as they are and `also` gives columns another value, which may speak
    of the stored row. A key must not occur twice. Rows are written in key order, so that two writers cannot deadlock.
    """
    if not rows:
        return
    identity = [column.name for column in table.primary_key]
    statement = insert(tx, table)
    kept = {*identity, *keep}
    values: dict[str, Any] = {name: statement.excluded[name] for name in rows[0] if name not in kept}
    values |= also or {}
    ordered = sorted(rows, key=lambda row: [row[name] for name in identity])
    await tx.execute(statement.on_conflict_do_update(index_elements=identity, set_=values), ordered)


def holds_tag(tx: AsyncConnection, tags: ColumnElement[Any], tag: str) -> ColumnElement[bool]:
    """Whether a JSON list of texts holds a text."""
    if tx.dialect.name == "postgresql":
        return tags.op("@>", is_comparison=True)(literal([tag], type_=tags.type))
    entries = func.json_each(tags).table_valued("value")
    return exists(select(literal(1)).select_from(entries).where(entries.c.value == tag))
