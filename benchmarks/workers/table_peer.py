"""CocoIndex over a PostgreSQL table, updated without a pause: python -m benchmarks.workers.table_peer URL FOLDER ANSWER
STOP, where FOLDER keeps its state, and STOP is a file that says: one more update, then answer in ANSWER."""

from __future__ import annotations

import argparse
import logging
import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers import OFFLINE

os.environ.update(OFFLINE)  # before it is imported

import asyncpg
import cocoindex as coco
import numpy as np
from benchmarks.peers.cocoindex_peer import CLIENT, Model
from benchmarks.peers.embedding import Blocking
from benchmarks.peers.store import COLLECTION, CountedClient, point_id
from benchmarks.workers import say
from cocoindex.connectors import postgres, qdrant
from cocoindex.resources.schema import VectorSchema

from deskloom.embedders import open_embedder
from deskloom.settings import Settings


@dataclass(frozen=True)
class Article:
    """A row of the table."""

    id: str
    title: str
    body: str
    tags: list[str]
    version: int


class NotingClient(CountedClient):
    """Notes when the store had taken each row, and in which version."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.moments: dict[str, list[tuple[float, int | None]]] = {}
        self.keys: dict[str, str] = {}

    def upsert(self, collection_name: str, points: Any, **options: Any) -> Any:
        answer = super().upsert(collection_name, points, **options)
        now = time.time()
        for point in points:
            self.keys[str(point.id)] = point.payload["id"]
            self.moments.setdefault(point.payload["id"], []).append((now, point.payload["version"]))
        return answer

    def delete(self, collection_name: str, points_selector: Any, **options: Any) -> Any:
        answer = super().delete(collection_name, points_selector, **options)
        now = time.time()
        ids = getattr(points_selector, "points", points_selector)
        for id in ids:
            self.moments.setdefault(self.keys.get(str(id), str(id)), []).append((now, None))
        return answer

    def held(self) -> dict[str, Any]:
        """Title, text and version of every point, by key."""
        found: dict[str, Any] = {}
        offset = None
        while True:
            records, offset = self.scroll(COLLECTION, limit=1000, offset=offset, with_payload=True)
            for record in records:
                load = record.payload or {}
                found[load["id"]] = [load["title"], load["body"], load["version"]]
            if offset is None:
                return found


@coco.fn(memo=True)
async def process(article: Article, model: Model, target: Any) -> None:
    """One row becomes one point."""
    vector = await model.embed(f"{article.title}\n\n{article.body}")
    payload = {"id": article.id, "title": article.title, "body": article.body, "version": article.version}
    target.declare_point(qdrant.PointStruct(id=point_id(article.id), vector=vector.tolist(), payload=payload))


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    parser.add_argument("answer", type=Path)
    parser.add_argument("stop", type=Path)
    options = parser.parse_args(words)
    warnings.simplefilter("ignore")
    logging.getLogger("cocoindex").setLevel(logging.ERROR)
    client, scanned = NotingClient(), [0]
    embedder = Blocking(lambda: open_embedder(Settings(_env_file=None)))  # type: ignore[call-arg]
    provider = coco.ContextProvider()
    provider.provide(CLIENT, client)
    environment = coco.Environment(coco.Settings(db_path=options.folder / "cocoindex.db"), context_provider=provider)
    model = Model(embedder)

    async def items(source: Any) -> Any:
        async for key, article in source.fetch_rows().items(lambda article: article.id):
            scanned[0] += 1
            yield key, article

    async def scan() -> None:
        shape = VectorSchema(dtype=np.dtype(np.float32), size=embedder.width)
        schema = await qdrant.CollectionSchema.create(qdrant.QdrantVectorDef(schema=shape, distance="cosine"))
        target = await qdrant.mount_collection_target(CLIENT, COLLECTION, schema)
        async with asyncpg.create_pool(options.url, min_size=1, max_size=2) as pool:
            source = postgres.PgTableSource(pool, table_name="articles", row_type=Article)
            await coco.mount_each(process, items(source), model, target)

    app = coco.App(coco.AppConfig(name="table", environment=environment), scan)

    def update() -> dict[str, Any]:
        before, began = scanned[0], time.time()
        app.update_blocking()
        return {"rows": scanned[0] - before, "began": began, "ended": time.time()}

    update()
    print("ready", flush=True)
    client.moments.clear()
    cycles, over = [], False
    while not over:
        over = options.stop.exists()
        cycles.append(update())
    say({"cycles": cycles, "moments": client.moments, "points": client.held()}, options.answer)
    environment.close()
    embedder.close()


if __name__ == "__main__":
    main()
