"""An embedder of fixed cost, for benchmarks of everything but the model: vectors made of a text's hash, and counted."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deskloom.protocols import Purpose, Vectors

WIDTH = 384


class FixedEmbedder:
    """Takes `cost` seconds a text, one request at a time, so that texts times cost is the least any engine can take.

    When the turn of a request has come its texts are noted in `notes`, a line with the hash of each: before the answer,
    so that the notes outlive a kill -9.
    """

    name = "fixed"
    dimensions = WIDTH
    max_tokens = 10_000_000
    languages: frozenset[str] | None = None

    def __init__(self, *, cost: float = 0.0, notes: Path | None = None) -> None:
        self.cost = cost
        self.texts = 0
        self._notes = open(notes, "a", encoding="ascii", buffering=1 << 20) if notes else None  # noqa: SIM115
        self._turn = asyncio.Lock()

    async def embed(self, texts: Sequence[str], purpose: Purpose = "document") -> Vectors:
        self.texts += len(texts)
        async with self._turn:
            if self._notes:
                self._notes.writelines(f"{text_key(text)}\n" for text in texts)
                self._notes.flush()
            await asyncio.sleep(self.cost * len(texts))
        return np.stack([vector_of(text) for text in texts])

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        return [(0, len(text))]

    async def aclose(self) -> None:
        if self._notes:
            self._notes.close()


def vector_of(text: str) -> Vectors:
    """The vector of a text: shape (WIDTH,), unit length."""
    row = np.frombuffer(hashlib.shake_256(text.encode()).digest(2 * WIDTH), "<i2").astype(np.float32)
    return row / np.linalg.norm(row)


def text_key(text: str) -> str:
    """What stands for a text in the notes."""
    return hashlib.sha256(text.encode()).hexdigest()
