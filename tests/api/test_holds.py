"""Sweeps and held deletions over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.api.conftest import TOKEN, Served, Shared, serving
from tests.rig import rig

from deskloom.sandbox.generate import generate

together = pytest.mark.asyncio(loop_scope="session")
UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
async def cautious(tmp_path: Path) -> AsyncIterator[Served]:
    """A synced installation that removes at most a fifth by itself, and five of whose ten articles are gone."""
    desk = generate(seed=1, tickets=1, articles=10, contacts=3)
    desk.languages = ["en"]
    async with (
        rig(desk, tmp_path / "home", max_delete_share=0.2) as made,
        serving(made, token=TOKEN) as (server, client),
    ):
        await made.sync("kb")
        for row in list(desk.articles)[:5]:
            desk.articles.drop(row["id"])
        yield Served(made, server, client)


async def test_a_held_deletion_is_shown_and_waits_for_a_word(cautious: Served) -> None:
    """A sync holds it, a dry run shows it, a word does it, and then nothing is held any more."""
    run = await cautious.rig.sync("kb")
    assert run.state == "partial"
    hold = (await cautious.client.get("/api/sync/holds")).json()["items"][0]
    told = ("source", "stream", "kind", "gone", "known", "reason", "allowed_by")
    assert [hold[name] for name in told] == ["freshdesk", "kb", "article", 5, 10, run.errors[0], None]
    assert len(hold["keys"]) == 5

    asked = {"stream": "kb", "dry_run": True}
    dry = (await cautious.client.post("/api/sync/sweep", json=asked)).json()
    report = (await cautious.ended(dry[0]["id"]))["report"]
    assert sorted(item["key"] for item in report["gone"]) == hold["keys"]
    assert (report["held"], report["removed"]) == (True, 0)

    answer = await cautious.client.post(f"/api/sync/holds/{hold['id']}/allow")
    assert (answer.status_code, answer.json()["mode"], answer.json()["options"]["allow"]) == (201, "sweep", True)
    done = await cautious.ended(answer.json()["id"])
    assert (done["state"], done["counts"]["deleted"]) == ("succeeded", 5)
    assert (await cautious.client.get("/api/sync/holds")).json() == {"items": []}
    assert (await cautious.client.get("/api/sync/status")).json()["total_kb_articles"] == 5


async def test_a_sweep_is_refused_while_the_stream_is_being_synced(cautious: Served) -> None:
    """409 with the run in progress; a word given then changes nothing."""
    await cautious.rig.sync("kb")
    hold = (await cautious.client.get("/api/sync/holds")).json()["items"][0]
    cautious.hold()
    going = await cautious.rig.start("kb")
    for path, body in (("/api/sync/sweep", {"stream": "kb"}), (f"/api/sync/holds/{hold['id']}/allow", None)):
        answer = await cautious.client.post(path, json=body)
        assert (answer.status_code, answer.json()["run_id"]) == (409, str(going.id))
    assert (await cautious.client.get("/api/sync/holds")).json()["items"][0]["allowed_at"] is None
    await cautious.ended(str(going.id))


@together
async def test_what_cannot_be_swept_is_refused(shared: Shared) -> None:
    """A stream or source that is not there names the parameter; a hold that is not there is 404."""
    for body, parameter in (({"stream": "codes"}, "stream"), ({"stream": "kb", "source": "nobody"}, "source")):
        answer = await shared.client.post("/api/sync/sweep", json=body)
        assert (answer.status_code, parameter in answer.json()["detail"]) == (422, True)
    assert (await shared.client.post(f"/api/sync/holds/{UNKNOWN}/allow")).status_code == 404


@together
async def test_sweeps_and_holds_need_the_operator(shared: Shared) -> None:
    """Who may not start runs sees no holds either."""
    assert (await shared.get("/api/sync/holds", "agent")).status_code == 403
    assert (await shared.get("/api/sync/holds", "operator")).json() == {"items": []}
