"""Random histories of several writers, with transactions of every kind, read in between: nothing is ever lost."""

from __future__ import annotations

import contextlib
import json
import os
import random
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import asyncpg
import pytest
from tests import postgres

from deskloom.errors import SourceUnavailable
from deskloom.model import Cursor, Kind, Row, Tombstone
from deskloom.sources.postgres import Database, TableSource, replication, triggers
from deskloom.table_settings import TableSettings

WRITERS = 4
STEPS = 70
SEEDS = int(os.environ.get("DESKLOOM_SEEDS", "3"))
TABLE = """
CREATE TABLE thing (id text PRIMARY KEY, body text NOT NULL, hidden boolean NOT NULL DEFAULT false,
                    changed timestamptz NOT NULL DEFAULT now())
"""
SETTINGS: dict[str, Any] = {
    "name": "thing", "table": "thing", "texts": "body", "changed": "changed", "deleted": "hidden"
}  # fmt: skip


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[postgres.Server]:
    settings = ["wal_level=logical", "synchronous_commit=on", "max_prepared_transactions=20"]
    with postgres.running(settings=settings) as server:
        yield server


class Writer:
    """A connection of the team, in a transaction or not. What would wait for another is rolled back."""

    def __init__(self, connection: asyncpg.Connection, chance: random.Random, prepared: list[str], name: str) -> None:
        self.connection, self.chance, self.prepared, self.name = connection, chance, prepared, name
        self.open, self.savepoints, self.count = False, 0, 0

    async def step(self) -> None:
        doing = self.chance.choices(
            ["begin", "write", "savepoint", "back", "commit", "rollback", "prepare", "finish"],
            [3, 9, 1, 1, 2, 1, 0.5, 1],
        )[0]
        with contextlib.suppress(asyncpg.LockNotAvailableError, asyncpg.InFailedSQLTransactionError):
            await self._do(doing)
            return
        await self._do("rollback")

    async def _do(self, doing: str) -> None:
        run = self.connection.execute
        if doing == "begin" and not self.open:
            self.open = True
            await run("BEGIN")
        elif doing == "write":
            await self._write()
        elif doing == "savepoint" and self.open:
            self.savepoints += 1
            await run(f"SAVEPOINT s{self.savepoints}")
        elif doing == "back" and self.savepoints:
            await run(f"ROLLBACK TO SAVEPOINT s{self.savepoints}")
        elif doing == "prepare" and self.open:
            self.count += 1
            name = f"{self.name}{self.count}"
            await run(f"PREPARE TRANSACTION '{name}'")
            self.prepared.append(name)
            self.open, self.savepoints = False, 0
        elif doing == "finish" and self.prepared and not self.open:
            name = self.prepared.pop(self.chance.randrange(len(self.prepared)))
            await run(f"{self.chance.choice(['COMMIT', 'COMMIT', 'ROLLBACK'])} PREPARED '{name}'")
        elif doing in ("commit", "rollback") and self.open:
            self.open, self.savepoints = False, 0
            await run(doing)

    async def _write(self) -> None:
        key, other = (f"k{self.chance.randrange(30)}" for _ in range(2))
        body = f"text {self.chance.randrange(10**9)}"
        put = "INSERT INTO thing (id, body) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET body = $2, changed = now()"
        doing = self.chance.choices(["put", "many", "hide", "delete", "rename", "truncate"], [8, 1, 2, 2, 1, 0.3])[0]
        if doing == "put":
            await self.connection.execute(put, key, body)
        elif doing == "many":
            await self.connection.executemany(put, [(f"k{n}", f"{body} {n}") for n in range(0, 30, 3)])
        elif doing == "hide":
            statement = "UPDATE thing SET hidden = NOT hidden, changed = now() WHERE id = $1"
            await self.connection.execute(statement, key)
        elif doing == "delete":
            await self.connection.execute("DELETE FROM thing WHERE id = $1", key)
        elif doing == "rename":
            statement = "UPDATE thing SET id = $2, changed = now() WHERE id = $1 AND NOT EXISTS (SELECT FROM thing WHERE id = $2)"  # noqa: E501
            with contextlib.suppress(asyncpg.UniqueViolationError):
                await self.connection.execute(statement, key, other)
        else:
            await self.connection.execute("TRUNCATE thing")


class Copy:
    """What a record would hold: what was read, page by page, with reads that break off anywhere."""

    def __init__(self, source: TableSource, chance: random.Random) -> None:
        self.source, self.chance = source, chance
        self.cursor: Cursor | None = None
        self.rows: dict[str, Row] = {}
        self.told: list[str] = []
        self.read_rows = 0

    async def known(self, kind: Kind, keys: Any) -> dict[str, str]:
        return {key: self.rows[key].stamp or "" for key in keys if key in self.rows}

    async def read(self, limit: int | None = None, pages: int | None = None) -> bool:
        """Read once; False where it broke off."""
        try:
            async with aclosing(self.source.read("rows", self.cursor, limit=limit, known=self.known)) as read:  # type: ignore[type-var]
                async for page in read:
                    await self._store(page)
                    if pages is not None and (pages := pages - 1) == 0:
                        return False
        except SourceUnavailable:  # a truncate that is not committed holds the table
            return False
        return True

    async def _store(self, page: Any) -> None:
        self.read_rows += len(page.records)
        self.told += [failure.reason for failure in page.failures]
        for record in page.records:
            self._keep(record.key, record)
        if page.listing is not None:
            for key in sorted(self.rows.keys() - page.listing):
                self._keep(key, await self.source.fetch("rows", key))
        self.cursor = json.loads(json.dumps(page.cursor))

    def _keep(self, key: str, record: Any) -> None:
        if record is None or isinstance(record, Tombstone):
            self.rows.pop(key, None)
        else:
            self.rows[key] = record

    async def sweep(self) -> None:
        """What a complete listing lacks is asked for, and what it shows otherwise read."""
        async with aclosing(self.source.listing("rows")) as batches:  # type: ignore[type-var]
            listed = {one.key: one.stamp async for batch in batches for one in batch}
        for key in listed.keys() | self.rows.keys():
            if key not in self.rows or listed.get(key) != self.rows[key].stamp:
                self._keep(key, await self.source.fetch("rows", key))

    def texts(self) -> dict[str, str]:
        return {key: row.entries[""].texts[0] for key, row in self.rows.items()}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("way", ["column", "triggers", "replication"])
async def test_nothing_is_lost(way: str, seed: int, postgres_server: postgres.Server) -> None:
    """After all transactions have ended, the copy equals the table: at once by triggers and replication, and by the
    change column but for rows that were removed, which a sweep finds."""
    chance = random.Random(f"{way} {seed}")
    async with postgres.database(postgres_server) as url:
        connections = [await asyncpg.connect(url, statement_cache_size=0) for _ in range(WRITERS)]
        for connection in connections:
            await connection.execute("SET lock_timeout = '20ms'")
        await connections[0].execute(TABLE)
        database = Database(url, statement_timeout=0.3)
        # No overlap of clocks: what commits late has to be found by the marks alone.
        source = TableSource(TableSettings(**SETTINGS | {"follow": way}), database, overlap=0)
        if way != "column":
            await {"triggers": triggers, "replication": replication}[way].install(database, await source.declared())
        prepared: list[str] = []
        writers = [Writer(connection, chance, prepared, f"w{n}") for n, connection in enumerate(connections)]
        copy = Copy(source, chance)
        for _ in range(STEPS):
            await chance.choice(writers).step()
            if chance.random() < 0.3:
                await copy.read(chance.choice([None, None, 1, 3]), chance.choice([None, None, 1, 2]))
        for writer in writers:
            if writer.open:
                await writer._do(chance.choice(["commit", "commit", "rollback"]))
        for name in prepared:
            await connections[0].execute(f"COMMIT PREPARED '{name}'")
        truth = {r["id"]: r["body"] for r in await connections[0].fetch("SELECT id, body FROM thing WHERE NOT hidden")}
        for _ in range(3):
            assert await copy.read()
        if way == "column":
            assert {key: text for key, text in copy.texts().items() if key in truth} == truth
            await copy.sweep()
        assert copy.texts() == truth
        before = copy.read_rows
        assert await copy.read()
        assert (copy.read_rows, copy.told) == (before, [])
        if way == "replication":
            await replication.remove(database, "thing")
        await database.aclose()
        for connection in connections:
            await connection.close()
