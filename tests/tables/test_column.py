"""A table followed by its change column: everything arrives, whatever commits late, and nothing is read for nothing."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import pytest
from tests.tables.reading import REFERENCES, Reader, add, keys

from deskloom.errors import SettingInvalid, Unreadable
from deskloom.model import Row, Tombstone
from deskloom.sources.postgres import Database, TableSource
from deskloom.table_settings import TableSettings


async def test_rows_arrive_whole_then_by_change(database: Database, team: asyncpg.Connection) -> None:
    """The first read is a complete listing; later ones bring what changed, and what no longer meets the condition."""
    await add(team, "one", "two", "three")
    reader = Reader(TableSource(TableSettings(**REFERENCES), database))
    assert (keys(await reader.read()), reader.listing) == (["one", "three", "two"], {"one", "two", "three"})
    assert await reader.read() == []
    await team.execute("""UPDATE "KnowledgeReference" SET category = 'x', "updatedAt" = now() WHERE id = 'two'""")
    await team.execute("""UPDATE "KnowledgeReference" SET "isActive" = false, "updatedAt" = now() WHERE id = 'one'""")
    await add(team, "four")
    found = await reader.read()
    assert {one.key: type(one) for one in found} == {"two": Row, "one": Tombstone, "four": Row}
    assert await reader.read() == []


async def test_a_row_is_made_of_what_was_declared(database: Database, team: asyncpg.Connection) -> None:
    """Every language is an entry of its own, weights, tags and fields are as they were declared."""
    await add(team, "one")
    row = await TableSource(TableSettings(**REFERENCES), database).fetch("rows", "one")
    assert isinstance(row, Row)
    assert (row.entries["en"].title, row.entries["en"].texts, row.entries["en"].weights) == (
        "Title one",
        ("Text one",),
        (2,),
    )
    assert (row.entries["ar"].title, row.entries["ar"].texts, row.entries["ar"].tags) == (None, ("نص",), ("a", "b"))
    assert (row.entries["ar"].fields, row.updated_at is not None) == ({"category": "network"}, True)
    assert await TableSource(TableSettings(**REFERENCES), database).fetch("rows", "other") is None


async def test_a_late_commit_is_not_stepped_over(database: Database, team: asyncpg.Connection, team_url: str) -> None:
    """A transaction that stamped its row before others, and commits after they were read, still arrives."""
    reader = Reader(TableSource(TableSettings(**REFERENCES), database))
    late = await asyncpg.connect(team_url)
    try:
        transaction = late.transaction()
        await transaction.start()
        await add(late, "late")
        await add(team, "early")
        # As if an hour had gone by: farther than clocks may differ.
        await team.execute("""UPDATE "KnowledgeReference" SET "updatedAt" = now() + interval '1 hour'""")
        assert keys(await reader.read()) == ["early"]
        await add(team, "between")
        await team.execute(
            """UPDATE "KnowledgeReference" SET "updatedAt" = now() + interval '2 hours' WHERE id <> 'early'"""
        )
        assert keys(await reader.read()) == ["between"]
        await transaction.commit()
        assert keys(await reader.read()) == ["late"]
        assert await reader.read() == []
        assert reader.cursor is not None
        assert reader.cursor["mark"] > "2025"
    finally:
        await late.close()


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_a_limit_stops_and_the_next_read_goes_on(
    database: Database, team: asyncpg.Connection, limit: int
) -> None:
    """Exactly so many records; nothing is missed, neither in a whole read nor in a window."""
    names = [f"row {number}" for number in range(7)]
    await add(team, *names)
    reader = Reader(TableSource(TableSettings(**REFERENCES), database))
    for round_ in range(2):
        got: list[str] = []
        while found := await reader.read(limit):
            assert len(found) <= limit
            got += keys(found)
        assert sorted(got) == names
        if round_ == 0:
            await team.execute("""UPDATE "KnowledgeReference" SET category = 'y', "updatedAt" = clock_timestamp()""")


async def test_odd_rows_are_set_aside_by_name(database: Database, team: asyncpg.Connection) -> None:
    """Text that is no JSON, and far too much of it, cost only their own rows; NUL in JSON is left out."""
    settings = TableSettings(
        name="shop", table="shop.articles", title="name", texts="body", localized="body", deleted="deleted_at",
        changed="changed",
    )  # fmt: skip
    rows = [
        ("eu", 1, '{"en": "fine"}', 1),
        ("eu", 2, "not json", 2),
        ("us", 1, json.dumps({"en": "x" * 5_000_000}), None),
        ("us", 2, '{"en": "a\\u0000b"}', None),
    ]
    insert = "INSERT INTO shop.articles (region, number, name, body, changed) VALUES ($1, $2, 'Name', $3, $4)"
    await team.executemany(insert, rows)
    source = TableSource(settings, database)
    reader = Reader(source)
    assert keys(await reader.read()) == ['["eu", "1"]', '["us", "2"]']
    assert {key: reason.split(": ")[-1] for key, reason in reader.failed.items()} == {
        '["eu", "2"]': '"body" is not JSON.',
        '["us", "1"]': 'Row ["us", "1"] of "shop"."articles" holds 5,000,000 characters of text; at most 1,000,000 are '
        "taken. Shorten it, or leave a column out.",
    }
    found = await source.fetch("rows", '["us", "2"]')
    assert isinstance(found, Row)
    assert found.entries["en"].texts == ("ab",)
    with pytest.raises(Unreadable):
        await source.fetch("rows", '["eu", "2"]')
    assert [await source.fetch("rows", key) for key in ("eu", '["eu", "x"]', '["eu"]')] == [None] * 3
    await team.execute("UPDATE shop.articles SET changed = 3, deleted_at = now() WHERE region = 'eu' AND number = 1")
    await team.execute("UPDATE shop.articles SET name = 'Other' WHERE region = 'us' AND number = 2")
    assert keys(await reader.read()) == ['["eu", "1"]', '["us", "2"]']


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"table": "KnowledgeRefrence"}, 'There is no table "KnowledgeRefrence". Did you mean "KnowledgeReference"?'),
        ({"changed": "updated_at"}, '"KnowledgeReference". Did you mean "updatedAt"?'),
        ({"changed": "tags"}, '"tags" is text[]; a change column is a time or a number that grows.'),
        (
            {"where": "isActive"},
            'its condition (where, deleted) cannot be read: column "isactive" does not exist. Perhaps you '
            'meant to reference the column "KnowledgeReference.isActive".',
        ),
        ({"localized": ["category"]}, 'localized names "category", which is neither its title nor among its texts.'),
    ],
)
async def test_a_wrong_name_is_told_with_the_nearest_right_one(
    database: Database, team: asyncpg.Connection, changes: dict[str, Any], sentence: str
) -> None:
    """Nothing is read under a declaration that does not fit its table."""
    source = TableSource(TableSettings(**REFERENCES | changes), database)
    with pytest.raises(SettingInvalid) as raised:
        await source.check()
    assert raised.value.message.endswith(sentence)
