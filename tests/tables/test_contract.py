"""The contract of every source, kept by a table in each of the three ways to follow it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import asyncpg
import pytest
from tests import postgres
from tests.contracts import source as contract
from tests.contracts.source import SourceContract, SourceRig
from tests.tables.proxy import Proxy
from tests.tables.reading import INSERT, REFERENCES

from deskloom.protocols import Source
from deskloom.sources.postgres import Database, TableSource, replication, triggers
from deskloom.table_settings import TableSettings

ROWS = 450
"""More than two pages."""
NOT_OF_A_DATABASE = (contract.s5_waits,)
"""A database names no time after which one may ask again."""


@dataclass
class TableRig:
    """One table, reached through a proxy by a user of its own; the hands are those of the team's application."""

    way: str
    source: Source
    proxy: Proxy
    team_url: str
    user: str
    again: Callable[[], Source]
    """Another source over the same table."""
    stream: str = "rows"

    def expected(self) -> set[str]:
        rows = self._do("""SELECT id FROM "KnowledgeReference" WHERE "isActive" """)
        return {row["id"] for row in rows}

    def change(self) -> str:
        self._do("""UPDATE "KnowledgeReference" SET category = 'z', "updatedAt" = now() WHERE id = 'row 041'""")
        return "row 041"

    def remove(self) -> str:
        """By its change column a table tells what leaves its condition; what is removed, its listing tells."""
        if self.way == "column":
            self._do("""UPDATE "KnowledgeReference" SET "isActive" = false, "updatedAt" = now() WHERE id = 'row 017'""")
        else:
            self._do("""DELETE FROM "KnowledgeReference" WHERE id = 'row 017'""")
        return "row 017"

    def break_down(self, after: int) -> None:
        self.proxy.left = after

    def break_part(self) -> str | None:
        return None

    def limit_rate(self, seconds: int) -> None:
        raise NotImplementedError

    def refuse_key(self) -> None:
        self._do(f'ALTER ROLE "{self.user}" NOLOGIN')
        self.source = self.again()  # whose connections are still to be made

    def pass_time(self) -> None:
        return None

    def impatient(self) -> Source:
        raise NotImplementedError

    def seconds(self) -> float:
        return time.monotonic()

    def calls(self) -> int:
        """Connections that were tried and answers that were given: a refused one has no answer."""
        return self.proxy.connections + self.proxy.answers

    def _do(self, statement: str) -> list[asyncpg.Record]:
        async def work() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(self.team_url)
            try:
                return list(await connection.fetch(statement))
            finally:
                await connection.close()

        return list(postgres.apart(work()))


@pytest.fixture(scope="module")
def postgres_server() -> object:
    with postgres.running(settings=["wal_level=logical", "synchronous_commit=on"]) as server:
        yield server


@pytest.fixture(params=["column", "triggers", "replication"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def rig(way: str, team_url: str, team: asyncpg.Connection) -> AsyncIterator[TableRig]:
    content = json.dumps({"en": "Text"})
    rows = [(f"row {n:03}", json.dumps({"en": f"Title {n}"}), content, "network", ["a"]) for n in range(ROWS)]
    await team.executemany(INSERT, rows)
    name = urlsplit(team_url).path.lstrip("/")
    user = f"reader_{name}"
    await team.execute(
        f'CREATE ROLE "{user}" LOGIN REPLICATION; GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{user}"'
    )
    settings = TableSettings(**REFERENCES | {"follow": way})
    own = Database(team_url)
    declared = await TableSource(settings, own).declared()
    if way == "triggers":
        await triggers.install(own, declared, reader=user)
    elif way == "replication":
        await replication.install(own, declared, reader=user)
    with Proxy(urlsplit(team_url).port or 5432) as proxy:
        databases: list[Database] = []

        def opened() -> TableSource:
            url = f"postgresql://{user}@127.0.0.1:{proxy.port}/{name}?sslmode=disable"
            databases.append(Database(url, pool=1))
            return TableSource(settings, databases[-1])

        source = opened()
        await source.check()  # so that what is asked once, by the first who reads, is not counted
        yield TableRig(way, source, proxy, team_url, user, opened)
        proxy.left = None
        for database in databases:
            await asyncio.wait_for(database.aclose(), 10)
    if way == "replication":
        await replication.remove(own, "refs")
    await own.aclose()
    await team.execute(f'DROP OWNED BY "{user}"; DROP ROLE "{user}"')


class TestTables(SourceContract):
    @pytest.mark.parametrize(
        "check", [one for one in contract.CHECKS if one not in NOT_OF_A_DATABASE], ids=lambda check: check.__name__
    )
    async def test_contract(self, rig: SourceRig, check: Callable[[SourceRig], Awaitable[None]]) -> None:
        """The table keeps the guarantee that the check is named after, whichever way it is followed."""
        await check(rig)
