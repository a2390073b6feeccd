"""Table sync over HTTP: runs, one row, statistics, and what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from tests.api.conftest import TOKEN, Served, serving
from tests.rig import rig
from tests.tables.reading import REFERENCES, add

from deskloom.sandbox import generate
from deskloom.table_settings import TableSettings


@pytest.fixture
async def served(tmp_path: Path, team_url: str, team: asyncpg.Connection) -> AsyncIterator[Served]:
    """An installation with one declared table of two rows, nothing synced yet."""
    await add(team, "one", "two")
    settings = TableSettings(**REFERENCES | {"collection": "knowledge"})
    desk = generate(tickets=1, articles=1)
    async with (
        rig(desk, tmp_path / "home", source_database_url=team_url, tables=(settings,)) as made,
        serving(made, token=TOKEN) as (server, client),
    ):
        yield Served(made, server, client)


async def test_every_table_is_synced_and_told_of(served: Served, team: asyncpg.Connection) -> None:
    """An incremental and a full run, statistics in between and after, and hits in the one search."""
    started = (await served.client.post("/api/v1/sync/run")).json()
    assert (started["success"], started["mode"]) == (True, "incremental")
    assert (await served.ended(started["run_id"]))["state"] == "succeeded"
    full = (await served.client.post("/api/sync/run", json={"force_full_sync": True, "table": "refs"})).json()
    ended = await served.ended(full["run_id"])
    assert (full["mode"], ended["mode"], ended["state"]) == ("full", "full", "succeeded"), ended["errors"]
    (stats,) = (await served.client.get("/api/sync/stats")).json()
    told = ("table", "collection", "follow", "rows", "documents", "pending", "failures", "detail")
    assert [stats[name] for name in told] == ["refs", "knowledge", "column", 2, 4, 0, 0, None]
    assert [run["mode"] for run in stats["runs"]] == ["full", "incremental"]
    assert stats["last_full_sync"] > stats["last_incremental_sync"]
    found = (await served.client.get("/api/search", params={"q": "Title one", "in": "knowledge"})).json()
    assert (found["hits"][0]["collection"], found["hits"][0]["id"]) == ("knowledge", "one")
    health = (await served.client.get("/api/sync/health")).json()
    assert health["components"]["index"]["points"]["knowledge"] == 4
    streams = (await served.client.get("/api/sync/status")).json()["streams"]
    assert [(each["stream"], each["items"]) for each in streams if each["source"] == "refs"] == [("rows", 4)]


async def test_one_row_is_synced_at_once(served: Served, team: asyncpg.Connection) -> None:
    """It says what that did, from its first appearance to its end; what neither side has is not found."""
    did = []
    for statement in (
        "SELECT 1",
        "SELECT 1",
        """UPDATE "KnowledgeReference" SET category = 'y' WHERE id = 'two'""",
        """DELETE FROM "KnowledgeReference" WHERE id = 'two'""",
    ):
        await team.execute(statement)
        answer = await served.client.post("/api/sync/items/refs/two")
        assert answer.status_code == 200, answer.text
        did.append(answer.json()["did"])
    assert did == ["created", "unchanged", "updated", "deleted"]
    assert await served.rig.app.index.count("knowledge") == 0
    missing = await served.client.post("/api/sync/items/refs/three")
    assert (missing.status_code, missing.json()["detail"]) == (404, 'Neither side has row "three" of "refs".')
    assert (await served.client.post("/api/sync/items/freshdesk/1")).status_code == 404
    assert (await served.client.post("/api/sync/run", json={"table": "other"})).status_code == 422
    await served.rig.app.dispatcher.wait(UUID(answer.json()["run_id"]))


async def test_a_database_that_is_away_is_told_and_recovers(served: Served, team: asyncpg.Connection) -> None:
    """A table that was dropped ends the run with a sentence; statistics go on; made anew it is read again."""
    await team.execute('ALTER TABLE "KnowledgeReference" RENAME TO gone')
    run = await served.rig.app.dispatcher.submit(source="refs", stream="rows", requested_by="test")
    ended = await served.ended(str(run.id))
    assert (ended["state"], ended["errors"]) == (
        "failed",
        ['There is no table "KnowledgeReference". There are: gone, shop.articles.'],
    )
    (stats,) = (await served.client.get("/api/sync/stats")).json()
    assert (stats["rows"], stats["detail"]) == (
        None,
        'There is no table "KnowledgeReference". There are: gone, shop.articles.',
    )
    await team.execute('ALTER TABLE gone RENAME TO "KnowledgeReference"')
    run = await served.rig.app.dispatcher.submit(source="refs", stream="rows", requested_by="test")
    assert (await served.ended(str(run.id)))["state"] == "succeeded"
