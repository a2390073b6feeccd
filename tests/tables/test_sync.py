"""Tables from end to end: the team's database, the record, the index, and the answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from tests.rig import Install, Rig
from tests.tables.reading import REFERENCES, add

from deskloom.record import tables
from deskloom.record.runs import Run
from deskloom.sandbox import generate
from deskloom.search import Query
from deskloom.sources.postgres import Database, TableSource, triggers
from deskloom.table_settings import TableSettings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DECLARED = TableSettings(**REFERENCES | {"collection": "knowledge_references"})


async def run(rig: Rig, mode: str = "incremental", **options: Any) -> Run:
    """A run over the table, from start to end; a full one rebuilds."""
    if mode == "full":
        options |= {"options": {"rebuilds": DECLARED.into}}
    if mode == "verify":
        started = await rig.app.dispatcher.submit(source="*", stream="verify", mode=mode, **options)
    else:
        started = await rig.app.dispatcher.submit(source="refs", stream="rows", mode=mode, **options)
    await rig.app.dispatcher.wait(started.id)
    return await rig.run(started)


async def found(rig: Rig, text: str, **query: Any) -> list[str]:
    hits = await rig.app.search.search(Query(text=text, collections=["knowledge_references"], **query))
    return [f"{hit.id}:{hit.payload['language']}" for hit in hits]


async def test_rows_are_found_and_stay_in_step(install: Install, team_url: str, team: asyncpg.Connection) -> None:
    """Every language is found, a change embeds what changed, a removed row goes with the next sweep; copies agree."""
    await add(team, "one", "two")
    await team.execute(
        """UPDATE "KnowledgeReference" SET content = $1 WHERE id = 'two'""",
        json.dumps(
            {"en": "Restart the printer spooler", "ar": "أعد تشغيل خدمة الطباعة", "ko": "프린터를 다시 시작하세요"}
        ),
    )
    async with install(generate(tickets=2, articles=1), source_database_url=team_url, tables=(DECLARED,)) as rig:
        first = await run(rig)
        assert (first.state, first.counts["created"], first.counts["indexed"]) == ("succeeded", 2, 5), first.errors
        assert (await found(rig, "printer spooler", mode="keyword"))[0] == "two:en"
        assert (await found(rig, "خدمة الطباعة", mode="keyword"))[0] == "two:ar"
        assert (await found(rig, "프린터", mode="keyword"))[0] == "two:ko"
        again = await run(rig)
        assert (again.counts["fetched"], again.counts["embedded"], again.counts["indexed"]) == (0, 0, 0)

        await team.execute("""UPDATE "KnowledgeReference" SET category = 'x', "updatedAt" = now() WHERE id = 'one'""")
        changed = await run(rig)
        assert (changed.counts["updated"], changed.counts["embedded"], changed.counts["indexed"]) == (1, 0, 2)
        await team.execute(
            """UPDATE "KnowledgeReference" SET content = content - 'ko', "updatedAt" = now() WHERE id = 'two'"""
        )
        await run(rig)
        assert "two:ko" not in await found(rig, "printer", limit=20)

        await team.execute("""DELETE FROM "KnowledgeReference" WHERE id = 'one'""")
        swept = await run(rig, "sweep")
        assert (swept.state, swept.counts["deleted"]) == ("succeeded", 1)
        assert {name.split(":")[0] for name in await found(rig, "title text", limit=20)} == {"two"}
        checked = await run(rig, "verify", options={"source_check": True, "deep": True})
        assert (checked.state, checked.report and checked.report["agree"]) == ("succeeded", True), checked.report


async def test_a_full_sync_rebuilds_beside_the_old_copy(
    install: Install, team_url: str, team: asyncpg.Connection
) -> None:
    """It finds removed rows too, embeds nothing again, keeps the old copy, and leaves the copies agreeing."""
    await add(team, "one", "two", "three")
    async with install(generate(tickets=2, articles=1), source_database_url=team_url, tables=(DECLARED,)) as rig:
        await run(rig)
        await team.execute("""DELETE FROM "KnowledgeReference" WHERE id = 'three'""")
        full = await run(rig, "full")
        assert (full.state, full.counts["deleted"], full.counts["embedded"]) == ("succeeded", 1, 0), full.errors
        assert full.report is not None
        assert full.report["points"] == 4
        assert len(await found(rig, "title", limit=20)) == 4
        assert await rig.app.index.previous("knowledge_references") is not None
        assert (await run(rig)).counts["fetched"] == 0
        checked = await run(rig, "verify", options={"deep": True})
        assert checked.report is not None
        assert checked.report["agree"], checked.report
        assert {row["state"] for row in await rig.rows(tables.documents) if row["source"] == "refs"} <= {"ready"}


@pytest.mark.parametrize("follow", ["triggers"])
async def test_a_change_is_found_without_being_asked_for(
    install: Install, team_url: str, team: asyncpg.Connection, follow: str
) -> None:
    """While a process follows the table, a write is in the index soon after it was committed, and a delete is gone."""
    declared = DECLARED.model_copy(update={"follow": follow})
    async with install(generate(tickets=1, articles=1), source_database_url=team_url, tables=(declared,)) as rig:
        source = rig.app.sources["refs"]
        assert isinstance(source, TableSource)
        async with database_of(team_url) as database:
            await triggers.install(database, await source.declared())
        following = asyncio.create_task(rig.app.follower.run_forever([source]))
        try:
            await add(team, "one")
            await until(rig, 2)
            await team.execute("""DELETE FROM "KnowledgeReference" WHERE id = 'one'""")
            await until(rig, 0)
        finally:
            following.cancel()
            await asyncio.wait({following})


async def until(rig: Rig, points: int) -> None:
    """Wait until the collection has so many points."""
    async with asyncio.timeout(60):
        while await rig.app.index.count(DECLARED.into) != points:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


@asynccontextmanager
async def database_of(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        await database.aclose()


async def test_two_tables_in_one_collection_are_rebuilt_in_turn(
    install: Install, team_url: str, team: asyncpg.Connection
) -> None:
    """Full syncs of both at once succeed one after the other, and what each brought stays."""
    await add(team, "one", "two")
    await team.execute("INSERT INTO shop.articles (region, number, name, body) VALUES ('eu', 1, 'Name', 'Body')")
    shop = TableSettings(name="shop", table="shop.articles", title="name", texts="body", collection=DECLARED.into)
    async with install(generate(tickets=1, articles=1), source_database_url=team_url, tables=(DECLARED, shop)) as rig:
        options = {"rebuilds": DECLARED.into}
        started = [
            await rig.app.dispatcher.submit(source=name, stream="rows", mode="full", options=options)
            for name in ("refs", "shop")
        ]
        for one in started:
            await rig.app.dispatcher.wait(one.id)
        assert [(await rig.run(one)).state for one in started] == ["succeeded"] * 2
        assert await rig.app.index.count(DECLARED.into) == 5
        for source in ("*", "shop"):
            checked = await rig.app.dispatcher.submit(
                source=source, stream="verify", mode="verify", options={"deep": True}
            )
            await rig.app.dispatcher.wait(checked.id)
            report = (await rig.run(checked)).report
            assert report is not None
            assert report["agree"], report


async def test_tables_in_collections_of_their_own_agree(
    install: Install, team_url: str, team: asyncpg.Connection
) -> None:
    """A row belongs into its table's collection only; a stray point of one is told as what it is, and removed."""
    await add(team, "one")
    await team.execute("INSERT INTO shop.articles (region, number, name, body) VALUES ('eu', 1, 'Name', 'Body')")
    shop = TableSettings(name="shop", table="shop.articles", title="name", texts="body")
    async with install(generate(tickets=1, articles=1), source_database_url=team_url, tables=(DECLARED, shop)) as rig:
        for name in ("refs", "shop"):
            one = await rig.app.dispatcher.submit(source=name, stream="rows", requested_by="test")
            await rig.app.dispatcher.wait(one.id)
        assert ((await run(rig, "verify")).report or {})["agree"]
        async with rig.app.record.transaction() as tx:
            await tx.execute(tables.documents.delete().where(tables.documents.c.source == "shop"))
            await tx.execute(
                tables.table_rows.update().where(tables.table_rows.c.source == "shop").values(deleted_at=NOW)
            )
        found_ = await run(rig, "verify")
        assert found_.report is not None
        (item,) = found_.report["collections"]["shop"]["items"]
        assert (item["what"], item["item_id"], item["why"]) == ("orphaned", '["eu", "1"]', 'row ["eu", "1"] is deleted')
