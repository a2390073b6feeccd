"""One declared table as a source with one stream, `rows`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import Protocol
from urllib.parse import quote as url_quote

import asyncpg

from deskloom.errors import DeskloomError, InvalidRequest, SettingInvalid, Unreadable
from deskloom.model import Cursor, Json, Kind, Page, Record, Tombstone
from deskloom.protocols import Known, Listed, Stream, nothing_known
from deskloom.sources.postgres import replication, triggers
from deskloom.sources.postgres.catalog import find_table
from deskloom.sources.postgres.column import OVERLAP, ColumnReader, read_row
from deskloom.sources.postgres.database import Database
from deskloom.sources.postgres.declared import Declared, declare
from deskloom.sources.postgres.mapping import to_row
from deskloom.sources.postgres.reading import Found, by_key, key_parts, one
from deskloom.table_settings import TableSettings

ROWS = "rows"
PREPARED_WITHIN = 60.0
"""Seconds between two looks whether a table that is read by the clock can be followed by now."""


class _Reads(Protocol):
    def read(self, after: Cursor | None, *, limit: int | None, known: Known) -> AsyncIterator[Page]: ...


class TableSource:
    """A table (or view), read through a database that several tables share. The caller closes the database."""

    kind: str = "postgres"

    def __init__(self, settings: TableSettings, database: Database, *, overlap: float = OVERLAP) -> None:
        """`overlap`: seconds by which the clocks may differ that stamp rows (`column`)."""
        self.name = settings.name
        self.settings = settings
        self.account = f"{database.host}/{database.name} {settings.table}"
        self.streams: Mapping[str, Stream] = {ROWS: Stream(ROWS, Kind.ROW, settings.into)}
        self._database = database
        self._overlap = overlap
        self._declared: Declared | None = None

    async def declared(self) -> Declared:
        """The declaration held against the table as it is now; raises `SettingInvalid` naming what is wrong."""
        async with self._database.reading() as connection:
            table = await find_table(connection, self.settings.table, self._database.schema)
            declared = declare(self.settings, table)
            await _try_condition(connection, declared)
        self._declared = declared
        return declared

    async def check(self) -> Json:
        """What is read, from where, and what works but not well (`warnings`)."""
        declared = await self.declared()
        async with self._database.reading() as connection:
            rows = await connection.fetchval(f"SELECT count(*) FROM {declared.table.quoted} WHERE {declared.living}")
        return {
            "database": self._database.place,
            "table": declared.table.quoted,
            "key": ", ".join(declared.key),
            "rows": rows,
            "collection": self.settings.into,
            "follow": await self._way(declared),
            "warnings": [*declared.warnings, *await self._alarms(declared)],
        }

    async def read(
        self, stream: str, after: Cursor | None, *, limit: int | None = None, known: Known = nothing_known
    ) -> AsyncIterator[Page]:
        """Pages of changed rows; see `column`, `triggers` and `replication`.

        Under another declaration, followed in another way, or after its database went back to an earlier state, the
        table is read whole, whatever the cursor says.
        """
        self._require(stream)
        declared = await self.declared()
        way = await self._way(declared)
        under: Json = {"way": way, "version": declared.version, "origin": await self._origin(declared)}
        own = {name: value for name, value in (after or {}).items() if name not in under}
        same = all((after or {}).get(name) == value for name, value in under.items())
        reader = self._reader(way, declared)
        async with aclosing(reader.read(own if same else None, limit=limit, known=known)) as pages:  # type: ignore[type-var]
            async for page in pages:
                yield replace(page, cursor=under | page.cursor)

    async def way(self) -> str:
        """How changes are noticed: as it was declared, else the best that the database was prepared for.

        Raises `SettingInvalid` for a way that it was not prepared for.
        """
        return await self._way(await self.declared())

    def _reader(self, way: str, declared: Declared) -> _Reads:
        if way == "column":
            return ColumnReader(self._database, declared, self._overlap)
        if way == "triggers":
            return triggers.TriggerReader(self._database, declared)
        return replication.ReplicationReader(self._database, declared)

    async def _way(self, declared: Declared) -> str:
        asked = self.settings.follow
        if asked == "column":
            return asked
        async with self._database.connection() as connection:
            prepared = {
                "replication": asked != "triggers" and await replication.installed(connection, declared),
                "triggers": asked != "replication" and await triggers.installed(connection, declared),
            }
        if asked != "auto" and not prepared[asked]:
            raise SettingInvalid(
                f'Table "{self.name}" is to be followed by {asked}, which its database is not prepared for. Prepare '
                f"it: deskloom table install {self.name}",
                setting=f"tables.{self.name}",
            )
        return next((way for way, there in prepared.items() if there), "column")

    async def _origin(self, declared: Declared) -> Json:
        """What is another where a table was restored, or its server replaced by one that may know less."""
        async with self._database.connection() as connection:
            database = await connection.fetchval(_DATABASE)
            try:
                history = await connection.fetchval(_HISTORY)
            except asyncpg.PostgresError:  # some services keep their log to themselves
                history = None
        return {"database": database, "table": declared.table.oid, "history": history}

    async def changes(self) -> AsyncIterator[str]:
        """`rows`, whenever the table may have changed: by its triggers or its slot. Raises what reading raises."""
        declared = await self.declared()
        way = await self._way(declared)
        if way == "column":
            await asyncio.sleep(PREPARED_WITHIN)  # it is read by the clock; it may be prepared for more meanwhile
            return
        follow = triggers.changes if way == "triggers" else replication.changes
        async with aclosing(follow(self._database, declared)) as moments:
            async for _ in moments:
                yield ROWS

    async def _alarms(self, declared: Declared) -> list[str]:
        async with self._database.connection() as connection:
            said = [*await replication.alarms(connection, declared), *await triggers.alarms(connection, declared)]
            if since := await connection.fetchval(_FORGOTTEN):
                said.append(
                    f"A prepared transaction waits in {self._database.place} since {since}; until it is committed or "
                    "rolled back, what changed since then is read again and again."
                )
        return said

    def cursor_since(self, stream: str, when: datetime) -> Cursor:
        """A table's mark is its own; rows that changed since then are found by reading the table whole."""
        self._require(stream)
        return {}

    async def listing(self, stream: str) -> AsyncIterator[Sequence[Listed]]:
        """Every row that is alive, all as of one moment, with its change mark: so a sweep finds what changed unseen."""
        self._require(stream)
        declared = await self.declared()
        async with self._database.reading() as connection:
            async for rows in by_key(connection, declared, None):
                yield [_listed(declared, row) for row in rows]

    async def fetch(self, stream: str, key: str) -> Record | None:
        """One row; None when it is gone or no longer meets the conditions. Raises `Unreadable`."""
        self._require(stream)
        declared = self._declared or await self.declared()
        parts = key_parts(declared, key)
        if parts is None:
            return None
        try:
            async with self._database.reading() as connection:
                row = await one(connection, declared, parts)
        except DeskloomError:
            self._declared = None  # the table may be another one by now
            raise
        if row is None or isinstance(read := read_row(declared, row), Tombstone):
            return None
        return read

    def link(self, kind: Kind, key: str) -> str | None:
        """Where a person reads the row, if the declaration says so."""
        return self.settings.url.replace("{key}", url_quote(key, safe="")) if self.settings.url else None

    async def aclose(self) -> None:
        return None

    def _require(self, stream: str) -> None:
        if stream != ROWS:
            raise InvalidRequest(f'A table has no stream "{stream}". Streams: {ROWS}.', parameter="stream")


def _listed(declared: Declared, row: Found) -> Listed:
    try:
        read = to_row(declared, row.key, row.values)
    except Unreadable:  # it is set aside already, and was told
        return Listed(key=row.key)
    return Listed(key=row.key, stamp=read.stamp, updated_at=read.updated_at)


_DATABASE = "SELECT oid::bigint FROM pg_database WHERE datname = current_database()"
_HISTORY = """
SELECT CASE WHEN pg_is_in_recovery() THEN '' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END
"""
_FORGOTTEN = """
SELECT min(prepared)::timestamp(0)::text FROM pg_prepared_xacts
WHERE database = current_database() AND prepared < now() - interval '1 hour'
"""


async def _try_condition(connection: asyncpg.Connection, declared: Declared) -> None:
    """Have PostgreSQL read the declared condition, so that a mistake in it is told at the start."""
    try:
        await connection.fetch(f"SELECT {declared.living} FROM {declared.table.quoted} LIMIT 0")
    except (asyncpg.SyntaxOrAccessError, asyncpg.DataError) as error:
        hint = f" {error.hint}" if error.hint else ""
        raise SettingInvalid(
            f'Table "{declared.settings.name}": its condition (where, deleted) cannot be read: {error.message}.{hint}',
            setting=f"tables.{declared.settings.name}",
        ) from None
