"""Tables, rows, rights and databases as they should not be: a clear sentence, and everything else goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from tests import postgres
from tests.tables.reading import REFERENCES, Reader, add, keys

from deskloom.errors import AccessRefused, CredentialsRefused, DeskloomError, SettingInvalid, SourceUnavailable
from deskloom.model import Row, Tombstone
from deskloom.sources.postgres import Database, TableSource, replication, triggers
from deskloom.table_settings import TableSettings


def source(database: Database, **changes: Any) -> TableSource:
    return TableSource(TableSettings(**REFERENCES | changes), database)


async def plain(team: asyncpg.Connection, columns: str, *rows: str) -> None:
    """A table `thing` with these columns and rows."""
    await team.execute(f"CREATE TABLE thing ({columns})")
    for row in rows:
        await team.execute(f"INSERT INTO thing VALUES ({row})")


def thing(database: Database, **changes: Any) -> TableSource:
    return TableSource(TableSettings(**{"name": "thing", "table": "thing", "texts": "body"} | changes), database)


# -------------------------------------------------------------------------------------------------------------- rights


@pytest.fixture
async def stranger(team: asyncpg.Connection, team_url: str) -> Any:
    """The URL of the database for a role that may do nothing yet, and its name."""
    role = f"reader_{uuid4().hex[:12]}"
    await team.execute(f"CREATE ROLE {role} LOGIN")
    yield team_url.replace("deskloom@", f"{role}@"), role
    await team.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_what_a_user_may_not_do_is_told_with_the_grant(
    stranger: tuple[str, str], team: asyncpg.Connection
) -> None:
    """Without SELECT, ownership or REPLICATION the sentence names the table and what to do; nothing is half made."""
    url, role = stranger
    database = Database(url)
    with pytest.raises(AccessRefused, match=r'GRANT SELECT ON "public"."KnowledgeReference" TO'):
        await source(database).check()
    await team.execute(f'GRANT SELECT ON "KnowledgeReference" TO {role}')
    declared = await source(database).declared()
    with pytest.raises(
        AccessRefused, match=r"Only the owner .* deskloom table install refs --way triggers --reader USER"
    ):
        await triggers.install(database, declared)
    await team.execute(f'ALTER TABLE "KnowledgeReference" OWNER TO {role}')
    declared = await source(database).declared()
    with pytest.raises(AccessRefused, match="permission denied for database"):
        await triggers.install(database, declared)
    assert await team.fetchval("SELECT to_regnamespace('deskloom')") is None
    with pytest.raises(SettingInvalid, match="wal_level=replica, which tells no rows"):
        await replication.install(database, declared)
    await database.aclose()


async def test_row_level_security_is_told(stranger: tuple[str, str], team: asyncpg.Connection) -> None:
    """A role whose rows a policy chooses is warned that hidden rows count as removed; the owner is not."""
    url, role = stranger
    await team.execute(f'GRANT SELECT ON "KnowledgeReference" TO {role}')
    await team.execute('ALTER TABLE "KnowledgeReference" ENABLE ROW LEVEL SECURITY')
    for one, warned in ((url, True), (url.replace(f"{role}@", "deskloom@"), False)):
        database = Database(one)
        facts = await source(database).check()
        assert [line.startswith("Row-level security applies") for line in facts["warnings"]] == [True] * warned
        await database.aclose()


@pytest.mark.parametrize(
    ("change", "kind", "sentence"),
    [
        (lambda url: url.replace("deskloom@", "nobody:s3cret@"), CredentialsRefused, "refused the user or password."),
        (lambda url: f"{url}x", SettingInvalid, "does not exist. Correct SOURCE_DATABASE_URL."),
        (lambda url: "postgresql://a:s3cret@127.0.0.1:1/x", SourceUnavailable, "cannot be reached."),
        (lambda url: "file:///x", SettingInvalid, "is not the address of a PostgreSQL database."),
        (lambda url: "postgresql://h:port/x", SettingInvalid, "is not the address of a PostgreSQL database."),
    ],
)
async def test_a_wrong_address_is_told_without_its_password(
    team_url: str, change: Any, kind: type[DeskloomError], sentence: str
) -> None:
    """User, database, host: each has its sentence, which names the setting."""
    with pytest.raises(kind) as raised:
        await source(Database(change(team_url))).check()
    assert sentence in raised.value.message
    assert "SOURCE_DATABASE_URL" in raised.value.message
    assert "s3cret" not in raised.value.message


async def test_the_parameters_of_other_programs_are_understood(team_url: str, team: asyncpg.Connection) -> None:
    """As Prisma writes it: the schema counts, what is for other programs does not."""
    await team.execute("INSERT INTO shop.articles (region, number, name) VALUES ('eu', 1, 'Name')")
    url = f"{team_url}?schema=shop&connection_limit=5&pool_timeout=0&pgbouncer=true&sslmode=prefer"
    database = Database(url.replace("postgresql:", "postgres:"))
    found = await TableSource(TableSettings(name="shop", table="articles", title="name"), database).check()
    assert (found["table"], found["rows"]) == ('"shop"."articles"', 1)
    await database.aclose()


# ------------------------------------------------------------------------------------------------- tables and columns


@pytest.mark.parametrize(
    ("columns", "declared", "sentence"),
    [
        ("body text", {}, "has no primary key. Name the columns that tell its rows apart"),
        ("id int NOT NULL, body text", {"key": "id"}, 'Nothing in the database keeps "id" of "public"."thing" unique'),
        ("id int UNIQUE, body text", {"key": "id"}, '"id" of "public"."thing" may be null: rows without a key'),
        ("id int PRIMARY KEY, body text, at timestamptz NOT NULL", {"changed": "at"}, "CREATE INDEX CONCURRENTLY ON"),
        (
            "id int PRIMARY KEY, body text, at timestamp UNIQUE",
            {"changed": "at"},
            '"at" of "public"."thing" may be null',
        ),
    ],
)
async def test_what_works_but_not_well_is_told(
    database: Database, team: asyncpg.Connection, columns: str, declared: dict[str, Any], sentence: str
) -> None:
    """A table without a key is refused, one that is odd is warned of, each in one sentence."""
    await plain(team, columns)
    try:
        (told,) = (await thing(database, **declared).check())["warnings"]
    except SettingInvalid as error:
        told = error.message
    assert sentence in told


async def test_rows_that_share_a_key_or_have_none_stop_nothing(database: Database, team: asyncpg.Connection) -> None:
    """Of rows that are alike one is found; rows without a key are left out, those without a stamp are not."""
    await plain(team, "id int, body text, at timestamptz", "1, 'a', NULL", "1, 'b', now()", "NULL, 'c', now()")
    reader = Reader(thing(database, key="id", changed="at"))
    assert keys(await reader.read()) == ["1"]
    await team.execute("INSERT INTO thing VALUES (2, 'd', NULL)")
    await reader.read()
    assert sorted(reader.stored) == ["1", "2"]


@pytest.mark.parametrize("way", ["column", "triggers"])
@pytest.mark.parametrize(
    ("type_", "values"),
    [
        ("uuid", ["'2b1f0000-0000-4000-8000-000000000001'", "'AA000000-0000-4000-8000-000000000002'"]),
        ("text", ["''", "'it''s \"odd\" \\ ünï'"]),
        ("char(5)", ["'a'", "'ab'"]),
        ("boolean", ["true", "false"]),
        ("numeric", ["1.50", "-7"]),
        ("timestamptz", ["'2025-01-31 09:00+02'", "'infinity'"]),
        ("mood", ["'happy'", "'it''s'"]),
        ("bytea", ["'\\x00ff'", "'\\x01'"]),
        ("inet", ["'10.0.0.1'", "'::1'"]),
    ],
)
async def test_a_key_may_be_of_any_type(
    database: Database, team: asyncpg.Connection, way: str, type_: str, values: list[str]
) -> None:
    """What is read has the key that a single row is asked for, changes and deletions arrive under it."""
    await team.execute("CREATE TYPE mood AS ENUM ('happy', 'it''s')")
    await plain(team, f"id {type_} PRIMARY KEY, body text", *(f"{value}, 'one'" for value in values))
    table = thing(database, follow=way)
    if way == "triggers":
        await triggers.install(database, await table.declared())
    reader = Reader(table)
    assert len(keys(await reader.read())) == 2
    for key in reader.stored:
        row = await table.fetch("rows", key)
        assert isinstance(row, Row)
        assert row.key == key
    assert await table.fetch("rows", "no such key of any type \x00") is None
    await team.execute(f"UPDATE thing SET body = 'two' WHERE id = {values[0]}")
    await team.execute(f"DELETE FROM thing WHERE id = {values[1]}")
    found = await reader.read()
    assert len([one for one in found if isinstance(one, Row)]) == 1
    if way == "triggers":
        assert len([one for one in found if isinstance(one, Tombstone)]) == 1
    else:
        assert reader.listing is not None
        assert len(reader.listing) == 1


async def test_many_rows_with_a_padded_key_end(database: Database, team: asyncpg.Connection) -> None:
    """A key of fixed length, cast without its length, would begin the same page for ever."""
    await team.execute("CREATE TABLE thing (id char(8) PRIMARY KEY, body text)")
    await team.execute("INSERT INTO thing SELECT 'k' || n, 'text' FROM generate_series(1, 450) AS n")
    assert len(await Reader(thing(database)).read()) == 450


async def test_columns_of_every_kind_are_read(database: Database, team: asyncpg.Connection) -> None:
    """What JSON or Python does not know becomes text; bytes are left out; halves of surrogates and NUL vanish."""
    await plain(
        team,
        "id int PRIMARY KEY, body json, f float8, n numeric, t timestamptz, d date, b bytea, a int[], i interval, "
        "r int4range",
        "1, '{\"x\": \"a\\ud83d\\u0000b\"}', 'NaN', 'Infinity', 'infinity', '0044-03-15 BC', '\\x01',"
        " '{1,2}', '1 day', "
        "'[1,5)'",
        "2, NULL, 1.5, 12.50, '2025-01-31 09:00+02', '2025-01-31', NULL, NULL, NULL, NULL",
    )
    fields = ["f", "n", "t", "d", "b", "a", "i", "r"]
    table = thing(database, texts={}, trees="body", title="n", fields=fields)
    found = {row.key: row.entries[""] for row in await Reader(table).read() if isinstance(row, Row)}
    assert found["1"].texts == ("x: ab",)
    assert list(found["1"].fields.values()) == [
        "nan", "Infinity", "infinity", "0044-03-15 BC", None, [1, 2], "1 day, 0:00:00", "<Range [1, 5)>"
    ]  # fmt: skip
    assert list(found["2"].fields.values())[:4] == [1.5, "12.50", "2025-01-31T07:00:00+00:00", "2025-01-31"]
    json.dumps([entry.fields for entry in found.values()], allow_nan=False)


async def test_json_that_nothing_can_read_costs_its_own_row(database: Database, team: asyncpg.Connection) -> None:
    """Lists in lists, thousands deep, and text that is no JSON are set aside by name."""
    await team.execute("CREATE TABLE thing (id int PRIMARY KEY, body json)")
    deep = "[" * 5000 + "]" * 5000
    await team.executemany("INSERT INTO thing VALUES ($1, $2)", [(1, '{"en": "fine"}'), (2, deep), (3, '"text"')])
    reader = Reader(thing(database, texts="body", localized="body"))
    assert keys(await reader.read()) == ["1"]
    assert reader.failed == {
        "2": 'Row 2 of "public"."thing": its JSON is nested too deeply.',
        "3": 'Row 3 of "public"."thing": "body" is not an object of languages but str.',
    }


async def test_large_rows_are_read_few_at_a_time(database: Database, team: asyncpg.Connection) -> None:
    """Pages shrink where rows are heavy, and grow again; every row arrives, the far too large ones by name."""
    await team.execute("CREATE TABLE thing (id int PRIMARY KEY, body text)")
    await team.execute("INSERT INTO thing SELECT n, repeat('word ', 200000) FROM generate_series(1, 45) AS n")
    await team.execute("INSERT INTO thing SELECT n, 'word' FROM generate_series(46, 500) AS n")
    await team.execute("INSERT INTO thing VALUES (501, repeat('x', 5000000))")
    pages = [len(page.records) + len(page.failures) async for page in thing(database).read("rows", None)]
    assert (pages[:6], sum(pages), max(pages)) == ([20, 5, 5, 5, 5, 5], 501, 160)


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
async def test_a_view_is_followed_by_its_column_only(database: Database, team: asyncpg.Connection, kind: str) -> None:
    """With its key declared it is read as a table is; triggers are refused with the way that is left."""
    await plain(team, "id int PRIMARY KEY, body text, at timestamptz", "1, 'a', now()", "2, 'b', now()")
    await team.execute(f"CREATE {kind} shown AS SELECT * FROM thing")
    view = TableSource(TableSettings(name="v", table="shown", key="id", texts="body", changed="at"), database)
    assert keys(await Reader(view).read()) == ["1", "2"]
    with pytest.raises(SettingInvalid, match="no table but a view"):
        await triggers.install(database, await view.declared())


async def test_a_partitioned_table_is_one_table(database: Database, team: asyncpg.Connection) -> None:
    """Its triggers see writes to every partition, those that are made later too, and rows that move between them."""
    await team.execute(
        "CREATE TABLE thing (id int, part int, body text, PRIMARY KEY (id, part)) PARTITION BY LIST (part)"
    )
    await team.execute("CREATE TABLE thing_1 PARTITION OF thing FOR VALUES IN (1)")
    table = thing(database, follow="triggers")
    await triggers.install(database, await table.declared())
    await team.execute("CREATE TABLE thing_2 PARTITION OF thing FOR VALUES IN (2)")
    reader = Reader(table)
    await reader.read()
    await team.execute("INSERT INTO thing VALUES (1, 1, 'a'), (2, 2, 'b'); INSERT INTO thing_2 VALUES (3, 2, 'c')")
    assert sorted(keys(await reader.read())) == ['["1", "1"]', '["2", "2"]', '["3", "2"]']
    await team.execute("SET session_replication_role = replica; UPDATE thing SET part = 2 WHERE id = 1")
    assert {one.key: type(one) for one in await reader.read()} == {'["1", "1"]': Tombstone, '["1", "2"]': Row}


async def test_a_change_of_the_table_is_told_and_mended_by_the_next_run(
    database: Database, team: asyncpg.Connection
) -> None:
    """A column that is dropped ends the run with its name; when it is back, the same source reads on."""
    await add(team, "one")
    table = source(database)
    reader = Reader(table)
    await reader.read()
    await team.execute('ALTER TABLE "KnowledgeReference" DROP COLUMN category')
    await add_without_category(team)
    with pytest.raises(SettingInvalid, match='there is no column "category"'):
        await reader.read()
    with pytest.raises(SettingInvalid, match='column "category" does not exist'):
        await table.fetch("rows", "one")  # it knew the table as it was before
    await team.execute('ALTER TABLE "KnowledgeReference" ADD COLUMN category text')
    assert "two" in keys(await reader.read())
    assert await table.fetch("rows", "two") is not None


async def add_without_category(team: asyncpg.Connection) -> None:
    await team.execute("""INSERT INTO "KnowledgeReference" (id, title, content) VALUES ('two', '{"en": "T"}', '{}')""")


async def test_another_table_under_the_name_is_read_whole(database: Database, team: asyncpg.Connection) -> None:
    """A restore makes the table anew: whatever the change column says, everything is looked at."""
    await add(team, "one", "two")
    reader = Reader(source(database))
    await reader.read()
    await team.execute('CREATE TABLE kept AS TABLE "KnowledgeReference"; DROP TABLE "KnowledgeReference"')
    await team.execute(
        """DELETE FROM kept WHERE id = 'two'; UPDATE kept SET title = '{"en": "Old"}', "updatedAt" = '2000-01-01'"""
    )
    await team.execute(
        'ALTER TABLE kept RENAME TO "KnowledgeReference"; ALTER TABLE "KnowledgeReference" ADD PRIMARY KEY (id)'
    )
    assert (keys(await reader.read()), reader.listing) == (["one"], {"one"})


async def test_a_condition_that_fails_for_some_row_deletes_nothing(
    database: Database, team: asyncpg.Connection
) -> None:
    """The run ends with a sentence that quotes no value; the row that is asked for by itself is not taken for gone."""
    await plain(team, "id int PRIMARY KEY, body text", "1, '5'", "2, '6'")
    table = thing(database, where="body::int > 4")
    reader = Reader(table)
    assert keys(await reader.read()) == ["1", "2"]
    await team.execute("UPDATE thing SET body = 'secret' WHERE id = 2")
    for work in (reader.read(), table.fetch("rows", "2")):
        with pytest.raises(SettingInvalid) as raised:
            await work
        assert "cannot be worked out for some row (error 22P02)" in raised.value.message
        assert "secret" not in raised.value.message


async def test_a_stamp_from_the_future_hides_nothing(database: Database, team: asyncpg.Connection) -> None:
    """Rows of the year 2099 and of infinity do not move the mark beyond what is written now."""
    await add(team, "one", "two")
    await team.execute("""UPDATE "KnowledgeReference" SET "updatedAt" = '2099-01-01' WHERE id = 'one'""")
    await team.execute("""UPDATE "KnowledgeReference" SET "updatedAt" = 'infinity' WHERE id = 'two'""")
    reader = Reader(source(database))
    for name in ("three", "four", "five"):
        await reader.read()
        await add(team, name)
    assert keys(await reader.read()) == ["five"]


async def test_a_statement_takes_no_longer_than_it_may(team_url: str, team: asyncpg.Connection) -> None:
    """A table that somebody has locked, or a condition that is slow, ends with the setting for it."""
    await plain(team, "id int PRIMARY KEY, body text", "1, 'a'", "2, 'b'")
    database = Database(team_url, statement_timeout=0.2)
    with pytest.raises(SourceUnavailable, match=r"took longer than 0.2 s .* DESKLOOM_SOURCE_TIMEOUT"):
        await Reader(thing(database, where="pg_sleep(0.3) IS NOT NULL")).read()
    async with team.transaction():
        await team.execute("LOCK TABLE thing")
        with pytest.raises(SourceUnavailable, match=r"took longer than 0.2 s"):
            await thing(database).check()
    await database.aclose()


# ------------------------------------------------------------------------------------------------------ transactions


async def test_a_transaction_that_writes_long_after_it_began_is_not_stepped_over(
    team_url: str, team: asyncpg.Connection
) -> None:
    """`now()` is when it began: no snapshot knows of it then, for it has written nothing yet."""
    database = Database(team_url)
    reader = Reader(TableSource(TableSettings(**REFERENCES), database, overlap=0))
    await add(team, "before")
    await reader.read()
    late = await asyncpg.connect(team_url)
    try:
        transaction = late.transaction()
        await transaction.start()
        await late.execute("SELECT now()")
        for name in ("a", "b", "c"):
            await add(team, name)
            assert keys(await reader.read()) == [name]
        await add(late, "late")
        await transaction.commit()
        assert keys(await reader.read()) == ["late"]
    finally:
        await late.close()
        await database.aclose()


# ------------------------------------------------------------------------------------------------- a database that goes


@pytest.fixture
def lone() -> Iterator[postgres.Server]:
    """A server of one test, that may be stopped."""
    with postgres.running(safe=True, settings=["wal_level=logical", "max_prepared_transactions=5"]) as server:
        yield server


@pytest.mark.slow
@pytest.mark.parametrize("way", ["column", "triggers", "replication"])
async def test_a_restart_in_the_middle_is_told_and_the_next_run_goes_on(lone: postgres.Server, way: str) -> None:
    """What was read stays read, the rest is read once the database is back, and nothing is missing in the end."""
    url = lone.url("postgres")
    team = await asyncpg.connect(url)
    await plain(team, "id int PRIMARY KEY, body text, at timestamptz NOT NULL DEFAULT now()")
    await team.execute("INSERT INTO thing (id, body) SELECT n, 'text ' || n FROM generate_series(1, 700) AS n")
    database = Database(url)
    table = thing(database, changed="at", follow=way)
    if way != "column":
        await {"triggers": triggers, "replication": replication}[way].install(database, await table.declared())
    reader = Reader(table)

    async def read() -> None:
        async for page in table.read("rows", None, known=reader.known):
            reader._keep(page)
            if len(reader.stored) >= 60:
                postgres.apart(restart(lone))

    with pytest.raises(SourceUnavailable, match="cannot be"):
        await read()
    assert 60 <= len(reader.stored) < 700
    team = await asyncpg.connect(url)
    await team.execute("UPDATE thing SET body = 'new', at = now() WHERE id IN (1, 699)")
    await reader.read()
    await reader.read()
    assert sorted(map(int, reader.stored)) == list(range(1, 701))
    for key in ("1", "699"):
        row = await table.fetch("rows", key)
        assert isinstance(row, Row)
        assert row.stamp == reader.stored[key]
    await team.close()
    await database.aclose()


async def restart(server: postgres.Server) -> None:
    server.restart()


@pytest.mark.slow
async def test_a_transaction_in_two_phases_is_neither_broken_nor_missed(lone: postgres.Server) -> None:
    """PREPARE TRANSACTION works with triggers in place, and what it commits later arrives, in both ways to follow."""
    url = lone.url("postgres")
    team = await asyncpg.connect(url)
    await plain(team, "id int PRIMARY KEY, body text, at timestamptz NOT NULL DEFAULT now()", "1, 'a', now()")
    database = Database(url)
    noted = thing(database, follow="triggers")
    await triggers.install(database, await noted.declared())
    timed = TableSource(
        TableSettings(name="timed", table="thing", texts="body", changed="at", follow="column"), database, overlap=0
    )
    readers = [Reader(noted), Reader(timed)]
    for reader in readers:
        await reader.read()
    await team.execute("BEGIN; INSERT INTO thing VALUES (2, 'b'); PREPARE TRANSACTION 'two'")
    for number in (3, 4, 5):
        await team.execute(f"INSERT INTO thing VALUES ({number}, 'c')")
        assert [keys(await reader.read()) for reader in readers] == [[str(number)]] * 2
    await team.execute("COMMIT PREPARED 'two'")
    assert [keys(await reader.read()) for reader in readers] == [["2"]] * 2
    await team.close()
    await database.aclose()


@pytest.fixture
def replica(lone: postgres.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Server]:
    """A standby that streams from `lone`."""
    with postgres.standby(lone) as server:
        yield server


@pytest.mark.slow
async def test_a_replica_is_read_by_its_column_and_may_take_over(
    lone: postgres.Server, replica: postgres.Server
) -> None:
    """Preparing it is refused in a sentence; a late commit arrives; once it is the primary the table is read whole."""
    team = await asyncpg.connect(lone.url("postgres"))
    await plain(team, "id int PRIMARY KEY, body text, at timestamptz NOT NULL DEFAULT now()", "1, 'a'", "2, 'b'")
    database = Database(replica.url("postgres"))
    table = TableSource(
        TableSettings(name="thing", table="thing", texts="body", changed="at", deleted=None), database, overlap=0
    )
    await arrived(team, replica)
    reader = Reader(table)
    assert keys(await reader.read()) == ["1", "2"]
    for work in (triggers, replication):
        with pytest.raises((SettingInvalid, SourceUnavailable), match=r"read-only transaction|names a replica"):
            await work.install(database, await table.declared())
    late = await asyncpg.connect(lone.url("postgres"))
    await late.execute("BEGIN; INSERT INTO thing VALUES (3, 'late')")
    for number in (4, 5):
        await team.execute(f"INSERT INTO thing VALUES ({number}, 'c')")
        await arrived(team, replica)
        assert keys(await reader.read()) == [str(number)]
    await late.execute("COMMIT")
    await arrived(team, replica)
    assert keys(await reader.read()) == ["3"]
    other = await asyncpg.connect(replica.url("postgres"))
    assert await other.fetchval("SELECT pg_promote()")
    await other.execute("DELETE FROM thing WHERE id = 1")
    assert (await reader.read(), reader.listing) == ([], {"2", "3", "4", "5"})
    for connection in (team, late, other):
        await connection.close()
    await database.aclose()


async def arrived(team: asyncpg.Connection, replica: postgres.Server) -> None:
    """Wait until the replica has replayed what was written so far."""
    at = await team.fetchval("SELECT pg_current_wal_insert_lsn()::text")
    other = await asyncpg.connect(replica.url("postgres"))
    async with asyncio.timeout(30):
        while not await other.fetchval("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", at):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await other.close()
