"""Qdrant's engine in process keeps the contract, and what is particular to its folder."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.contracts.index import AXES, NAME, SCHEMA, IndexContract, Reopen, contents, found, point, uid

from deskloom.errors import HomeInUse, IndexUnavailable, InvalidRequest, NotFound
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


async def test_a_rebuild_on_a_full_disk_leaves_what_serves(small_disk: Path) -> None:
    """A rebuild that fills the disk stops with a sentence before it is full; what served answers; dropping makes room.

    The engine itself is killed by a full disk, since it writes through memory maps: that this test ends is its point.
    """
    index = EdgeIndex(small_disk / "index", spare=48 << 20)
    await index.prepare(SCHEMA)
    await index.upsert(NAME, [point(1)])
    copy = await index.begin_rebuild(replace(SCHEMA, embedder="model-b"))

    async def fill() -> None:
        for start in range(0, 20_000, 250):
            await index.upsert(copy, [point(start + n, content=os.urandom(4000).hex()) for n in range(250)])

    with pytest.raises(IndexUnavailable, match=r"needs 48 MB\. Make room"):
        await fill()
    assert (await contents(index), await index.count(copy) % 250) == ({1: {"n": 1}}, 0)
    with pytest.raises(IndexUnavailable):
        await index.upsert(NAME, [point(2)])
    await index.drop_rebuild(NAME)
    await index.upsert(NAME, [point(2)])
    assert await contents(index) == {1: {"n": 1}, 2: {"n": 2}}
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


async def test_only_the_live_and_the_kept_version_stay_on_disk(tmp_path: Path, reopen: Reopen) -> None:
    """Versions replaced before, dropped rebuilds and leftovers of a crash are removed."""
    index = reopen()
    await index.prepare(SCHEMA)
    copies = [await index.begin_rebuild(SCHEMA) for _ in range(2)][1:]
    await index.swap(NAME, copies[0])
    copies.append(await index.begin_rebuild(SCHEMA))
    await index.swap(NAME, copies[1])
    stay = {copy.split("/")[1] for copy in copies}
    assert _versions(tmp_path) == stay
    await index.begin_rebuild(SCHEMA)
    await index.aclose()
    index = reopen()
    await index.prepare(SCHEMA)
    assert _versions(tmp_path) == stay
    await index.drop_previous(NAME)
    assert _versions(tmp_path) == {copies[1].split("/")[1]}
    await index.aclose()


def _versions(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "index" / NAME).glob("v-*")}


@pytest.mark.parametrize("moment", ["before", "half written", "after"])
async def test_a_crash_in_a_swap_leaves_the_old_state_or_the_new(tmp_path: Path, reopen: Reopen, moment: str) -> None:
    """Both copies are named by one file, replaced at once: whenever the process dies, it opens as before or after."""
    index = reopen()
    await index.prepare(SCHEMA)
    await index.upsert(NAME, [point(1)])
    await index.swap(NAME, await index.begin_rebuild(replace(SCHEMA, embedder="model-b")))
    copy = await index.begin_rebuild(replace(SCHEMA, embedder="model-c"))
    await index.upsert(copy, [point(3)])
    await index.aclose()
    pointer = tmp_path / "index" / NAME / "CURRENT"
    live, kept = pointer.read_text().split("\n")
    fresh = copy.split("/")[1]
    if moment == "half written":
        pointer.with_name("CURRENT.new").write_text(f"{fresh}\nv-")
    if moment == "after":
        pointer.write_text(f"{fresh}\n{live}")
    index = reopen()
    state = [found.embedder if found else None for found in (await index.schema(NAME), await index.previous(NAME))]
    assert state == (["model-c", "model-b"] if moment == "after" else ["model-b", "model-a"])
    assert await contents(index) == ({3: {"n": 3}} if moment == "after" else {})
    assert _versions(tmp_path) == ({fresh, live} if moment == "after" else {live, kept})
    await index.aclose()


async def test_a_rebuild_may_begin_before_anything_is_prepared(reopen: Reopen) -> None:
    """Opening the collection after its rebuild has begun does not take the new copy for a leftover."""
    index = reopen()
    await index.prepare(SCHEMA)
    await index.upsert(NAME, [point(1)])
    await index.aclose()
    index = reopen()
    copy = await index.begin_rebuild(SCHEMA)
    await index.upsert(copy, [point(2)])
    assert await index.prepare(SCHEMA) is False
    await index.swap(NAME, copy)
    await index.aclose()
    index = reopen()
    await index.prepare(SCHEMA)
    assert await contents(index) == {2: {"n": 2}}
    await index.aclose()


async def test_a_lost_kept_version_is_none(tmp_path: Path, reopen: Reopen) -> None:
    """A kept copy whose files are gone counts as none; one that is damaged cannot be reopened; what serves goes on."""
    index = reopen()
    await index.prepare(SCHEMA)
    await index.swap(NAME, await index.begin_rebuild(replace(SCHEMA, embedder="model-b")))
    await index.upsert(NAME, [point(1)])
    await index.aclose()
    folder = tmp_path / "index" / NAME
    kept = folder / (folder / "CURRENT").read_text().split("\n")[1]
    (kept / "shard" / "edge_config.json").write_bytes(b"\x00garbage")
    index = reopen()
    with pytest.raises(IndexUnavailable, match="deskloom reindex"):
        await index.reopen_previous(NAME)
    (kept / "schema.json").unlink()
    assert await index.previous(NAME) is None
    with pytest.raises(NotFound):
        await index.reopen_previous(NAME)
    await index.drop_previous(NAME)
    assert not kept.exists()
    assert await index.prepare(replace(SCHEMA, embedder="model-b")) is False
    await index.aclose()


async def test_an_index_of_before_weights_opens(tmp_path: Path, reopen: Reopen) -> None:
    """A schema that was written before there were weights, and a pointer with one line, are read."""
    old = replace(SCHEMA, weights=())
    index = reopen()
    await index.prepare(old)
    await index.upsert(NAME, [point(1)])
    await index.aclose()
    written = next((tmp_path / "index" / NAME).glob("v-*/schema.json"))
    facts = json.loads(written.read_text())
    del facts["weights"]
    written.write_text(json.dumps(facts))
    index = reopen()
    assert await index.prepare(old) is False
    assert (await index.schema(NAME), await contents(index)) == (old, {1: {"n": 1}})
    await index.aclose()


async def test_a_reader_of_a_replaced_version_finishes(reopen: Reopen) -> None:
    """A version that was swapped out, in again and out again while it was read answers every reader."""
    index = reopen()
    await index.prepare(SCHEMA)
    await index.upsert(NAME, [point(n) for n in range(50)])
    copy = await index.begin_rebuild(SCHEMA)
    await index.upsert(copy, [point(n) for n in range(50)])
    done = asyncio.Event()

    async def read() -> None:
        while not done.is_set():
            assert len(await found(index, "symptom", AXES[0], limit=100)) == 50

    readers = [asyncio.create_task(read()) for _ in range(4)]
    for _ in range(15):
        await index.swap(NAME, copy)
        copy = await index.reopen_previous(NAME)
        await index.upsert(copy, [point(1)])
    done.set()
    await asyncio.gather(*readers)
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
