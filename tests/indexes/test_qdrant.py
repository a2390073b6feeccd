"""The index on Qdrant keeps the contract: in the client's own engine, over HTTP, and at QDRANT_URL if that is set."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient
from tests.contracts.index import AXES, NAME, SCHEMA, IndexContract, Reopen, contents, found, point, uid
from tests.indexes.qdrant_stub import QdrantStub

from deskloom.errors import IndexMismatch, IndexUnavailable, InvalidRequest
from deskloom.indexes.edge import EdgeIndex
from deskloom.indexes.qdrant import QdrantIndex
from deskloom.indexes.qdrant_calls import Calls
from deskloom.indexes.qdrant_points import Layout, collection_options
from deskloom.indexes.qdrant_server import open_qdrant
from deskloom.protocols import Point, VectorIndex, Where, Words
from deskloom.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")
SERVER = os.environ.get("QDRANT_URL")


def at(url: str, **settings: Any) -> QdrantIndex:
    return open_qdrant(Settings(_env_file=None, index="qdrant", qdrant_url=url, **settings))


@pytest.fixture
def stub() -> Iterator[QdrantStub]:
    with QdrantStub() as stub:
        yield stub


@pytest.fixture
async def index(stub: QdrantStub) -> AsyncIterator[VectorIndex]:
    index = at(stub.url)
    await index.prepare(SCHEMA)
    yield index
    await index.aclose()


class TestOverHttp(IndexContract):
    """I1-I6 with the real client over a socket."""

    @pytest.fixture
    def reopen(self, stub: QdrantStub) -> Reopen:
        return lambda: at(stub.url)


class TestInProcess(IndexContract):
    """I1-I6 on the client's own engine, on disk, where each point is a transaction: so there are fewer."""

    many = 60

    @pytest.fixture
    def reopen(self, tmp_path: Path) -> Reopen:
        return lambda: QdrantIndex(AsyncQdrantClient(path=str(tmp_path / "qdrant")))


class TestServer(IndexContract):
    """I1-I6 on the server at QDRANT_URL (and QDRANT_API_KEY), whose collections `tickets__…` are removed."""

    __test__ = SERVER is not None

    @pytest.fixture
    def reopen(self) -> Reopen:
        key = os.environ.get("QDRANT_API_KEY")
        client = QdrantClient(url=SERVER, api_key=key)
        for one in client.get_collections().collections:
            if one.name.startswith(f"{NAME}__"):
                client.delete_collection(one.name)
        client.close()
        return lambda: at(str(SERVER), qdrant_api_key=key)


async def test_edge_and_qdrant_find_the_same(tmp_path: Path, index: VectorIndex) -> None:
    """On the same points both give the same hits in the same order, by every kind of vector, within 1e-4."""
    edge = EdgeIndex(tmp_path / "index")
    await edge.prepare(SCHEMA)
    chance = np.random.default_rng(5)
    rows = chance.normal(size=(80, 4)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)

    def words() -> Words:
        indices = chance.choice(40, size=6, replace=False)
        return Words(tuple(int(one) for one in indices), tuple(float(one) for one in chance.uniform(0.1, 2, 6)))

    points = [
        Point(
            id=uid(n),
            vectors={"symptom": rows[n : n + 1], **({"cause": rows[n : n + 2]} if n % 3 else {})},
            words={"words": words(), "weighed": words()},
            payload={"number": n % 4, "tags": ["even"] if n % 2 == 0 else ["odd", "more"]},
        )
        for n in range(80)
    ]
    for one in (edge, index):
        await one.upsert(NAME, points)
    asked: list[tuple[str, Any]] = [("symptom", rows[0]), ("cause", AXES[2]), ("words", words()), ("weighed", words())]
    for where in (None, Where(equals={"tags": ["odd"]}, at_least={"number": 1})):
        for vector, value in asked:
            ours = await edge.query(NAME, vector, value, where=where, limit=20)
            theirs = await index.query(NAME, vector, value, where=where, limit=20)
            assert np.allclose([hit.score for hit in ours], [hit.score for hit in theirs], atol=1e-4), vector
            assert [hit.id for hit in ours] == [hit.id for hit in theirs], vector
            assert len(ours) > 5, vector
    await edge.aclose()


async def test_every_write_waits_and_is_ordered(stub: QdrantStub, index: VectorIndex) -> None:
    """Upserts, payloads and deletions are asked for with `wait` and strong ordering; nothing else writes points."""
    stub.seen.clear()
    await index.upsert(NAME, [point(1), point(2)])
    await index.set_payload(NAME, {uid(1): {"n": 1}, uid(2): {"n": 2}})
    await index.delete(NAME, [uid(1)])
    writes = [(called.split("/")[-1], query) for called, query in stub.seen if query]
    ordered = {"wait": "true", "ordering": "strong"}
    assert writes == [("points", ordered), ("batch", ordered), ("delete", ordered)]


async def test_a_replicated_collection_is_read_by_quorum(stub: QdrantStub) -> None:
    """With replicas, a majority has each write and reads ask for what a majority holds."""
    index = at(stub.url, qdrant_replicas=3)
    await index.prepare(SCHEMA)
    await index.upsert(NAME, [point(1)])
    stub.seen.clear()
    await found(index, "symptom", AXES[1])
    await index.retrieve(NAME, [uid(1)])
    await contents(index)
    reads = [query for called, query in stub.seen if called.startswith("POST")]
    assert reads == [{"consistency": "quorum"}] * 3
    options = collection_options(SCHEMA, Layout(replicas=3, shards=2))
    assert {name: options[name] for name in ("shard_number", "replication_factor", "write_consistency_factor")} == {
        "shard_number": 2,
        "replication_factor": 3,
        "write_consistency_factor": 2,
    }
    await index.aclose()


@pytest.mark.parametrize("quantization", ["scalar", "binary"])
async def test_the_layout_is_asked_for(stub: QdrantStub, quantization: str) -> None:
    """Quantization and storage on disk stand in the request, in a form that the client's models take back."""
    index = at(stub.url, qdrant_quantization=quantization, qdrant_on_disk=True)
    assert await index.prepare(SCHEMA) is True
    options = collection_options(SCHEMA, Layout(quantization=quantization, on_disk=True))  # type: ignore[arg-type]
    assert hasattr(options["quantization_config"], quantization)
    assert (options["on_disk_payload"], options["vectors_config"]["cause"].on_disk) == (True, True)
    assert {name: params.modifier for name, params in options["sparse_vectors_config"].items()} == {
        "words": "idf",
        "weighed": None,
    }
    await index.aclose()


async def test_writes_are_cut_by_bytes(stub: QdrantStub) -> None:
    """No request is larger than set; a proxy that takes less is asked in halves; one point too large is named."""
    index = QdrantIndex(AsyncQdrantClient(url=stub.url, check_compatibility=False), request_bytes=20_000)
    await index.prepare(SCHEMA)
    stub.seen.clear()
    await index.upsert(NAME, [point(n, content="x" * 3000) for n in range(40)])
    assert len([called for called, _ in stub.seen if called.endswith("/points")]) == 7
    stub.largest = 9000
    await index.upsert(NAME, [point(n, content="y" * 3000) for n in range(40)])
    payloads = await index.retrieve(NAME, [uid(n) for n in range(40)])
    assert {payload["content"][0] for payload in payloads.values()} == {"y"}
    stub.seen.clear()
    await index.set_payload(NAME, {uid(n): {"n": n, "content": "w" * 3000} for n in range(40)})
    assert len([called for called, _ in stub.seen if called.endswith("/batch")]) > 20
    payloads = await index.retrieve(NAME, [uid(n) for n in range(40)])
    assert {payload["content"][0] for payload in payloads.values()} == {"w"}
    with pytest.raises(IndexUnavailable, match=str(uid(99))):
        await index.upsert(NAME, [point(99, content="z" * 9000)])
    with pytest.raises(IndexUnavailable, match=str(uid(3))):
        await index.set_payload(NAME, {uid(3): {"content": "z" * 9000}})
    await index.aclose()


async def test_a_swap_by_another_process_shows(stub: QdrantStub, index: VectorIndex) -> None:
    """Readers of another process see the new copy within seconds; writers of the old model are refused."""
    now = [0.0]
    calls = Calls(address="here", timing=replace(Calls(address="").timing, monotonic=lambda: now[0]))
    other = QdrantIndex(AsyncQdrantClient(url=stub.url, check_compatibility=False), calls=calls)
    assert await other.prepare(SCHEMA) is True
    await other.upsert(NAME, [point(1)])
    copy = await index.begin_rebuild(replace(SCHEMA, embedder="model-b"))
    await index.upsert(copy, [point(2), point(3)])
    await index.swap(NAME, copy)
    now[0] += 3
    assert await contents(other) == {2: {"n": 2}, 3: {"n": 3}}
    assert await other.count(NAME) == 2
    with pytest.raises(IndexMismatch, match="model-b"):
        await other.upsert(NAME, [point(4)])
    await index.upsert(NAME, [point(5)])
    await index.drop_previous(NAME)
    assert await found(other, "symptom", AXES[1], limit=9) == await found(index, "symptom", AXES[1], limit=9)
    await other.aclose()


async def test_a_reader_finds_the_copy_that_took_over(stub: QdrantStub, index: VectorIndex) -> None:
    """A reader that still means the old copy, gone by now, is answered from the new one."""
    other = at(stub.url)
    assert await other.count(NAME) == 0
    for _ in range(2):  # the second swap removes what `other` means
        copy = await index.begin_rebuild(SCHEMA)
        await index.upsert(copy, [point(7)])
        await index.swap(NAME, copy)
    assert await other.count(NAME) == 1
    await other.aclose()


async def test_many_processes_prepare_one_collection(stub: QdrantStub) -> None:
    """Processes that start at once agree on one copy, and what each writes then is there."""
    indexes = [at(stub.url) for _ in range(8)]
    await asyncio.gather(*(index.prepare(SCHEMA) for index in indexes))
    for number, index in enumerate(indexes):
        await index.upsert(NAME, [point(number)])
    assert await contents(indexes[0]) == {n: {"n": n} for n in range(8)}
    for index in indexes:
        await index.aclose()


async def test_another_version_is_no_trouble(stub: QdrantStub) -> None:
    """A server that is newer or older than the client is used, without a warning on the screen."""
    stub.version = "1.99.0"
    index = at(stub.url)
    assert await index.prepare(SCHEMA) is True
    await index.aclose()


async def test_a_foreign_collection_is_left_alone(stub: QdrantStub) -> None:
    """A collection of our name that is not ours, or an alias to one, raises `IndexMismatch` and is not touched."""
    index = at(stub.url)
    await stub.engine.create_collection(NAME, {})
    with pytest.raises(IndexMismatch, match="did not make"):
        await index.prepare(SCHEMA)
    await stub.engine.delete_collection(NAME)
    await stub.engine.create_collection("theirs", {})
    await stub.engine.update_collection_aliases(_alias(NAME, "theirs"))
    with pytest.raises(IndexMismatch, match="did not make"):
        await index.prepare(SCHEMA)
    assert [one.name for one in (await stub.engine.get_collections()).collections] == ["theirs"]
    await index.aclose()


@pytest.mark.parametrize("name", ["", "../up", "a/b", "Upper", "_x", "a__b"])
async def test_a_collection_name_is_a_plain_word(index: VectorIndex, name: str) -> None:
    """Names that could mean another collection, or an alias, are refused."""
    with pytest.raises(InvalidRequest):
        await index.prepare(replace(SCHEMA, collection=name))


async def test_closed_means_closed(index: VectorIndex) -> None:
    """After `aclose`, which may be repeated, calls raise `IndexUnavailable`."""
    await index.aclose()
    await index.aclose()
    with pytest.raises(IndexUnavailable):
        await index.count(NAME)


def _alias(alias: str, collection: str) -> list[Any]:
    from qdrant_client import models

    return [models.CreateAliasOperation(create_alias=models.CreateAlias(alias_name=alias, collection_name=collection))]
