"""Following a table by logical replication: a slot keeps what was committed until it was read, in order of commit.

The slot is read with SQL (`pg_logical_slot_peek_binary_changes`), so that any connection will do, and moved on once
what was read is stored. A message only names a row: what is stored is the row as it stands then. A slot that was lost,
or that holds back more of the log than it should, is told; after a loss the table is read whole.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

import asyncpg

from deskloom.errors import AccessRefused, SettingInvalid
from deskloom.model import Cursor, ItemFailure, Json, Kind, Page, Record
from deskloom.protocols import Known
from deskloom.sources.postgres.catalog import quote
from deskloom.sources.postgres.column import Taking, named_rows, page, whole
from deskloom.sources.postgres.database import Database
from deskloom.sources.postgres.declared import Declared
from deskloom.sources.postgres.pgoutput import Changed, Committed, Decoder, Truncated
from deskloom.sources.postgres.reading import PAGE, key_text

AT_ONCE = 500
"""Messages of the log that are fetched at once."""
ALARM_BYTES = 1 << 30
"""So much of the log held back is worth a word: the server's disk fills up with it."""
_LOGICAL = "logical"


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot as the server tells of it: what it holds back, in bytes, and whether it is still whole."""

    held: int
    whole: bool


def slot_name(declared: Declared) -> str:
    """The name of a table's slot, and of its publication."""
    return f"deskloom_{re.sub('[^a-z0-9_]', '_', declared.settings.name)}"[:63]


async def install(database: Database, declared: Declared) -> None:
    """Make the table's publication and slot; what is there already stays.

    Raises `SettingInvalid` where the server or the table is not fit for it, `AccessRefused` without the right.
    """
    name, table = slot_name(declared), declared.table.quoted
    async with database.connection() as connection:
        await _require_fit(connection, declared)
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_publication WHERE pubname = $1)", name):
            await connection.execute(
                f"CREATE PUBLICATION {quote(name)} FOR TABLE {table} WITH (publish_via_partition_root = true)"
            )
        if await find_slot(connection, declared) is None:
            await connection.fetchval("SELECT pg_create_logical_replication_slot($1, 'pgoutput')::text", name)


async def remove(database: Database, declared: Declared) -> None:
    """Take slot and publication away, so that the server holds nothing back any more."""
    name = slot_name(declared)
    async with database.connection() as connection:
        if await find_slot(connection, declared) is not None:
            await connection.execute("SELECT pg_drop_replication_slot($1)", name)
        await connection.execute(f"DROP PUBLICATION IF EXISTS {quote(name)}")


async def find_slot(connection: asyncpg.Connection, declared: Declared) -> Slot | None:
    """The table's slot; None if there is none."""
    row = await connection.fetchrow(_SLOT, slot_name(declared))
    return Slot(int(row["held"] or 0), bool(row["whole"])) if row else None


_SLOT = """
SELECT CASE WHEN pg_is_in_recovery() THEN 0 ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) END AS held,
    coalesce(wal_status, 'lost') <> 'lost' AS whole
FROM pg_replication_slots WHERE slot_name = $1 AND database = current_database() AND plugin = 'pgoutput'
"""
_HELD = """
SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'transactionid' AND granted AND transactionid::text = ANY ($1))
"""
_POLL = 0.01
LOOKED = 1.0
_WAITING = """
SELECT EXISTS (
    SELECT FROM pg_logical_slot_peek_binary_changes($1, NULL, 1, 'proto_version', '1', 'publication_names', $2)
)
"""
_PEEK = """
SELECT data, xid::text AS xid
FROM pg_logical_slot_peek_binary_changes($1, NULL, NULL, 'proto_version', '1', 'publication_names', $2)
"""


async def changes(database: Database, declared: Declared) -> AsyncGenerator[None, None]:
    """Whenever the slot holds something, and once at the start: it is looked at every `LOOKED` seconds."""
    yield
    name = slot_name(declared)
    while True:
        async with database.connection() as connection:
            slot = await find_slot(connection, declared)
            waiting = slot is None or not slot.whole or await connection.fetchval(_WAITING, name, name)
        if waiting:
            yield
        await asyncio.sleep(LOOKED)


class ReplicationReader:
    """Reads one table by its slot."""

    def __init__(self, database: Database, declared: Declared) -> None:
        self.database, self.declared = database, declared
        self._slot = slot_name(declared)

    async def read(self, after: Cursor | None, *, limit: int | None, known: Known) -> AsyncIterator[Page]:
        """What changed; everything, the first time, when the slot was lost, or under another declaration."""
        cursor: Json = dict(after or {})
        taking = Taking(limit)
        lost = await self._prepare(cursor)
        if lost is not None or cursor.get("version") != self.declared.version:
            cursor = {"version": self.declared.version, "whole": {}}
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

    async def _prepare(self, cursor: Json) -> str | None:
        """Move the slot to where the cursor stands; a sentence if it was lost meanwhile ("" if it is new to us)."""
        async with self.database.connection() as connection:
            slot = await find_slot(connection, self.declared)
            if slot is None or not slot.whole:
                if slot is not None:
                    await connection.execute("SELECT pg_drop_replication_slot($1)", self._slot)
                await connection.fetchval("SELECT pg_create_logical_replication_slot($1, 'pgoutput')::text", self._slot)
                return (
                    f'The replication slot "{self._slot}" was lost, and with it what changed meanwhile. It was made '
                    f"anew, and {self.declared.table.quoted} is read whole."
                    if cursor
                    else ""
                )
            if "lsn" in cursor:
                await connection.execute(
                    "SELECT pg_replication_slot_advance($1, least($2::text::pg_lsn, pg_current_wal_lsn()))",
                    self._slot,
                    cursor["lsn"],
                )
        return None

    async def _everything(self, cursor: Json, taking: Taking, known: Known) -> AsyncGenerator[Page, None]:
        """The table by key. The slot was there before, and holds what changes from then on."""
        place = {name: cursor["whole"][name] for name in ("lsn",) if name in cursor["whole"]}
        async with (
            self.database.reading() as connection,
            aclosing(whole(connection, self.declared, cursor["whole"], taking, known)) as parts,
        ):
            async for part in parts:
                state = place if part.ended else {"whole": part.state}
                yield page(part.taken, {"version": self.declared.version} | state, part.listing)

    async def _window(self, cursor: Json, taking: Taking, known: Known) -> AsyncGenerator[Page, None]:
        """Committed changes, some whole transactions at a time. What a limit leaves is read again, and known then."""
        decoder, batch, place = Decoder(), _Batch(), cursor.get("lsn")
        emptied = False
        # Not one snapshot: rows are to be read as they stand after the transactions that the log has told.
        async with self.database.connection() as connection, connection.transaction():
            async for message in connection.cursor(_PEEK, self._slot, self._slot, prefetch=AT_ONCE):
                batch.transactions.add(message["xid"])
                for change in decoder.read(message["data"]):
                    emptied = emptied or isinstance(change, Truncated)
                    if isinstance(change, Committed):
                        place = change.lsn
                    elif isinstance(change, Changed) and all(name in change.values for name in self.declared.key):
                        parts = tuple(change.values[name] for name in self.declared.key)
                        batch.named[key_text(parts)] = parts
                    if isinstance(change, Committed) and len(batch.named) >= PAGE and not emptied:
                        taken, left = await self._named(connection, batch, taking, known)
                        yield page(taken, cursor if left else cursor | {"lsn": place})
                        if left:
                            return
                        batch = _Batch()
            if place == cursor.get("lsn"):
                return
            await _visible(connection, batch.transactions)
            if emptied:
                yield page([], {"version": self.declared.version, "whole": {"lsn": place}})
                return
            taken, left = await self._named(connection, batch, taking, known)
            yield page(taken, cursor if left else cursor | {"lsn": place})

    async def _named(
        self, connection: asyncpg.Connection, batch: _Batch, taking: Taking, known: Known
    ) -> tuple[list[Record | ItemFailure], bool]:
        """What rows are now, and whether the limit left some of them."""
        await _visible(connection, batch.transactions)
        told = await named_rows(connection, self.declared, batch.named, known)
        done, _ = taking.cut(told)
        return [one for _, one in told[:done] if one is not None], any(one is not None for _, one in told[done:])


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
