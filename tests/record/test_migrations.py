"""Migrations: every path through them ends at exactly the tables the code speaks of, on both databases."""

from __future__ import annotations

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, insert, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.record.rows import some_row

from deskloom.errors import HomeForeign, RecordOutdated
from deskloom.record import Record, open_record, require_current, upgrade
from deskloom.record.schema import revisions
from deskloom.record.tables import VERSION_TABLE, metadata
from deskloom.record.views import TICKET_DETAILS, ticket_details


@pytest.fixture
async def empty(empty_url: str):
    record = open_record(empty_url)
    yield record
    await record.aclose()


def _differences(connection: Connection) -> list[object]:
    options = {"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
    return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)


async def _definitions(tx: AsyncConnection) -> dict[str, str]:
    """Every index (with its WHERE and method) and the view, as the database itself spells them."""
    if tx.dialect.name == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE type IN ('index', 'view') AND sql IS NOT NULL"
    else:
        query = (
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' "
            f"AND tablename <> '{VERSION_TABLE}' UNION ALL "
            f"SELECT viewname, definition FROM pg_views WHERE viewname = '{TICKET_DETAILS}'"
        )
    return {name: " ".join(sql.split()) for name, sql in await tx.execute(text(query))}


async def test_upgrade_makes_exactly_the_tables(empty: Record, record: Record) -> None:
    """All migrations, run on an empty database, give the tables, indexes and view of `tables.py` and `views.py`."""
    async with empty.transaction() as tx:
        await tx.run_sync(metadata.create_all)
        await tx.exec_driver_sql(ticket_details(empty.dialect))
        wanted = await _definitions(tx)
    async with record.reading() as tx:
        found = await _definitions(tx)
        assert await tx.run_sync(_differences) == []
    found.pop(f"sqlite_autoindex_{VERSION_TABLE}_1", None)
    assert {name: _plain(sql) for name, sql in found.items()} == {name: _plain(sql) for name, sql in wanted.items()}


def _plain(sql: str) -> str:
    return sql.replace("( ", "(").replace(" )", ")")


async def test_upgrading_again_changes_nothing(record: Record) -> None:
    """An upgrade of a current record is no upgrade."""
    await upgrade(record)
    await require_current(record)


@pytest.mark.parametrize("revision", revisions())
async def test_upgrade_of_a_full_database(empty: Record, revision: str) -> None:
    """A database full of an earlier revision's data can be upgraded, and keeps every row."""
    await upgrade(empty, to=revision)
    async with empty.transaction() as tx:
        tables = await tx.run_sync(lambda connection: _reflected(connection))
        for table in tables:
            await tx.execute(insert(table).values(some_row(table)))
    await upgrade(empty)
    await require_current(empty)
    async with empty.reading() as tx:
        now = set(await tx.run_sync(lambda connection: inspect(connection).get_table_names()))
        for table in tables:
            if table.name in now:
                assert (await tx.execute(text(f'SELECT count(*) FROM "{table.name}"'))).scalar() == 1
        assert await tx.run_sync(_differences) == []


def _reflected(connection: Connection):
    """The tables as the database itself describes them: those of the code may be newer."""
    from sqlalchemy import MetaData

    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != VERSION_TABLE]


async def test_many_upgrades_at_once(empty_url: str) -> None:
    """Processes that upgrade the same empty database at the same time all succeed."""
    records = [open_record(empty_url) for _ in range(4)]
    try:
        await asyncio.gather(*(upgrade(record) for record in records))
        await require_current(records[0])
    finally:
        for record in records:
            await record.aclose()


async def test_empty_database_is_not_current(empty: Record) -> None:
    """A database without tables is refused with the command that makes them."""
    with pytest.raises(RecordOutdated, match=r"has no tables yet\. Run: deskloom db upgrade"):
        await require_current(empty)


async def test_older_database_is_not_current(record: Record) -> None:
    """A database of an older version is refused with the command that upgrades it."""
    async with record.transaction() as tx:
        await tx.execute(text(f"DELETE FROM {VERSION_TABLE}"))
    with pytest.raises(RecordOutdated, match="Run: deskloom db upgrade"):
        await require_current(record)


@pytest.mark.parametrize("check", [require_current, upgrade])
async def test_newer_database_is_refused(record: Record, check) -> None:
    """A database of a newer version is neither used nor changed."""
    async with record.transaction() as tx:
        await tx.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(RecordOutdated, match=r"made by a newer Deskloom \(revision 9999\)"):
        await check(record)


@pytest.mark.parametrize("check", [require_current, upgrade])
async def test_foreign_database_is_refused(empty: Record, check) -> None:
    """A database in which another program has a table of the same name is neither used nor changed."""
    async with empty.transaction() as tx:
        await tx.execute(text("CREATE TABLE tickets (id integer)"))
    with pytest.raises(HomeForeign, match=r'holds tables of another program \("tickets"\)'):
        await check(empty)
    async with empty.reading() as tx:
        assert await tx.run_sync(lambda connection: inspect(connection).get_table_names()) == ["tickets"]


async def test_foreign_sqlite_file_stays_as_it_is(tmp_path) -> None:
    """A SQLite file of another program is refused whatever its tables are called, and not a byte of it changes."""
    path = tmp_path / "theirs.db"
    record = open_record(f"sqlite:///{path}")
    async with record.transaction() as tx:
        await tx.execute(text("CREATE TABLE songs (id integer)"))
    before = path.read_bytes()
    with pytest.raises(HomeForeign, match='"songs"'):
        await upgrade(record)
    await record.aclose()
    assert path.read_bytes() == before


async def test_postgres_database_may_be_shared(postgres_server) -> None:
    """On PostgreSQL other programs' tables of other names are no hindrance."""
    from tests import postgres

    async with postgres.database(postgres_server) as url:
        record = open_record(url)
        async with record.transaction() as tx:
            await tx.execute(text("CREATE TABLE songs (id integer)"))
            await tx.execute(text("CREATE TABLE alembic_version (version_num text)"))
        await upgrade(record)
        await require_current(record)
        await record.aclose()
