"""A table followed by logical replication: everything that was committed arrives, and a loss is never silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest
from tests import postgres
from tests.tables.reading import REFERENCES, Reader, add, keys

from deskloom.errors import SettingInvalid
from deskloom.model import Row, Tombstone
from deskloom.sources.postgres import Database, TableSource, replication
from deskloom.table_settings import TableSettings


@pytest.fixture(scope="module")
def logical() -> Iterator[postgres.Server]:
    """A server whose log tells rows, as soon as they are committed."""
    with postgres.running(settings=["wal_level=logical", "synchronous_commit=on"]) as server:
        yield server


@pytest.fixture
def postgres_server(logical: postgres.Server) -> postgres.Server:
    return logical


async def followed(database: Database, **changes: Any) -> Reader:
    """A reader of the table, with its slot made."""
    source = TableSource(TableSettings(**REFERENCES | {"follow": "replication"} | changes), database)
    await replication.install(database, await source.declared())
    return Reader(source)


@pytest.fixture
async def reader(database: Database, team: asyncpg.Connection) -> AsyncIterator[Reader]:
    """A reader over three rows that were read; its slot, which keeps the database alive, goes in the end."""
    await add(team, "one", "two", "three")
    made = await followed(database)
    assert (keys(await made.read()), made.listing) == (["one", "three", "two"], {"one", "two", "three"})
    yield made
    await replication.remove(database, "refs")


async def test_every_kind_of_change_arrives_once(reader: Reader, team: asyncpg.Connection) -> None:
    """Inserts, updates, deletes, changed keys, rows that leave the condition; and then nothing more."""
    await team.execute("""UPDATE "KnowledgeReference" SET category = 'x' WHERE id = 'one'""")
    await team.execute("""DELETE FROM "KnowledgeReference" WHERE id = 'two'""")
    await team.execute("""UPDATE "KnowledgeReference" SET id = 'drei' WHERE id = 'three'""")
    await add(team, "four", "five")
    await team.execute("""UPDATE "KnowledgeReference" SET "isActive" = false WHERE id = 'five'""")
    assert {one.key: type(one) for one in await reader.read()} == {
        "one": Row,
        "two": Tombstone,
        "three": Tombstone,
        "drei": Row,
        "four": Row,
    }
    assert await reader.read() == []


async def test_a_late_commit_arrives_when_it_is_one(reader: Reader, team: asyncpg.Connection, team_url: str) -> None:
    """What is not committed is not told; what was committed meanwhile is."""
    late = await asyncpg.connect(team_url)
    try:
        transaction = late.transaction()
        await transaction.start()
        await add(late, "late")
        await add(team, "between")
        assert keys(await reader.read()) == ["between"]
        await transaction.commit()
        assert keys(await reader.read()) == ["late"]
        assert await reader.read() == []
    finally:
        await late.close()


async def test_a_truncate_is_a_complete_listing(reader: Reader, team: asyncpg.Connection) -> None:
    """The table is read whole again, once; afterwards windows go on."""
    await team.execute('TRUNCATE "KnowledgeReference"')
    await add(team, "four")
    assert (keys(await reader.read()), reader.listing) == (["four"], {"four"})
    await add(team, "five")
    assert (keys(await reader.read()), reader.listing) == (["five"], None)


@pytest.mark.parametrize("limit", [1, 3])
async def test_a_limit_stops_and_the_next_read_goes_on(reader: Reader, team: asyncpg.Connection, limit: int) -> None:
    """Exactly so many records; nothing is missed, deletions included."""
    await add(team, *(f"row {number}" for number in range(7)))
    await team.execute("""DELETE FROM "KnowledgeReference" WHERE id IN ('one', 'two')""")
    got: list[str] = []
    while found := await reader.read(limit):
        assert len(found) <= limit
        got += keys(found)
    assert sorted(got) == ["one", *(f"row {number}" for number in range(7)), "two"]


async def test_a_lost_slot_is_told_and_the_table_read_whole(
    reader: Reader, team: asyncpg.Connection, database: Database
) -> None:
    """What changed after the loss is found by reading everything; the run is told of it."""
    await team.execute("SELECT pg_drop_replication_slot('deskloom_refs')")
    await add(team, "four")
    await team.execute("""DELETE FROM "KnowledgeReference" WHERE id = 'one'""")
    assert (keys(await reader.read()), reader.listing) == (["four"], {"two", "three", "four"})
    assert reader.failed["*"].startswith('The replication slot "deskloom_refs" was lost, and with it what changed')
    await add(team, "five")
    assert keys(await reader.read()) == ["five"]


async def test_a_table_that_cannot_be_followed_so_says_why(database: Database, team: asyncpg.Connection) -> None:
    """Another key than the log tells is refused, and a large backlog is worth a word."""
    with pytest.raises(SettingInvalid, match="REPLICA IDENTITY FULL"):
        await followed(database, key=["category"])
    facts = await TableSource(TableSettings(**REFERENCES), database).check()
    assert (facts["follow"], facts["warnings"]) == ("column", [])


async def test_a_quiet_table_holds_nothing_back(reader: Reader, team: asyncpg.Connection) -> None:
    """What others write is stepped over by a read that brings nothing, so that the server need not keep its log."""
    await team.execute("CREATE TABLE noise AS SELECT n, repeat('x', 100) AS text FROM generate_series(1, 20000) AS n")
    held = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn) FROM pg_replication_slots"
    assert await team.fetchval(held) > 1_000_000
    assert await reader.read() == []
    assert await team.fetchval(held) < 10_000


async def test_a_slot_that_somebody_else_moved_on_is_told(
    reader: Reader, team: asyncpg.Connection, database: Database
) -> None:
    """Another Deskloom under the same name, or a record that was restored: it is said, and the table read whole."""
    other = Reader(TableSource(reader.source.settings, database))
    await other.read()
    await team.execute("""DELETE FROM "KnowledgeReference" WHERE id = 'one'""")
    assert [type(one) for one in await other.read()] == [Tombstone]
    assert (keys(await reader.read()), reader.listing) == ([], {"two", "three"})
    assert reader.failed["*"].startswith(
        'Changes of "public"."KnowledgeReference" were taken from the replication slot'
    )


async def test_a_publication_that_is_gone_is_made_by_install(
    reader: Reader, team: asyncpg.Connection, database: Database
) -> None:
    """Without it nothing is read, by whatever way is left; made anew, with its slot, the table is read whole."""
    await team.execute("DROP PUBLICATION deskloom_refs")
    with pytest.raises(SettingInvalid, match="deskloom table install refs"):
        await reader.read()
    await add(team, "four")
    await replication.install(database, await reader.source.declared())
    assert (keys(await reader.read()), reader.listing) == (["four"], {"one", "two", "three", "four"})
    await add(team, "five")
    assert keys(await reader.read()) == ["five"]


async def test_a_slot_is_read_by_one_at_a_time(reader: Reader, team: asyncpg.Connection, database: Database) -> None:
    """Two who read at once wait for each other; a large backlog is read in several looks, and none is missed."""
    await team.execute(
        f"INSERT INTO \"KnowledgeReference\" (id, title, content) SELECT 'n' || n, '{{\"en\": \"T\"}}', '{{}}' "
        f"FROM generate_series(1, {replication.PEEKED}) AS n"
    )
    await team.execute("UPDATE \"KnowledgeReference\" SET category = 'x' WHERE id LIKE 'n%'")
    await add(team, "last")
    looking = replication.changes(database, await reader.source.declared())
    await anext(looking)
    found, _ = await asyncio.gather(reader.read(), anext(looking))
    await looking.aclose()
    assert len({one.key for one in found}) == replication.PEEKED + 1
    assert await reader.read() == []
