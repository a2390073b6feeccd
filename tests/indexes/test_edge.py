"""Qdrant's engine in process keeps the contract, and what is particular to its folder."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from tests.contracts.index import AXES, NAME, SCHEMA, IndexContract, Reopen, contents, found, point, uid

from deskloom.errors import HomeInUse, IndexUnavailable, InvalidRequest
from deskloom.indexes.edge import EdgeIndex
from deskloom.protocols import Schema, VectorIndex, Where


@pytest.fixture
def reopen(tmp_path: Path) -> Reopen:
    return lambda: EdgeIndex(tmp_path / "index")


@pytest.fixture
async def index(reopen: Reopen) -> AsyncIterator[VectorIndex]:
    index = reopen()
    await index.prepare(SCHEMA)
    yield index
    await index.aclose()


class TestEdge(IndexContract):
    """I1-I6."""


async def test_the_folder_has_one_owner(tmp_path: Path) -> None:
    """A second opening raises `HomeInUse` at once; after the first is closed it works."""
    first = EdgeIndex(tmp_path)
    with pytest.raises(HomeInUse, match=str(tmp_path)):
        EdgeIndex(tmp_path)
    await first.aclose()
    await EdgeIndex(tmp_path).aclose()


@pytest.mark.parametrize(
    "damage", ["folder", "pointer", "wild pointer", "schema", "segment", "config", "emptied", "no segments"]
)
async def test_a_lost_collection_starts_empty_and_says_so(tmp_path: Path, reopen: Reopen, damage: str) -> None:
    """Whatever was removed or garbled, `prepare` answers True and the collection works again; it never stays broken."""
    index = reopen()
    await index.prepare(SCHEMA)
    await index.upsert(NAME, [point(n) for n in range(20)])
    await index.aclose()
    _damage(tmp_path / "index" / NAME, damage)
    index = reopen()
    assert await index.prepare(SCHEMA) is True
    assert await contents(index) == {}
    await index.upsert(NAME, [point(1)])
    assert await found(index, "symptom", AXES[1]) == [1]
    await index.aclose()


def _damage(folder: Path, damage: str) -> None:
    shard = next(folder.glob("v-*/shard"))
    if damage == "folder":
        shutil.rmtree(folder)
    elif damage == "emptied":
        shutil.rmtree(shard)
    elif damage == "no segments":
        shutil.rmtree(shard / "segments")
        shutil.rmtree(shard / "wal")
    elif damage == "pointer":
        (folder / "CURRENT").unlink()
    elif damage == "wild pointer":
        (folder / "CURRENT").write_bytes(b"../../\xff")
    else:
        name = {"schema": "../schema.json", "segment": "segments/*/segment.json", "config": "edge_config.json"}[damage]
        next(shard.glob(name) if "*" in name else iter([shard / name])).write_bytes(b"\x00garbage")


async def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    """Below the spare room nothing is written and the error says how much is left; reading goes on."""
    index = EdgeIndex(tmp_path)
    await index.prepare(SCHEMA)
    await index.upsert(NAME, [point(1)])
    await index.aclose()
    index = EdgeIndex(tmp_path, spare=1 << 60)
    with pytest.raises(IndexUnavailable, match="MB left"):
        await index.prepare(SCHEMA)
    await index.aclose()


async def test_queries_run_beside_upserts_and_swaps(reopen: Reopen) -> None:
    """While batches are written and versions swapped, every query sees a whole version and never fails."""
    index = reopen()
    await index.prepare(SCHEMA)
    await index.upsert(NAME, [point(n) for n in range(100)])
    done = asyncio.Event()

    async def read() -> set[int]:
        seen = set()
        while not done.is_set():
            seen.add(await index.count(NAME))
            assert len(await found(index, "symptom", AXES[0], limit=100)) == 100
        return seen

    readers = [asyncio.create_task(read()) for _ in range(3)]
    for _ in range(3):
        copy = await index.begin_rebuild(SCHEMA)
        for start in range(0, 100, 25):
            await index.upsert(copy, [point(n) for n in range(start, start + 25)])
        await index.swap(NAME, copy)
    done.set()
    assert await asyncio.gather(*readers) == [{100}, {100}, {100}]
    await index.aclose()


async def test_only_the_live_version_stays_on_disk(tmp_path: Path, reopen: Reopen) -> None:
    """Replaced versions, dropped rebuilds and leftovers of a crash are removed."""
    index = reopen()
    await index.prepare(SCHEMA)
    for _ in range(2):
        copy = await index.begin_rebuild(SCHEMA)
    await index.swap(NAME, copy)
    assert {path.name for path in (tmp_path / "index" / NAME).glob("v-*")} == {copy.split("/")[1]}
    await index.begin_rebuild(SCHEMA)
    await index.aclose()
    index = reopen()
    await index.prepare(SCHEMA)
    assert {path.name for path in (tmp_path / "index" / NAME).glob("v-*")} == {copy.split("/")[1]}
    await index.aclose()


@pytest.mark.parametrize("name", ["", "../up", "a/b", "Upper", "_x"])
async def test_a_collection_name_cannot_leave_the_folder(index: VectorIndex, name: str) -> None:
    """Names that are no plain words are refused."""
    schema = Schema(collection=name, embedder="m", dimensions=4, vectors=("v",), words=())
    with pytest.raises(InvalidRequest):
        await index.prepare(schema)


async def test_a_malformed_bound_names_its_field(index: VectorIndex) -> None:
    """A lower bound that is neither number nor time raises `InvalidRequest` with the field."""
    with pytest.raises(InvalidRequest) as refused:
        await index.count(NAME, Where(at_least={"updated_at": "yesterday"}))
    assert refused.value.facts == {"parameter": "updated_at"}


async def test_closed_means_closed(index: VectorIndex) -> None:
    """After `aclose`, which may be repeated, calls raise `IndexUnavailable`."""
    await index.aclose()
    await index.aclose()
    with pytest.raises(IndexUnavailable):
        await index.count(NAME)


async def test_parts_that_cancel_out_leave_the_first(index: VectorIndex) -> None:
    """Opposite parts have no mean direction; the point is then found by its first part."""
    await index.upsert(NAME, [point(1, symptom=np.stack([AXES[0], -AXES[0]]))])
    assert [(hit.id, round(hit.score, 4)) for hit in await index.query(NAME, "symptom", AXES[0])] == [(uid(1), 1.0)]
