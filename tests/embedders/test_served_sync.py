"""A whole installation whose model is behind HTTP: one poisonous text, an outage, and what they cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from benchmarks.embedding_server import EmbeddingServer, Fault
from tests.rig import Install, Rig

from deskloom.embedders.openai import PROBE
from deskloom.record import failures, tables
from deskloom.sandbox.clock import Clock
from deskloom.sandbox.freshdesk.desk import Desk
from deskloom.sandbox.generate import generate
from deskloom.search import Query


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with EmbeddingServer("tei") as server:
        yield server


@asynccontextmanager
async def served(install: Install, desk: Desk, server: EmbeddingServer) -> AsyncIterator[Rig]:
    settings: dict[str, Any] = {"embedder": "openai", "embedder_url": server.url, "embedder_model": server.model}
    async with install(desk, **settings, embedder_max_tokens=256, retries=0) as made:
        yield made


def poisoned() -> tuple[Desk, int]:
    """A help desk, and the ticket in it whose subject the model cannot take."""
    desk = generate(seed=1, tickets=12, articles=3, clock=Clock())
    ticket = next(row for row in desk.tickets if not row.get("deleted") and not row.get("spam"))
    desk.tickets.change(ticket["id"], subject="xyzzy plugh")
    desk.clock.advance(60)
    return desk, ticket["id"]


def texts(server: EmbeddingServer) -> Counter[str]:
    return Counter({text: count for text, count in server.embedded.items() if text != PROBE})


async def test_one_poisonous_text_sets_one_ticket_aside_until_it_is_retried(
    install: Install, server: EmbeddingServer
) -> None:
    """The run is partial and names the ticket; every other text is embedded once; a retry embeds that text alone."""
    desk, ticket = poisoned()
    server.faults.append(Fault("status", text="plugh", status=400))
    async with served(install, desk, server) as made:
        run = await made.sync("tickets")
        assert run.state == "partial"
        assert [error.partition(": ")[0] for error in run.errors] == [f"Failed to process ticket {ticket}"]
        assert "answered 400" in run.errors[0]
        assert "plugh" not in run.errors[0]
        assert "CONFIDENTIAL" not in run.errors[0]
        assert (set(texts(server).values()), run.counts["embedded"]) == ({1}, texts(server).total())
        assert (await made.sync("kb")).state == "succeeded"
        assert await made._index_against_record() == []
        failed = [row["item_id"] for row in await made.rows(tables.documents) if row["state"] == "failed"]
        assert failed == [str(ticket)]

        server.faults.clear()
        server.forget()
        desk.clock.advance(3600)
        async with made.app.record.transaction() as tx:
            due = await failures.retry_now(tx, None, now=desk.clock.now())
        assert [failure.key for failure in due] == [str(ticket)]
        assert (await made.sync("tickets")).state == "succeeded"
        assert (texts(server).total(), ["plugh" in text for text in texts(server)]) == (1, [True])
        assert await made.differences() == []


async def test_a_server_that_is_down_ends_the_run_and_loses_nothing(install: Install, server: EmbeddingServer) -> None:
    """Everything is read while the model is away; what is indexed is found by word, and a later run embeds the rest."""
    desk, _ = poisoned()
    async with served(install, desk, server) as made:
        assert (await made.sync("kb")).state == "succeeded"
        server.stop()
        run = await made.sync("tickets")
        assert (run.state, run.counts["embedded"]) == ("failed", 0)
        assert f"The embedding server 127.0.0.1:{server.port} cannot be reached" in run.errors[-1]
        await made.reopen()
        assert await made.app.search.search(Query(text="reset password", mode="keyword", limit=3))
        server.start()
        assert (await made.sync("tickets")).state == "succeeded"
        assert await made.differences() == []


async def test_another_model_at_the_same_address_is_refused_after_a_restart(
    install: Install, server: EmbeddingServer
) -> None:
    """Its vectors would not fit those in the index: the run fails and says so, and nothing is published."""
    desk, _ = poisoned()
    async with served(install, desk, server) as made:
        assert (await made.sync("tickets")).state == "succeeded"
        await made.close()
        server.seed = "another model"
        await made.open()
        desk.tickets.change(next(iter(desk.tickets))["id"], subject="The lamp has burnt out", updated_at=desk.stamp())
        desk.clock.advance(60)
        server.forget()
        for _ in range(2):
            run = await made.sync("tickets")
            assert (run.state, run.counts["embedded"], texts(server).total()) == ("failed", 0, 0)
        server.seed = ""
        assert (await made.sync("tickets")).state == "succeeded"
        assert await made._record_against_source() == await made._articles_against_source()
