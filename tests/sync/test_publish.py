"""Publishing: one bad item never stops the others, and says its name."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import numpy as np
from tests.fakes import FakeEmbedder
from tests.rig import Install

from deskloom.documents import TICKETS, Document
from deskloom.record.documents import Claim
from deskloom.record.engine import Record
from deskloom.sandbox.clock import Clock
from deskloom.sandbox.generate import generate
from deskloom.sync.vectors import make_vectors, text_hash


async def test_an_empty_ticket_is_recorded_not_indexed_and_named(install: Install) -> None:
    """The wording callers rely on: Failed to process ticket N: Empty content."""
    desk = generate(seed=1, tickets=5, articles=1, clock=Clock())
    ticket = next(row for row in desk.tickets if not row.get("deleted") and not row.get("spam"))
    desk.tickets.change(ticket["id"], subject="", description="<p> </p>", description_text=" ")
    for row in [row for row in desk.conversations if row["ticket_id"] == ticket["id"]]:
        desk.conversations.drop(row["id"])
    desk.clock.advance(60)
    async with install(desk) as made:
        run = await made.sync("tickets")
        assert (run.state, run.errors) == ("partial", [f"Failed to process ticket {ticket['id']}: Empty content"])
        assert await made._record_against_source() == await made._articles_against_source()
        again = await made.sync("tickets")
        assert (again.state, again.counts["fetched"]) == ("succeeded", 0)


async def test_a_text_the_model_refuses_sets_one_ticket_aside(install: Install) -> None:
    """Every other ticket of the batch is published."""
    desk = generate(seed=1, tickets=12, articles=1, clock=Clock())
    ticket = next(row for row in desk.tickets if not row.get("deleted") and not row.get("spam"))
    desk.tickets.change(ticket["id"], subject="xyzzy plugh")
    desk.clock.advance(60)
    async with install(desk) as made:
        made.embedder.poison = "plugh"
        run = await made.sync("tickets")
        assert run.state == "partial"
        assert run.errors == [f"Failed to process ticket {ticket['id']}: the model cannot take this text"]
        assert await made._index_against_record() == []


async def test_a_text_of_two_batches_is_embedded_once(record: Record) -> None:
    """A batch that waits for its turn uses what the one before it has embedded."""
    cut = threading.Semaphore(0)

    class Cutting(FakeEmbedder):
        def offsets(self, text: str) -> Sequence[tuple[int, int]]:
            cut.release()
            return super().offsets(text)

    embedder, turn = Cutting(), asyncio.Lock()
    text = "The printer says PC LOAD LETTER, whatever that means, and hums all day."
    document = Document(
        collection=TICKETS, source="desk", item_id="1", language="en", key_language="", sections={"symptom_vec": text}
    )
    claim = Claim(
        collection=TICKETS,
        source="desk",
        item_id="1",
        language="",
        version=1,
        gone=False,
        published={},
        payload_hash=None,
        embedder=None,
        rules=None,
        attempts=0,
        owner="publisher",
    )
    async with turn:
        batches = [
            asyncio.create_task(make_vectors(record, embedder, [(claim, document)], turn=turn)) for _ in range(2)
        ]
        for _ in batches:  # each has looked in vain for vectors, and cuts the text
            assert await asyncio.to_thread(cut.acquire, timeout=60)
    made = [await batch for batch in batches]
    assert (embedder.texts, sorted(one.texts for one in made)) == (1, [0, 1])
    assert np.array_equal(*(one.vectors[text_hash(text)] for one in made))
