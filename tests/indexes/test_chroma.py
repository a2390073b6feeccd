"""The index in Chroma keeps the contract, in a folder and on a server, its words on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
from chromadb.config import Settings as ChromaSettings
from tests.contracts.index import AXES, NAME, SCHEMA, IndexContract, Reopen, contents, found, point, uid
from tests.indexes.chroma_server import ChromaServer

from deskloom.errors import HomeInUse, IndexMismatch, IndexUnavailable, InvalidRequest, SettingInvalid, WrongProduct
from deskloom.http.timing import Timing
from deskloom.indexes.chroma import ChromaIndex
from deskloom.indexes.chroma_open import open_chroma
from deskloom.indexes.chroma_places import Server
from deskloom.indexes.edge import EdgeIndex
from deskloom.protocols import Point, VectorIndex, Where, Words
from deskloom.record import Record
from deskloom.record.words import RecordWords
from deskloom.settings import Settings


def at(home: Path, record: Record, **settings: Any) -> ChromaIndex:
    return open_chroma(Settings(_env_file=None, home=home, index="chroma", **settings), RecordWords(record))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChromaServer]:
    with ChromaServer(tmp_path_factory.mktemp("chroma")) as server:
        yield server


@pytest.fixture
def server(running: ChromaServer) -> ChromaServer:
    """A server without any collection."""
    running.empty()
    return running


class TestInAFolder(IndexContract):
    """I1-I6."""

    @pytest.fixture
    def dialect(self) -> str:
        return "sqlite"

    @pytest.fixture
    def reopen(self, tmp_path: Path, record: Record) -> Reopen:
        return lambda: at(tmp_path, record)


@pytest.mark.slow
class TestOnAServer(IndexContract):
    """I1-I6 over HTTP."""

    @pytest.fixture
    def dialect(self) -> str:
        return "postgresql"

    @pytest.fixture
    def reopen(self, tmp_path: Path, server: ChromaServer, record: Record) -> Reopen:
        return lambda: at(tmp_path, record, chroma_url=server.url)


@pytest.fixture
async def index(tmp_path: Path, sqlite_record: Record) -> AsyncIterator[VectorIndex]:
    index = at(tmp_path, sqlite_record)
    await index.prepare(SCHEMA)
    yield index
    await index.aclose()


async def test_it_gives_the_hits_of_edge(tmp_path: Path, index: VectorIndex) -> None:
    """The same points and questions give the same hits as Qdrant's engine, with scores within 1e-4."""
    chance = np.random.default_rng(3)
    rows = chance.normal(size=(80, 4)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    points = [
        point(n, symptom=rows[n : n + 1], words=_some_words(chance), status="open" if n % 3 else "closed", number=n)
        for n in range(80)
    ]
    edge = EdgeIndex(tmp_path / "edge")
    await edge.prepare(SCHEMA)
    for one in (edge, index):
        await one.upsert(NAME, points)
    asked: list[tuple[str, Any]] = [("symptom", rows[n]) for n in range(9)]
    asked += [("words", _some_words(chance)) for _ in range(9)]
    for where in (None, Where(equals={"status": ["open"]}, at_least={"number": 20.5}, exclude={"number": [33]})):
        for vector, value in asked:
            ours, theirs = [
                {hit.id: hit.score for hit in await one.query(NAME, vector, value, where=where, limit=100)}
                for one in (index, edge)
            ]
            assert ours.keys() == theirs.keys()
            assert ours == pytest.approx(theirs, abs=1e-4)
    await edge.aclose()


def _some_words(chance: np.random.Generator) -> Words:
    tokens = chance.choice(30, size=6, replace=False)
    return Words(tuple(int(token) for token in tokens), tuple(float(one) for one in chance.uniform(0.5, 3, size=6)))


async def test_the_folder_has_one_owner(tmp_path: Path, sqlite_record: Record) -> None:
    """A second opening raises `HomeInUse` at once; after the first is closed it works."""
    first = at(tmp_path, sqlite_record)
    with pytest.raises(HomeInUse, match="chroma"):
        at(tmp_path, sqlite_record)
    await first.aclose()
    await at(tmp_path, sqlite_record).aclose()


@pytest.mark.parametrize("damage", ["folder", "database", "garbled", "vectors", "garbled vectors", "a part"])
async def test_a_lost_collection_starts_empty_and_says_so(tmp_path: Path, sqlite_record: Record, damage: str) -> None:
    """Whatever was removed or garbled, `prepare` answers True and the collection works again; it never stays broken."""
    index = at(tmp_path, sqlite_record)
    await index.prepare(SCHEMA)
    await index.upsert(NAME, [point(n) for n in range(1200)])  # beyond 1,000 Chroma writes vectors to files
    await index.aclose()
    _damage(tmp_path / "chroma" / "data", damage)
    index = at(tmp_path, sqlite_record)
    assert await index.prepare(SCHEMA) is True
    assert (await contents(index), await found(index, "symptom", AXES[1])) == ({}, [])
    await index.upsert(NAME, [point(1, words=Words((7,), (1.0,)))])
    assert (await found(index, "symptom", AXES[1]), await found(index, "words", Words((7,), (1.0,)))) == ([1], [1])
    assert len(await RecordWords(sqlite_record).copies(NAME)) == 1
    await index.aclose()


def _damage(data: Path, damage: str) -> None:
    if damage == "folder":
        shutil.rmtree(data)
    elif damage == "database":
        (data / "chroma.sqlite3").unlink()
    elif damage == "garbled":
        (data / "chroma.sqlite3").write_bytes(b"\0garbage" * 999)
    elif damage == "vectors":
        for folder in (path for path in data.iterdir() if path.is_dir()):
            shutil.rmtree(folder)
    elif damage == "garbled vectors":
        for file in data.glob("*/*.bin"):
            file.write_bytes(b"\0garbage")
    else:
        client = chromadb.PersistentClient(str(data), settings=ChromaSettings(_env_file=None))
        client.delete_collection(next(one.name for one in client.list_collections() if one.name.endswith(".cause")))
        client.close()  # type: ignore[attr-defined]


async def test_files_of_removed_copies_go_with_the_next_opening(tmp_path: Path, sqlite_record: Record) -> None:
    """Chroma leaves the vector files of removed collections; those of the serving and the kept copy are what stays."""
    index = at(tmp_path, sqlite_record)
    await index.prepare(SCHEMA)
    for _ in range(3):
        copy = await index.begin_rebuild(SCHEMA)
        await index.upsert(copy, [point(n) for n in range(1010)])
        await index.swap(NAME, copy)
    await index.aclose()
    data = tmp_path / "chroma" / "data"
    assert len([path for path in data.iterdir() if path.is_dir()]) == 6  # payloads and symptoms of three copies
    index = at(tmp_path, sqlite_record)
    assert await index.prepare(SCHEMA) is False
    assert len([path for path in data.iterdir() if path.is_dir()]) == 4
    assert len(await found(index, "symptom", AXES[1], limit=5)) == 5
    await index.aclose()


async def test_a_new_filter_field_holds_for_old_points(index: VectorIndex) -> None:
    """A field that becomes one to filter by finds what was stored before, by vector and by word."""
    await index.upsert(NAME, [point(n, words=Words((5,), (1.0,)), company="ab"[n % 2]) for n in range(4)])
    with pytest.raises(InvalidRequest, match="status, tags, number, updated_at"):
        await index.count(NAME, Where(equals={"company": ["a"]}))
    await index.prepare(replace(SCHEMA, filters={**SCHEMA.filters, "company": "keyword"}))
    where = Where(equals={"company": ["a"]})
    assert await index.count(NAME, where) == 2
    assert sorted(await found(index, "symptom", AXES[0], where=where)) == [0, 2]
    assert sorted(await found(index, "words", Words((5,), (1.0,)), where=where)) == [0, 2]


async def test_a_filter_holds_while_entries_disagree(index: VectorIndex, tmp_path: Path) -> None:
    """Where a crash left the vectors' filter fields behind, what the payload says is what counts."""
    await index.upsert(NAME, [point(1, status="open"), point(5, status="open")])
    copies = index._chroma.copies  # type: ignore[attr-defined]
    live = copies.known(NAME)
    live.points.update(ids=[str(uid(1))], metadatas=[{"status": ["closed"]}])
    live.points.delete(ids=[str(uid(5))])
    assert await found(index, "symptom", AXES[1], where=Where(equals={"status": ["open"]})) == []
    assert await found(index, "symptom", AXES[1], where=Where(exclude={"status": ["open"]})) == []


async def test_odd_texts_survive(index: VectorIndex) -> None:
    """NUL, half surrogate pairs and long values come back in the payload, and can be filtered by."""
    odd = {"n": 1, "status": "a\0b", "tags": ["\ud800x", "long" * 5000], "more": {"deep": [None, 1.5, "\udfff"]}}
    await index.upsert(NAME, [Point(id=uid(1), vectors={}, words={"words": Words((1,), (1.0,))}, payload=odd)])
    assert await index.retrieve(NAME, [uid(1)]) == {uid(1): odd}
    for field, value in (("status", "a\0b"), ("tags", "\ud800x"), ("tags", "long" * 5000)):
        where = Where(equals={field: [value]})
        assert (await index.count(NAME, where), await found(index, "words", Words((1,), (1.0,)), where=where)) == (
            1,
            [1],
        )


async def test_a_foreign_collection_is_left_alone(tmp_path: Path, sqlite_record: Record) -> None:
    """A collection of our name that is not ours raises `IndexMismatch` and is not touched."""
    client = chromadb.PersistentClient(str(tmp_path / "chroma" / "data"), settings=ChromaSettings(_env_file=None))
    client.create_collection(f"{NAME}__serving", metadata={"theirs": "1"}, embedding_function=None)
    client.close()  # type: ignore[attr-defined]
    index = at(tmp_path, sqlite_record)
    with pytest.raises(IndexMismatch, match="did not make"):
        await index.prepare(SCHEMA)
    await index.aclose()


@pytest.mark.parametrize("name", ["", "../up", "a/b", "Upper", "_x", "a__b", "a_"])
async def test_a_collection_name_is_a_plain_word(index: VectorIndex, name: str) -> None:
    """Names that could mean another collection are refused."""
    with pytest.raises(InvalidRequest):
        await index.prepare(replace(SCHEMA, collection=name))


async def test_closed_means_closed(index: VectorIndex) -> None:
    """After `aclose`, which may be repeated, calls raise `IndexUnavailable`."""
    await index.aclose()
    await index.aclose()
    with pytest.raises(IndexUnavailable):
        await index.count(NAME)


async def test_queries_run_beside_upserts_and_swaps(index: VectorIndex) -> None:
    """While batches are written and copies swapped, every query sees a whole copy and never fails."""
    await index.upsert(NAME, [point(n) for n in range(40)])
    done = asyncio.Event()

    async def read() -> set[int]:
        seen = set()
        while not done.is_set():
            seen.add(await index.count(NAME))
            assert len(await found(index, "symptom", AXES[0], limit=100)) == 40
        return seen

    readers = [asyncio.create_task(read()) for _ in range(3)]
    for _ in range(3):
        copy = await index.begin_rebuild(SCHEMA)
        for start in range(0, 40, 10):
            await index.upsert(copy, [point(n) for n in range(start, start + 10)])
        await index.swap(NAME, copy)
    done.set()
    assert await asyncio.gather(*readers) == [{40}, {40}, {40}]


# --------------------------------------------------------------------------------------------------------- the server


async def test_a_swap_by_another_process_shows(tmp_path: Path, server: ChromaServer, sqlite_record: Record) -> None:
    """Readers of another process see the new copy within seconds; writers of the old model are refused."""
    now = [0.0]
    settings = Settings(_env_file=None, home=tmp_path, index="chroma", chroma_url=server.url)
    words = RecordWords(sqlite_record)
    other = open_chroma(settings, words, timing=Timing(monotonic=lambda: now[0]))
    index = open_chroma(settings, words)
    await index.prepare(SCHEMA)
    assert await other.prepare(SCHEMA) is True
    await other.upsert(NAME, [point(1)])
    for _ in range(2):  # the second swap removes what `other` still means
        copy = await index.begin_rebuild(replace(SCHEMA, embedder="model-b"))
        await index.upsert(copy, [point(2), point(3)])
        await index.swap(NAME, copy)
    assert await other.count(NAME) == 2
    now[0] += 3
    assert await contents(other) == {2: {"n": 2}, 3: {"n": 3}}
    with pytest.raises(IndexMismatch, match="model-b"):
        await other.upsert(NAME, [point(4)])
    for one in (index, other):
        await one.aclose()


async def test_many_processes_prepare_one_collection(
    tmp_path: Path, server: ChromaServer, sqlite_record: Record
) -> None:
    """Processes that start at once agree on one copy, and what each writes then is there."""
    indexes = [at(tmp_path, sqlite_record, chroma_url=server.url) for _ in range(4)]
    await asyncio.gather(*(index.prepare(SCHEMA) for index in indexes))
    for number, index in enumerate(indexes):
        await index.upsert(NAME, [point(number)])
    assert await contents(indexes[0]) == {n: {"n": n} for n in range(4)}
    assert len(await RecordWords(sqlite_record).copies(NAME)) == 1
    for index in indexes:
        await index.aclose()


@pytest.mark.parametrize("url", ["http://", "ftp://chroma", "http://user:pass@chroma", "http://chroma:x", "chroma?a=b"])
async def test_an_address_that_is_none_is_named(tmp_path: Path, sqlite_record: Record, url: str) -> None:
    """CHROMA_URL is checked before anything is asked; the sentence names it and not what stands in it."""
    with pytest.raises(SettingInvalid, match="CHROMA_URL") as refused:
        at(tmp_path, sqlite_record, chroma_url=url)
    assert "pass" not in refused.value.message


async def test_a_stranger_and_a_silent_server_are_told_apart(tmp_path: Path, sqlite_record: Record) -> None:
    """What is no Chroma, what does not answer, and what is not there: each has its own sentence with the address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps({"title": "something else"})
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    stranger = await asyncio.start_server(answer, "127.0.0.1", 0)
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as gone:
        ports = [stranger.sockets[0].getsockname()[1], silent.getsockname()[1], gone.getsockname()[1]]
        gone.close()
        expected = [(WrongProduct, "is no Chroma server"), (IndexUnavailable, "did not answer in time")]
        expected.append((IndexUnavailable, "cannot be reached"))
        for port, (kind, sentence) in zip(ports, expected, strict=True):
            place = Server(f"http://127.0.0.1:{port}", shown=f"127.0.0.1:{port}", timeout=0.3)
            index = ChromaIndex(place, RecordWords(sqlite_record))
            with pytest.raises(kind, match=f"127.0.0.1:{port} {sentence}"):
                await index.prepare(SCHEMA)
            await index.aclose()
    stranger.close()
    await stranger.wait_closed()
