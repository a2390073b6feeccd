"""One declared table as a source with one stream, `rows`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Protocol
from urllib.parse import quote as url_quote

import asyncpg

from deskloom.errors import InvalidRequest, SettingInvalid
from deskloom.model import Cursor, Json, Kind, Page, Record, Tombstone
from deskloom.protocols import Known, Listed, Stream, nothing_known
from deskloom.sources.postgres import replication, triggers
from deskloom.sources.postgres.catalog import find_table
from deskloom.sources.postgres.column import ColumnReader, read_row
from deskloom.sources.postgres.database import Database
from deskloom.sources.postgres.declared import Declared, declare
from deskloom.sources.postgres.reading import by_key, key_parts, one
from deskloom.table_settings import TableSettings

ROWS = "rows"


class _Reads(Protocol):
    def read(self, after: Cursor | None, *, limit: int | None, known: Known) -> AsyncIterator[Page]: ...


class TableSource:
    """A table (or view), read through a database that several tables share. The caller closes the database."""

    kind: str = "postgres"

    def __init__(self, settings: TableSettings, database: Database) -> None:
        self.name = settings.name
        self.settings = settings
        self.account = f"{database.host}/{database.name} {settings.table}"
        self.streams: Mapping[str, Stream] = {ROWS: Stream(ROWS, Kind.ROW, settings.into)}
        self._database = database
        self._declared: Declared | None = None

    async def declared(self) -> Declared:
        """The declaration held against the table, once; raises `SettingInvalid` naming what is wrong."""
        if self._declared is None:
            async with self._database.connection() as connection:
                table = await find_table(connection, self.settings.table, self._database.schema)
                declared = declare(self.settings, table)
                await _try_condition(connection, declared)
            self._declared = declared
        return self._declared

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
            "follow": await self.way(),
            "warnings": [*declared.warnings, *await self._alarms(declared)],
        }

    async def read(
        self, stream: str, after: Cursor | None, *, limit: int | None = None, known: Known = nothing_known
    ) -> AsyncIterator[Page]:
        """Pages of changed rows; see `column` and `triggers`."""
        self._require(stream)
        reader = await self._reader()
        async with aclosing(reader.read(after, limit=limit, known=known)) as pages:  # type: ignore[type-var]
            async for page in pages:
                yield page

    async def way(self) -> str:
        """How changes are noticed: as it was declared, else the best that the database was prepared for.

        Raises `SettingInvalid` for a way that it was not prepared for.
        """
        declared, asked = await self.declared(), self.settings.follow
        if asked == "column":
            return asked
        async with self._database.connection() as connection:
            logged = asked != "triggers" and await replication.find_slot(connection, declared) is not None
            noted = asked != "replication" and await triggers.installed(connection, declared)
        if asked == "triggers" and not noted:
            raise SettingInvalid(
                f'Table "{self.name}" is to be followed by triggers, and they are not there. Make them: '
                f"deskloom table install {self.name}",
                setting=f"tables.{self.name}",
            )
        if asked == "replication" or logged:
            return "replication"
        return "triggers" if noted else "column"

    async def changes(self) -> AsyncIterator[str]:
        """`rows`, whenever the table may have changed: by its triggers or its slot. Raises what reading raises."""
        way = await self.way()
        if way == "column":
            await asyncio.Event().wait()  # it is read by the clock: a schedule says how often
        follow = triggers.changes if way == "triggers" else replication.changes
        async with aclosing(follow(self._database, await self.declared())) as moments:
            async for _ in moments:
                yield ROWS

    async def _alarms(self, declared: Declared) -> list[str]:
        """What a slot does that a person should know: it keeps the server's log from being removed."""
        async with self._database.connection() as connection:
            slot = await replication.find_slot(connection, declared)
        if slot is None or slot.held < replication.ALARM_BYTES:
            return []
        return [
            f'The replication slot of "{self.name}" holds back {slot.held / 2**30:.1f} GiB of the server\'s log. Sync '
            f"the table, or remove the slot: deskloom table remove {self.name}"
        ]

    async def _reader(self) -> _Reads:
        declared = await self.declared()
        made: Mapping[str, Callable[[Database, Declared], _Reads]]
        made = {"column": ColumnReader, "triggers": triggers.TriggerReader}
        made |= {"replication": replication.ReplicationReader}
        return made[await self.way()](self._database, declared)

    def cursor_since(self, stream: str, when: datetime) -> Cursor:
        """A table's mark is its own; rows that changed since then are found by reading the table whole."""
        self._require(stream)
        return {}

    async def listing(self, stream: str) -> AsyncIterator[Sequence[Listed]]:
        """The key of every row that is alive, all as of one moment."""
        self._require(stream)
        declared = await self.declared()
        async with self._database.reading() as connection:
            async for rows in by_key(connection, declared, None):
                yield [Listed(key=row.key) for row in rows]

    async def fetch(self, stream: str, key: str) -> Record | None:
        """One row; None when it is gone or no longer meets the conditions. Raises `Unreadable`."""
        self._require(stream)
        declared = await self.declared()
        parts = key_parts(declared, key)
        if parts is None:
            return None
        async with self._database.reading() as connection:
            row = await one(connection, declared, parts)
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
