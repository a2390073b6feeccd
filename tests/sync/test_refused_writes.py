"""An index that refuses writes in mid-run: a run ends with the sentence, nothing is lost, and no text costs twice."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import FakeEmbedder
from tests.rig import Install, Rig, rig

from deskloom import documents
from deskloom.errors import IndexUnavailable
from deskloom.indexes.edge import EdgeIndex
from deskloom.protocols import Point, Purpose, VectorIndex, Vectors
from deskloom.record import collections, tables
from deskloom.record.runs import Run
from deskloom.sandbox.clock import Clock
from deskloom.sandbox.freshdesk.desk import Desk
from deskloom.sandbox.generate import generate
from deskloom.search import Query

FULL = "The disk of the index is full. Make room, then run again."


class Refusing:
    """Passes everything on to a real index, and takes so many batches of points until it is mended."""

    def __init__(self, index: VectorIndex) -> None:
        self.index = index
        self.left: int | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.index, name)

    async def upsert(self, collection: str, points: Sequence[Point]) -> None:
        if self.left is not None:
            if self.left == 0:
                raise IndexUnavailable(FULL)
            self.left -= 1
        await self.index.upsert(collection, points)


def small() -> Desk:
    return generate(seed=3, tickets=30, articles=4, clock=Clock())


async def refusing(made: Rig) -> Refusing:
    """Let the rig's index be one that may refuse."""
    await made.close()
    index = Refusing(EdgeIndex(made.settings.home / "index"))
    made.index = index  # type: ignore[assignment]
    await made.open()
    return index


async def reindexed(made: Rig) -> Run:
    options = {"embedder": {"kind": "bge-m3"}}
    run = await made.app.dispatcher.submit(source="*", stream=documents.TICKETS, mode="reindex", options=options)
    await made.app.dispatcher.wait(run.id)
    return await made.run(run)


async def serves(made: Rig) -> str:
    """The model that answers, once it was seen to answer and the collection to be open."""
    assert await made.app.search.search(Query(text="printer", mode="semantic", collections=["tickets"]))
    async with made.app.record.reading() as tx:
        known = await collections.get_collection(tx, documents.TICKETS)
    assert known is not None
    assert (known.state, known.rebuild) == ("serving", None)
    schema = await made.app.index.schema(documents.TICKETS)
    assert schema is not None
    return schema.embedder


async def test_a_sync_goes_on_where_the_index_takes_writes_again(install: Install) -> None:
    """What was embedded for batches that were refused is cached: the next run embeds only the rest."""
    async with install(small(), publish_batch=4) as made:
        index = await refusing(made)
        index.left = 2
        run = await made.sync("tickets")
        assert (run.state, run.errors[-1]) == ("failed", FULL)
        index.left = None
        for stream in ("tickets", "kb"):
            assert (await made.sync(stream)).state == "succeeded"
        assert await made.differences() == []
        assert made.embedder.texts == await cached(made)


async def test_a_reindex_that_is_refused_leaves_what_serves(install: Install) -> None:
    """The old copy serves and is written to, the unfinished one is gone, and a later reindex embeds only the rest."""
    async with install(small(), publish_batch=4) as made:
        other = made.models["bge-m3"] = FakeEmbedder(dimensions=48, name="other")
        index = await refusing(made)
        for stream in ("tickets", "kb"):
            await made.sync(stream)
        index.left = 2
        run = await reindexed(made)
        assert (run.state, run.errors[-1]) == ("failed", FULL)
        assert await serves(made) == "fake"
        assert len(list((made.settings.home / "index" / documents.TICKETS).glob("v-*"))) == 1
        index.left = None
        assert await made.differences() == []
        assert (await reindexed(made)).state == "succeeded"
        assert other.texts == await cached(made, "other")
        assert await serves(made) == "other"
        assert await made.differences() == []


async def cached(made: Rig, model: str = "fake") -> int:
    return sum(row["parts"] for row in await made.rows(tables.embeddings) if row["model"] == model)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 MB in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small disk takes root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


class FillingEmbedder(FakeEmbedder):
    """A fake during whose work somebody fills the disk."""

    def __init__(self, fill: Callable[[], None]) -> None:
        super().__init__(dimensions=48, name="other")
        self.fill: Callable[[], None] | None = fill

    async def embed(self, texts: Sequence[str], purpose: Purpose = "document") -> Vectors:
        if self.texts >= 10 and self.fill is not None:
            fill, self.fill = self.fill, None
            fill()
        return await super().embed(texts, purpose)


async def test_a_disk_that_fills_up_during_a_reindex(small_disk: Path) -> None:
    """Record and index lie on it: the run ends with the sentence, the old copy answers, the unfinished one makes room;
    with the disk freed everything goes on."""
    other = FillingEmbedder(lambda: (small_disk / "filler").write_bytes(bytes(free(small_disk) - (47 << 20))))
    async with rig(small(), small_disk / "home", publish_batch=4) as made:
        await made.close()
        made.index = EdgeIndex(made.settings.home / "index", spare=48 << 20)
        made.models["bge-m3"] = other
        await made.open()
        for stream in ("tickets", "kb"):
            assert (await made.sync(stream)).state == "succeeded"
        run = await reindexed(made)
        assert (run.state, run.errors[-1].partition("; ")[2]) == (
            "failed",
            "the index needs 48 MB. Make room, then run again.",
        )
        assert len(list((made.settings.home / "index" / documents.TICKETS).glob("v-*"))) == 1
        (small_disk / "filler").unlink()
        assert await serves(made) == "fake"
        assert await made.differences() == []
        assert (await reindexed(made)).state == "succeeded"
        assert await serves(made) == "other"
        assert await made.differences() == []


def free(folder: Path) -> int:
    return shutil.disk_usage(folder).free
