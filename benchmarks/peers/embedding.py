"""Our embedder as the peers call it: blocking, whole texts in, one vector each out, split and averaged as we do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import numpy as np

from deskloom import documents
from deskloom.protocols import Embedder, Vectors


class Blocking:
    """Calls an embedder on a loop of its own, from any thread. `texts` counts the parts that the model was given."""

    def __init__(self, inner: Embedder | Callable[[], Awaitable[Embedder]]) -> None:
        """`inner` may be what opens the embedder: one that talks to a server has to be opened on the loop."""
        self.texts = 0
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

        async def opened() -> Embedder:
            return await inner() if callable(inner) else inner

        self.inner = asyncio.run_coroutine_threadsafe(opened(), self._loop).result()
        self.name, self.width = self.inner.name, self.inner.dimensions

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One vector a text, shape (texts, width): the mean of its parts, of unit length."""
        return asyncio.run_coroutine_threadsafe(self._embed(texts), self._loop).result()

    async def _embed(self, texts: Sequence[str]) -> Vectors:
        parts = [documents.split(text, self.inner) for text in texts]
        self.texts += sum(map(len, parts))
        rows = await self.inner.embed([part for own in parts for part in own])
        ends = np.cumsum([len(own) for own in parts])
        means = np.stack([part.mean(axis=0) for part in np.split(rows, ends[:-1])])
        return means / np.linalg.norm(means, axis=1, keepdims=True)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
