"""CocoIndex 1.x: one component for each text, its own Qdrant target on the local engine, everything memoized.

Its best settings for this work: the function of an item and the call of the model are both memoized, so that changed
metadata embeds nothing, and calls of the model are batched by the engine.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cocoindex as coco
import numpy as np
from cocoindex.connectors import qdrant
from cocoindex.resources.schema import VectorSchema
from numpy.typing import NDArray

from deskloom.model import Json
from deskloom.protocols import Embedder

from . import BATCH, Counts, Item
from .embedding import Blocking
from .store import COLLECTION, Store, open_client, point_id

CLIENT: coco.ContextKey[Any] = coco.ContextKey("deskloom_benchmark_qdrant")


class Model:
    """The embedder, in the form of CocoIndex's own ones: one text a call, gathered into batches by the engine."""

    def __init__(self, blocking: Blocking) -> None:
        self._blocking = blocking

    @coco.fn.as_async(batching=True, max_batch_size=BATCH)
    def _embed(self, texts: list[str]) -> list[NDArray[np.float32]]:
        return list(self._blocking.embed(texts))

    @coco.fn(memo=True, version=1, logic_tracking="self")
    async def embed(self, text: str) -> NDArray[np.float32]:
        """The vector of a text."""
        return await self._embed(text)  # type: ignore[no-any-return,arg-type]

    def __coco_memo_key__(self) -> object:
        return self._blocking.name


@coco.fn(memo=True)
async def process(item: Item, model: Model, target: Any) -> None:
    """One item becomes one point."""
    vector = await model.embed(item.text)
    payload = {"item": item.id, "text": item.text, "metadata": item.metadata}
    target.declare_point(qdrant.PointStruct(id=point_id(item.id), vector=vector.tolist(), payload=payload))


class CocoIndexPeer(Store):
    """An app with its state in LMDB beside the store."""

    def __init__(self, folder: Path, embedder: Embedder, *, in_memory: bool) -> None:
        logging.getLogger("cocoindex").setLevel(logging.ERROR)
        super().__init__(open_client(folder, in_memory=in_memory), _read)
        self._blocking = Blocking(embedder)
        self._items: Sequence[Item] = ()
        model = Model(self._blocking)
        provider = coco.ContextProvider()
        provider.provide(CLIENT, self.client)
        self._environment = coco.Environment(coco.Settings(db_path=folder / "cocoindex.db"), context_provider=provider)

        async def main() -> None:
            shape = VectorSchema(dtype=np.dtype(np.float32), size=self._blocking.width)
            schema = await qdrant.CollectionSchema.create(qdrant.QdrantVectorDef(schema=shape, distance="cosine"))
            target = await qdrant.mount_collection_target(CLIENT, COLLECTION, schema)
            await coco.mount_each(process, ((item.id, item) for item in self._items), model, target)

        self._app = coco.App(coco.AppConfig(name="benchmark", environment=self._environment), main)

    def sync(self, items: Sequence[Item], *, anew: bool = False) -> Counts:
        self._items = items
        texts, writes, began = self._blocking.texts, self.client.writes, time.perf_counter()
        self._app.update_blocking(full_reprocess=anew)
        seconds = time.perf_counter() - began
        return Counts(self._blocking.texts - texts, self.client.writes - writes, seconds)

    def close(self) -> None:
        self._environment.close()
        self.client.close()
        self._blocking.close()


def _read(payload: Json) -> tuple[str | None, str | None, Json | None]:
    return payload.get("item"), payload.get("text"), payload.get("metadata")


open_peer = CocoIndexPeer
