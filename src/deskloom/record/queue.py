"""The tables of the job queue (Procrastinate's), in a schema of their own beside the record's on PostgreSQL.

Of their own, because a program of the user's may have a queue of the same library in the same database, and because
Supabase's REST interface shows no schema but `public`. The SQL is the library's; only which part of it was run is kept
here, since the library leaves that to whoever uses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.errors import RecordOutdated, SettingInvalid
from deskloom.record.engine import Record

SCHEMA = "deskloom_queue"
_LOCK = 4_821_337_509_114_004
"""The key of the advisory lock under which the queue's tables are made; not the record's own."""


NOT_SHARED = partial(
    SettingInvalid,
    "DESKLOOM_DISPATCH=procrastinate needs a PostgreSQL record that all workers reach. Set DATABASE_URL, for example "
    "postgresql://user:password@host:5432/deskloom, or leave DESKLOOM_DISPATCH out.",
    setting="DATABASE_URL",
)


@dataclass(frozen=True, slots=True)
class Scripts:
    """The library's SQL: the whole schema as it is now, and by name the steps that led there, oldest first."""

    schema: str
    steps: Sequence[tuple[str, str]]


def conninfo(record: Record) -> str:
    """How libpq reaches the record's database; the words of connection poolers' tools are left out."""
    known = {name: value for name, value in record.url.query.items() if name not in ("pgbouncer", "supa")}
    return record.url.set(drivername="postgresql", query=known).render_as_string(hide_password=False)


async def upgrade_queue(record: Record, scripts: Scripts) -> None:
    """Bring the queue's tables to the installed library. Repeating it changes nothing; several may try at once."""
    require_postgres(record)
    async with record.transaction() as tx:
        await tx.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        await tx.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        await tx.execute(text(f"SET LOCAL search_path TO {SCHEMA}"))
        await tx.execute(text("CREATE TABLE IF NOT EXISTS applied (step text PRIMARY KEY)"))
        done = await _applied(tx)
        if not done:
            await _run(tx, scripts.schema)
        for step, sql in scripts.steps:
            if step in done:
                continue
            if done:
                await _run(tx, sql)
            await tx.execute(text("INSERT INTO applied VALUES (:step)"), {"step": step})


async def require_queue(record: Record, scripts: Scripts) -> None:
    """Prove that the queue's tables are there and as the library needs them; raises `RecordOutdated`."""
    require_postgres(record)
    async with record.reading() as tx:
        found = (await tx.execute(text(f"SELECT to_regclass('{SCHEMA}.applied') IS NOT NULL"))).scalar_one()
        if found and {step for step, _ in scripts.steps} <= await _applied(tx):
            return
    raise RecordOutdated(f"Record {record.place} lacks the tables of the job queue. Run: deskloom db upgrade")


def require_postgres(record: Record) -> None:
    """Refuse a record that several processes cannot share."""
    if record.dialect != "postgresql":
        raise NOT_SHARED()


async def _applied(tx: AsyncConnection) -> set[str]:
    return {row.step for row in await tx.execute(text(f"SELECT step FROM {SCHEMA}.applied"))}


async def _run(tx: AsyncConnection, script: str) -> None:
    """Several statements at once, which the driver takes only where nothing is bound."""
    connection: Any = (await tx.get_raw_connection()).driver_connection
    await connection.execute(script)
