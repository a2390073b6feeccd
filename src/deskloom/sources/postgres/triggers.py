"""Following a table by triggers: what changes is noted in an outbox beside the table, in the same transaction.

The outbox sees every writer (raw SQL, deletes, truncates, changed keys). Entries carry their transaction's id, and a
window reads those that the snapshot of the window before did not see, so that a late commit is never stepped over, and
nothing is read twice. An entry only names a row: what is stored is the row as it stands then.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import asyncpg

from deskloom.errors import AccessRefused, SettingInvalid, SourceUnavailable
from deskloom.model import Cursor, ItemFailure, Json, Kind, Page
from deskloom.protocols import Known
from deskloom.sources.postgres.catalog import Table, quote
from deskloom.sources.postgres.column import Taking, named_rows, page, whole
from deskloom.sources.postgres.database import Database
from deskloom.sources.postgres.declared import Declared
from deskloom.sources.postgres.names import made_name
from deskloom.sources.postgres.reading import PAGE, Snapshot, key_text, snapshot

SCHEMA = "deskloom"
CHANNEL = "deskloom"
"""Where `NOTIFY` tells that a table changed; its payload is the source's name."""
LOCK_WITHIN = "3s"
"""Installing waits no longer for the table: whoever waits for a lock holds up those behind."""
LISTENED = 60.0
"""Seconds without a word after which the outbox is looked at all the same."""
LOOKED = 1.0
"""Seconds between two looks where nothing can be told."""
ALARM_ENTRIES = 1_000_000
"""So many entries in the outbox are worth a word: nobody reads them."""

_SHARED = f"""
CREATE SCHEMA IF NOT EXISTS {SCHEMA};
CREATE TABLE IF NOT EXISTS {SCHEMA}.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    key jsonb,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX IF NOT EXISTS outbox_by_transaction ON {SCHEMA}.outbox (source, xid, id);
CREATE TABLE IF NOT EXISTS {SCHEMA}.forgotten (source text PRIMARY KEY, before xid8 NOT NULL);
"""
# A column that was renamed or dropped, or anything else that is odd about a key, never makes the team's own statement
# fail: the entry without a key has the table read whole. With two-phase commit a transaction may not notify.
_NOTE = """
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $note$
DECLARE
    before jsonb;
    after jsonb;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        INSERT INTO {schema}.outbox (source, key) VALUES ({source}, NULL);
    ELSE
        BEGIN
            IF TG_OP <> 'INSERT' THEN
                before := jsonb_build_array({old});
            END IF;
            IF TG_OP <> 'DELETE' THEN
                after := jsonb_build_array({new});
            END IF;
        EXCEPTION WHEN OTHERS THEN
            before := '[null]';
            after := '[null]';
        END;
        IF before IS NOT NULL THEN
            INSERT INTO {schema}.outbox (source, key) VALUES ({source}, before);
        END IF;
        IF after IS NOT NULL AND after IS DISTINCT FROM before THEN
            INSERT INTO {schema}.outbox (source, key) VALUES ({source}, after);
        END IF;
    END IF;
    IF current_setting('max_prepared_transactions') = '0' THEN
        PERFORM pg_notify('{channel}', {source});
    END IF;
    RETURN NULL;
END $note$;
"""

_EMPTY = (
    "SELECT NOT EXISTS (SELECT FROM pg_proc WHERE pronamespace = $1::text::regnamespace AND proname LIKE 'note\\_%')"
)
_FULL = """
SELECT EXISTS (SELECT FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass AND refobjid = $1::text::regnamespace)
"""
_FORGOTTEN = f"SELECT before::text::bigint FROM {SCHEMA}.forgotten WHERE source = $1"
_NEW = (
    "source = $1 AND xid >= pg_snapshot_xmin($2::text::pg_snapshot) "
    "AND NOT pg_visible_in_snapshot(xid, $2::text::pg_snapshot)"
)
_EMPTIED = f"SELECT EXISTS (SELECT FROM {SCHEMA}.outbox WHERE {_NEW} AND (key IS NULL OR key @> '[null]'))"
_NOTED = f"SELECT id, key FROM {SCHEMA}.outbox WHERE {_NEW} AND id > $3 ORDER BY id LIMIT $4"
_STANDING = f"SELECT count(*), max(id) FROM {SCHEMA}.outbox WHERE source = $1"


async def install(database: Database, declared: Declared, *, reader: str | None = None) -> None:
    """Make the outbox and the table's triggers; repeating it renews them. Locks the table for an instant.

    `reader`: the role that is to read the table and the outbox, if it is not the one that makes them.
    Raises `SettingInvalid` for a table that cannot have triggers, `AccessRefused` without the right to make them.
    """
    _require_fit(declared)
    arguments = ", ".join(_literal(text) for text in (declared.settings.name, *declared.key))
    rows, truncates = trigger_names(declared.settings.name)
    table, function = declared.table.quoted, _function(declared.settings.name)
    async with database.connection() as connection, connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_WITHIN}'")
        await connection.execute(_SHARED)
        sound = await installed(connection, declared)
        await connection.execute(_note(declared))
        for name, when in ((rows, "INSERT OR UPDATE OR DELETE"), (truncates, "TRUNCATE")):
            each = "ROW" if name == rows else "STATEMENT"
            await connection.execute(f"DROP TRIGGER IF EXISTS {quote(name)} ON {table}")
            await connection.execute(
                f"CREATE TRIGGER {quote(name)} AFTER {when} ON {table} FOR EACH {each} "
                f"EXECUTE FUNCTION {function}({arguments})"
            )
            # Also where rows arrive by replication, or a restore has switched ordinary triggers off.
            await connection.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {quote(name)}")
        if not sound:  # what changed while they were not there is found by reading the table whole
            await connection.execute(f"INSERT INTO {SCHEMA}.outbox (source) VALUES ($1)", declared.settings.name)
        if reader is not None:
            await _let_read(connection, declared, reader)


async def _let_read(connection: asyncpg.Connection, declared: Declared, reader: str) -> None:
    role = quote(reader)
    for grant in (
        f"SELECT ON {declared.table.quoted}",
        f"SELECT, DELETE ON {SCHEMA}.outbox",
        f"SELECT, INSERT, UPDATE ON {SCHEMA}.forgotten",
    ):
        await connection.execute(f"GRANT {grant} TO {role}")
    for schema in (declared.table.schema, SCHEMA):
        await connection.execute(f"GRANT USAGE ON SCHEMA {quote(schema)} TO {role}")


async def remove(database: Database, source: str, table: Table | None) -> bool:
    """Take a table's triggers and entries away; the outbox goes with the last of them. False: none were there.

    `table` None: it is gone, and its triggers with it.
    """
    there = False
    async with database.connection() as connection, connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_WITHIN}'")
        if table is not None:
            names = list(trigger_names(source))
            there = bool((await connection.fetchrow(_INSTALLED, table.oid, names, b""))["there"])
            for name in names:
                await connection.execute(f"DROP TRIGGER IF EXISTS {quote(name)} ON {table.quoted}")
        if await connection.fetchval(f"SELECT to_regclass('{SCHEMA}.outbox') IS NULL"):
            return there
        await connection.execute(f"DROP FUNCTION IF EXISTS {_function(source)}()")
        for noted in ("outbox", "forgotten"):
            await connection.execute(f"DELETE FROM {SCHEMA}.{noted} WHERE source = $1", source)
        if await connection.fetchval(_EMPTY, SCHEMA):
            await connection.execute(f"DROP TABLE {SCHEMA}.outbox, {SCHEMA}.forgotten")
            # The schema stays if somebody has put something else into it.
            if not await connection.fetchval(_FULL, SCHEMA):
                await connection.execute(f"DROP SCHEMA {SCHEMA}")
    return there


_INSTALLED = """
SELECT count(*) AS there, count(*) FILTER (WHERE tgenabled = 'A' AND tgargs = $3) AS sound
FROM pg_trigger WHERE tgrelid = $1::oid AND tgname = ANY ($2::text[])
"""


async def installed(connection: asyncpg.Connection, declared: Declared) -> bool:
    """Whether both triggers of the table are there, switched on, and name the key that it has now."""
    return bool((await _standing(connection, declared))["sound"] == 2)


async def alarms(connection: asyncpg.Connection, declared: Declared) -> list[str]:
    """What a person should know: triggers that were switched off, an outbox that nobody reads."""
    name, standing = declared.settings.name, await _standing(connection, declared)
    if standing["there"] and standing["sound"] < 2:
        return [
            f'The triggers of "{name}" are switched off, incomplete, or name another key. Renew them: '
            f"deskloom table install {name}"
        ]
    if not standing["there"]:
        return []
    entries = (await connection.fetchrow(_STANDING, name))["count"]
    if entries < ALARM_ENTRIES:
        return []
    return [
        f'{entries:,} changes of "{name}" wait in {SCHEMA}.outbox. Sync the table, or remove its triggers: '
        f"deskloom table remove {name}"
    ]


async def _standing(connection: asyncpg.Connection, declared: Declared) -> asyncpg.Record:
    name = declared.settings.name
    arguments = b"".join(text.encode() + b"\0" for text in (name, *declared.key))
    return await connection.fetchrow(_INSTALLED, declared.table.oid, list(trigger_names(name)), arguments)


async def changes(database: Database, declared: Declared) -> AsyncGenerator[None, None]:
    """Whenever the table was changed, and once at the start; a connection that listens is kept for it."""
    told, name = asyncio.Event(), declared.settings.name

    def note(_connection: object, _process: int, _channel: str, named: str) -> None:
        if named == name:
            told.set()

    connection = await database.connect()
    connection.add_termination_listener(lambda _: told.set())
    try:
        await connection.add_listener(CHANNEL, note)
        told_at_all = await connection.fetchval("SELECT current_setting('max_prepared_transactions') = '0'")
        standing = None
        told.set()
        while not connection.is_closed():
            if told.is_set() or told_at_all:
                told.clear()
                yield
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), LISTENED if told_at_all else LOOKED)
            if not told.is_set():  # asks also whether the connection is still alive
                standing, before = tuple(await connection.fetchrow(_STANDING, name, timeout=10)), standing
                if standing != before:
                    told.set()
        raise SourceUnavailable(f"{database.place} closed the connection on which its changes are told.")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise (database.translate(error) or error) from error
    finally:
        with contextlib.suppress(OSError, TimeoutError, asyncpg.InterfaceError):
            await connection.close(timeout=5)


def trigger_names(source: str) -> tuple[str, str]:
    """The names of a table's two triggers: of rows, and of truncates."""
    return made_name("deskloom_", source), made_name("deskloom_all_", source)


class TriggerReader:
    """Reads one table by its outbox."""

    def __init__(self, database: Database, declared: Declared) -> None:
        self.database, self.declared = database, declared

    async def read(self, after: Cursor | None, *, limit: int | None, known: Known) -> AsyncIterator[Page]:
        """What changed; everything, the first time, after a truncate, or where entries were lost."""
        cursor: Json = dict(after or {})
        taking = Taking(limit)
        async with self.database.reading() as connection:
            seen = await snapshot(connection)
            lost = await self._lost(connection, cursor, seen) if cursor else ""
            if lost is not None:
                cursor = {"snapshot": seen.text, "whole": {}}
            if lost:
                yield page([ItemFailure(kind=Kind.ROW, key="*", reason=lost, retry=False)], cursor)
            reader = self._everything if "whole" in cursor else self._window
            async with aclosing(reader(connection, cursor, seen, taking, known)) as pages:
                async for one in pages:
                    cursor = one.cursor
                    yield one
        await self._forget(Snapshot(cursor["snapshot"]).xmin)

    async def _lost(self, connection: asyncpg.Connection, cursor: Json, seen: Snapshot) -> str | None:
        """None if the outbox tells everything since the cursor; "" after a truncate; else what became of entries."""
        before = Snapshot(cursor["snapshot"])
        if seen.xmax < before.xmax:
            return f"An older state of {self.declared.table.quoted} was restored. It is read whole."
        if (await connection.fetchval(_FORGOTTEN, self._name) or 0) > before.xmin:
            return (
                f'Changes of {self.declared.table.quoted} were taken by another Deskloom that calls it "{self._name}" '
                "as well, or by this one before its record was restored. It is read whole. Two that follow one "
                "table need two names for it."
            )
        emptied = "whole" not in cursor and await connection.fetchval(_EMPTIED, self._name, before.text)
        return "" if emptied else None

    async def _everything(
        self, connection: asyncpg.Connection, cursor: Json, seen: Snapshot, taking: Taking, known: Known
    ) -> AsyncGenerator[Page, None]:
        """The table by key. What changes meanwhile is in the outbox, which is read from the first snapshot on."""
        rest = {name: value for name, value in cursor.items() if name != "whole"}
        async with aclosing(whole(connection, self.declared, cursor["whole"], taking, known)) as parts:
            async for part in parts:
                state = {} if part.ended else {"whole": part.state}
                yield page(part.taken, rest | state, part.listing)

    async def _window(
        self, connection: asyncpg.Connection, cursor: Json, seen: Snapshot, taking: Taking, known: Known
    ) -> AsyncGenerator[Page, None]:
        """Entries that the snapshot of the window before did not see, in the order they were made."""
        window: Json = dict(cursor.get("window") or {"after": 0, "snapshot": seen.text})
        rest = {name: value for name, value in cursor.items() if name != "window"}
        while noted := await connection.fetch(_NOTED, self._name, cursor["snapshot"], window["after"], PAGE):
            # A row that changed often is read once, at its last entry.
            keys = {row["id"]: json_key(row["key"]) for row in noted}
            last = {key_text(parts): id for id, parts in keys.items()}
            named = {key: keys[id] for key, id in sorted(last.items(), key=lambda item: item[1])}
            told = await named_rows(connection, self.declared, named, known)
            done, used_up = taking.cut(told)
            window["after"] = last[told[done - 1][0]]
            taken = [one for _, one in told[:done] if one is not None]
            yield page(taken, rest | {"window": dict(window)})
            if used_up:
                return
        yield page([], rest | {"snapshot": window["snapshot"]})

    async def _forget(self, xmin: int) -> None:
        """Remove entries that no read needs any more: the cursor past them is stored."""
        async with self.database.connection() as connection, connection.transaction():
            statement = f"DELETE FROM {SCHEMA}.outbox WHERE source = $1 AND xid < $2::text::xid8"
            if int((await connection.execute(statement, self._name, str(xmin))).split()[-1]):
                await connection.execute(_FORGET, self._name, str(xmin))

    @property
    def _name(self) -> str:
        return self.declared.settings.name


_FORGET = f"""
INSERT INTO {SCHEMA}.forgotten AS known (source, before) VALUES ($1, $2::text::xid8)
ON CONFLICT (source) DO UPDATE SET before = excluded.before WHERE known.before < excluded.before
"""


def json_key(stored: str) -> list[str]:
    """The columns' texts of an entry."""
    parts: list[str] = json.loads(stored)
    return parts


def _function(source: str) -> str:
    return f"{SCHEMA}.{quote(made_name('note_', source))}"


def _note(declared: Declared) -> str:
    """The statement that makes the function of a table's triggers."""

    def parts(row: str) -> str:
        return ", ".join(f"{row}.{quote(name)}::text" for name in declared.key)

    return _NOTE.format(
        function=_function(declared.settings.name),
        schema=SCHEMA,
        channel=CHANNEL,
        source=_literal(declared.settings.name),
        old=parts("OLD"),
        new=parts("NEW"),
    )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _require_fit(declared: Declared) -> None:
    table = declared.table
    if table.kind not in ("r", "p"):
        raise SettingInvalid(
            f"{table.quoted} is no table but a view or a foreign table, which can have no triggers. Follow it by its "
            'change column: follow = "column"',
            setting=f"tables.{declared.settings.name}",
        )
    if not table.is_ours:
        raise AccessRefused(
            f"Only the owner of {table.quoted} may make triggers that always fire. Run this once as the owner, and "
            f"name the user that reads: SOURCE_DATABASE_URL=postgresql://owner@… deskloom table install "
            f"{declared.settings.name} --way triggers --reader USER"
        )
