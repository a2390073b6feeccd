"""The index on a Qdrant server or cluster, through `qdrant-client`.

    tickets__1a2b3c4d     a collection of the server; its metadata holds our schema
    tickets               the alias of the one that serves
    tickets__previous     the alias of the one that it replaced, if it is kept

A rebuild takes over by one change of both aliases. Every write waits until it is applied and goes through the leader of
its shard, so that later writes stay later (https://qdrant.tech/documentation/scaling/consistency-guarantees).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any, TypeVar
from uuid import UUID

import structlog
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.common.version_check import is_compatible

from deskloom.errors import IndexUnavailable, NotFound, TooLarge, WrongProduct
from deskloom.indexes import qdrant_points as wire
from deskloom.indexes.checks import require_same
from deskloom.indexes.qdrant_calls import Calls
from deskloom.indexes.qdrant_copies import Copies, is_copy, named
from deskloom.indexes.qdrant_points import Layout
from deskloom.model import Json
from deskloom.protocols import Hit, Point, Schema, Vectors, Where, Words

log = structlog.get_logger(__name__)
T = TypeVar("T")
REQUEST_BYTES = 4 << 20
"""What one write holds at most. Qdrant takes 32 MB and advises 5; encoding 4 holds the event loop for 17 ms."""
_IDS = 1000
_VECTORS = 100


class QdrantIndex:
    """A `VectorIndex` that any number of processes share."""

    def __init__(
        self,
        client: AsyncQdrantClient,
        *,
        layout: Layout | None = None,
        calls: Calls | None = None,
        request_bytes: int = REQUEST_BYTES,
    ) -> None:
        """The client is closed with the index. `layout` is that of collections to come."""
        self._client = client
        self._layout = layout or Layout()
        self._calls = calls or Calls(address="this process")
        self._request_bytes = request_bytes
        self._closed = False
        self._recognised = False
        self._copies = Copies(client, self._ask, self._calls, self._layout)
        self._embedders: dict[str, str] = {}  # by collection: what its writers here were prepared for
        self._ordered: dict[str, Any] = {"wait": True, "ordering": models.WriteOrdering.STRONG}
        # After a majority has acknowledged a write, what a majority of all replicas holds includes it.
        self._consistent: dict[str, Any] = (
            {"consistency": models.ReadConsistencyType.QUORUM} if self._layout.replicated else {}
        )

    async def prepare(self, schema: Schema) -> bool:
        """True if the collection is empty. Raises `IndexMismatch` also for a collection that is not Deskloom's."""
        name = named(schema.collection)
        await self._recognise()
        physical, stored = await self._copies.settle(schema)
        require_same(stored, schema)
        if dict(stored.filters) != dict(schema.filters):
            await self._copies.widen(physical, schema)
        self._embedders[name] = schema.embedder
        return await self.count(name) == 0

    async def upsert(self, collection: str, points: Sequence[Point]) -> None:
        physical, schema = await self._writable(collection)
        last = {point.id: point for point in points}.values()

        def convert() -> list[tuple[models.PointStruct, int]]:
            made = [wire.to_point(schema, point) for point in last]
            return [(point, wire.point_bytes(point)) for point in made]

        async def write(group: list[models.PointStruct]) -> Any:
            return await self._client.upsert(physical, group, **self._ordered)

        for group in wire.by_size(await asyncio.to_thread(convert), self._request_bytes):
            await self._send(collection, group, write)

    async def set_payload(self, collection: str, payloads: Mapping[UUID, Json]) -> None:
        physical, _ = await self._writable(collection)
        there: set[str] = set()
        for ids in _chunks([str(id) for id in payloads], _IDS):
            there |= {str(record.id) for record in await self._records(collection, physical, ids)}
        if absent := [str(id) for id in payloads if str(id) not in there]:
            raise NotFound(
                f'Index "{collection}" has no point {absent[0]}. Publish it again with its vectors.',
                collection=collection,
                ids=absent,
            )

        async def write(group: list[models.OverwritePayloadOperation]) -> Any:
            return await self._client.batch_update_points(physical, group, **self._ordered)

        sized = [(wire.overwrite(id, new), wire.payload_bytes(new)) for id, new in payloads.items()]
        for group in wire.by_size(sized, self._request_bytes):
            await self._send(collection, group, write)

    async def delete(self, collection: str, ids: Sequence[UUID]) -> None:
        physical, _ = await self._writable(collection)
        for some in _chunks(ids, _IDS):
            chosen = wire.selector(some)
            await self._ask(
                lambda chosen=chosen: self._client.delete(physical, chosen, **self._ordered),  # type: ignore[misc]
                collection,
            )

    async def query(
        self, collection: str, vector: str, value: Vectors | Words, *, where: Where | None = None, limit: int = 10
    ) -> list[Hit]:
        """Nearest points by one named vector: cosine, or for words the sum of weight products and inverse frequency."""
        if limit < 1:
            return []
        chosen = wire.to_filter(where)

        async def ask(physical: str) -> list[Hit]:
            asked = wire.to_query(await self._copies.schema(physical, collection), vector, value)
            answer = await self._ask(
                lambda: self._client.query_points(
                    physical,
                    asked,
                    using=vector,
                    query_filter=chosen,
                    limit=limit,
                    with_payload=False,
                    **self._consistent,
                ),
                collection,
                reading=True,
            )
            return [Hit(UUID(str(point.id)), point.score) for point in answer.points]

        return await self._read(collection, ask)

    async def retrieve(self, collection: str, ids: Sequence[UUID]) -> Mapping[UUID, Json]:
        async def ask(physical: str) -> Mapping[UUID, Json]:
            found: dict[UUID, Json] = {}
            for some in _chunks([str(id) for id in ids], _IDS):
                records = await self._records(collection, physical, some, payload=True)
                found |= {UUID(str(record.id)): record.payload or {} for record in records}
            return found

        return await self._read(collection, ask)

    async def vectors(self, collection: str, ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Vectors | Words]]:
        async def ask(physical: str) -> Mapping[UUID, Mapping[str, Vectors | Words]]:
            found: dict[UUID, Mapping[str, Vectors | Words]] = {}
            for some in _chunks([str(id) for id in ids], _VECTORS):
                records = await self._records(collection, physical, some, vectors=True)
                found |= {UUID(str(record.id)): wire.from_record(record) for record in records}
            return found

        return await self._read(collection, ask)

    async def scroll(
        self, collection: str, fields: Sequence[str] | None = ()
    ) -> AsyncIterator[Sequence[tuple[UUID, Json]]]:
        """Reads one copy to its end, even if another takes its place meanwhile."""
        physical = await self._copies.known(collection, fresh=True)
        chosen: Any = list(fields) if fields else fields is None
        size = _VECTORS if fields is None else _IDS
        offset: Any = None
        while True:
            try:
                records, offset = await self._ask(
                    lambda at=offset: self._client.scroll(  # type: ignore[misc]
                        physical, limit=size, offset=at, with_payload=chosen, with_vectors=False, **self._consistent
                    ),
                    collection,
                )
            except NotFound as error:
                raise IndexUnavailable(
                    f'Index "{collection}" was removed or replaced while it was read. Read it again.'
                ) from error
            if records:
                yield [(UUID(str(record.id)), record.payload or {}) for record in records]
            if offset is None:
                return

    async def count(self, collection: str, where: Where | None = None) -> int:
        chosen = wire.to_filter(where)

        async def ask(physical: str) -> int:
            answer = await self._ask(
                lambda: self._client.count(physical, count_filter=chosen, exact=True), collection, reading=True
            )
            return int(answer.count)

        return await self._read(collection, ask)

    async def begin_rebuild(self, schema: Schema) -> str:
        """An earlier rebuild of the collection that was not swapped in is dropped."""
        await self.drop_rebuild(schema.collection)
        return await self._copies.create(schema)

    async def swap(self, collection: str, rebuilt: str) -> None:
        """Both aliases change in one request. Repeating it after a lost answer changes nothing more."""
        if not is_copy(rebuilt, collection):
            raise NotFound(f'"{rebuilt}" is no rebuild of "{collection}".', collection=rebuilt)
        fresh = await self._copies.schema(rebuilt, collection)
        before = await self._copies.kept(named(collection))
        live = await self._copies.serving(collection)
        if live == rebuilt:
            return
        await self._copies.point_to(collection, rebuilt, live)
        self._embedders[collection] = fresh.embedder
        if before not in (None, rebuilt):
            await self._copies.drop(str(before), collection)

    async def schema(self, collection: str) -> Schema | None:
        physical = await self._copies.serving(named(collection), fresh=True)
        return await self._copies.schema(physical, collection) if physical else None

    async def previous(self, collection: str) -> Schema | None:
        kept = await self._copies.kept(named(collection))
        return await self._copies.schema(kept, collection) if kept else None

    async def reopen_previous(self, collection: str) -> str:
        kept = await self._copies.kept(named(collection))
        if kept is None:
            raise NotFound(
                f'Index "{collection}" keeps no earlier copy. Rebuild it: deskloom reindex', collection=collection
            )
        return kept

    async def drop_previous(self, collection: str) -> None:
        await self._copies.drop_kept(named(collection))

    async def drop_rebuild(self, collection: str) -> None:
        """Remove every copy that no alias names: also one that another process is building just now."""
        for physical in await self._copies.unnamed(named(collection)):
            await self._copies.drop(physical, collection)

    async def aclose(self) -> None:
        """Close the connections. May be repeated."""
        if not self._closed:
            self._closed = True
            await self._client.close()

    async def _writable(self, collection: str) -> tuple[str, Schema]:
        """Where to write. Raises `IndexMismatch` if another process has let a copy of another model serve."""
        physical = await self._copies.known(collection, fresh=True)
        schema = await self._copies.schema(physical, collection)
        wanted = self._embedders.get(collection)
        if wanted is not None and wanted != schema.embedder:
            require_same(schema, replace(schema, embedder=wanted))
        return physical, schema

    async def _read(self, collection: str, ask: Callable[[str], Awaitable[T]]) -> T:
        """Ask the copy that serves; if it is gone, having been replaced, the one that serves now."""
        physical = await self._copies.known(collection)
        try:
            return await ask(physical)
        except NotFound:
            self._copies.forget(physical)
            if (now := await self._copies.known(collection, fresh=True)) == physical:
                raise
        return await ask(now)

    async def _send(self, collection: str, items: list[T], call: Callable[[list[T]], Awaitable[Any]]) -> None:
        """Write in one request, or in halves where a proxy takes no request of that size."""
        try:
            await self._ask(lambda: call(items), collection)
        except TooLarge as error:
            if len(items) == 1:
                raise IndexUnavailable(
                    f"{error.message} It holds point {wire.point_of(items[0])} alone: raise the limit there "
                    "(service.max_request_size_mb, or that of a proxy)."
                ) from error
            middle = len(items) // 2
            await self._send(collection, items[:middle], call)
            await self._send(collection, items[middle:], call)

    async def _records(
        self, collection: str, physical: str, ids: Sequence[str], *, payload: bool = False, vectors: bool = False
    ) -> list[models.Record]:
        return await self._ask(
            lambda: self._client.retrieve(
                physical, list(ids), with_payload=payload, with_vectors=vectors, **self._consistent
            ),
            collection,
            reading=True,
        )

    async def _ask(self, call: Callable[[], Awaitable[T]], collection: str, *, reading: bool = False) -> T:
        """`reading`: somebody waits for the answer, so it is asked for once more at most."""
        if self._closed:
            raise IndexUnavailable(f"The index at {self._calls.address} is closed. Open it again to use it.")
        calls = replace(self._calls, retries=min(1, self._calls.retries)) if reading else self._calls
        return await calls.ask(call, collection=collection)

    async def _recognise(self) -> None:
        """Once: make sure that it is Qdrant, and note a version that the client was not made for."""
        if self._recognised:
            return
        info = await self._ask(self._client.info, "")
        if "qdrant" not in info.title.lower():
            raise WrongProduct(
                f'{self._calls.address} is no Qdrant server but "{info.title}". Set QDRANT_URL to its REST address, '
                "for example http://qdrant:6333",
                component="index",
            )
        self._recognised = True
        client = version("qdrant-client")
        if not is_compatible(client, info.version):
            log.info("Qdrant's version is not the client's", server=info.version, client=client)


def _chunks(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
