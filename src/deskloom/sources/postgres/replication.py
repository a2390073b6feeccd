"""Following a table by logical replication: a slot keeps what was committed until it was read, in order of commit.

The slot is read with SQL (`pg_logical_slot_peek_binary_changes`), so that any connection will do, and moved on once
what was read is stored. A message only names a row: what is stored is the row as it stands then. A slot that was lost,
that somebody else moved on, or that holds back more of the log than it should, is told; after a loss the table is read
whole. The publication says that a table is followed so: unlike the slot, it survives a failover and a restore.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncpg

from deskloom.errors import AccessRefused, SettingInvalid
from deskloom.model import Cursor, ItemFailure, Json, Kind, Page, Record
from deskloom.protocols import Known
from deskloom.sources.postgres.catalog import quote
from deskloom.sources.postgres.column import Taking, named_rows, page, whole
from deskloom.sources.postgres.database import Database
from deskloom.sources.postgres.declared import Declared
from deskloom.sources.postgres.names import made_name
from deskloom.sources.postgres.pgoutput import Changed, Committed, Decoder, Truncated
from deskloom.sources.postgres.reading import PAGE, key_text

T = TypeVar("T")
AT_ONCE = 500
"""Messages of the log that are fetched at once."""
PEEKED = 20_000
"""Changes after which the server stops at the next end of a transaction, so that no look takes for ever."""
ALARM_BYTES = 1 << 30
"""So much of the log held back is worth a word: the server's disk fills up with it."""
MOVED_ON_BYTES = 16 << 20
"""So much of the log without a word of the table is stepped over, so that the server need not keep it."""
BUSY_FOR = 60.0
"""Seconds to wait for another who reads the slot."""
_LOGICAL = "logical"


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot as the server tells of it: what it holds back, in bytes, whether it is still whole, where it stands, and
    how far behind the log's end that is, in bytes."""

    held: int
    whole: bool
    at: str
    behind: int


def slot_name(source: str) -> str:
    """The name of a table's slot, and of its publication."""
    return made_name("deskloom_", source, plain=True)


def place(lsn: str) -> int:
    """A place in the log as a number."""
    high, _, low = lsn.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


async def install(database: Database, declared: Declared, *, reader: str | None = None) -> None:
    """Make the table's publication and slot; what is there already stays.

    `reader`: the role that is to read the table and the slot, if it is not the one that makes them.
    Raises `SettingInvalid` where the server or the table is not fit for it, `AccessRefused` without the right.
    """
    name, table = slot_name(declared.settings.name), declared.table.quoted
    async with database.connection() as connection:
        await _require_fit(connection, declared)
        if not await installed(connection, declared):
            # A slot that is older than its publication cannot be read: the log did not know of it then.
            if await find_slot(connection, declared.settings.name) is not None:
                await _patiently(lambda: connection.execute("SELECT pg_drop_replication_slot($1)", name))
            await connection.execute(f"DROP PUBLICATION IF EXISTS {quote(name)}")
            await connection.execute(
                f"CREATE PUBLICATION {quote(name)} FOR TABLE {table} WITH (publish_via_partition_root = true)"
            )
        if reader is not None:
            await connection.execute(f"GRANT USAGE ON SCHEMA {quote(declared.table.schema)} TO {quote(reader)}")
            await connection.execute(f"GRANT SELECT ON {table} TO {quote(reader)}")
        if await find_slot(connection, declared.settings.name) is None:
            await _make_slot(database, connection, name)


async def _make_slot(database: Database, connection: asyncpg.Connection, name: str) -> None:
    """It waits for transactions that have written something to end, but no longer than any statement may."""
    async with database.frozen(connection, "read_committed"):
        await connection.fetchval("SELECT pg_create_logical_replication_slot($1, 'pgoutput')::text", name)


async def remove(database: Database, source: str) -> bool:
    """Take slot and publication of a table away, so that the server holds nothing back any more; False: none were
    there. It does not matter what has become of the table."""
    name = slot_name(source)
    async with database.connection() as connection:
        slot = await find_slot(connection, source) is not None
        if slot:
            await _patiently(lambda: connection.execute("SELECT pg_drop_replication_slot($1)", name))
        published = await connection.fetchval("SELECT EXISTS (SELECT FROM pg_publication WHERE pubname = $1)", name)
        await connection.execute(f"DROP PUBLICATION IF EXISTS {quote(name)}")
    return slot or bool(published)


async def installed(connection: asyncpg.Connection, declared: Declared) -> bool:
    """Whether the table's publication is there. Its slot may have been lost."""
    return bool(await connection.fetchval(_PUBLISHED, slot_name(declared.settings.name), declared.table.oid))


async def find_slot(connection: asyncpg.Connection, source: str) -> Slot | None:
    """The table's slot; None if there is none."""
    row = await connection.fetchrow(_SLOT, slot_name(source))
    return Slot(int(row["held"] or 0), bool(row["whole"]), row["at"], int(row["behind"] or 0)) if row else None


async def alarms(connection: asyncpg.Connection, declared: Declared) -> list[str]:
    """What a slot does that a person should know: it keeps the server's log from being removed."""
    name = declared.settings.name
    slot = await find_slot(connection, name)
    if slot is None or slot.held < ALARM_BYTES:
        return []
    return [
        f'The replication slot of "{name}" holds back {slot.held / 2**30:.1f} GiB of the server\'s log. Sync the '
        f"table, or remove the slot: deskloom table remove {name}"
    ]


_PUBLISHED = """
SELECT EXISTS (SELECT FROM pg_publication AS p JOIN pg_publication_rel AS r ON r.prpubid = p.oid
               WHERE p.pubname = $1 AND r.prrelid = $2::oid)
"""
_SLOT = """
SELECT pg_wal_lsn_diff(now.lsn, restart_lsn) AS held, coalesce(wal_status, 'lost') <> 'lost' AS whole,
    coalesce(confirmed_flush_lsn, '0/0')::text AS at, pg_wal_lsn_diff(now.lsn, confirmed_flush_lsn) AS behind
FROM pg_replication_slots,
    (SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_lsn() END AS lsn) AS now
WHERE slot_name = $1 AND database = current_database() AND plugin = 'pgoutput'
"""
_HELD = """
SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'transactionid' AND granted AND transactionid::text = ANY ($1))
"""
_POLL = 0.01
LOOKED = 1.0
_WAITING = """
SELECT EXISTS (
    SELECT FROM pg_logical_slot_peek_binary_changes($1, NULL, 1000, 'proto_version', '1', 'publication_names', $2)
    WHERE get_byte(data, 0) NOT IN (66, 67)
)
"""
"""Before version 15 the log tells beginnings (B) and ends (C) of transactions that did nothing to the table."""
_PEEK = """
SELECT data, xid::text AS xid
FROM pg_logical_slot_peek_binary_changes($1, NULL, $3, 'proto_version', '1', 'publication_names', $2)
"""


async def changes(database: Database, declared: Declared) -> AsyncGenerator[None, None]:
    """Whenever the slot holds something, and once at the start: while it does not, it is looked at every `LOOKED` s."""
    yield
    while True:
        async with database.connection() as connection:
            slot = await find_slot(connection, declared.settings.name)
            waiting = slot is None or not slot.whole or slot.behind > MOVED_ON_BYTES
            waiting = waiting or await _is_waiting(connection, slot_name(declared.settings.name))
        if waiting:
            yield  # who follows sets the pace
        else:
            await asyncio.sleep(LOOKED)


async def _is_waiting(connection: asyncpg.Connection, name: str) -> bool:
    try:
        return bool(await connection.fetchval(_WAITING, name, name))
    except asyncpg.ObjectInUseError:  # somebody reads it just now
        return False


async def _patiently(work: Callable[[], Awaitable[T]]) -> T:
    """Do what needs the slot, which one connection at a time may use."""
    deadline = asyncio.get_running_loop().time() + BUSY_FOR
    while True:
        try:
            return await work()
        except asyncpg.ObjectInUseError:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.1)


class ReplicationReader:
    """Reads one table by its slot."""

    def __init__(self, database: Database, declared: Declared) -> None:
        self.database, self.declared = database, declared
        self._slot = slot_name(declared.settings.name)

    async def read(self, after: Cursor | None, *, limit: int | None, known: Known) -> AsyncIterator[Page]:
        """What changed; everything, the first time, and when the slot was lost."""
        cursor: Json = dict(after or {})
        taking = Taking(limit)
        at, lost = await self._prepare(cursor)
        if at is not None:
            cursor = {"lsn": at, "whole": {}}
        if lost:
            yield page([ItemFailure(kind=Kind.ROW, key="*", reason=lost, retry=False)], cursor)
        if "whole" not in cursor:
            async with aclosing(self._window(cursor, taking, known)) as pages:
                async for one in pages:
                    cursor = one.cursor
                    yield one
        if "whole" in cursor:
            async with aclosing(self._everything(cursor, taking, known)) as pages:
                async for one in pages:
                    yield one

    async def _prepare(self, cursor: Json) -> tuple[str | None, str]:
        """Move the slot to where the cursor stands. If the table has to be read whole, where the slot stands, and a
        sentence if changes were lost."""
        table, name = self.declared.table.quoted, self.declared.settings.name
        async with self.database.connection() as connection:
            slot = await find_slot(connection, self.declared.settings.name)
            if slot is None or not slot.whole:
                if slot is not None:
                    await _patiently(lambda: connection.execute("SELECT pg_drop_replication_slot($1)", self._slot))
                await _make_slot(self.database, connection, self._slot)
                made = await find_slot(connection, self.declared.settings.name)
                lost = (
                    f'The replication slot "{self._slot}" was lost, and with it what changed meanwhile. It was made '
                    f"anew, and {table} is read whole."
                )
                return made.at if made else "0/0", lost if cursor else ""
            if not cursor:
                return slot.at, ""
            if place(slot.at) > place(cursor["lsn"]):
                return slot.at, (
                    f'Changes of {table} were taken from the replication slot "{self._slot}" by another Deskloom that '
                    f'calls it "{name}" as well, or by this one before its record was restored. It is read whole. Two '
                    "that follow one table need two names for it."
                )
            await self._move_on(connection, cursor["lsn"])
        return None, ""

    async def _move_on(self, connection: asyncpg.Connection, lsn: str) -> None:
        """What lies before has been stored; the server need not keep it."""
        statement = "SELECT pg_replication_slot_advance($1, least($2::text::pg_lsn, pg_current_wal_lsn()))"
        await _patiently(lambda: connection.execute(statement, self._slot, lsn))

    async def _everything(self, cursor: Json, taking: Taking, known: Known) -> AsyncGenerator[Page, None]:
        """The table by key. The slot was there before, and holds what changes from then on."""
        rest = {name: value for name, value in cursor.items() if name != "whole"}
        async with (
            self.database.reading() as connection,
            aclosing(whole(connection, self.declared, cursor["whole"], taking, known)) as parts,
        ):
            async for part in parts:
                yield page(part.taken, rest if part.ended else rest | {"whole": part.state}, part.listing)

    async def _window(self, cursor: Json, taking: Taking, known: Known) -> AsyncGenerator[Page, None]:
        """Committed changes, some whole transactions at a time. What a limit leaves is read again, and known then."""
        while True:
            look = _Look(at=cursor["lsn"])
            async with aclosing(self._look(look, cursor, taking, known)) as pages:
                async for one in pages:
                    cursor = one.cursor
                    yield one
            if look.left or "whole" in cursor:
                return
            async with self.database.connection() as connection:  # what was yielded is stored
                await self._move_on(connection, cursor["lsn"])
            if look.messages < PEEKED:
                return

    async def _look(self, look: _Look, cursor: Json, taking: Taking, known: Known) -> AsyncGenerator[Page, None]:
        """One look at the log: pages of the rows that it names, each with the place after their transactions."""
        decoder, batch = Decoder(), _Batch()
        # Not one snapshot: rows are to be read as they stand after the transactions that the log has told.
        async with self.database.connection() as connection:
            end = await connection.fetchval("SELECT pg_current_wal_flush_lsn()::text")
            async with self._peeked(connection) as messages:
                async for message in messages:
                    look.messages += 1
                    batch.transactions.add(message["xid"])
                    for change in decoder.read(message["data"]):
                        self._take(change, batch, look)
                        if isinstance(change, Committed) and len(batch.named) >= PAGE and not look.emptied:
                            taken, look.left = await self._named(connection, batch, taking, known)
                            cursor = cursor if look.left else {"lsn": look.at}
                            yield page(taken, cursor)
                            if look.left:
                                return
                            batch = _Batch()
                await _visible(connection, batch.transactions)
                if look.emptied:
                    yield page([], {"lsn": look.at, "whole": {}})
                    return
                taken, look.left = await self._named(connection, batch, taking, known)
                if look.messages < PEEKED and place(end) > place(look.at):
                    look.at = end  # every transaction that ended before has been told
                if taken or look.at != cursor["lsn"]:
                    yield page(taken, cursor if look.left else {"lsn": look.at})

    def _take(self, change: Changed | Truncated | Committed, batch: _Batch, look: _Look) -> None:
        if isinstance(change, Committed):
            look.at = change.lsn
        elif isinstance(change, Changed) and all(name in change.values for name in self.declared.key):
            parts = tuple(change.values[name] for name in self.declared.key)
            batch.named[key_text(parts)] = parts
        else:  # emptied, or a row whose key is not told: all of them are looked at
            look.emptied = True

    @asynccontextmanager
    async def _peeked(self, connection: asyncpg.Connection) -> AsyncIterator[AsyncIterator[asyncpg.Record]]:
        """The messages of one look. They are all made at its first fetch; the slot is free afterwards."""

        async def begin() -> tuple[AsyncExitStack, Any, list[asyncpg.Record]]:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(self.database.frozen(connection, "read_committed"))
                cursor = await connection.cursor(_PEEK, self._slot, self._slot, PEEKED)
                first = await cursor.fetch(AT_ONCE)
                return stack.pop_all(), cursor, first

        async def messages() -> AsyncIterator[asyncpg.Record]:
            part = first
            while part:
                for message in part:
                    yield message
                part = await cursor.fetch(AT_ONCE)

        stack, cursor, first = await _patiently(begin)
        async with stack, aclosing(messages()) as told:  # type: ignore[type-var]
            yield told

    async def _named(
        self, connection: asyncpg.Connection, batch: _Batch, taking: Taking, known: Known
    ) -> tuple[list[Record | ItemFailure], bool]:
        """What rows are now, and whether the limit left some of them."""
        await _visible(connection, batch.transactions)
        told = await named_rows(connection, self.declared, batch.named, known)
        done, _ = taking.cut(told)
        return [one for _, one in told[:done] if one is not None], any(one is not None for _, one in told[done:])


@dataclass(slots=True)
class _Look:
    """How far one look at the log has come, and whether a limit left something, or the table has to be read whole."""

    at: str
    messages: int = 0
    left: bool = False
    emptied: bool = False


@dataclass(slots=True)
class _Batch:
    """Rows that were named, by key, and the transactions that did."""

    named: dict[str, tuple[str, ...]] = field(default_factory=dict)
    transactions: set[str] = field(default_factory=set)


async def _visible(connection: asyncpg.Connection, transactions: set[str]) -> None:
    """Wait until others see what these transactions did: the log tells of them an instant, or a standby, earlier."""
    while await connection.fetchval(_HELD, list(transactions)):  # noqa: ASYNC110 (nobody else tells)
        await asyncio.sleep(_POLL)


async def _require_fit(connection: asyncpg.Connection, declared: Declared) -> None:
    table, setting = declared.table, f"tables.{declared.settings.name}"
    level = await connection.fetchval("SHOW wal_level")
    if level != _LOGICAL:
        raise SettingInvalid(
            f"The server writes its log with wal_level={level}, which tells no rows. Set wal_level=logical and restart "
            'it, or follow the table by triggers: follow = "triggers"',
            setting=setting,
        )
    if await connection.fetchval("SELECT pg_is_in_recovery()"):
        raise SettingInvalid(
            "SOURCE_DATABASE_URL names a replica, which can keep no slot for us. Name the primary, or follow the table "
            'by its change column: follow = "column"',
            setting=setting,
        )
    if table.kind not in ("r", "p"):
        raise SettingInvalid(
            f'{table.quoted} is no table, and is not in the log. Follow it by its change column: follow = "column"',
            setting=setting,
        )
    if not table.is_ours:
        raise AccessRefused(
            f"Only the owner of {table.quoted} may publish it. Run this once as the owner, and name the user that "
            f"reads: SOURCE_DATABASE_URL=postgresql://owner@… deskloom table install {declared.settings.name} "
            "--way replication --reader USER"
        )
    identity = await connection.fetchval("SELECT relreplident::text FROM pg_class WHERE oid = $1::oid", table.oid)
    if identity != "f" and not (identity == "d" and table.primary_key == declared.key):
        raise SettingInvalid(
            f"The log does not tell the key of what is deleted from {table.quoted}. Declare its primary key as the "
            f"key, or: ALTER TABLE {table.quoted} REPLICA IDENTITY FULL",
            setting=setting,
        )
    if not await connection.fetchval(_MAY):
        raise AccessRefused("This user may not replicate. Grant it: ALTER ROLE … REPLICATION")


_MAY = "SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user"
