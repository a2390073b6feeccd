"""Batches computed at once, queries beside long jobs, jobs that nobody waits for any more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import numpy as np
import pytest
from tests.embedders.made import unigram

from deskloom.embedders.onnx import Ids, OnnxEmbedder
from deskloom.protocols import Vectors

LONG = 60
"""Seconds that a thread waits for what must come."""


class Watched:
    """Computes a vector of its first token for each text; `before` is called with the text's ids, on its thread."""

    alone = True

    def __init__(self) -> None:
        self.before: Callable[[Ids], object] = lambda ids: None
        self.runs = 0

    def run(self, ids: Ids, mask: Ids) -> tuple[Vectors, Vectors | None]:
        self.runs += 1
        self.before(ids)
        angle = ids[:, :1].astype(np.float32)
        return np.concatenate([np.cos(angle), np.sin(angle)], axis=1), None


def embedder_of(encoder: Watched, lanes: int) -> OnnxEmbedder:
    return OnnxEmbedder(encoder, unigram(), name="watched", max_tokens=64, lanes=lanes)


async def test_lanes_compute_at_once() -> None:
    """Two texts that each wait until the other is being computed are both embedded, each in its place."""
    encoder = Watched()
    embedder = embedder_of(encoder, 2)
    alone = [await embedder.embed([text]) for text in ("printer", "volcano")]
    both = threading.Barrier(2, timeout=LONG)
    encoder.before = lambda ids: both.wait()
    assert np.array_equal(await embedder.embed(["printer", "volcano"]), np.concatenate(alone))
    await embedder.aclose()


@pytest.mark.parametrize("lanes", [1, 2])
async def test_a_query_waits_for_no_document(lanes: int) -> None:
    """A question is answered while every lane is busy with documents."""
    encoder = Watched()
    embedder = embedder_of(encoder, lanes)
    busy, over = threading.Semaphore(0), threading.Event()

    def hold(ids: Ids) -> None:
        busy.release()
        over.wait(LONG)

    encoder.before = hold
    job = asyncio.create_task(embedder.embed(["printer"] * 4))
    for _ in range(lanes):
        assert await asyncio.to_thread(busy.acquire, timeout=LONG)
    encoder.before = lambda ids: None
    assert len(await embedder.embed(["which one"], "query")) == 1
    assert not job.done()
    over.set()
    assert len(await job) == 4
    await embedder.aclose()


async def test_a_cancelled_job_ends_with_its_batch() -> None:
    """What a cancelled job has not begun is not computed."""
    encoder = Watched()
    embedder = embedder_of(encoder, 1)
    begun, over = threading.Event(), threading.Event()

    def hold(ids: Ids) -> None:
        begun.set()
        over.wait(LONG)

    encoder.before, encoder.runs = hold, 0
    job = asyncio.create_task(embedder.embed(["printer"] * 5))
    assert await asyncio.to_thread(begun.wait, LONG)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    over.set()
    await embedder.aclose()
    assert encoder.runs == 1


async def test_a_job_that_fails_ends_with_its_error() -> None:
    """The error of one batch is the job's, and the next job goes well."""
    encoder = Watched()
    embedder = embedder_of(encoder, 2)

    def fail(ids: Ids) -> None:
        raise RuntimeError("out of memory")

    encoder.before = fail
    with pytest.raises(RuntimeError, match="out of memory"):
        await embedder.embed(["printer"] * 5)
    encoder.before = lambda ids: None
    assert len(await embedder.embed(["printer"] * 5)) == 5
    await embedder.aclose()
