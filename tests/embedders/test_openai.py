"""The embedder behind HTTP: the contract against every kind of server, and every way a server fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from benchmarks.embedding_server import Dialect, EmbeddingServer, Fault
from tests.contracts.embedder import EmbedderContract
from tests.http.fault_server import FakeTime

from deskloom.embedders.openai import PROBE, HttpEmbedder, batches, open_openai, same_model
from deskloom.errors import CredentialsRefused, EmbedderUnavailable, SettingInvalid, TextsRefused, Unreadable

TEXTS = [f"order {number} has not arrived" for number in range(70)]


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with EmbeddingServer() as server:
        yield server


@pytest.fixture
def clock() -> FakeTime:
    return FakeTime()


@asynccontextmanager
async def opened(server: EmbeddingServer, clock: FakeTime | None = None, **options: Any) -> AsyncIterator[HttpEmbedder]:
    """An embedder at the server, whose counters then start at nothing."""
    timing = (clock or FakeTime()).timing()
    embedder = await open_openai(server.url, server.model, timing=timing, **options)
    server.forget()
    try:
        yield embedder
    finally:
        await embedder.aclose()


async def direct(texts: list[str], **options: Any) -> np.ndarray:
    """The vectors of a server without faults."""
    with EmbeddingServer(**options) as server:
        async with opened(server) as embedder:
            return await embedder.embed(texts)


@pytest.mark.parametrize(
    "server",
    [
        EmbeddingServer("openai", key="sk-right"),
        EmbeddingServer("openai", as_base64=True),
        EmbeddingServer("tei"),
        EmbeddingServer("ollama"),
        EmbeddingServer("vllm"),
    ],
    ids=["openai", "base64", "tei", "ollama", "vllm"],
)
class TestHttp(EmbedderContract):
    """E1-E3, with vectors that are not of unit length and in no order."""

    @pytest.fixture
    async def embedder(self, server: EmbeddingServer) -> AsyncIterator[HttpEmbedder]:
        with server:
            async with opened(server, api_key=server.key) as embedder:
                yield embedder


# ------------------------------------------------------------------------------------------------------ first contact


@pytest.mark.parametrize(
    ("dialect", "asked"),
    [
        ("openai", {"/info": 1, "/v1/models": 1, "/api/show": 1}),
        ("tei", {"/info": 1}),
        ("vllm", {"/info": 1, "/v1/models": 1}),
        ("ollama", {"/info": 1, "/v1/models": 1, "/api/show": 1}),
    ],
)
async def test_width_and_limits_come_from_the_server(dialect: Dialect, asked: dict[str, int]) -> None:
    """One probe tells the width; the limit is what the server says, else the setting, else 512."""
    with EmbeddingServer(dialect, dimensions=48, max_tokens=300) as server:
        for setting in (None, 128):
            server.forget()
            embedder = await open_openai(server.url + "/v1/", server.model, max_tokens=setting)
            told = setting or (512 if dialect == "openai" else 300)
            assert (embedder.name, embedder.dimensions, embedder.max_tokens) == ("openai:stub-embed@48", 48, told)
            assert (server.requests, dict(server.embedded), dict(server.asked)) == (1, {PROBE: 1}, asked)
            await embedder.aclose()


async def test_a_wrong_key_and_a_wrong_model_say_so_at_once(clock: FakeTime) -> None:
    """401 and 404 are not tried again; the sentence names host and setting, and never the key."""
    with EmbeddingServer(key="sk-right") as server:
        with pytest.raises(CredentialsRefused, match="DESKLOOM_EMBEDDER_API_KEY") as refused:
            await open_openai(server.url, server.model, api_key="sk-wrong", timing=clock.timing())
        with pytest.raises(SettingInvalid, match="DESKLOOM_EMBEDDER_MODEL") as missing:
            await open_openai(server.url, "no-such-model", api_key="sk-right", timing=clock.timing())
        for error in (refused.value, missing.value):
            assert f"127.0.0.1:{server.port}" in error.message
            assert "sk-" not in error.message
        assert (server.requests, clock.sleeps) == (2, [])


async def test_a_server_that_is_down_stops_the_opening_unless_its_width_is_known(clock: FakeTime) -> None:
    """With the width known, the first use raises; once the server is up, the next use learns the rest."""
    server = EmbeddingServer("tei", max_tokens=300)
    with server:
        pass
    with pytest.raises(EmbedderUnavailable, match=r"cannot be reached after 2 tries"):
        await open_openai(server.url, server.model, timing=clock.timing())
    embedder = await open_openai(server.url, server.model, dimensions=64, timing=clock.timing())
    assert (embedder.name, embedder.max_tokens) == ("openai:stub-embed@64", 512)
    with pytest.raises(EmbedderUnavailable):
        await embedder.embed(["text"])
    with server:
        assert (await embedder.embed(["text"])).shape == (1, 64)
        assert (embedder.max_tokens, server.sizes) == (300, [1, 1])
    await embedder.aclose()


async def test_a_server_that_came_back_with_another_model_is_refused(clock: FakeTime) -> None:
    """Only after an outage the probe is sent again; other vectors for it mean another model, whatever its name."""
    server = EmbeddingServer()
    with server:
        embedder = await open_openai(server.url, server.model, retries=0, timing=clock.timing())
    with pytest.raises(EmbedderUnavailable, match="cannot be reached"):
        await embedder.embed(["text"])
    server.forget()
    with server:
        await embedder.embed(["text"])
        await embedder.embed(["text"])
        assert dict(server.embedded) == {PROBE: 1, "text": 2}
    with pytest.raises(EmbedderUnavailable, match="cannot be reached"):
        await embedder.embed(["text"])
    server.seed = "other"
    with server:
        for _ in range(2):
            with pytest.raises(EmbedderUnavailable, match="serves another model"):
                await embedder.embed(["text"])
    await embedder.aclose()


async def test_another_model_since_the_index_was_made_is_refused(server: EmbeddingServer, clock: FakeTime) -> None:
    """At once if the server is up; if it was down, at its first use."""
    with EmbeddingServer(seed="other") as other:
        async with opened(server) as embedder, opened(other) as stranger:
            assert embedder.probe is not None
            embedder.expect(embedder.probe)
            await embedder.embed(["text"])
            with pytest.raises(EmbedderUnavailable, match="serves another model"):
                stranger.expect(embedder.probe)
            server.stop()
            late = await open_openai(server.url, server.model, dimensions=64, timing=clock.timing())
            late.expect(embedder.probe)
            server.seed = "other"
            server.start()
            with pytest.raises(EmbedderUnavailable, match="serves another model"):
                await late.embed(["text"])
            await late.aclose()


@pytest.mark.parametrize(("distance", "same"), [(1e-4, True), (1e-3, True), (0.1, False)])
def test_rounding_is_the_same_model_and_quantization_is_not(distance: float, same: bool) -> None:
    """Vectors of 1,024 numbers may differ by 1e-3 in length of the difference, not by 0.1 (cosine 0.995)."""
    random = np.random.default_rng(1)
    first, noise = random.normal(size=(2, 1024)).astype(np.float32)
    first /= np.linalg.norm(first)
    second = first + noise / np.linalg.norm(noise) * distance
    assert same_model(first, second / np.linalg.norm(second)) is same


# ------------------------------------------------------------------------------------------------------------ batches


async def test_texts_go_out_in_batches_a_few_at_a_time(server: EmbeddingServer) -> None:
    """At most 32 texts a request and `concurrency` requests at a time, each text once."""
    server.latency = 0.02
    async with opened(server, concurrency=2) as embedder:
        vectors = await embedder.embed(TEXTS * 3)
        assert sorted(server.sizes) == [18, 32, 32, 32, 32, 32, 32]
        assert (server.most_at_once, server.embedded.total()) == (2, 210)
        assert np.abs(vectors - await direct(TEXTS * 3)).max() < 1e-5


async def test_a_query_does_not_wait_for_documents(server: EmbeddingServer) -> None:
    """With every slot taken by documents that hang, a query is answered."""
    async with opened(server, concurrency=1, retries=0, timeout=timedelta(seconds=0.5)) as embedder:
        server.faults.append(Fault("hang", text="order"))
        documents = asyncio.create_task(embedder.embed(["order 1"]))
        await asyncio.to_thread(server.arrived.wait)
        assert (await embedder.embed(["question"], "query")).shape == (1, 64)
        assert not documents.done()
        documents.cancel()
        await asyncio.gather(documents, return_exceptions=True)


@pytest.mark.parametrize("lengths", [[], [5], [9000], [10, 8000, 300, 8000, 7], list(range(2, 500))])
def test_batches_hold_each_text_once_within_both_limits(lengths: list[int]) -> None:
    """Every place is in one batch of at most 32 texts and 8,192 tokens, or alone; the longest come first."""
    found = list(batches(lengths))
    assert sorted(place for batch in found for place in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or (len(batch) <= 32 and sum(lengths[i] for i in batch) <= 8192) for batch in found)
    assert [lengths[place] for batch in found for place in batch] == sorted(lengths, reverse=True)


# --------------------------------------------------------------------------------------------- what passes by itself


@pytest.mark.parametrize(
    ("fault", "sleeps"),
    [
        (Fault("status", 2, status=500), [1.0, 2.0]),
        (Fault("status", 1, status=503, retry_after="9"), [9.0]),
        (Fault("status", 3, status=429, retry_after="7"), [7.0, 7.0, 7.0]),
        (Fault("status", 2, status=429), [1.0, 2.0]),
        (Fault("reset"), [1.0]),
        (Fault("truncate"), [1.0]),
        (Fault("html"), [1.0]),
        (Fault("hang"), [1.0]),
    ],
    ids=lambda value: value.kind + str(value.status) if isinstance(value, Fault) else None,
)
async def test_faults_that_pass_cost_a_try_each(
    server: EmbeddingServer, clock: FakeTime, fault: Fault, sleeps: list[float]
) -> None:
    """The same request is sent again after a growing wait, never shorter than the server asked for."""
    async with opened(server, clock, timeout=timedelta(seconds=0.3)) as embedder:
        server.faults.append(fault)
        vectors = await embedder.embed(TEXTS[:3])
        assert np.abs(vectors - await direct(TEXTS[:3])).max() < 1e-5
        assert (clock.sleeps, server.sizes) == (sleeps, [3] * (len(sleeps) + 1))
        assert set(server.embedded.values()) == {1}


async def test_a_rate_limit_holds_back_all_requests(server: EmbeddingServer, clock: FakeTime) -> None:
    """After one 429 the other batches wait as well, instead of each running into it."""
    async with opened(server, clock, concurrency=1) as embedder:
        server.faults.append(Fault("status", status=429, retry_after="30"))
        await embedder.embed(TEXTS[:64])
        assert (server.sizes, clock.sleeps) == ([32, 32, 32], [30.0])


async def test_a_query_does_not_sit_out_a_long_rate_limit(server: EmbeddingServer, clock: FakeTime) -> None:
    """Someone waits for it: it fails at once, and tells when it may be asked again."""
    async with opened(server, clock) as embedder:
        server.faults.append(Fault("status", status=429, retry_after="60"))
        with pytest.raises(EmbedderUnavailable, match="limits its rate") as failed:
            await embedder.embed(["question"], "query")
        assert (failed.value.retry_after, clock.sleeps) == (timedelta(seconds=60), [])


async def test_an_account_without_money_is_no_rate_limit(server: EmbeddingServer, clock: FakeTime) -> None:
    """OpenAI says 429 to that too; waiting does not help, so nothing waits."""
    async with opened(server, clock) as embedder:
        server.faults.append(Fault("status", status=429, code="insufficient_quota"))
        with pytest.raises(EmbedderUnavailable, match="top it up"):
            await embedder.embed(["text"])
        assert (clock.sleeps, server.requests) == ([], 1)


# -------------------------------------------------------------------------------------------- servers that are broken


@pytest.mark.parametrize(
    ("fault", "requests", "sentence"),
    [
        (Fault("status", 99, status=503), 4, "answered 503 after 4 tries"),
        (Fault("html", 99), 4, "sent an HTML page instead of vectors after 4 tries"),
        (Fault("count"), 1, "sent 2 vectors for 3 texts"),
        (Fault("twice"), 1, "numbered its vectors so that they cannot be told apart"),
        (Fault("ragged"), 1, "sent vectors of widths 63, 64 in one answer"),
        (Fault("words"), 1, "sent vectors that are not numbers"),
        (Fault("width"), 1, "answers with vectors of width 63"),
        # A text may be at fault, so the probe is asked: it fails likewise, and nothing is halved.
        (Fault("status", 99, status=500), 8, "answered 500 .* even to a plain short text"),
        (Fault("status", 99, status=400), 2, "answered 400 .* even to a plain short text"),
        (Fault("reset", 99), 8, "broke the connection off after 4 tries, even to a plain short text"),
        (Fault("nan", 99), 2, "vectors that are not numbers, or zero, even to a plain short text"),
        (Fault("zero", 99), 2, "vectors that are not numbers, or zero, even to a plain short text"),
    ],
    ids=lambda value: value.kind + str(value.status) if isinstance(value, Fault) else None,
)
async def test_a_broken_server_is_named_and_no_text_is_blamed(
    server: EmbeddingServer, fault: Fault, requests: int, sentence: str
) -> None:
    """The error names the host and what it did, repeats nothing the server said, and costs so many requests."""
    async with opened(server) as embedder:
        server.faults.append(fault)
        with pytest.raises(EmbedderUnavailable, match=sentence) as failed:
            await embedder.embed(TEXTS[:3])
        assert f"127.0.0.1:{server.port}" in failed.value.message
        assert "CONFIDENTIAL" not in str(failed.value) + str(failed.value.facts)
        assert server.requests == requests


async def test_closed_means_closed(server: EmbeddingServer) -> None:
    """After `aclose`, which may be repeated, embedding raises."""
    async with opened(server) as embedder:
        await embedder.aclose()
        with pytest.raises(EmbedderUnavailable, match="closed"):
            await embedder.embed(["text"])


# --------------------------------------------------------------------------------------------------- texts at fault


@pytest.mark.parametrize(
    ("fault", "requests"),
    [
        (Fault("status", text="poison", status=400), 1 + 1 + 10),
        (Fault("status", text="poison", status=413), 1 + 1 + 10),
        (Fault("status", text="poison", status=422), 1 + 1 + 10),
        # 4 tries as a whole, 2 for each part that holds the text, the probe before and after.
        (Fault("status", text="poison", status=500), 4 + 1 + 5 * 3 + 1),
        (Fault("reset", text="poison"), 4 + 1 + 5 * 3 + 1),
        # Its place is known, so nothing is halved: the text is asked once more by itself.
        (Fault("nan", text="poison"), 1 + 1 + 1 + 1),
        (Fault("zero", text="poison"), 1 + 1 + 1 + 1),
    ],
    ids=lambda value: value.kind + str(value.status) if isinstance(value, Fault) else None,
)
async def test_one_poisonous_text_is_found_and_all_others_are_kept(
    server: EmbeddingServer, fault: Fault, requests: int
) -> None:
    """Of 32 texts one is refused, by its place; the others come with the error, embedded once each."""
    texts = TEXTS[:32]
    texts[19] = "poison for the model"
    async with opened(server) as embedder:
        server.faults.append(fault)
        with pytest.raises(TextsRefused) as refused:
            await embedder.embed(texts)
        assert (refused.value.refused.keys(), refused.value.facts["place"]) == ({19}, 19)
        assert "poison" not in str(refused.value) + str(refused.value.refused)
        assert "CONFIDENTIAL" not in str(refused.value) + str(refused.value.refused)
        others = [text for text in texts if "poison" not in text]
        assert np.abs(np.delete(refused.value.vectors, 19, 0) - await direct(others)).max() < 1e-5
        assert not refused.value.vectors[19].any()
        assert server.requests == requests
        if fault.kind not in ("nan", "zero"):  # whose 31 neighbours came with it, in an answer that counts as spoiled
            assert {text: count for text, count in server.embedded.items() if text != PROBE} == dict.fromkeys(others, 1)


async def test_several_poisonous_texts_are_all_found(server: EmbeddingServer) -> None:
    """Also when every text of a batch is refused, and when another batch is whole."""
    texts = [f"poison {number}" for number in range(32)] + [text + " at all" for text in TEXTS[:32]]
    async with opened(server) as embedder:
        server.faults.append(Fault("status", text="poison", status=400))
        with pytest.raises(TextsRefused) as refused:
            await embedder.embed(texts)
        assert refused.value.refused.keys() == set(range(32))
        assert np.abs(refused.value.vectors[32:] - await direct(texts[32:])).max() < 1e-5


async def test_a_text_alone_is_refused_without_halving(server: EmbeddingServer) -> None:
    """One request, and one to make sure that it is the text."""
    async with opened(server) as embedder:
        server.faults.append(Fault("status", text="poison", status=400))
        with pytest.raises(TextsRefused):
            await embedder.embed(["poison"], "query")
        assert server.sizes == [1, 1]


async def test_a_server_that_takes_fewer_texts_is_learned(server: EmbeddingServer) -> None:
    """When the halves go through, it was their number: later batches are as small from the start."""

    class Small(EmbeddingServer):
        def _refusal(self, texts: list[str]) -> Any:
            return self._error(413, "too_many") if len(texts) > 16 else super()._refusal(texts)

    with Small() as small:
        async with opened(small) as embedder:
            await embedder.embed(TEXTS[:32])
            assert small.sizes == [32, 1, 16, 16]
            await embedder.embed(TEXTS[:32])
            assert small.sizes[4:] == [16, 16]


async def test_a_long_text_is_refused_before_anything_is_sent(server: EmbeddingServer) -> None:
    """The refusal of a long text tells which one and how long, and quotes nothing of it."""
    async with opened(server) as embedder:
        with pytest.raises(Unreadable) as refused:
            await embedder.embed(["short", "confidential " * 200])
        assert refused.value.facts == {"tokens": 1202, "max_tokens": 512, "place": 1}
        assert "confidential" not in refused.value.message
        assert server.requests == 0
