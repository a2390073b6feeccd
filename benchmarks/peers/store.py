"""The store of every peer: Qdrant's local engine, with a count of what is written, and a way to damage it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from qdrant_client import QdrantClient, models

from deskloom.model import Json
from deskloom.protocols import Vectors

from . import Held

COLLECTION = "items"
_PAGE = 1000
_SPACE = uuid.UUID("3f0a8a52-7f1e-5c4b-9d7b-0d6f1f4a1c11")
Read = Callable[[Json], tuple[str | None, str | None, Json | None]]


class CountedClient(QdrantClient):
    """Counts the points that are written or removed. A removal by filter counts as one point: peers remove so by id."""

    writes = 0

    def upsert(self, collection_name: str, points: Any, **options: Any) -> Any:
        self.writes += len(points)
        return super().upsert(collection_name, points, **options)

    def upload_points(self, collection_name: str, points: Any, **options: Any) -> None:
        given = list(points)
        self.writes += len(given)
        super().upload_points(collection_name, given, **options)

    def delete(self, collection_name: str, points_selector: Any, **options: Any) -> Any:
        ids = getattr(points_selector, "points", points_selector)
        self.writes += len(ids) if isinstance(ids, list) else 1
        return super().delete(collection_name, points_selector, **options)


def open_client(folder: Path, *, in_memory: bool) -> CountedClient:
    """The local engine over a folder, or in memory."""
    if in_memory:
        return CountedClient(":memory:")
    # Engines write from threads of their own; the engine's SQLite connection would refuse that.
    return CountedClient(path=str(folder / "qdrant"), force_disable_check_same_thread=True)


def create(client: CountedClient, width: int, vector: str = "") -> None:
    """Make the collection if it is not there."""
    if not client.collection_exists(COLLECTION):
        params = models.VectorParams(size=width, distance=models.Distance.COSINE)
        client.create_collection(COLLECTION, vectors_config={vector: params} if vector else params)


def point_id(item: str) -> str:
    """The id of an item's point, where the engine leaves the choice."""
    return str(uuid.uuid5(_SPACE, item))


class Store:
    """What the peers' classes share: reading and damaging the store behind the engine's back."""

    def __init__(self, client: CountedClient, read: Read, vector: str = "") -> None:
        """`read` takes item id, text and metadata out of a payload; `vector` is the vector's name, if it has one."""
        self.client = client
        self._read = read
        self._vector = vector

    def points(self) -> Mapping[str, Held]:
        return {
            str(record.id): Held(*self._read(record.payload or {}), np.asarray(self._row(record.vector), np.float32))
            for record in self._scroll()
        }

    def remove(self, points: Sequence[str]) -> None:
        QdrantClient.delete(self.client, COLLECTION, models.PointIdsList(points=list(points)))

    def put(self, points: Mapping[str, tuple[Vectors, Json]]) -> None:
        made = [
            models.PointStruct(
                id=id, vector={self._vector: row.tolist()} if self._vector else row.tolist(), payload=load
            )
            for id, (row, load) in points.items()
        ]
        QdrantClient.upsert(self.client, COLLECTION, made)

    def payloads(self, points: Sequence[str]) -> Mapping[str, Json]:
        found = self.client.retrieve(COLLECTION, list(points), with_payload=True)
        return {str(record.id): dict(record.payload or {}) for record in found}

    def _row(self, vector: Any) -> Any:
        return vector[self._vector] if self._vector else vector

    def _scroll(self) -> Iterator[models.Record]:
        offset: Any = None
        while True:
            records, offset = self.client.scroll(
                COLLECTION, limit=_PAGE, offset=offset, with_payload=True, with_vectors=True
            )
            yield from records
            if offset is None:
                return
