"""Marks of a change column: the highest, somewhat earlier, never in the future; and who may still write behind one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from deskloom.model import Json
from deskloom.sources.postgres.catalog import quote
from deskloom.sources.postgres.declared import Declared
from deskloom.sources.postgres.reading import Snapshot

MOST_PENDING = 20
"""Marks that wait; of more, every second one is left out, which only makes the mark move in larger steps."""

_OPEN = """
SELECT l.virtualxid FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND l.pid <> pg_backend_pid()
AND (a.pid IS NULL OR a.usesysid IS NOT NULL
     AND a.datid = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""
_PREPARED = "SELECT EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database())"
_NOW = {
    "timestamp with time zone": "now()",
    "timestamp without time zone": "now() AT TIME ZONE 'UTC'",
    "date": "(now() AT TIME ZONE 'UTC')::date",
}


@dataclass(frozen=True, slots=True)
class Open:
    """Transactions that are under way, each of which may write rows that are stamped with the time it began."""

    transactions: frozenset[str]
    prepared: bool

    def noted(self) -> list[Any]:
        """It for a cursor; `of` reads that."""
        return [sorted(self.transactions), self.prepared]

    @staticmethod
    def of(noted: Sequence[Any]) -> Open:
        return Open(frozenset(noted[0]), bool(noted[1]))


async def open_transactions(connection: asyncpg.Connection) -> Open:
    """The transactions of this database, those too that have written nothing yet, which no snapshot tells of.

    Ask before a snapshot is taken: what is not named here has ended, and is seen by it.
    """
    rows = await connection.fetch(_OPEN)
    return Open(frozenset(row["virtualxid"] for row in rows), await connection.fetchval(_PREPARED))


async def latest(connection: asyncpg.Connection, declared: Declared) -> str | None:
    """The highest value of the change column, as far as its time has come."""
    assert declared.settings.changed is not None
    changed = quote(declared.settings.changed)
    found: str | None = await connection.fetchval(f"SELECT max({changed})::text FROM {declared.table.quoted}")
    return await reached(connection, declared, found) if found is not None else None


async def reached(connection: asyncpg.Connection, declared: Declared, at: str) -> str:
    """A mark, or now, if that is earlier: behind a row that is stamped with the year 2099 others would be missed."""
    column = declared.table.columns[declared.settings.changed or ""]
    if column.type not in _NOW:
        return at
    return str(await connection.fetchval(f"SELECT least($1::text::{column.cast}, {_NOW[column.type]})::text", at))


async def minus(connection: asyncpg.Connection, declared: Declared, at: str, seconds: float) -> str:
    """A mark, some seconds earlier where it is a time; numbers have no clock that could be wrong."""
    column = declared.table.columns[declared.settings.changed or ""]
    if not column.type.startswith("timestamp"):
        return at
    statement = f"SELECT ($1::text::{column.cast} - make_interval(secs => $2))::text"
    return str(await connection.fetchval(statement, at, seconds))


def pending(at: str, seen: Snapshot, going: Open) -> list[object]:
    """A mark that waits for the transactions that were under way when its row was read."""
    return [at, seen.xmax, sorted(going.transactions)]


def confirmed(cursor: Json, seen: Snapshot, going: Open) -> Json:
    """The cursor after a window that this snapshot saw: its mark moves to what no transaction can fall behind any more.

    Those that were under way when the marked row was read have ended, and this window has met what they wrote. One that
    is prepared (two-phase commit) is no longer named among them, and may be any of them.
    """
    moved = dict(cursor)
    waiting = []
    for at, xmax, named in cursor.get("pending", []):
        still = [each for each in named if each in going.transactions]
        if still or going.prepared or seen.xmin < xmax:
            waiting.append([at, xmax, still])
        else:
            moved["mark"] = at  # windows follow one another, so the last is the highest
    if len(waiting) > MOST_PENDING:
        del waiting[1::2]
    return moved | {"pending": waiting}
