"""The record itself: one database, opened once, written in transactions that read and write without deadlock."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import aiosqlite
import asyncpg
from sqlalchemy import URL, Connection, event, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from deskloom.errors import RecordUnavailable, SettingInvalid
from deskloom.record.columns import to_json
from deskloom.record.faults import LOCKED, shown, translate

BUSY = timedelta(seconds=30)


class Record:
    """An open database. Made by `open_record`; close it with `aclose`."""

    def __init__(self, url: URL, engine: AsyncEngine, *, busy: timedelta) -> None:
        self.url = url
        self.dialect = url.get_backend_name()
        self.place = shown(url)
        self._engine = engine
        self._busy = busy
        # SQLite has one writer at a time. Writers of this process queue here, in order and without polling.
        self._turn = asyncio.Lock() if self.dialect == "sqlite" else None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction that may write; committed at the end, rolled back on any exception.

        On SQLite it holds the write lock from the start, so that what was read is still so when it is written.
        Transactions of one task must not be nested. Faults of the database raise `RecordUnavailable` and its kin.
        """
        async with self._my_turn(), self._connect(self._engine.execution_options(begin="BEGIN IMMEDIATE")) as tx:
            yield tx

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection that sees the database as it is at its first statement, and must not write."""
        options: dict[str, Any] = {"begin": "BEGIN DEFERRED"}
        if self.dialect == "postgresql":
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        async with self._connect(self._engine.execution_options(**options)) as tx:
            yield tx

    @asynccontextmanager
    async def _my_turn(self) -> AsyncIterator[None]:
        if self._turn is None:
            yield
            return
        try:
            async with asyncio.timeout(self._busy.total_seconds()):
                await self._turn.acquire()
        except TimeoutError:
            raise LOCKED(self.place) from None
        try:
            yield
        finally:
            self._turn.release()

    @asynccontextmanager
    async def _connect(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        opened = False
        try:
            async with engine.begin() as tx:
                opened = True
                yield tx
        except (SQLAlchemyError, sqlite3.Error, asyncpg.PostgresError) as error:
            if (meant := translate(error, self.place)) is None:
                raise
            raise meant from error
        except (OSError, asyncpg.InterfaceError) as error:
            # Beyond the opening such an error is the caller's own: a file of theirs, say.
            if opened:
                raise
            raise translate(OSError(), self.place) or RecordUnavailable(self.place) from error

    async def enable_wal(self) -> None:
        """Switch a SQLite file to write-ahead logging, for good. Readers then never wait, and kill -9 loses nothing."""
        if self.dialect != "sqlite":
            return
        async with self._my_turn(), self._connect(self._engine.execution_options(begin="")) as tx:
            # Another process may be doing the same; SQLite then refuses at once instead of waiting.
            for pause in (0.01, 0.05, 0.2, 0.5, 1.0):
                try:
                    if (await tx.exec_driver_sql("PRAGMA journal_mode=WAL")).scalar() == "wal":
                        return
                except SQLAlchemyError as error:
                    if not isinstance(translate(error, self.place), RecordUnavailable):
                        raise
                await asyncio.sleep(pause)
            await tx.exec_driver_sql("PRAGMA journal_mode=WAL")

    async def check(self) -> None:
        """Prove that the database answers; raises what `transaction` raises."""
        async with self.reading() as tx:
            await tx.execute(text("SELECT 1"))

    async def aclose(self) -> None:
        """Close every connection."""
        await self._engine.dispose()


def open_record(url: str, *, pool_size: int = 5, busy: timedelta = BUSY) -> Record:
    """Open the record at a SQLAlchemy or libpq URL; nothing is connected yet.

    `busy` is how long a writer waits for another (SQLite). A wrong URL raises `SettingInvalid`.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        engine = _open_sqlite(parsed, pool_size, busy)
    else:
        engine = _open_postgres(parsed, pool_size)
    return Record(parsed, engine, busy=busy)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # The URL itself is not shown: it may hold a password.
        raise SettingInvalid(
            "DATABASE_URL is not a database URL. Write it like postgresql://user:password@host:5432/deskloom",
            setting="DATABASE_URL",
        ) from None
    kind = parsed.drivername.split("+")[0]
    if kind == "sqlite":
        if parsed.database in (None, "", ":memory:") or (parsed.database or "").startswith("file:"):
            raise SettingInvalid(
                "DATABASE_URL names no file. Write it like sqlite:////var/lib/deskloom/deskloom.db",
                setting="DATABASE_URL",
            )
        return parsed.set(drivername="sqlite+aiosqlite")
    if kind in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+asyncpg")
    raise SettingInvalid(
        f'DATABASE_URL begins with "{kind}", but the record lives in SQLite or PostgreSQL. '
        "Write it like postgresql://user:password@host:5432/deskloom",
        setting="DATABASE_URL",
    )


class _SqliteConnection(aiosqlite.Connection):
    """A connection that ends its transaction before it is closed.

    SQLAlchemy closes the connection of a task that was cancelled in mid-statement. The statement, which the traceback
    still holds, would keep the transaction, and with it the lock, until it is collected as garbage.
    """

    async def close(self) -> None:
        self._end()
        await super().close()

    def stop(self) -> asyncio.Future[Any] | None:
        self._end()
        return super().stop()

    def _end(self) -> None:
        def roll_back() -> None:
            if self._connection is not None:
                with suppress(sqlite3.Error):
                    self._connection.rollback()

        self._tx.put_nowait((None, roll_back))


async def _connect_sqlite(*args: Any, **options: Any) -> aiosqlite.Connection:
    """A connection on a thread of its own, which is gone again if the file cannot be opened.

    aiosqlite 0.22 only tells the thread to end; if the loop is closed before it did, the thread dies of an exception.
    """
    connection = _SqliteConnection(lambda: sqlite3.connect(*args, **options), iter_chunk_size=64)
    thread = connection._thread
    thread.daemon = True  # as SQLAlchemy does where it connects itself
    try:
        return await connection
    except sqlite3.Error:
        await asyncio.to_thread(thread.join)
        raise


def _open_sqlite(url: URL, pool_size: int, busy: timedelta) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        json_serializer=to_json,
        # Python's sqlite3 must not begin transactions of its own: the "begin" event below does
        # (SQLAlchemy, "Enabling Non-Legacy SQLite Transactional Modes").
        connect_args={
            "isolation_level": None,
            "timeout": busy.total_seconds(),
            "async_creator_fn": _connect_sqlite,
        },
    )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        try:
            # The cache (kB) is each connection's own; pages are in the system's cache anyway, once for all of them.
            for pragma in ("foreign_keys=ON", "synchronous=NORMAL", "temp_store=MEMORY", "cache_size=-4000"):
                cursor.execute(f"PRAGMA {pragma}")
        except BaseException:  # a cancelled task, too
            connection.close()  # the pool does not close what it could not finish opening
            raise
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        if statement := connection.get_execution_options().get("begin", "BEGIN"):
            connection.exec_driver_sql(statement)

    return engine


def _open_postgres(url: URL, pool_size: int) -> AsyncEngine:
    # asyncpg reads the URL itself, so that libpq's parameters (sslmode, sslrootcert, …) mean what they mean elsewhere.
    # Two are words of connection poolers' tools, which a server would refuse.
    known = {name: value for name, value in url.query.items() if name not in ("pgbouncer", "supa")}
    dsn = url.set(drivername="postgresql", query=known).render_as_string(hide_password=False)

    async def connect(*_: object, **__: object) -> Any:
        # No statement outlives its transaction, so that a pooler may give each transaction another server connection.
        return await asyncpg.connect(dsn, statement_cache_size=0, timeout=15)

    return create_async_engine(
        "postgresql+asyncpg://",
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        json_serializer=to_json,
        connect_args={
            "async_creator_fn": connect,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": str,  # "": the unnamed statement, replaced by the next one
        },
    )
