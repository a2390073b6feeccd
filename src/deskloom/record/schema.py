"""Bringing a database to the tables this version needs, and refusing one that is not fit.

A new revision is written by `python -m deskloom.record.migrations "what it does"`. There is no way down: restore a
backup to go back to an older version.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.errors import HomeForeign, RecordOutdated, SettingInvalid
from deskloom.record.engine import Record
from deskloom.record.tables import VERSION_TABLE, metadata

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 4_821_337_509_114_003
"""The key of the advisory lock under which PostgreSQL is migrated; any number, but always the same."""


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, made here rather than in a file, so that an installed wheel can migrate."""
    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    made.attributes["connection"] = connection
    return made


def revisions() -> list[str]:
    """Every revision this version knows, oldest first."""
    return [script.revision for script in reversed(list(ScriptDirectory.from_config(config()).walk_revisions()))]


async def upgrade(record: Record, *, to: str = "head") -> None:
    """Bring the record's tables to this version. Repeating it changes nothing; several processes may try at once.

    Raises `HomeForeign` for a database that is somebody else's, `RecordOutdated` for one made by a newer Deskloom.
    """
    async with record.reading() as tx:
        await _inspect(tx, record.place)
    await record.enable_wal()
    async with record.transaction() as tx:
        if record.dialect == "postgresql":
            await tx.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        revision = await _inspect(tx, record.place)
        if revision != revisions()[-1]:
            await tx.run_sync(lambda connection: command.upgrade(config(connection), to))


async def require_current(record: Record) -> None:
    """Prove that the record has exactly this version's tables.

    Raises `RecordOutdated` (older or newer), `HomeForeign` (not ours), and what `Record.transaction` raises.
    """
    async with record.reading() as tx:
        revision = await _inspect(tx, record.place)
    if revision is None:
        raise RecordOutdated(f"Record {record.place} has no tables yet. Run: deskloom db upgrade", revision=None)
    if revision != revisions()[-1]:
        raise RecordOutdated(
            f"Record {record.place} was made by an older Deskloom. Run: deskloom db upgrade", revision=revision
        )


async def _inspect(tx: AsyncConnection, place: str) -> str | None:
    """The database's revision, None if it has no tables of ours yet; raises if it is not for us."""
    names = set(await tx.run_sync(lambda connection: inspect(connection).get_table_names()))
    if VERSION_TABLE not in names:
        # A file is ours alone. A PostgreSQL database may hold other programs' tables, as long as the names differ.
        foreign = names if tx.dialect.name == "sqlite" else names & set(metadata.tables)
        if foreign:
            raise HomeForeign(
                f'Record {place} holds tables of another program ("{min(foreign)}"). '
                "Give Deskloom a database of its own: set DESKLOOM_HOME or DATABASE_URL.",
                tables=sorted(foreign),
            )
        return None
    await _require_owner(tx, place)
    revision: str | None = (await tx.execute(text(f"SELECT version_num FROM {VERSION_TABLE}"))).scalar()
    if revision is not None and revision not in revisions():
        raise RecordOutdated(
            f"Record {place} was made by a newer Deskloom (revision {revision}). Install that version or a later one.",
            revision=revision,
        )
    return revision


async def _require_owner(tx: AsyncConnection, place: str) -> None:
    """Refuse a user from whom row-level security hides every row: it would take the record for empty."""
    if tx.dialect.name != "postgresql":
        return
    hidden = (await tx.execute(text(f"SELECT row_security_active('{VERSION_TABLE}')"))).scalar_one()
    if hidden:
        raise SettingInvalid(
            f"Record {place} shows its rows to the owner of its tables only (row-level security), and the user of "
            "DATABASE_URL is another. Use the user that ran deskloom db upgrade, or: ALTER ROLE … BYPASSRLS",
            setting="DATABASE_URL",
        )
