"""Following a table by triggers: what changes is noted in an outbox beside the table, in the same transaction.

The outbox sees every writer (raw SQL, deletes, truncates, changed keys). Entries carry their transaction's id, and a
window reads all of those that had not ended when the window before it was read, so that a late commit is never stepped
over. An entry only names a row: what is stored is the row as it stands then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import asyncpg

from deskloom.errors import AccessRefused, SettingInvalid, SourceUnavailable
from deskloom.model import Cursor, Json, Page
from deskloom.protocols import Known
from deskloom.sources.postgres.catalog import quote
from deskloom.sources.postgres.column import Taking, named_rows, page, whole
from deskloom.sources.postgres.database import Database
from deskloom.sources.postgres.declared import Declared
from deskloom.sources.postgres.reading import PAGE, Snapshot, key_text, snapshot

SCHEMA = "deskloom"
CHANNEL = "deskloom"
"""Where `NOTIFY` tells that a table changed; its payload is the source's name."""
LOCK_WITHIN = "3s"
"""Installing waits no longer for the table: whoever waits for a lock holds up those behind."""
LISTENED = 60.0
"""Seconds without a word after which the outbox is looked at all the same."""
_NAMED_ALIKE = frozenset(
    {"bigint", "integer", "smallint", "uuid", "text", "character varying", "character", "numeric", "boolean", "date"}
)
"""Types of a key whose text is the same in JSON and by a cast."""

_SHARED = f"""
CREATE SCHEMA IF NOT EXISTS {SCHEMA};
CREATE TABLE IF NOT EXISTS {SCHEMA}.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    key jsonb,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX IF NOT EXISTS outbox_by_transaction ON {SCHEMA}.outbox (source, xid, id);
CREATE OR REPLACE FUNCTION {SCHEMA}.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $note$
DECLARE
    before jsonb;
    after jsonb;
    named text := TG_ARGV[0];
    columns text[] := TG_ARGV[1:];
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        INSERT INTO {SCHEMA}.outbox (source, key) VALUES (named, NULL);
    ELSE
        -- By way of JSON, so that a column that was renamed or dropped never makes the team's own statement fail.
        IF TG_OP <> 'INSERT' THEN
            SELECT jsonb_agg(to_jsonb(OLD) ->> c ORDER BY place) INTO before
            FROM unnest(columns) WITH ORDINALITY AS u(c, place);
            INSERT INTO {SCHEMA}.outbox (source, key) VALUES (named, before);
        END IF;
        IF TG_OP <> 'DELETE' THEN
            SELECT jsonb_agg(to_jsonb(NEW) ->> c ORDER BY place) INTO after
            FROM unnest(columns) WITH ORDINALITY AS u(c, place);
            IF before IS DISTINCT FROM after THEN
                INSERT INTO {SCHEMA}.outbox (source, key) VALUES (named, after);
            END IF;
        END IF;
    END IF;
    PERFORM pg_notify('{CHANNEL}', named);
    RETURN NULL;
END $note$;
"""


_FULL = """
SELECT EXISTS (SELECT FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass AND refobjid = $1::text::regnamespace)
"""
_ORIGIN = "SELECT oid::bigint FROM pg_database WHERE datname = current_database()"
_EMPTIED = f"""
SELECT EXISTS (SELECT FROM {SCHEMA}.outbox WHERE source = $1 AND xid >= $2::text::xid8
               AND (key IS NULL OR key @> '[null]'))
"""
_NOTED = f"""
SELECT id, key FROM {SCHEMA}.outbox WHERE source = $1 AND xid >= $2::text::xid8 AND id > $3 ORDER BY id LIMIT $4
"""


async def install(database: Database, declared: Declared) -> None:
    """Make the outbox and the table's triggers; repeating it renews them. Locks the table for an instant.

    Raises `SettingInvalid` for a table that cannot have triggers, `AccessRefused` without the right to make them.
    """
    _require_fit(declared)
    arguments = ", ".join(_literal(text) for text in (declared.settings.name, *declared.key))
    rows, truncates = trigger_names(declared)
    table = declared.table.quoted
    async with database.connection() as connection, connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_WITHIN}'")
        await connection.execute(_SHARED)
        for name, when in ((rows, "INSERT OR UPDATE OR DELETE"), (truncates, "TRUNCATE")):
            each = "ROW" if name == rows else "STATEMENT"
            await connection.execute(f"DROP TRIGGER IF EXISTS {quote(name)} ON {table}")
            await connection.execute(
                f"CREATE TRIGGER {quote(name)} AFTER {when} ON {table} FOR EACH {each} "
                f"EXECUTE FUNCTION {SCHEMA}.note({arguments})"
            )
            # Also where rows arrive by replication, or a restore has switched ordinary triggers off.
            await connection.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {quote(name)}")


async def remove(database: Database, declared: Declared) -> None:
    """Take the table's triggers and entries away; the outbox goes with the last of them."""
    async with database.connection() as connection, connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_WITHIN}'")
        for name in trigger_names(declared):
            await connection.execute(f"DROP TRIGGER IF EXISTS {quote(name)} ON {declared.table.quoted}")
        if await connection.fetchval(f"SELECT to_regclass('{SCHEMA}.outbox') IS NULL"):
            return
        await connection.execute(f"DELETE FROM {SCHEMA}.outbox WHERE source = $1", declared.settings.name)
        used = "SELECT EXISTS (SELECT FROM pg_trigger WHERE tgfoid = $1::regprocedure)"
        if not await connection.fetchval(used, f"{SCHEMA}.note()"):
            await connection.execute(f"DROP FUNCTION {SCHEMA}.note(); DROP TABLE {SCHEMA}.outbox")
            # The schema stays if somebody has put something else into it.
            if not await connection.fetchval(_FULL, SCHEMA):
                await connection.execute(f"DROP SCHEMA {SCHEMA}")


async def installed(connection: asyncpg.Connection, declared: Declared) -> bool:
    """Whether both triggers of the table are there, switched on, and name the key that it has now."""
    statement = """
    SELECT count(*) FROM pg_trigger
    WHERE tgrelid = $1::oid AND tgname = ANY ($2::text[]) AND tgenabled = 'A' AND tgargs = $3
    """
    arguments = b"".join(text.encode() + b"\0" for text in (declared.settings.name, *declared.key))
    return bool(await connection.fetchval(statement, declared.table.oid, list(trigger_names(declared)), arguments) == 2)


async def changes(database: Database, declared: Declared) -> AsyncGenerator[None, None]:
    """Whenever the table was changed, and once at the start; a connection that listens is kept for it."""
    told = asyncio.Event()

    def note(_connection: object, _process: int, _channel: str, named: str) -> None:
        if named == declared.settings.name:
            told.set()

    connection = await database.connect()
    connection.add_termination_listener(lambda _: told.set())
    try:
        await connection.add_listener(CHANNEL, note)
        while not connection.is_closed():
            told.clear()
            yield
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), LISTENED)
        raise SourceUnavailable(f"{database.place} closed the connection on which its changes are told.")
    finally:
        await connection.close(timeout=5)


def trigger_names(declared: Declared) -> tuple[str, str]:
    """The names of a table's two triggers: of rows, and of truncates."""
    return f"deskloom_{declared.settings.name}"[:63], f"deskloom_{declared.settings.name[:50]}_all"


class TriggerReader:
    """Reads one table by its outbox."""

    def __init__(self, database: Database, declared: Declared) -> None:
        self.database, self.declared = database, declared

    async def read(self, after: Cursor | None, *, limit: int | None, known: Known) -> AsyncIterator[Page]:
        """What changed; everything, the first time, after a truncate or a restore, or under another declaration."""
        cursor: Json = dict(after or {})
        taking = Taking(limit)
        async with self.database.reading() as connection:
            seen = await snapshot(connection)
            origin = await connection.fetchval(_ORIGIN)
            if not await self._goes_on(connection, cursor, seen, origin):
                cursor = {"version": self.declared.version, "origin": origin, "xmin": seen.xmin, "whole": {}}
            reader = self._everything if "whole" in cursor else self._window
            async with aclosing(reader(connection, cursor, seen, taking, known)) as pages:
                async for one in pages:
                    yield one
        if "whole" not in cursor and after is not None:
            await self._forget(after["xmin"])

    async def _goes_on(self, connection: asyncpg.Connection, cursor: Json, seen: Snapshot, origin: int) -> bool:
        """Whether the outbox tells everything since the cursor: it knows nothing of what a restore brought back."""
        if (cursor.get("version"), cursor.get("origin")) != (self.declared.version, origin):
            return False
        if seen.xmax < cursor["xmin"]:  # an older state of the whole server was restored
            return False
        return "whole" in cursor or not await connection.fetchval(_EMPTIED, self._name, str(cursor["xmin"]))

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
        """Entries of transactions that had not ended when the window before was read, in the order they were made."""
        window: Json = dict(cursor.get("window") or {"after": 0, "xmin": seen.xmin})
        rest = {name: value for name, value in cursor.items() if name != "window"}
        while True:
            noted = await connection.fetch(_NOTED, self._name, str(cursor["xmin"]), window["after"], PAGE)
            if not noted:
                break
            last = {
                key_text(row["key"]): row for row in noted
            }  # a row that changed often is read once, at its last entry
            named = {key: row["key"] for key, row in sorted(last.items(), key=lambda item: item[1]["id"])}
            told = await named_rows(connection, self.declared, named, known)
            done, used_up = taking.cut(told)
            window["after"] = last[told[done - 1][0]]["id"]
            taken = [one for _, one in told[:done] if one is not None]
            yield page(taken, rest | {"window": dict(window)})
            if used_up:
                return
        yield page([], rest | {"xmin": window["xmin"]})

    async def _forget(self, xmin: int) -> None:
        """Remove entries that no read needs any more: the cursor past them is stored."""
        async with self.database.connection() as connection:
            statement = f"DELETE FROM {SCHEMA}.outbox WHERE source = $1 AND xid < $2::text::xid8"
            await connection.execute(statement, self._name, str(xmin))

    @property
    def _name(self) -> str:
        return self.declared.settings.name


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
    if not table.may_trigger:
        raise AccessRefused(
            f"This user may not make triggers on {table.quoted}. Grant it: GRANT TRIGGER ON {table.quoted} TO …, and "
            "CREATE ON DATABASE; or let the owner run the command"
        )
    for name in declared.key:
        if table.columns[name].type not in _NAMED_ALIKE:
            raise SettingInvalid(
                f'The key "{name}" of {table.quoted} is {table.columns[name].type}, which triggers cannot name. Follow '
                'it by its change column: follow = "column"',
                setting=f"tables.{declared.settings.name}",
            )
