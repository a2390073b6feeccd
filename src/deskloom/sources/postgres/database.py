"""The database that the tables are in: a small pool of read-only connections, and its errors in our words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

import asyncpg

from deskloom.errors import AccessRefused, CredentialsRefused, DeskloomError, SettingInvalid, SourceUnavailable

SETTING = "SOURCE_DATABASE_URL"
_UNDERSTOOD = frozenset({"sslmode", "sslcert", "sslkey", "sslrootcert", "sslpassword", "application_name", "host"})
"""Parameters that the driver takes. Others, as Prisma and Supabase write them, are for other programs."""


class Database:
    """Connections are made when they are needed, at most `pool`. `schema`: where a table that names none is looked for.

    Raises `SettingInvalid` for a URL that is none.
    """

    def __init__(self, url: str, *, pool: int = 4, statement_timeout: float = 60.0) -> None:
        parts = _split(url)
        query = dict(parse_qsl(parts.query))
        self.schema = query.get("schema") or "public"
        self.dsn = parts._replace(
            scheme="postgresql", query=urlencode({k: v for k, v in query.items() if k in _UNDERSTOOD})
        ).geturl()
        self.host = f"{parts.hostname or 'localhost'}:{parts.port or 5432}"
        self.name = parts.path.lstrip("/") or parts.username or "postgres"
        self.place = f'Database "{self.name}" on {self.host}'
        self._size = pool
        self._timeout = statement_timeout
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[asyncpg.Connection]:
        """A read-only transaction that sees one state of the database (repeatable read)."""
        async with self.connection() as connection, self.frozen(connection):
            yield connection

    @asynccontextmanager
    async def frozen(self, connection: asyncpg.Connection, isolation: str = "repeatable_read") -> AsyncIterator[None]:
        """A read-only transaction on a connection, whose statements may take so long as the setting says.

        The limit is set for the transaction: a pooler in between gives the connection to others afterwards.
        """
        async with connection.transaction(isolation=isolation, readonly=True):
            await connection.execute(f"SET LOCAL statement_timeout = {int(self._timeout * 1000)}")
            yield

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of the pool. What the driver raises inside comes out in our words."""
        try:
            pool = await self._open()
            async with pool.acquire() as connection:
                yield connection
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            meant = self.translate(error)
            if meant is None:
                raise
            raise meant from error

    async def connect(self) -> asyncpg.Connection:
        """A connection of its own, for who listens or follows; the caller closes it."""
        try:
            return await asyncpg.connect(self.dsn, statement_cache_size=0, timeout=10)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise (self.translate(error) or error) from error

    def translate(self, error: BaseException) -> DeskloomError | None:
        """The error to raise in its stead; None where the fault is in a statement of ours."""
        state = getattr(error, "sqlstate", None) or ""
        if state.startswith("28"):
            return CredentialsRefused(f"{self.place} refused the user or password. Set the right ones in {SETTING}.")
        if state == "3D000":
            return SettingInvalid(f"{self.place} does not exist. Correct {SETTING}.", setting=SETTING)
        if state == "42501":
            return AccessRefused(f"{self.place} does not let this user do that: {_sentence(error)}")
        if state == "57014":
            return SourceUnavailable(
                f"{self.place} took longer than {self._timeout:g} s for a statement. Raise DESKLOOM_SOURCE_TIMEOUT, or "
                "make an index for the change column."
            )
        if state == "55P03":
            return SourceUnavailable(
                f"{self.place}: another transaction holds the table, and nobody was to be kept waiting for it. Try "
                "again when it has ended."
            )
        if state in ("42P01", "42703", "42704", "3F000"):
            return SettingInvalid(
                f"{self.place}: {_sentence(error)} It was there before: correct the declaration, or make it anew.",
                setting="tables",
            )
        if state.startswith("22"):  # the server's sentence would quote the value
            return SettingInvalid(
                f"{self.place}: the condition of a table (where) cannot be worked out for some row (error {state}). "
                "Write it so that it holds for every row.",
                setting="tables",
            )
        if state[:2] in ("08", "53", "55", "57", "58", "XX") or state in ("40001", "40P01", "25006", "25P03"):
            return SourceUnavailable(f"{self.place} cannot be used now: {_sentence(error)}")
        if not state and isinstance(error, asyncpg.InterfaceError | OSError | TimeoutError):
            return SourceUnavailable(f"{self.place} cannot be reached. Check that it runs and {SETTING} names it.")
        return None

    async def aclose(self) -> None:
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await pool.close()

    async def _open(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self.dsn,
                    min_size=0,
                    max_size=self._size,
                    timeout=10,
                    statement_cache_size=0,  # a pooler in transaction mode knows no prepared statements
                    max_inactive_connection_lifetime=60,
                    command_timeout=self._timeout + 10,
                    init=_prepare,
                    server_settings={"application_name": "deskloom", "TimeZone": "UTC", "DateStyle": "ISO, YMD"},
                )
        return self._pool


async def _prepare(connection: asyncpg.Connection) -> None:
    """Times travel as text: PostgreSQL has some (infinity, before Christ) for which Python has none."""
    decoders: dict[str, Callable[[str], Any]] = {
        "timestamptz": datetime.fromisoformat,
        "timestamp": datetime.fromisoformat,
        "date": date.fromisoformat,
    }
    for name, decode in decoders.items():
        await connection.set_type_codec(name, schema="pg_catalog", encoder=str, decoder=_or_text(decode), format="text")


def _or_text(decode: Callable[[str], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return decode(text)
        except ValueError:
            return text

    return read


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError:
        parts = SplitResult("", "", "", "", "")
    if parts.scheme not in ("postgresql", "postgres") or not parts.netloc:
        raise SettingInvalid(
            f"{SETTING} is not the address of a PostgreSQL database. Write it like postgresql://user@host/database",
            setting=SETTING,
        )
    return parts


def _sentence(error: Any) -> str:
    """The server's first line, which names tables and columns but never values."""
    text = str(getattr(error, "message", None) or error).splitlines()
    return (text[0].rstrip(".") if text else type(error).__name__) + "."
