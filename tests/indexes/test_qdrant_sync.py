"""The whole flow on a Qdrant server: runs, search, a reindex, and a server that goes away in between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.fakes import FakeEmbedder
from tests.indexes.qdrant_stub import Fault, QdrantStub
from tests.rig import Rig, rig

from deskloom import documents
from deskloom.sandbox.generate import generate
from deskloom.search import Query

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")
_WRITES = ("/points", "/batch", "/delete", "POST /collections/aliases")


@pytest.fixture
def stub() -> Iterator[QdrantStub]:
    with QdrantStub() as stub:
        yield stub


@pytest.fixture
async def made(stub: QdrantStub, tmp_path: Path) -> AsyncIterator[Rig]:
    desk = generate(seed=2, tickets=30, articles=6)
    desk.clock.advance(3600)
    settings = {"index": "qdrant", "qdrant_url": stub.url, "retries": 0, "publish_batch": 6}
    async with rig(desk, tmp_path / "home", **settings) as made:
        yield made


async def test_a_sync_fills_the_server_and_the_next_writes_nothing(stub: QdrantStub, made: Rig) -> None:
    """Source, record and index agree; a second sync, in a new process too, writes no point; search answers."""
    for stream in ("tickets", "kb"):
        assert (await made.sync(stream)).state == "succeeded"
    assert await made.differences() == []
    stub.seen.clear()
    before = made.embedder.texts
    await made.reopen()
    for stream in ("tickets", "kb"):
        assert (await made.sync(stream)).state == "succeeded"
    assert [called for called, _ in stub.seen if called.endswith(_WRITES)] == []
    assert made.embedder.texts == before
    hits = await made.app.search.search(Query(text=await _a_subject(made), collections=("tickets",), limit=3))
    assert hits[0].title == await _a_subject(made)


async def test_a_server_that_goes_away_in_mid_run(stub: QdrantStub, made: Rig) -> None:
    """The run ends with the sentence; what was published stays, the next run does the rest, and all agree."""
    await made.sync("kb")
    stub.faults.append(Fault("/points", 503, "Service unavailable: shutting down", skip=2, times=99))
    failed = await made.sync("tickets")
    assert (failed.state, 0 < await made.app.index.count(documents.TICKETS) < 30) == ("failed", True)
    assert f"Qdrant at 127.0.0.1:{stub.port} answered 503: Service unavailable" in failed.errors[-1]
    stub.stop()
    failed = await made.sync("tickets")
    assert failed.state == "failed"
    assert f"Qdrant at 127.0.0.1:{stub.port} cannot be reached." in failed.errors[-1]
    stub.faults.clear()
    stub.start()
    assert (await made.sync("tickets")).state == "succeeded"
    assert await made.differences() == []


async def test_a_reindex_on_the_server(stub: QdrantStub, made: Rig) -> None:
    """Another model is built beside the serving one and swapped in; the old one is kept until it is dropped."""
    made.models["bge-m3"] = FakeEmbedder(name="other", dimensions=16)
    for stream in ("tickets", "kb"):
        await made.sync(stream)
    run = await made.app.dispatcher.submit(
        source="*", stream=documents.TICKETS, mode="reindex", options={"embedder": {"kind": "bge-m3"}}
    )
    await made.app.dispatcher.wait(run.id)
    assert ((await made.run(run)).state, (await made.run(run)).errors) == ("succeeded", [])
    serving = await made.app.index.schema(documents.TICKETS)
    kept = await made.app.index.previous(documents.TICKETS)
    assert (serving and serving.embedder, kept and kept.embedder) == ("other", "fake")
    assert await made.differences() == []


async def _a_subject(made: Rig) -> str:
    async for batch in made.app.index.scroll(documents.TICKETS, ["subject"]):
        return str(batch[0][1]["subject"])
    raise AssertionError("the index is empty")
