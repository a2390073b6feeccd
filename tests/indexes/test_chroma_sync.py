"""The whole flow with Chroma: runs, search, a reindex, damage that is found and mended, a server that is killed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import chromadb
import pytest
from chromadb.config import Settings as ChromaSettings
from sqlalchemy import delete, select
from tests.fakes import FakeEmbedder
from tests.indexes.chroma_server import ChromaServer
from tests.rig import Install, Rig, rig

from deskloom import documents
from deskloom.errors import RecordUnavailable
from deskloom.indexes.chroma_open import open_chroma
from deskloom.indexes.chroma_points import PAYLOAD
from deskloom.protocols import WordEntry
from deskloom.record import open_record, tables
from deskloom.record.words import RecordWords
from deskloom.sandbox.freshdesk.desk import Desk
from deskloom.sandbox.freshdesk.edits import perform
from deskloom.sandbox.generate import generate
from deskloom.search import Query


def a_desk() -> Desk:
    desk = generate(seed=2, tickets=30, articles=6)
    desk.clock.advance(3600)
    return desk


@pytest.fixture
async def made(install: Install) -> AsyncIterator[Rig]:
    async with install(a_desk(), index="chroma", publish_batch=8) as made:
        yield made


async def test_a_sync_fills_chroma_and_the_next_writes_nothing(made: Rig) -> None:
    """Source, record and index agree, deeply too; a second sync, in a new process, embeds nothing; search answers."""
    for stream in ("tickets", "kb"):
        assert (await made.sync(stream)).state == "succeeded"
    assert await made.differences() == []
    before = made.embedder.texts
    await made.reopen()
    for stream in ("tickets", "kb"):
        assert (await made.sync(stream)).counts["indexed"] == 0
    assert made.embedder.texts == before
    assert await verified(made) == {}
    subject = await a_subject(made)
    by_word = await made.app.search.search(Query(text=subject, collections=("tickets",), mode="keyword"))
    both = await made.app.search.search(Query(text=subject, collections=("tickets",)))
    assert [(found[0].title, found[0].matched) for found in (by_word, both)] == [
        (subject, ("keyword",)),
        (subject, ("symptom_vec", "cause_vec", "resolution_vec", "keyword")),
    ]
    status = both[0].payload["status"]
    found = await made.app.search.search(Query(text=subject, internal=False, filters={"status": [status]}))
    assert {hit.payload["status"] for hit in found} == {status}


async def test_a_reindex_takes_over_with_its_words(made: Rig) -> None:
    """Another model is built beside the serving one and swapped in; the old one is kept and can serve again."""
    made.models["bge-m3"] = FakeEmbedder(name="other", dimensions=16)
    for stream in ("tickets", "kb"):
        await made.sync(stream)
    subject = await a_subject(made)
    for choice, options, models in (
        ("bge-m3", {}, ("other", "fake")),
        ("minilm", {"back": True}, ("fake", "other")),
    ):
        run = await made.app.dispatcher.submit(
            source="*", stream=documents.TICKETS, mode="reindex", options={"embedder": {"kind": choice}, **options}
        )
        await made.app.dispatcher.wait(run.id)
        assert ((await made.run(run)).state, (await made.run(run)).errors) == ("succeeded", [])
        serving = await made.app.index.schema(documents.TICKETS)
        kept = await made.app.index.previous(documents.TICKETS)
        assert (serving and serving.embedder, kept and kept.embedder) == models
        assert (await made.differences(), await verified(made)) == ([], {})
        found = await made.app.search.search(Query(text=subject, collections=("tickets",), mode="keyword"))
        assert found[0].title == subject


async def test_verify_finds_and_mends_damage(made: Rig) -> None:
    """What was removed, changed or added in Chroma or in the words is named for what it is, and mended."""
    for stream in ("tickets", "kb"):
        await made.sync(stream)
    ids = [str(id) async for batch in made.app.index.scroll(documents.TICKETS) for id, _ in batch]
    await made.close()
    with opened(made.settings.home) as client:
        points, symptoms = _parts(client, documents.TICKETS)
        payloads = points.get(ids=ids[:4], include=["metadatas"])
        held = {
            id: json.loads(str(own[PAYLOAD])) for id, own in zip(payloads["ids"], payloads["metadatas"], strict=True)
        }
        points.delete(ids=[ids[0]])
        _write(points, ids[1], held[ids[1]] | {"hash": "0" * 64})
        _write(points, ids[2], held[ids[2]] | {"subject": "Something else"})
        symptoms.delete(ids=[ids[3]])
        position = points.get(ids=[ids[1]], include=["embeddings"])["embeddings"]
        stranger, orphan = str(UUID(int=0)), held[ids[1]] | {"source": "gone"}
        orphaned = str(documents.point_id(documents.TICKETS, "gone", str(orphan["ticket_id"]), ""))
        for id, payload in ((stranger, {}), (orphaned, orphan)):
            points.upsert(ids=[id], embeddings=position, metadatas=[{PAYLOAD: json.dumps(payload)}])
    await made.open()
    async with made.app.record.transaction() as tx:
        wordless = select(tables.word_points.c.id).where(tables.word_points.c.point == UUID(ids[4]))
        await tx.execute(delete(tables.word_postings).where(tables.word_postings.c.point.in_(wordless)))
    damage = {
        ids[0]: "missing",
        ids[1]: "stale",
        ids[2]: "payload",
        ids[3]: "payload",
        ids[4]: "payload",
        stranger: "extra",
        orphaned: "orphaned",
    }
    assert await verified(made) == damage
    assert await verified(made, repair=True) == damage
    assert (await verified(made), await made.differences()) == ({}, [])


@pytest.mark.parametrize("lost", ["words", "chroma"])
async def test_a_lost_half_is_filled_again(made: Rig, lost: str) -> None:
    """If the words are gone, or all of Chroma is, the next sync writes everything again, from cached vectors."""
    for stream in ("tickets", "kb"):
        await made.sync(stream)
    before = made.embedder.texts
    if lost == "words":
        async with made.app.record.transaction() as tx:
            for table in (tables.word_postings, tables.word_points, tables.word_lists):
                await tx.execute(delete(table))
        await made.close()
    else:
        await made.close()
        with opened(made.settings.home) as client:
            for collection in client.list_collections():
                client.delete_collection(collection.name)
    await made.open()
    for stream in ("tickets", "kb"):
        await made.sync(stream)
    assert (made.embedder.texts, await made.differences(), await verified(made)) == (before, [], {})
    if lost == "chroma":
        copies = await RecordWords(made.app.record).copies(documents.TICKETS)
        assert [name.startswith(f"{documents.TICKETS}__") for name in copies] == [True]


class Failing(RecordWords):
    """Fails at one of its writes: what a process that dies there leaves behind."""

    left = 1 << 30

    def _spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise RecordUnavailable("The database is away.")

    async def put(self, copy: str, entries: Sequence[WordEntry]) -> None:
        self._spend()
        await super().put(copy, entries)

    async def set_fields(self, copy: str, fields: Mapping[UUID, Mapping[str, Sequence[str | int]]]) -> None:
        self._spend()
        await super().set_fields(copy, fields)

    async def delete(self, copy: str, ids: Sequence[UUID]) -> None:
        self._spend()
        await super().delete(copy, ids)


async def test_an_end_between_the_halves_is_made_good(made: Rig) -> None:
    """Wherever between Chroma and the words a run ends, what is half done is not taken for published: the next run
    does it again, and all agree, also where the text went back to what was published before."""
    ticket = dict(next(row for row in made.desk.tickets if not row.get("deleted") and not row.get("spam")))
    await made.close()
    record = open_record(made.settings.record_url())
    words = Failing(record)
    made.index = open_chroma(made.settings, words)
    await made.open()
    steps: list[tuple[int, dict[str, Any]]] = [
        (2, {}),  # writes of words until one fails, and what changes before
        (99, {}),
        (0, {"subject": "Smoke in the server room"}),
        (99, {"subject": ticket["subject"]}),
        (0, {"status": 5}),
        (99, {"status": 2}),
    ]
    for writes, change in steps:
        words.left = writes
        made.desk.clock.advance(60)
        if change:
            perform(made.desk, {"method": "PUT", "path": f"tickets/{ticket['id']}", "body": change})
        assert (await made.sync()).state == ("succeeded" if writes == 99 else "failed")
        if writes == 99:
            assert await verified(made) == {}
    await made.sync("kb")
    assert await made.differences() == []
    await made.close()
    await record.aclose()


async def test_a_server_that_is_killed_in_mid_run(tmp_path: Path) -> None:
    """The run ends with a sentence that names the server; once it is back, the next run does the rest."""
    with ChromaServer(tmp_path / "chroma") as server:
        settings = {"index": "chroma", "chroma_url": server.url, "retries": 0, "publish_batch": 6}
        async with rig(a_desk(), tmp_path / "home", **settings) as made:
            await made.sync("kb")
            server.kill()
            failed = await made.sync("tickets")
            assert failed.state == "failed"
            assert f"Chroma at 127.0.0.1:{server.port} cannot be reached." in failed.errors[-1]
            server.start()
            assert (await made.sync("tickets")).state == "succeeded"
            assert (await made.differences(), await verified(made)) == ([], {})


async def verified(made: Rig, *, repair: bool = False) -> dict[str, str]:
    """What a deep verify found in the tickets' index: id → what is wrong."""
    run = await made.app.dispatcher.submit(
        source="*", stream="verify", mode="verify", options={"deep": True, "repair": repair}
    )
    await made.app.dispatcher.wait(run.id)
    report = (await made.run(run)).report or {}
    assert report["agree"] is (repair or not any(told["items"] for told in report["collections"].values()))
    return {item["id"]: item["what"] for told in report["collections"].values() for item in told["items"]}


async def a_subject(made: Rig) -> str:
    async for batch in made.app.index.scroll(documents.TICKETS, ["subject"]):
        return str(batch[0][1]["subject"])
    raise AssertionError("the index is empty")


@contextmanager
def opened(home: Path) -> Iterator[Any]:
    """The folder, opened behind Deskloom's back."""
    settings = ChromaSettings(_env_file=None, anonymized_telemetry=False)
    client: Any = chromadb.PersistentClient(str(home / "chroma" / "data"), settings=settings)
    try:
        yield client
    finally:
        client.close()


def _parts(client: Any, collection: str) -> tuple[Any, Any]:
    pointer = client.get_collection(f"{collection}__serving", embedding_function=None).metadata["deskloom"]
    live = json.loads(pointer)["live"]
    return tuple(client.get_collection(name, embedding_function=None) for name in (live, f"{live}.symptom_vec"))


def _write(points: Any, id: str, payload: Any) -> None:
    points.update(ids=[id], metadatas=[{PAYLOAD: json.dumps(payload)}])
