"""The ready-made examples: made, declared, found; and the proposal for the same tables comes near to them."""

from __future__ import annotations

import tomllib

import asyncpg
from tests.rig import Install

from deskloom.examples import tables_sql, tables_toml
from deskloom.sandbox import generate
from deskloom.search import Query
from deskloom.sources.postgres import Database
from deskloom.sources.postgres.catalog import find_table
from deskloom.sources.postgres.proposing import propose
from deskloom.table_settings import TableSettings


def declared() -> tuple[TableSettings, ...]:
    return tuple(
        TableSettings.model_validate({"name": name} | entry)
        for name, entry in tomllib.loads(tables_toml())["tables"].items()
    )


async def test_the_examples_are_found_in_every_language(
    install: Install, team_url: str, team: asyncpg.Connection
) -> None:
    """The script may be run twice; languages stay apart and intact, steps of a template are found by their words."""
    await team.execute('DROP TABLE "KnowledgeReference"')
    await team.execute(tables_sql())
    await team.execute(tables_sql())
    async with install(generate(tickets=1, articles=1), source_database_url=team_url, tables=declared()) as rig:
        for name in ("knowledge_references", "journey_templates"):
            run = await rig.app.dispatcher.submit(source=name, stream="rows", requested_by="test")
            await rig.app.dispatcher.wait(run.id)
            assert (await rig.run(run)).state == "succeeded", (await rig.run(run)).errors

        async def first(text: str) -> tuple[str, str, str]:
            (hit, *_) = await rig.app.search.search(Query(text=text, mode="keyword"))
            return hit.collection, hit.id, hit.payload["language"]

        assert await first("ميزانية المنزل") == ("knowledge_references", "ref-budget", "ar")
        assert await first("면접 준비") == ("knowledge_references", "ref-interview", "ko")
        assert await first("ゆっくり走り") == ("knowledge_references", "ref-running", "ja")
        assert await first("wawancara kerja") == ("knowledge_references", "ref-interview", "id")
        assert await first("rewrite curriculum vitae") == ("journey_templates", "2", "en")
        hits = await rig.app.search.search(Query(text="marathon", collections=["journey_templates"], mode="keyword"))
        assert (hits[0].payload["isActive"], hits[0].payload["matchCount"], hits[0].title) == (
            True,
            42,
            "First half marathon",
        )
        assert await rig.app.index.count("journey_templates") == 3


async def test_a_proposal_is_what_one_would_declare(team: asyncpg.Connection, database: Database) -> None:
    """Localized fields, nested steps, tags, conditions and change columns are recognised by names and rows."""
    await team.execute('DROP TABLE "KnowledgeReference"')
    await team.execute(tables_sql())
    async with database.reading() as connection:
        references = await propose(connection, await find_table(connection, "KnowledgeReference", "public"))
        templates = await propose(connection, await find_table(connection, "JourneyTemplate", "public"))
        articles = await propose(connection, await find_table(connection, "shop.articles", "public"))
    assert references == {
        "title": "title",
        "texts": ["content"],
        "localized": ["title", "content"],
        "tags": ["tags"],
        "fields": ["category"],
        "changed": "updatedAt",
        "created": "createdAt",
    }
    assert templates == {
        "title": "name",
        "texts": ["description"],
        "trees": ["structure"],
        "tags": ["goalKeywords", "tags"],
        "fields": ["isActive", "matchCount"],
        "changed": "updatedAt",
        "created": "createdAt",
        "where": '"isActive"',
    }
    assert articles == {
        "title": "name",
        "texts": ["body"],
        "fields": ["extra"],
        "changed": "changed",
        "deleted": "deleted_at",
    }
