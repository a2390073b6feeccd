"""Reindex: another model, or another copy, without a moment in which search is empty, half full or wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np
from tests.fakes import FakeEmbedder, WeighingEmbedder
from tests.rig import Install, Rig

from deskloom import documents
from deskloom.protocols import Purpose, Vectors
from deskloom.record import collections, embeddings, rebuilds, tables
from deskloom.record import documents as record_documents
from deskloom.record.runs import Run
from deskloom.sandbox.clock import Clock
from deskloom.sandbox.freshdesk.desk import Desk
from deskloom.sandbox.generate import generate
from deskloom.search import Query
from deskloom.sync.reindex import Rebuild
from deskloom.sync.runs import ActiveRun

OTHER = {"kind": "bge-m3"}


class TellingEmbedder(FakeEmbedder):
    """A fake that says when it has embedded twenty texts."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self.worked = asyncio.Event()

    async def embed(self, texts: Sequence[str], purpose: Purpose = "document") -> Vectors:
        rows = await super().embed(texts, purpose)
        if self.texts >= 20:
            self.worked.set()
        return rows


def small(seed: int = 3) -> Desk:
    return generate(seed=seed, tickets=30, articles=6, clock=Clock())


def edit(made: Rig, alive: Sequence[int]) -> None:
    """Another subject for the first ticket, and the second deleted, some time ago."""
    address = f"{made.settings.freshdesk_domain}/api/v2"
    with httpx.Client(base_url=address, auth=(made.desk.key, "X")) as web:
        web.put(f"/tickets/{alive[0]}", json={"subject": "The lamp of the projector has burnt out"}).raise_for_status()
        web.delete(f"/tickets/{alive[1]}").raise_for_status()
    made.desk.clock.advance(60)


async def fill(made: Rig) -> None:
    for stream in ("tickets", "kb"):
        assert (await made.sync(stream)).state == "succeeded"


async def start(made: Rig, collection: str = documents.TICKETS, **options: Any) -> Run:
    return await made.app.dispatcher.submit(
        source="*", stream=collection, mode="reindex", options={"embedder": OTHER, **options}
    )


async def reindexed(made: Rig, collection: str = documents.TICKETS, **options: Any) -> Run:
    run = await start(made, collection, **options)
    await made.app.dispatcher.wait(run.id)
    return await made.run(run)


def first_subject(made: Rig) -> tuple[int, str]:
    row = next(row for row in made.desk.tickets if not row.get("deleted") and not row.get("spam"))
    return row["id"], row["subject"]


async def test_another_model_takes_over_and_nothing_is_lost(install: Install) -> None:
    """After the exchange every point is of the new model, of another width, and a later sync writes nothing."""
    async with install(small()) as made:
        made.models["bge-m3"] = FakeEmbedder(dimensions=48, name="other")
        await fill(made)
        run = await reindexed(made)
        assert (run.state, run.errors) == ("succeeded", [])
        schema = await made.app.index.schema(documents.TICKETS)
        assert schema is not None
        assert (schema.embedder, schema.dimensions) == ("other", 48)
        assert await made.differences() == []
        embedded = made.models["bge-m3"].texts
        again = await made.sync("tickets")
        assert (again.counts["embedded"], again.counts["indexed"]) == (0, 0)
        assert (run.counts["embedded"], made.models["bge-m3"].texts - embedded) == (embedded, 0)


async def test_search_answers_throughout(install: Install) -> None:
    """Not one question asked while the copy is built and exchanged stays without its answer."""
    async with install(small()) as made:
        made.models["bge-m3"] = FakeEmbedder(dimensions=48, name="other")
        await fill(made)
        ticket, subject = first_subject(made)
        run = await start(made)
        answers = []
        while run.id in made.app.dispatcher.tasks:
            found = await made.app.search.search(Query(text=subject, collections=["tickets"], limit=30))
            answers.append(str(ticket) in [hit.id for hit in found])
        assert (all(answers), len(answers) > 3) == (True, True)


async def test_changes_that_arrive_meanwhile_are_taken_in(install: Install) -> None:
    """Edits, deletions and new tickets that a sync publishes during the reindex stand in the new copy."""
    async with install(small(), publish_batch=4) as made:
        made.models["bge-m3"] = FakeEmbedder(dimensions=48, name="other")
        await fill(made)
        alive = [row["id"] for row in made.desk.tickets if not row.get("deleted") and not row.get("spam")]
        made.desk.clock.advance(120)
        edit(made, alive)
        run, _ = await asyncio.gather(start(made), made.sync("tickets"))
        await made.app.dispatcher.wait(run.id)
        assert (await made.run(run)).state == "succeeded"
        await made.sync("tickets")
        assert await made.differences() == []


async def test_an_interrupted_reindex_repeats_one_batch_at_most(install: Install) -> None:
    """What was embedded before the process ended comes from the cache when the run goes on."""
    async with install(small(), publish_batch=4) as made:
        other = made.models["bge-m3"] = TellingEmbedder(dimensions=48, name="other")
        await fill(made)
        run = await start(made)
        await other.worked.wait()
        await made.reopen()
        assert (await made.run(run)).state == "succeeded"
        assert await made.differences() == []
        cached = [row["parts"] for row in await made.rows(tables.embeddings) if row["model"] == "other"]
        assert other.texts - sum(cached) <= 4 * 3  # four tickets of a batch, each of three sections


async def test_the_replaced_copy_serves_again_for_the_price_of_what_changed(install: Install) -> None:
    """Going back writes only what changed since, and what was deleted since is not in the old copy either."""
    async with install(small()) as made:
        made.models["bge-m3"] = FakeEmbedder(dimensions=48, name="other")
        await fill(made)
        await reindexed(made)
        alive = [row["id"] for row in made.desk.tickets if not row.get("deleted") and not row.get("spam")]
        made.desk.clock.advance(120)
        edit(made, alive)
        await made.sync("tickets")
        back = await reindexed(made, embedder={"kind": "minilm"}, back=True)
        assert (back.state, back.counts["indexed"]) == ("succeeded", 1)
        schema = await made.app.index.schema(documents.TICKETS)
        assert schema is not None
        assert schema.embedder == "fake"
        assert await made.differences() == []


async def test_a_crash_between_exchange_and_record_is_settled_at_the_next_start(install: Install) -> None:
    """The index serves the new copy, the record did not hear of it: the next process finishes what was begun."""
    async with install(small()) as made:
        made.models["bge-m3"] = FakeEmbedder(dimensions=48, name="other")
        await fill(made)
        queued = await start(made)
        await made.app.dispatcher.cancel(queued.id)
        await made.app.dispatcher.wait(queued.id)
        await cut_in_two(made)
        await made.reopen()
        assert await made.differences() == []
        async with made.app.record.reading() as tx:
            known = await collections.get_collection(tx, documents.TICKETS)
        assert known is not None
        assert (known.embedder, known.state, known.rebuild) == (OTHER, "serving", None)


async def cut_in_two(made: Rig) -> None:
    """Everything a reindex does up to the exchange in the index, and nothing after it."""
    from datetime import timedelta

    from deskloom.record import runs as record_runs

    now = made.app.clock()
    async with made.app.record.transaction() as tx:
        queued = await record_runs.create_run(
            tx, source="*", stream="cut", mode="reindex", requested_by="", since=None, limit=None, now=now
        )
        run = await record_runs.take_run(tx, queued.id, owner="someone", now=now, lease_until=now + timedelta(hours=1))
    assert run is not None
    active = ActiveRun(run, record=made.app.record, clock=made.app.clock, lease=timedelta(hours=1))
    work = Rebuild(active, made.app.index, documents.TICKETS, OTHER, made.models["bge-m3"], 50)
    await work.begin(back=False)
    await work.fill()
    await work.close(5.0)
    await made.app.index.swap(documents.TICKETS, work.name)
    await active.finish("failed", error="the power failed")


async def test_a_closed_collection_is_not_claimed(install: Install) -> None:
    """Between the last look and the exchange no publisher may begin; afterwards it goes on."""
    async with install(small()) as made:
        await fill(made)
        now = made.app.clock()
        async with made.app.record.transaction() as tx:
            await record_documents.restale(tx, documents.TICKETS, now=now)
            await collections.close_collection(tx, documents.TICKETS, now=now)
        assert await claims(made) == 0
        async with made.app.record.transaction() as tx:
            await collections.note_rebuild(tx, documents.TICKETS, None, now=now)
        assert await claims(made) > 0


async def claims(made: Rig) -> int:
    from datetime import timedelta

    now = made.app.clock()
    async with made.app.record.transaction() as tx:
        return len(
            await record_documents.claim(tx, owner="someone", limit=10, until=now + timedelta(minutes=1), now=now)
        )


async def test_a_text_the_new_model_refuses_sets_one_ticket_aside(install: Install) -> None:
    """It is named, it is no longer found, and the others change over."""
    async with install(small()) as made:
        made.models["bge-m3"] = FakeEmbedder(dimensions=48, name="other", poison="plugh")
        ticket, _ = first_subject(made)
        made.desk.tickets.change(ticket, subject="xyzzy plugh")
        await fill(made)
        run = await reindexed(made)
        assert (run.state, run.errors) == (
            "partial",
            [f"Failed to process ticket {ticket}: the model cannot take this text"],
        )
        assert await made._index_against_record() == []


async def test_dropping_the_kept_copy_forgets_the_old_model(install: Install) -> None:
    """Its copy, what the record knew of it and its cached vectors are gone; those in use stay."""
    from deskloom.sync.reindex import drop_kept

    async with install(small()) as made:
        made.models["bge-m3"] = FakeEmbedder(dimensions=48, name="other")
        await fill(made)
        for collection in (documents.TICKETS, documents.ARTICLES):
            await reindexed(made, collection)
        for collection in (documents.TICKETS, documents.ARTICLES):
            await drop_kept(
                made.app.record,
                made.app.index,
                collection,
                embedder_of=made.app.models.of,
                names=(documents.TICKETS, documents.ARTICLES),
                now=made.app.clock(),
            )
        assert await made.app.index.previous(documents.TICKETS) is None
        assert {row["model"] for row in await made.rows(tables.embeddings)} == {"other"}
        async with made.app.record.reading() as tx:
            assert await rebuilds.count_copied(tx, rebuilds.kept(documents.TICKETS)) == 0


async def test_a_model_that_weighs_words_is_asked_for_them(install: Install) -> None:
    """Its weights stand in the index beside the vectors, are cached with them, and find a ticket."""
    async with install(small()) as made:
        other = made.models["bge-m3"] = WeighingEmbedder(dimensions=48, name="other")
        await fill(made)
        await reindexed(made)
        ticket, subject = first_subject(made)
        found = await made.app.search.search(Query(text=subject, collections=["tickets"]))
        assert "weights" in next(hit for hit in found if hit.id == str(ticket)).matched
        texts = other.texts
        async with made.app.record.transaction() as tx:
            await record_documents.unpublish(tx, documents.TICKETS)
            hashes = [row["hash"] for row in await made.rows(tables.embeddings) if row["model"] == "other"]
            weights = await embeddings.load_weights(tx, "other", hashes)
        assert (len(weights), np.mean([len(one.indices) for one in weights.values()]) > 1) == (len(hashes), True)
        await made.sync("tickets")
        assert (other.texts, await made.differences()) == (texts, [])
