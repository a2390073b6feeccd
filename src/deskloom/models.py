"""The embedders of a process: which model made the vectors of each collection, each model opened once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Protocol

import numpy as np

from deskloom.embedders import Choice, choose, open_choice
from deskloom.embedders.openai import PROBE, HttpEmbedder
from deskloom.errors import DeskloomError
from deskloom.model import Json
from deskloom.protocols import Embedder, VectorIndex
from deskloom.record import collections, embeddings
from deskloom.record.engine import Record
from deskloom.settings import Settings
from deskloom.sync.vectors import text_hash


class Opener(Protocol):
    """Opens the embedder of a choice; with the width of its vectors known, a server that is down stops nothing."""

    def __call__(self, choice: Choice, settings: Settings, *, dimensions: int = 0) -> Awaitable[Embedder]: ...


def always(embedder: Embedder) -> Opener:
    """An opener that answers every choice with the same embedder."""

    async def opened(choice: Choice, settings: Settings, *, dimensions: int = 0) -> Embedder:
        return embedder

    return opened


class Models:
    """Finds the embedder of a collection in the record, so that every process follows a reindex at once.

    A collection that is new is tied to the model of the settings; later only a reindex changes it. Changing
    `DESKLOOM_EMBEDDER` alone therefore never makes an index unusable.
    """

    def __init__(self, record: Record, index: VectorIndex, settings: Settings, *, opener: Opener = open_choice) -> None:
        self._record = record
        self._index = index
        self._settings = settings
        self._opener = opener
        self._opened: dict[Choice, Embedder] = {}
        self._turn = asyncio.Lock()

    @property
    def configured(self) -> Choice:
        """The model that the settings name."""
        return choose(self._settings)

    async def chosen(self, collection: str) -> Choice:
        """The model that a collection is indexed with."""
        async with self._record.reading() as tx:
            known = await collections.get_collection(tx, collection)
        if known is None:
            async with self._record.transaction() as tx:
                known = await collections.bind_collection(
                    tx, collection, self.configured.to_json(), now=datetime.now(UTC)
                )
        if known.state == collections.CLOSED and known.rebuild is not None:
            # A copy takes the place of another just now: the index knows first which of them serves.
            serving = await self._index.schema(collection)
            if serving is not None and serving.embedder == known.rebuild["fingerprint"]:
                return Choice.from_json(known.rebuild["embedder"])
        return Choice.from_json(known.embedder)

    async def of(self, collection: str) -> Embedder:
        """The embedder whose vectors a collection holds now; see `protocols.EmbedderOf`. Raises what opening raises."""
        choice = await self.chosen(collection)
        if choice in self._opened:
            return self._opened[choice]
        stored = await self._index.schema(collection)
        embedder = await self.open(choice, dimensions=stored.dimensions if stored else 0)
        if isinstance(embedder, HttpEmbedder):
            try:
                await self._compare(embedder)
            except DeskloomError:
                del self._opened[choice]  # so that it is compared again at its next use
                await embedder.aclose()
                raise
        return embedder

    async def _compare(self, embedder: HttpEmbedder) -> None:
        """Make sure that a server still has the model it had when vectors were first made: by those of one text."""
        key = text_hash(PROBE)
        async with self._record.reading() as tx:
            known = (await embeddings.load_vectors(tx, embedder.name, [key])).get(key)
        if known is not None:
            embedder.expect(known[0])
        elif embedder.probe is not None:
            async with self._record.transaction() as tx:
                await embeddings.store_vectors(tx, embedder.name, {key: embedder.probe[np.newaxis]})

    async def open(self, choice: Choice, *, dimensions: int = 0) -> Embedder:
        """The embedder of a choice, opened if it is not yet; `dimensions` is its width where that is known."""
        async with self._turn:
            if choice not in self._opened:
                self._opened[choice] = await self._opener(choice, self._settings, dimensions=dimensions)
            return self._opened[choice]

    async def of_json(self, choice: Json) -> Embedder:
        """The embedder of a choice as the record keeps it."""
        return await self.open(Choice.from_json(choice))

    async def differing(self, collection: str) -> str | None:
        """A sentence for people if the collection is indexed with another model than the settings name."""
        chosen = await self.chosen(collection)
        if chosen == self.configured:
            return None
        return (
            f'Collection "{collection}" is indexed with {chosen}, but DESKLOOM_EMBEDDER says {self.configured}. '
            f"Everything goes on with {chosen}. Set DESKLOOM_EMBEDDER={chosen} to keep it; "
            "to change over: deskloom reindex"
        )

    async def aclose(self) -> None:
        """Close every embedder that was opened."""
        for embedder in self._opened.values():
            await embedder.aclose()
        self._opened.clear()
