"""A task that is told to stop in the middle of a transaction leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import numpy as np
import pytest

from deskloom.record import embeddings
from deskloom.record.engine import Record


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Nothing is collected as garbage meanwhile: a lock must not wait for that."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
async def test_a_cancelled_writer_gives_the_lock_back(record: Record) -> None:
    """Wherever in its transaction it was cancelled, the next one begins at once."""

    async def write(name: str, rows: int) -> None:
        vectors = {f"{name}/{row}": np.ones((2, 32), np.float32) for row in range(rows)}
        async with record.transaction() as tx:
            await embeddings.store_vectors(tx, "model", vectors)

    for attempt in range(36):
        writers = [asyncio.create_task(write(f"{attempt}/{one}", 60)) for one in range(3)]
        await asyncio.sleep(attempt % 12 / 1000)
        for writer in writers:
            writer.cancel()
        await asyncio.wait(writers)
        async with asyncio.timeout(10):
            await write("after", 1)
