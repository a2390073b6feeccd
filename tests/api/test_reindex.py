"""`/collections` and `/reindex`: what it would cost, building it, going back, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.api.conftest import TOKEN, Served, Shared, serving
from tests.api.desks import small_desk
from tests.fakes import FakeEmbedder
from tests.rig import rig

from deskloom.documents import ARTICLES, TICKETS
from deskloom.record import rebuilds, tables
from deskloom.sync.estimate import estimate

together = pytest.mark.asyncio(loop_scope="session")


class SlowEmbedder(FakeEmbedder):
    """A fake that embeds only while it is `free`; `asked` says that it was to."""

    def __init__(self) -> None:
        super().__init__(dimensions=48, name="other")
        self.free, self.asked = asyncio.Event(), asyncio.Event()
        self.free.set()

    async def embed(self, texts: Any, purpose: Any = "document") -> Any:
        self.asked.set()
        await self.free.wait()
        return await super().embed(texts, purpose)


@pytest.fixture
async def synced(tmp_path: Path) -> AsyncIterator[Served]:
    """An installation with everything synced, for which "bge-m3" is another fake."""
    async with rig(small_desk(), tmp_path / "home") as made, serving(made, token=TOKEN) as (server, client):
        made.models["bge-m3"] = SlowEmbedder()
        for stream in ("tickets", "kb"):
            await made.sync(stream)
        yield Served(made, server, client)


async def listed(served: Served) -> dict[str, tuple[Any, ...]]:
    items = (await served.client.get("/api/collections")).json()["items"]
    return {one["name"]: tuple(one[name] for name in ("embedder", "kept", "building", "points")) for one in items}


async def test_the_estimate_counts_what_the_run_then_does(synced: Served) -> None:
    """With fewer documents than the sample, texts are those embedded, and once they are cached none is left."""
    other = synced.rig.models["bge-m3"]
    answer = await synced.client.get("/api/reindex/estimate", params={"embedder": "bge-m3"})
    assert answer.status_code == 200
    costs = {cost["collection"]: cost for cost in answer.json()}
    assert {name: (cost["embedder"], cost["documents"], cost["sampled"]) for name, cost in costs.items()} == {
        TICKETS: ("bge-m3", 4, 4),
        ARTICLES: ("bge-m3", 2, 2),
    }
    started = (await synced.client.post("/api/reindex", json={"embedder": "bge-m3"})).json()
    ended = [await synced.ended(run["id"]) for run in started]
    assert {run["stream"]: run["counts"]["embedded"] for run in ended} == {
        name: cost["texts"] - cost["cached"] for name, cost in costs.items()
    }
    texts = [row["parts"] for row in await synced.rig.rows(tables.embeddings) if row["model"] == other.name]
    assert sum(texts) == sum(cost["texts"] for cost in costs.values())
    again = (await synced.client.get("/api/reindex/estimate", params={"embedder": "bge-m3"})).json()
    assert [(cost["texts"] - cost["cached"], cost["tokens"], cost["seconds"]) for cost in again] == [(0, 0, 0.0)] * 2


async def test_tokens_and_bytes_are_those_of_the_texts(synced: Served) -> None:
    """Tokens are what the model is given, two more than the words of each text; bytes hold at least the vectors."""
    given: list[int] = []

    class Counting(FakeEmbedder):
        async def embed(self, texts: Any, purpose: Any = "document") -> Any:
            given.extend(len(self.offsets(text)) + 2 for text in texts)
            return await super().embed(texts, purpose)

    counting = Counting(dimensions=48, name="counting")
    cost = await estimate(synced.rig.app.record, counting, TICKETS)
    assert (cost.tokens, cost.texts) == (sum(given), len(given))  # fewer than are timed, so that it has seen each
    assert cost.bytes > cost.texts * 48 * 4


async def test_a_sample_is_told_for_the_whole(synced: Served) -> None:
    """Two of four documents that were looked at stand for all four."""
    cost = await estimate(synced.rig.app.record, synced.rig.models["bge-m3"], TICKETS, sample=2)
    assert (cost.documents, cost.sampled, cost.texts % 2) == (4, 2, 0)


async def test_a_text_that_the_model_refuses_stops_no_estimate(synced: Served) -> None:
    """It is counted like the others; the run will name it."""
    refusing = FakeEmbedder(dimensions=48, name="refusing", poison="printer")
    assert (await estimate(synced.rig.app.record, refusing, TICKETS)).texts > 4


async def test_another_model_and_back_again(synced: Served) -> None:
    """The list of collections follows: the model that serves, the copy that is kept, and neither once it is dropped."""
    assert await listed(synced) == {TICKETS: ("minilm", None, None, 4), ARTICLES: ("minilm", None, None, 2)}
    (run,) = (await synced.client.post("/api/reindex", json={"collection": TICKETS, "embedder": "bge-m3"})).json()
    assert {name: run[name] for name in ("source", "stream", "mode", "requested_by", "options")} == {
        "source": "*",
        "stream": TICKETS,
        "mode": "reindex",
        "requested_by": "local",
        "options": {"embedder": {"kind": "bge-m3"}, "back": False},
    }
    ended = await synced.ended(run["id"])
    assert ended["state"] == "succeeded"
    assert ended["report"] == {"collection": TICKETS, "embedder": {"kind": "bge-m3"}, "points": 4}
    assert await listed(synced) == {TICKETS: ("bge-m3", "minilm", None, 4), ARTICLES: ("minilm", None, None, 2)}

    back = (await synced.client.post("/api/reindex", json={"back": True})).json()
    assert [run["stream"] for run in back] == [TICKETS]
    assert (await synced.ended(back[0]["id"]))["counts"]["indexed"] == 0
    assert (await listed(synced))[TICKETS] == ("minilm", "bge-m3", None, 4)

    assert (await synced.client.delete(f"/api/collections/{TICKETS}/kept")).status_code == 204
    assert (await listed(synced))[TICKETS] == ("minilm", None, None, 4)
    gone = await synced.client.post("/api/reindex", json={"back": True})
    assert (gone.status_code, gone.json()["detail"]) == (
        404,
        "No earlier copy of support_tickets or kb_procedures is kept. Name the model: deskloom reindex --embedder …",
    )
    assert await synced.rig.differences() == []


async def test_one_at_a_time_and_the_others_all_the_same(synced: Served) -> None:
    """A collection that is being built is left out; if that is all, 409 names the run; and the list tells of it."""
    other = synced.rig.models["bge-m3"]
    assert isinstance(other, SlowEmbedder)
    other.free.clear()
    body = {"collection": ARTICLES, "embedder": "bge-m3"}
    (first,) = (await synced.client.post("/api/reindex", json=body)).json()
    await other.asked.wait()
    assert (await listed(synced))[ARTICLES] == ("minilm", None, "bge-m3", 2)
    second = await synced.client.post("/api/reindex", json=body)
    assert (second.status_code, second.json()["run_id"]) == (409, first["id"])
    assert second.json()["detail"] == 'Reindex of "kb_procedures" already in progress'
    both = await synced.client.post("/api/reindex", json={"embedder": "bge-m3"})
    assert [run["stream"] for run in both.json()] == [TICKETS]
    other.free.set()
    assert [(await synced.ended(run))["state"] for run in (first["id"], both.json()[0]["id"])] == ["succeeded"] * 2


async def test_the_kept_copy_is_not_dropped_while_a_reindex_goes_back_to_it(synced: Served) -> None:
    """409; the run goes on to its end, and the copy it left can be dropped then."""
    other, desk = synced.rig.models["bge-m3"], synced.rig.desk
    assert isinstance(other, SlowEmbedder)
    for body in ({"collection": TICKETS, "embedder": "bge-m3"}, {"collection": TICKETS, "back": True}):
        (run,) = (await synced.client.post("/api/reindex", json=body)).json()
        await synced.ended(run["id"])
    ticket = min(row["id"] for row in desk.tickets)
    desk.perform({"method": "PUT", "path": f"tickets/{ticket}", "body": {"subject": "The lamp has burnt out"}})
    desk.clock.advance(60)
    await synced.rig.sync("tickets")
    other.free.clear()
    other.asked.clear()
    (run,) = (await synced.client.post("/api/reindex", json={"back": True})).json()
    await other.asked.wait()
    refused = await synced.client.delete(f"/api/collections/{TICKETS}/kept")
    assert (refused.status_code, "is going back to the kept copy" in refused.json()["detail"]) == (409, True)
    other.free.set()
    assert (await synced.ended(run["id"]))["state"] == "succeeded"
    assert (await synced.client.delete(f"/api/collections/{TICKETS}/kept")).status_code == 204
    async with synced.rig.app.record.reading() as tx:
        assert await rebuilds.count_copied(tx, rebuilds.kept(TICKETS)) == 0


REFUSED = [
    ({"collection": "nowhere"}, "collection", "Collections: support_tickets, kb_procedures"),
    ({"embedder": "minlm"}, "embedder", 'Did you mean "minilm"?'),
    ({"embedder": "/nowhere/model"}, "embedder", "There is no model folder /nowhere/model."),
]


@together
@pytest.mark.parametrize(("asked", "parameter", "words"), REFUSED)
async def test_what_does_not_exist_is_refused(
    shared: Shared, asked: dict[str, str], parameter: str, words: str
) -> None:
    """422 names the parameter and the choices, for the estimate and for the run, and nothing is started."""
    for answer in (
        await shared.client.get("/api/reindex/estimate", params=asked),
        await shared.client.post("/api/reindex", json=asked),
    ):
        assert (answer.status_code, answer.json()["parameter"]) == (422, parameter)
        assert words in answer.json()["detail"]
    runs = (await shared.client.get("/api/runs")).json()["items"]
    assert [run for run in runs if run["mode"] == "reindex"] == []


@together
async def test_a_model_and_back_contradict_each_other(shared: Shared) -> None:
    """422: the kept copy is of the model that it is of."""
    answer = await shared.client.post("/api/reindex", json={"embedder": "minilm", "back": True})
    assert (answer.status_code, answer.json()["parameter"]) == (422, "embedder")


@together
async def test_models_are_the_operators_business(shared: Shared) -> None:
    """Who may not start runs does not see the models either."""
    for path in ("/api/collections", "/api/reindex/estimate"):
        assert (await shared.get(path, "agent")).status_code == 403
        assert (await shared.get(path, "operator")).status_code == 200
