"""The default index: Qdrant's engine in this process, exact search, one owner, files under `<home>/index`."""

from __future__ import annotations

import asyncio
import re
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import UUID

import qdrant_edge as engine

from deskloom.errors import DeskloomError, IndexUnavailable, InvalidRequest, NotFound
from deskloom.indexes.checks import require_same
from deskloom.indexes.folder import own_folder
from deskloom.indexes.points import engine_filter, engine_point, engine_query, stored_vectors
from deskloom.indexes.shard import (
    Version,
    create_version,
    folders,
    kept_schema,
    open_kept,
    open_live,
    point_to,
)
from deskloom.model import Json
from deskloom.protocols import Hit, Point, Schema, Vectors, Where, Words

_T = TypeVar("_T")
_SCROLL = 1000
_SPARE = 256 << 20


class EdgeIndex:
    """A `VectorIndex` in one folder, which belongs to one process at a time.

    Writes run on one thread, in the order they were asked for, and are on disk when they return; reads run beside them.
    """

    def __init__(self, root: Path, *, spare: int = _SPARE) -> None:
        """`spare`: bytes that stay free on the disk; nothing is written beyond.

        Raises `HomeInUse` if another process, or another index in this one, has the folder open.
        """
        self._root = root
        self._spare = spare
        self._closed = False
        self._lock = own_folder(root)
        self._versions: dict[str, Version] = {}  # by collection, and by the name of a rebuild in progress
        self._kept: dict[str, Version] = {}  # by collection: replaced in this process, perhaps still in use
        self._mutex = threading.Lock()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="index-writer")
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="index-reader")

    async def prepare(self, schema: Schema) -> bool:
        """True if the collection is empty, being new or lost. After `IndexMismatch` the old one still serves."""
        return await self._write(lambda: self._prepare(schema))

    async def upsert(self, collection: str, points: Sequence[Point]) -> None:
        def write() -> None:
            with self._use(collection) as version:
                stored = [engine_point(version.schema, point) for point in points]
                if stored:
                    version.shard.update(engine.UpdateOperation.upsert_points(stored))
                    version.shard.flush()

        await self._write(write)

    async def set_payload(self, collection: str, payloads: Mapping[UUID, Json]) -> None:
        def write() -> None:
            ids: list[Any] = list(payloads)
            with self._use(collection) as version:
                there = {record.id for record in version.shard.retrieve(ids, False, False)}
                if absent := [str(id) for id in ids if id not in there]:
                    raise NotFound(
                        f'Index "{collection}" has no point {absent[0]}. Publish it again with its vectors.',
                        collection=collection,
                        ids=absent,
                    )
                for id, payload in payloads.items():
                    version.shard.update(engine.UpdateOperation.overwrite_payload([id], dict(payload)))
                version.shard.flush()

        await self._write(write)

    async def delete(self, collection: str, ids: Sequence[UUID]) -> None:
        def write() -> None:
            with self._use(collection) as version:
                version.shard.update(engine.UpdateOperation.delete_points(list(ids)))
                version.shard.flush()

        await self._write(write)

    async def query(
        self, collection: str, vector: str, value: Vectors | Words, *, where: Where | None = None, limit: int = 10
    ) -> list[Hit]:
        """Nearest points by one named vector: cosine, or for words the sum of weight products and inverse frequency."""

        def read() -> list[Hit]:
            with self._use(collection) as version:
                request = engine.QueryRequest(
                    limit=limit, query=engine_query(version.schema, vector, value), filter=engine_filter(where)
                )
                return [Hit(cast(UUID, found.id), found.score) for found in version.shard.query(request)]

        return await self._read(read) if limit > 0 else []

    async def retrieve(self, collection: str, ids: Sequence[UUID]) -> Mapping[UUID, Json]:
        def read() -> Mapping[UUID, Json]:
            with self._use(collection) as version:
                return {
                    cast(UUID, record.id): record.payload or {}
                    for record in version.shard.retrieve(list(ids), True, False)
                }

        return await self._read(read)

    async def vectors(self, collection: str, ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Vectors | Words]]:
        def read() -> Mapping[UUID, Mapping[str, Vectors | Words]]:
            with self._use(collection) as version:
                records = version.shard.retrieve(list(ids), False, True)
                return {cast(UUID, record.id): stored_vectors(record) for record in records}

        return await self._read(read)

    async def scroll(
        self, collection: str, fields: Sequence[str] | None = ()
    ) -> AsyncIterator[Sequence[tuple[UUID, Json]]]:
        def read(offset: Any) -> tuple[list[Any], Any]:
            chosen = engine.PayloadSelector.Include(list(fields)) if fields else fields is None
            request = engine.ScrollRequest(offset=offset, limit=_SCROLL, with_payload=chosen, with_vector=False)
            with self._use(collection) as version:
                records, following = version.shard.scroll(request)
                return records, following

        offset: Any = None
        while True:
            records, offset = await self._read(lambda at=offset: read(at))  # type: ignore[misc]
            if records:
                yield [(record.id, record.payload or {}) for record in records]
            if offset is None:
                return

    async def count(self, collection: str, where: Where | None = None) -> int:
        def read() -> int:
            with self._use(collection) as version:
                return int(version.shard.count(engine.CountRequest(exact=True, filter=engine_filter(where))))

        return await self._read(read)

    async def begin_rebuild(self, schema: Schema) -> str:
        """An earlier rebuild of the collection that was not swapped in is dropped."""

        def write() -> str:
            self._opened(schema.collection)  # later it would take the new folder for a leftover
            self._drop_rebuild(schema.collection)
            version = create_version(self._folder(schema.collection), schema)
            name = f"{schema.collection}/{version.folder.name}"
            self._versions[name] = version
            return name

        return await self._write(write)

    async def swap(self, collection: str, rebuilt: str) -> None:
        """One write of the pointer changes both, the version that serves and the one that is kept."""

        def write() -> None:
            root = self._folder(collection)
            with self._use(rebuilt) as fresh:
                fresh.shard.flush()
                old, before = folders(root)
                point_to(root, fresh.folder, old)
            if before not in (None, fresh.folder):
                self._remove_kept(collection, before)
            self._serve(collection, self._versions.pop(rebuilt))

        await self._write(write)

    async def schema(self, collection: str) -> Schema | None:
        def write() -> Schema | None:  # on the writing thread, since it may open the collection
            live = self._opened(collection)
            return live.schema if live else None

        return await self._write(write, spare=0)

    async def previous(self, collection: str) -> Schema | None:
        return await self._write(lambda: kept_schema(self._folder(collection)), spare=0)

    async def reopen_previous(self, collection: str) -> str:
        def write() -> str:
            root = self._folder(collection)
            kept = folders(root)[1]
            if kept is None or kept_schema(root) is None:
                raise NotFound(
                    f'Index "{collection}" keeps no earlier copy. Rebuild it: deskloom reindex', collection=collection
                )
            self._opened(collection)
            name = f"{collection}/{kept.name}"
            if name not in self._versions:
                again = self._kept.pop(collection, None)
                if again is None or again.folder != kept or not again.reclaim():
                    again = open_kept(kept)
                self._versions[name] = again
            return name

        return await self._write(write)

    async def drop_previous(self, collection: str) -> None:
        def write() -> None:
            root = self._folder(collection)
            live, kept = folders(root)
            if kept is None:
                return
            self._drop_rebuild(collection, kept)
            if live is not None:
                point_to(root, live)
            self._remove_kept(collection, kept)

        await self._write(write, spare=0)

    async def drop_rebuild(self, collection: str) -> None:
        def write() -> None:
            self._opened(collection)  # which removes what an earlier process began
            self._drop_rebuild(collection)

        await self._write(write, spare=0)

    async def aclose(self) -> None:
        """Finish what was asked for, close the files and give the folder up. May be repeated."""
        await asyncio.to_thread(self._close)

    def _prepare(self, schema: Schema) -> bool:
        name = schema.collection
        live = self._opened(name)
        if live is None:
            live = create_version(self._folder(name), schema)
            point_to(self._folder(name), live.folder, folders(self._folder(name))[1])
            self._versions[name] = live
            return True
        require_same(live.schema, schema)
        if dict(live.schema.filters) != dict(schema.filters):
            live.index_fields(schema)
        # A shard whose segments are gone opens without complaint, so emptiness is what counts, not the opening.
        return live.shard.count(engine.CountRequest(exact=True)) == 0

    def _opened(self, collection: str) -> Version | None:
        """The live version, opened if it is not open yet; None if there is none, or it was lost."""
        live = self._versions.get(collection)
        if live is None and (live := open_live(self._folder(collection))) is not None:
            self._versions[collection] = live
        return live

    def _serve(self, collection: str, version: Version) -> None:
        """Let an open version answer from now on; the one before is closed once its readers have left it."""
        with self._mutex:
            old = self._versions.get(collection)
            self._versions[collection] = version
        if old is not None:
            old.release()
            self._kept[collection] = old

    def _remove_kept(self, collection: str, folder: Path) -> None:
        version = self._kept.pop(collection, None)
        if version is not None and version.folder == folder:
            version.retire()  # someone may still be reading it
        else:
            shutil.rmtree(folder, ignore_errors=True)

    def _drop_rebuild(self, collection: str, only: Path | None = None) -> None:
        """Forget the rebuilds in progress, or that in one folder. The kept copy, reopened, stays what it was."""
        kept = folders(self._folder(collection))[1]
        for name, version in list(self._versions.items()):
            if not name.startswith(f"{collection}/") or only not in (None, version.folder):
                continue
            with self._mutex:
                del self._versions[name]
            if version.folder == kept:
                version.release()
                self._kept[collection] = version
            else:
                version.retire()

    def _close(self) -> None:
        self._closed = True
        self._writer.shutdown()
        self._readers.shutdown()
        while self._versions:
            self._versions.popitem()[1].close()
        self._lock.close()

    def _folder(self, collection: str) -> Path:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_]{0,62}", collection):
            raise InvalidRequest(
                f'"{collection}" cannot name a collection. Use small letters, digits and _.', parameter="collection"
            )
        return self._root / collection

    @contextmanager
    def _use(self, collection: str) -> Iterator[Version]:
        """The version that is live now, kept open meanwhile even if another takes its place."""
        with self._mutex:  # finding and entering are one step, or a swap could close it in between
            if (version := self._versions.get(collection)) is None:
                raise NotFound(f'The index has no collection "{collection}". Prepare it first.', collection=collection)
            version.enter()
        try:
            yield version
        finally:
            version.leave()

    async def _write(self, call: Callable[[], _T], *, spare: int | None = None) -> _T:
        spare = self._spare if spare is None else spare

        def write() -> _T:
            # The engine writes through memory maps: on a full disk it does not fail, the process is killed.
            free = shutil.disk_usage(self._root).free
            if free < spare:
                raise IndexUnavailable(
                    f"The disk of {self._root} has {free >> 20} MB left; the index needs {spare >> 20} MB. "
                    "Make room, then run again.",
                    free=free,
                )
            return call()

        return await self._on(self._writer, write)

    async def _read(self, call: Callable[[], _T]) -> _T:
        return await self._on(self._readers, call)

    async def _on(self, pool: ThreadPoolExecutor, call: Callable[[], _T]) -> _T:
        if self._closed:
            raise IndexUnavailable(f"The index in {self._root} is closed. Open it again to use it.")
        return await asyncio.get_running_loop().run_in_executor(pool, self._guarded, call)

    def _guarded(self, call: Callable[[], _T]) -> _T:
        try:
            return call()
        except DeskloomError:
            raise
        # The engine raises bare exceptions for everything, a full disk and a bug alike; the caller can only try again.
        except Exception as error:
            raise IndexUnavailable(f"The index in {self._root} failed: {error}. See: deskloom doctor") from error
