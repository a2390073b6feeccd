"""The graph over HTTP: who may have it, and how an answer tells that it is whole, or why it is not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.api.conftest import Shared, serving
from tests.api.desks import ACCOUNT, NOTE, small_desk
from tests.rig import rig

from deskloom.model import Company, Ticket
from deskloom.record import store

pytestmark = pytest.mark.asyncio(loop_scope="session")
NOW = datetime(2025, 1, 31, 9, tzinfo=UTC)
PATH = "/api/v1/exports/graph"


def parsed(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


async def test_the_graph_is_for_agents(shared: Shared) -> None:
    """A viewer is refused, whatever is asked for; both spellings of the path answer an agent alike."""
    assert (await shared.get(PATH, "viewer")).status_code == 403
    answers = [await shared.get(path, "agent") for path in (PATH, PATH.replace("/v1", ""))]
    assert [answer.headers["content-type"] for answer in answers] == ["application/x-ndjson"] * 2
    assert answers[0].text == answers[1].text


async def test_the_answer_says_what_it_is_and_that_it_is_whole(shared: Shared) -> None:
    """First `graph`, then nodes, then relations, at last `end` with their numbers, which add up."""
    lines = parsed((await shared.client.get(PATH)).text)
    assert lines[0] == {"graph": {"accounts": {"freshdesk": "127.0.0.1"}, "whole": True}}
    kinds = [next(iter(line)) for line in lines]
    counts = {name: kinds.count(name) for name in ("node", "relation")}
    assert kinds == ["graph", *["node"] * counts["node"], *["relation"] * counts["relation"], "end"]
    assert lines[-1] == {"end": {"nodes": counts["node"], "relations": counts["relation"]}}
    labels = [line["node"]["label"] for line in lines if "node" in line]
    assert {label: labels.count(label) for label in ("Company", "Ticket", "Article", "Document")} == {
        "Company": 1,
        "Ticket": 4,
        "Article": 2,
        "Document": 6,
    }


async def test_notes_come_only_if_asked_for(shared: Shared) -> None:
    """An agent may read them, and still has to say so."""
    assert NOTE not in (await shared.get(PATH, "agent")).text
    assert NOTE in json.dumps(parsed((await shared.get(PATH, "agent", notes=True)).text))


async def test_a_part_of_the_graph_says_so(shared: Shared) -> None:
    """One customer's; and a customer that is not there is an error before anything is sent."""
    lines = parsed((await shared.client.get(PATH, params={"company": ACCOUNT})).text)
    assert lines[0]["graph"]["whole"] is False
    assert next(iter(lines[-1])) == "end"
    missing = await shared.client.get(PATH, params={"company": "777"})
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


async def test_alike_are_related_above_the_threshold_asked_for(shared: Shared) -> None:
    """Scores are at least that, and there are at most so many for each."""

    async def scores(**asked: float) -> list[float]:
        lines = parsed((await shared.client.get(PATH, params=asked)).text)
        found = [line["relation"] for line in lines if "relation" in line]
        return [one["properties"]["score"] for one in found if one["type"] == "SIMILAR_TO"]

    every, some = await scores(similar=3, at_least=0), await scores(similar=3, at_least=0.4)
    assert sorted(some) == sorted(score for score in every if score >= 0.4)
    assert 0 < len(some) < len(every) <= 3 * 6
    assert await scores() == []
    assert (await shared.client.get(PATH, params={"similar": 51})).status_code == 422


async def test_what_fails_on_the_way_is_the_last_line(tmp_path: Path) -> None:
    """The index is down: the nodes that went before it stand, and the problem is told where the end would be."""
    down = {"index": "qdrant", "qdrant_url": "http://127.0.0.1:9", "qdrant_timeout": 1}
    async with rig(small_desk(), tmp_path / "home", **down) as made, serving(made) as (_, client):
        async with made.app.record.transaction() as tx:
            await store(tx, "freshdesk", [Company(external_id=31, stamp="1", name="Mill & Sons")], now=NOW)
            await store(tx, "freshdesk", [Ticket(external_id=1, stamp="1", subject="One", messages=())], now=NOW)
        answer = await client.get(PATH, params={"similar": 1})
        lines = parsed(answer.text)
        assert answer.status_code == 200
        assert [next(iter(line)) for line in lines] == ["graph", *["node"] * 6, "error"]
        assert (lines[-1]["error"]["status"], lines[-1]["error"]["component"]) == (503, "index")
        assert next(iter(parsed((await client.get(PATH)).text)[-1])) == "end"
