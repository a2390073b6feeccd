"""A table followed by triggers: every writer is seen, at once, whatever becomes of the table meanwhile."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest
from tests.tables.reading import REFERENCES, Reader, add, keys

from deskloom.errors import SettingInvalid
from deskloom.model import Row, Tombstone
from deskloom.sources.postgres import Database, TableSource, triggers
from deskloom.table_settings import TableSettings


async def followed(database: Database, **changes: Any) -> Reader:
    """A reader of the table, with its triggers installed."""
    source = TableSource(TableSettings(**REFERENCES | {"follow": "triggers"} | changes), database)
    await triggers.install(database, await source.declared())
    return Reader(source)


async def test_every_kind_of_change_arrives_once(database: Database, team: asyncpg.Connection) -> None:
    """Inserts, updates that touch no change column, deletes, changed keys, and rows that leave the condition."""
    await add(team, "one", "two", "three")
    reader = await followed(database)
    assert (keys(await reader.read()), reader.listing) == (["one", "three", "two"], {"one", "two", "three"})
    await team.execute("""UPDATE "KnowledgeReference" SET category = 'x' WHERE id = 'one'""")
    await team.execute("""DELETE FROM "KnowledgeReference" WHERE id = 'two'""")
    await team.execute("""UPDATE "KnowledgeReference" SET id = 'drei' WHERE id = 'three'""")
    await add(team, "four", "five")
    await team.execute("""UPDATE "KnowledgeReference" SET "isActive" = false WHERE id = 'five'""")
    found = await reader.read()
    assert {one.key: type(one) for one in found} == {
        "one": Row,
        "two": Tombstone,
        "three": Tombstone,
        "drei": Row,
        "four": Row,
    }
    assert await reader.read() == []
    assert await team.fetchval("SELECT count(*) FROM deskloom.outbox") == 0


async def test_a_late_commit_is_not_stepped_over(database: Database, team: asyncpg.Connection, team_url: str) -> None:
    """What another transaction notes, before and after, does not move the cursor past it."""
    reader = await followed(database)
    await reader.read()
    late = await asyncpg.connect(team_url)
    try:
        transaction = late.transaction()
        await transaction.start()
        await add(late, "late")
        await add(team, "between")
        assert keys(await reader.read()) == ["between"]
        await add(team, "after")
        assert keys(await reader.read()) == ["after"]
        await transaction.commit()
        assert keys(await reader.read()) == ["late"]
        assert await reader.read() == []
    finally:
        await late.close()


async def test_a_truncate_is_a_complete_listing(database: Database, team: asyncpg.Connection) -> None:
    """The table is read whole again, so that what it no longer has is known; afterwards windows go on."""
    await add(team, "one", "two")
    reader = await followed(database)
    await reader.read()
    await team.execute('TRUNCATE "KnowledgeReference"')
    await add(team, "three")
    assert (keys(await reader.read()), reader.listing) == (["three"], {"three"})
    await add(team, "four")
    assert (keys(await reader.read()), reader.listing) == (["four"], None)


@pytest.mark.parametrize("limit", [1, 3])
async def test_a_limit_stops_and_the_next_read_goes_on(
    database: Database, team: asyncpg.Connection, limit: int
) -> None:
    """Exactly so many records; nothing is missed, deletions included."""
    names = [f"row {number}" for number in range(7)]
    await add(team, *names)
    reader = await followed(database)
    got: list[str] = []
    while found := await reader.read(limit):
        assert len(found) <= limit
        got += keys(found)
    await team.execute("""UPDATE "KnowledgeReference" SET category = 'y' WHERE id < 'row 4'""")
    await team.execute("""DELETE FROM "KnowledgeReference" WHERE id >= 'row 4'""")
    while found := await reader.read(limit):
        assert len(found) <= limit
        got += keys(found)
    assert sorted(got) == sorted(names * 2)
    assert sorted(reader.stored) == names[:4]


async def test_the_teams_statements_never_fail_for_it(database: Database, team: asyncpg.Connection) -> None:
    """A key column that is renamed leaves them working; until the triggers are renewed, the sync says so."""
    await add(team, "one")
    reader = await followed(database)
    await reader.read()
    await team.execute('ALTER TABLE "KnowledgeReference" RENAME COLUMN id TO code')
    await team.execute("""UPDATE "KnowledgeReference" SET category = 'z'""")
    again = TableSource(reader.source.settings, database)
    with pytest.raises(SettingInvalid, match="deskloom table install refs"):
        await again.way()
    await triggers.install(database, await again.declared())
    reader.source, reader.stored = again, {}
    assert keys(await reader.read()) == ["one"]


async def test_without_its_triggers_a_table_says_so(database: Database, team: asyncpg.Connection) -> None:
    """They are removed without a trace, and what was declared to use them names the command that makes them."""
    reader = await followed(database)
    source = reader.source
    await triggers.install(database, await source.declared())
    await triggers.remove(database, "refs", (await source.declared()).table)
    assert await team.fetchval("SELECT to_regnamespace('deskloom')") is None
    with pytest.raises(SettingInvalid, match="deskloom table install refs"):
        await reader.read()


async def test_a_second_deskloom_under_the_same_name_is_told(database: Database, team: asyncpg.Connection) -> None:
    """What one takes, the other misses: it says so and reads the table whole. Under two names both get everything."""
    await add(team, "one")
    first = await followed(database)
    second = Reader(TableSource(first.source.settings, database))
    third = Reader(TableSource(first.source.settings.model_copy(update={"name": "other"}), database))
    await triggers.install(database, await third.source.declared())
    for reader in (first, second, third):
        await reader.read()
    await team.execute("""DELETE FROM "KnowledgeReference" WHERE id = 'one'""")
    for reader in (first, third):
        assert [type(one) for one in await reader.read()] == [Tombstone]
    await add(team, "two")
    await first.read()
    assert (keys(await second.read()), second.listing) == (["two"], {"two"})
    assert "were taken by another Deskloom" in second.failed["*"]
    assert (keys(await third.read()), third.failed, first.failed) == (["two"], {}, {})


async def test_triggers_that_were_switched_off_cost_one_whole_read(
    database: Database, team: asyncpg.Connection
) -> None:
    """A restore may leave them so: the table is not read until they are renewed, and then whole, once."""
    await add(team, "one", "two")
    reader = await followed(database)
    await reader.read()
    await team.execute('ALTER TABLE "KnowledgeReference" DISABLE TRIGGER ALL')
    await team.execute("""DELETE FROM "KnowledgeReference" WHERE id = 'one'""")
    await team.execute('ALTER TABLE "KnowledgeReference" ENABLE TRIGGER ALL')
    with pytest.raises(SettingInvalid, match="deskloom table install refs"):
        await reader.read()
    automatic = TableSource(reader.source.settings.model_copy(update={"follow": "auto"}), database)
    (warning,) = (await automatic.check())["warnings"]
    assert warning.startswith('The triggers of "refs" are switched off, incomplete, or name another key.')
    await triggers.install(database, await reader.source.declared())
    assert (await reader.read(), reader.listing) == ([], {"two"})
    await triggers.install(database, await reader.source.declared())
    assert (await reader.read(), reader.listing) == ([], None)


async def test_a_whole_read_that_was_interrupted_forgets_no_deletion(
    database: Database, team: asyncpg.Connection
) -> None:
    """After a truncate the table is read in pieces; the last one still says what is no longer there."""
    await add(team, "one", "two")
    reader = await followed(database)
    await reader.read()
    await team.execute('TRUNCATE "KnowledgeReference"')
    await add(team, "a", "b", "c")
    for _ in range(4):
        await reader.read(limit=1)
    assert reader.listing == {"a", "b", "c"}


async def test_the_outbox_is_emptied_and_its_growth_told(database: Database, team: asyncpg.Connection) -> None:
    """What was read is removed at once, but for what runs beside a transaction that is still open."""
    reader = await followed(database)
    await reader.read()
    for number in range(3):
        await add(team, f"row {number}")
        await reader.read()
    assert await team.fetchval("SELECT count(*) FROM deskloom.outbox") == 0
    await team.execute(
        "INSERT INTO deskloom.outbox (source, key) SELECT 'refs', '[\"x\"]' FROM generate_series(1, $1::int)",
        triggers.ALARM_ENTRIES,
    )
    (warning,) = (await reader.source.check())["warnings"]
    assert warning.startswith('1,000,000 changes of "refs" wait in deskloom.outbox.')
