"""A team's table and the writers on it: inserts, updates, deletes, changed keys, and transactions that commit late.

Every row says in its text which version of it this is, so that whoever holds a copy can be asked what it holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from tests import postgres

SEED = 7
DATABASE, READER, NAME = "team", "reader", "articles"
PRELOADED = "shared_preload_libraries=pg_stat_statements"
QUICK, SLOW = 8, 4
"""Connections that commit each write at once, and those that keep a transaction open for `OPEN` seconds."""
OPEN = (1.0, 30.0)
TOGETHER = 25
"""Writes of a transaction that stays open."""
SHARES = {"update": 0.5, "insert": 0.25, "delete": 0.15, "rename": 0.1}
WORDS = tuple(
    "printer mail login outage invoice calendar battery keyboard network account password update driver screen "  # noqa: SIM905
    "server folder backup attachment message signature spam profile proxy certificate address filter archive".split()
)
TABLE = """
CREATE TABLE articles (
    id text PRIMARY KEY, title text NOT NULL, body text NOT NULL, tags text[] NOT NULL, version bigint NOT NULL,
    "updatedAt" timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON articles ("updatedAt");
"""
INSERT = "INSERT INTO articles (id, title, body, tags, version) VALUES ($1, $2, $3, $4, $5)"


@dataclass(frozen=True, slots=True)
class Written:
    """What a write left behind: a row in this version, or (None) none under this key. `at`: as the commit was sent."""

    key: str
    version: int | None
    at: float
    late: bool


@dataclass(slots=True)
class Done:
    """What the writers did; `rows` counts keys that were touched, two for a changed one."""

    writes: int = 0
    rows: int = 0
    late: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


class Writers:
    """Writes at a steady rate. `told` hears of every row that was written, once it is committed.

    No row is written again while `held` has its key: whoever watches it would otherwise wait for a version that was
    never to be seen.
    """

    def __init__(self, url: str, *, rate: float, told: Callable[[Written], None], held: set[str], seed: int) -> None:
        self.url, self.rate, self.told, self.held = url, rate, told, held
        self.done = Done()
        self._dice = random.Random(seed)
        self._version = 1
        self._keys: list[str] = []
        self._next = 0
        self._touched: set[str] = set()
        self._turn = asyncio.Lock()
        self._due = 0.0

    async def open(self) -> None:
        """Learn which rows there are."""
        connection = await asyncpg.connect(self.url)
        rows = await connection.fetch("SELECT id, version FROM articles ORDER BY id")
        await connection.close()
        self._keys = [row["id"] for row in rows]
        self._version = max(row["version"] for row in rows)
        self._next = 1 + max(int(key[1:]) for key in self._keys)

    async def run(self, seconds: float) -> Done:
        """Write for so long, once opened; transactions that are open then are committed."""
        began = self._due = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for place in range(QUICK + SLOW):
                group.create_task(self._write(began + seconds, late=place >= QUICK))
        self.done.seconds = time.monotonic() - began
        return self.done

    async def _write(self, until: float, *, late: bool) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            while time.monotonic() < until:
                transaction = connection.transaction()
                await transaction.start()
                steps = []
                for _ in range(TOGETHER if late else 1):
                    await self._pace()
                    steps.append(await self._step(connection))
                if late:
                    await asyncio.sleep(max(0.0, min(self._dice.uniform(*OPEN), until - time.monotonic())))
                at = time.time()
                await transaction.commit()
                for written in (one for step in steps for one in step):
                    self._touched.discard(written[0])
                    self.told(Written(*written, at, late))
                self.done.late += len(steps) if late else 0
        finally:
            await connection.close()

    async def _pace(self) -> None:
        async with self._turn:
            await asyncio.sleep(max(0.0, self._due - time.monotonic()))
            self._due += 1 / self.rate

    async def _step(self, connection: asyncpg.Connection) -> list[tuple[str, int | None]]:
        """One write; returns the keys it touched and their versions."""
        kind = self._dice.choices(list(SHARES), list(SHARES.values()))[0]
        self._version += 1
        version = self._version
        self.done.writes += 1
        self.done.kinds[kind] = self.done.kinds.get(kind, 0) + 1
        if kind == "insert":
            key = self._new()
            await connection.execute(INSERT, *row(key, version, self._dice))
            self._keys.append(key)
            return self._noted([(key, version)])
        key, place = self._pick()
        if kind == "delete":
            self._keys[place] = self._keys[-1]
            self._keys.pop()
            await connection.execute("DELETE FROM articles WHERE id = $1", key)
            return self._noted([(key, None)])
        if kind == "rename":
            fresh = self._keys[place] = self._new()
            _, title, body, tags, _ = row(fresh, version, self._dice)
            await connection.execute(_UPDATE, key, fresh, title, body, tags, version)
            return self._noted([(key, None), (fresh, version)])
        _, title, body, tags, _ = row(key, version, self._dice)
        await connection.execute(_UPDATE, key, key, title, body, tags, version)
        return self._noted([(key, version)])

    def _noted(self, steps: list[tuple[str, int | None]]) -> list[tuple[str, int | None]]:
        self.done.rows += len(steps)
        return steps

    def _new(self) -> str:
        key = f"a{self._next:08}"
        self._next += 1
        self._touched.add(key)
        return key

    def _pick(self) -> tuple[str, int]:
        """A row that no open transaction has touched, and that nobody watches."""
        while True:
            place = self._dice.randrange(len(self._keys))
            key = self._keys[place]
            if key not in self._touched and key not in self.held:
                self._touched.add(key)
                return key, place


_UPDATE = """
UPDATE articles SET id = $2, title = $3, body = $4, tags = $5, version = $6, "updatedAt" = clock_timestamp()
WHERE id = $1
"""


def row(key: str, version: int, dice: random.Random) -> tuple[str, str, str, list[str], int]:
    """A row's columns, the change mark left out: a dozen words and its version."""
    words = " ".join(dice.choices(WORDS, k=12))
    return key, f"Article {key}", f"{words}. Revision {version}.", [dice.choice(WORDS)], version


async def fill(url: str, rows: int) -> None:
    """Make the table, with so many rows that changed in the last weeks."""
    dice = random.Random(SEED)
    connection = await asyncpg.connect(url)
    await connection.execute(TABLE)
    made = (row(f"a{number:08}", 1, dice) for number in range(rows))
    columns = ("id", "title", "body", "tags", "version")
    await connection.copy_records_to_table("articles", records=made, columns=columns)
    await connection.execute("""UPDATE articles SET "updatedAt" = now() - random() * interval '30 days'""")
    await connection.execute("VACUUM ANALYZE articles")
    await connection.close()


async def table_rows(url: str) -> dict[str, dict[str, Any]]:
    """Every row of the table, by key."""
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT * FROM articles")
    await connection.close()
    return {found["id"]: dict(found) for found in rows}


def percentile(values: Iterable[float], share: float) -> float | None:
    """The smallest value that so many are not above; None without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


# ------------------------------------------------------------------------------------------------------- the database


@contextlib.contextmanager
def team() -> Iterator[postgres.Server]:
    """A server that logs rows and counts statements, if it knows how to."""
    settings = ["wal_level=logical", "synchronous_commit=on", "max_replication_slots=4"]
    try:
        opened = contextlib.ExitStack()
        server = opened.enter_context(postgres.running(settings=[*settings, PRELOADED]))
    except RuntimeError:
        server = opened.enter_context(postgres.running(settings=settings))
    with opened:
        yield server


async def prepare(server: postgres.Server, rows: int) -> None:
    """The team's database: the table, owned by the user that follows it."""
    await postgres.create(server, DATABASE)
    await fill(server.url(DATABASE), rows)
    connection = await asyncpg.connect(server.url(DATABASE))
    await connection.execute(f"CREATE ROLE {READER} LOGIN REPLICATION")
    await connection.execute(f"GRANT CREATE ON DATABASE {DATABASE} TO {READER}")
    await connection.execute(f"GRANT CREATE ON SCHEMA public TO {READER}; ALTER TABLE articles OWNER TO {READER}")
    with contextlib.suppress(asyncpg.PostgresError):
        await connection.execute("CREATE EXTENSION pg_stat_statements")
    await connection.close()


def reader_url(server: postgres.Server) -> str:
    return server.url(DATABASE).replace("deskloom@", f"{READER}@")


async def counts(url: str) -> tuple[int | None, int]:
    """Statements of the follower (None where the server cannot count them), and rows of the table read by anybody."""
    connection = await asyncpg.connect(url)
    try:
        with contextlib.suppress(asyncpg.UndefinedFunctionError):  # PostgreSQL 14
            await connection.execute("SELECT pg_stat_force_next_flush()")
        read = await connection.fetchval(
            "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = 'articles'"
        )
        try:
            calls = "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements WHERE userid = $1::regrole"
            return await connection.fetchval(calls, READER), read
        except asyncpg.PostgresError:
            return None, read
    finally:
        await connection.close()
