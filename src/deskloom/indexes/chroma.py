"""The index in Chroma: a folder of this process, or a server, with the word half elsewhere (`WordIndex`).

Chroma has one vector an entry and no sparse vectors, so a point is an entry that holds its payload, one entry for each
of its vectors, and its words. A batch that a crash cut short is written whole again by its publisher's successor; every
change begins with the payload, which holds the hash, so that until then the point does not pass for what it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar
from uuid import UUID

import numpy as np
from chromadb.errors import ChromaError

from deskloom.errors import IndexUnavailable, NotFound
from deskloom.http.timing import Timing
from deskloom.indexes import chroma_points as wire
from deskloom.indexes.checks import REBUILD, checked_query, checked_vectors, require_same
from deskloom.indexes.chroma_calls import Calls
from deskloom.indexes.chroma_copies import Copy, Entries, is_copy, is_lost, named
from deskloom.indexes.chroma_places import Place
from deskloom.model import Json
from deskloom.protocols import Hit, Point, Schema, Vectors, Where, WordEntry, WordIndex, Words

T = TypeVar("T")
_READ = 1000
"""Entries in one answer."""
_WHOLE = 100
"""Whole payloads, or vectors, in one answer."""


class ChromaIndex:
    """A `VectorIndex` in Chroma. Writes of this process run one after another; reads run beside them."""

    def __init__(self, place: Place, words: WordIndex, *, retries: int = 0, timing: Timing | None = None) -> None:
        """`place` is opened when it is first needed, and closed with the index."""
        self._chroma = Calls(place, retries=retries, timing=timing or Timing())
        self._ask = self._chroma.ask
        self._words = words
        self._writing = asyncio.Lock()
        self._embedders: dict[str, str] = {}  # by collection: what its writers here were prepared for

    # ---------------------------------------------------------------------------------------------------- collections

    async def prepare(self, schema: Schema) -> bool:
        """True also if the word half was lost. One whose parts are not all there is made anew."""
        name = named(schema.collection)
        async with self._writing:
            copy = await self._ask(lambda: self._settle(schema), name)
            require_same(copy.schema, schema)
            if dict(copy.schema.filters) != dict(schema.filters):
                await self._widen(copy, schema)
            self._embedders[name] = schema.embedder
            if await self._ask(copy.points.count, name):
                return await self._words.is_empty(copy.name)
            there = await self._ask(lambda: self._chroma.copies.names(), name)
            for lost in await self._words.copies(name):
                if is_copy(lost, name) and lost not in there:
                    await self._words.drop(lost)
            return True

    def _settle(self, schema: Schema) -> Copy:
        """The copy that serves, made if there is none, or none that is whole."""
        pointer = self._chroma.copies.pointer(schema.collection, fresh=True)
        if pointer.live is None:
            return self._chroma.copies.first(schema)
        self._chroma.copies.forget(pointer.live)
        with suppress(NotFound):
            copy = self._chroma.copies.open(pointer.live, schema.collection)
            if self._chroma.copies.is_sound(copy):
                return copy
        made = self._chroma.copies.create(schema)
        self._chroma.copies.point_to(schema.collection, made.name, pointer.kept)
        self._chroma.copies.drop(pointer.live)
        return made

    async def _widen(self, copy: Copy, schema: Schema) -> None:
        """Give every entry the filter fields of `schema`; the schema itself comes last, so that a crash repeats it."""
        ids = await self._ids(copy, schema.collection)
        for some in _parts(ids, _WHOLE):
            payloads = await self._payloads(copy, schema.collection, some)
            facts = {id: wire.facts_of(schema, payload) for id, payload in payloads.items()}
            metadata = {id: wire.to_metadata(schema, own) for id, own in facts.items()}
            for entries in (copy.points, *copy.vectors.values()):
                await self._update(entries, metadata, schema.collection)
            await self._words.set_fields(copy.name, facts)
        await self._ask(lambda: self._chroma.copies.rename(copy, schema), schema.collection)

    async def begin_rebuild(self, schema: Schema) -> str:
        """An earlier rebuild of the collection that was not swapped in is dropped."""
        named(schema.collection)
        async with self._writing:
            await self._sweep(schema.collection)
            return (await self._ask(lambda: self._chroma.copies.create(schema), schema.collection)).name

    async def swap(self, collection: str, rebuilt: str) -> None:
        """One change of the pointer names both copies. Repeating it after a lost answer changes nothing more."""
        if not is_copy(rebuilt, collection):
            raise NotFound(f'"{rebuilt}" is no rebuild of "{collection}".', collection=rebuilt)
        async with self._writing:
            fresh = await self._ask(lambda: self._chroma.copies.open(rebuilt, rebuilt), collection)
            pointer = await self._ask(lambda: self._chroma.copies.pointer(collection, fresh=True), collection)
            if pointer.live == rebuilt:
                return
            await self._ask(lambda: self._chroma.copies.point_to(collection, rebuilt, pointer.live), collection)
            self._embedders[collection] = fresh.schema.embedder
            if pointer.kept not in (None, rebuilt):
                await self._drop(str(pointer.kept), collection)

    async def schema(self, collection: str) -> Schema | None:
        pointer = await self._ask(lambda: self._chroma.copies.pointer(named(collection), fresh=True), collection)
        return await self._schema(pointer.live, collection)

    async def previous(self, collection: str) -> Schema | None:
        pointer = await self._ask(lambda: self._chroma.copies.pointer(named(collection), fresh=True), collection)
        return await self._schema(pointer.kept, collection)

    async def reopen_previous(self, collection: str) -> str:
        pointer = await self._ask(lambda: self._chroma.copies.pointer(named(collection), fresh=True), collection)
        if pointer.kept is None or await self._schema(pointer.kept, collection) is None:
            raise NotFound(f'Index "{collection}" keeps no earlier copy. {REBUILD}', collection=collection)
        return pointer.kept

    async def drop_previous(self, collection: str) -> None:
        async with self._writing:
            pointer = await self._ask(lambda: self._chroma.copies.pointer(named(collection), fresh=True), collection)
            if pointer.live is not None and pointer.kept is not None:
                live, kept = pointer.live, pointer.kept
                await self._ask(lambda: self._chroma.copies.point_to(collection, live, None), collection)
                await self._drop(kept, collection)

    async def drop_rebuild(self, collection: str) -> None:
        """Remove every copy that the pointer does not name: also one that another process is building just now."""
        async with self._writing:
            await self._sweep(named(collection))

    async def _schema(self, name: str | None, collection: str) -> Schema | None:
        if name is None:
            return None
        try:
            return (await self._ask(lambda: self._chroma.copies.open(name, collection), collection)).schema
        except NotFound:
            return None

    async def _sweep(self, collection: str) -> None:
        pointer = await self._ask(lambda: self._chroma.copies.pointer(collection, fresh=True), collection)
        left = {*await self._ask(lambda: self._chroma.copies.unnamed(collection), collection)}
        left |= {name for name in await self._words.copies(collection) if is_copy(name, collection)}
        for name in sorted(left - {pointer.live, pointer.kept}):
            await self._drop(name, collection)

    async def _drop(self, name: str, collection: str) -> None:
        await self._ask(lambda: self._chroma.copies.drop(name), collection)
        await self._words.drop(name)

    # --------------------------------------------------------------------------------------------------------- writing

    async def upsert(self, collection: str, points: Sequence[Point]) -> None:
        async with self._writing:
            copy = await self._writable(collection)
            last = list({point.id: point for point in points}.values())
            checked = await asyncio.to_thread(lambda: [checked_vectors(copy.schema, point) for point in last])
            for start in range(0, len(last), self._chroma.most):
                some, values = last[start : start + self._chroma.most], checked[start : start + self._chroma.most]
                await self._upsert(copy, collection, some, values)

    async def _upsert(
        self, copy: Copy, collection: str, points: Sequence[Point], values: Sequence[Mapping[str, Vectors | Words]]
    ) -> None:
        ids = [point.id for point in points]
        facts = [wire.facts_of(copy.schema, point.payload) for point in points]
        metadata = [wire.to_metadata(copy.schema, own) for own in facts]

        def write() -> None:
            whole = [
                {**own, wire.PAYLOAD: wire.to_text(point.payload)} for own, point in zip(metadata, points, strict=True)
            ]
            copy.points.upsert(
                ids=[str(id) for id in ids], embeddings=np.stack([wire.position(id) for id in ids]), metadatas=whole
            )
            for name, entries in copy.vectors.items():
                having = [place for place, own in enumerate(values) if name in own]
                lacking = [str(id) for id, own in zip(ids, values, strict=True) if name not in own]
                if having:
                    entries.upsert(
                        ids=[str(ids[place]) for place in having],
                        embeddings=np.stack([np.asarray(values[place][name]) for place in having]),
                        metadatas=[metadata[place] for place in having] if copy.schema.filters else None,
                    )
                if lacking:
                    entries.delete(ids=lacking)

        if not points:
            return
        await self._ask(write, collection)
        await self._words.put(
            copy.name,
            [
                WordEntry(id=id, words={name: one for name, one in own.items() if isinstance(one, Words)}, fields=facts)
                for id, own, facts in zip(ids, values, facts, strict=True)
            ],
        )

    async def set_payload(self, collection: str, payloads: Mapping[UUID, Json]) -> None:
        async with self._writing:
            copy = await self._writable(collection)
            held: dict[UUID, Json] = {}
            for some in _parts(list(payloads), _WHOLE):
                held |= await self._payloads(copy, collection, some)
            if missing := [str(id) for id in payloads if id not in held]:
                raise NotFound(
                    f'Index "{collection}" has no point {missing[0]}. Publish it again with its vectors.',
                    collection=collection,
                    ids=missing,
                )
            facts = {id: wire.facts_of(copy.schema, payload) for id, payload in payloads.items()}
            metadata = {id: wire.to_metadata(copy.schema, own) for id, own in facts.items()}
            whole = {id: {**metadata[id], wire.PAYLOAD: wire.to_text(new)} for id, new in payloads.items()}
            await self._update(copy.points, whole, collection)
            # A point whose fields differ between its entries was left half done by a crash. Its payload tells that,
            # and it is published whole; so here the payload that was held speaks for all entries.
            moved = {id for id in payloads if wire.facts_of(copy.schema, held[id]) != facts[id]}
            for entries in copy.vectors.values():
                await self._update(entries, {id: metadata[id] for id in moved}, collection)
            if moved:
                await self._words.set_fields(copy.name, {id: facts[id] for id in moved})

    async def delete(self, collection: str, ids: Sequence[UUID]) -> None:
        async with self._writing:
            copy = await self._writable(collection)
            for some in _parts(list(dict.fromkeys(ids)), self._chroma.most):
                texts = [str(id) for id in some]
                for entries in (copy.points, *copy.vectors.values()):
                    await self._ask(partial(entries.delete, ids=texts), collection)
                await self._words.delete(copy.name, some)

    async def _update(self, entries: Entries, metadata: Mapping[UUID, Json], collection: str) -> None:
        """Change the metadata of those entries that are there."""
        for some in _parts(list(metadata), self._chroma.most) if any(metadata.values()) else ():
            ids, changed = [str(id) for id in some], [metadata[id] for id in some]
            await self._ask(partial(entries.update, ids=ids, metadatas=changed), collection)

    async def _writable(self, collection: str) -> Copy:
        """Where to write. Raises `IndexMismatch` if another process has let a copy of another model serve."""
        copy = await self._ask(lambda: self._chroma.copies.known(collection, fresh=True), collection)
        wanted = self._embedders.get(collection)
        if wanted is not None and wanted != copy.schema.embedder:
            require_same(copy.schema, replace(copy.schema, embedder=wanted))
        return copy

    # --------------------------------------------------------------------------------------------------------- reading

    async def query(
        self, collection: str, vector: str, value: Vectors | Words, *, where: Where | None = None, limit: int = 10
    ) -> list[Hit]:
        """Nearest points by one named vector: cosine, from an approximate search; words by the word half, as `Words`
        are asked elsewhere. A filter is checked once more on the payloads, so that it holds in mid-write, too."""

        async def ask(copy: Copy) -> list[Hit]:
            asked = checked_query(copy.schema, vector, value)
            narrow = wire.narrowed(copy.schema, where)
            if limit < 1 or wire.matches_nothing(narrow):
                return []
            chosen = wire.to_where(narrow)
            if isinstance(asked, Words):
                rarity = vector in copy.schema.words
                found = await self._words.query(copy.name, vector, asked, rarity=rarity, where=narrow, limit=limit)
                hits = [Hit(id, score) for id, score in found]
            else:
                hits = await self._ask(lambda: _nearest(copy.vectors[vector], asked, chosen, limit), collection, True)
            if not hits or chosen is None:
                return hits
            ids = [str(hit.id) for hit in hits]
            answer = await self._ask(partial(copy.points.get, ids=ids, where=chosen, include=[]), collection, True)
            right = set(answer["ids"])
            return [hit for hit in hits if str(hit.id) in right]

        return await self._read(collection, ask)

    async def retrieve(self, collection: str, ids: Sequence[UUID]) -> Mapping[UUID, Json]:
        async def ask(copy: Copy) -> Mapping[UUID, Json]:
            found: dict[UUID, Json] = {}
            for some in _parts(list(dict.fromkeys(ids)), _READ):
                found |= await self._payloads(copy, collection, some)
            return found

        return await self._read(collection, ask)

    async def vectors(self, collection: str, ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Vectors | Words]]:
        async def ask(copy: Copy) -> Mapping[UUID, Mapping[str, Vectors | Words]]:
            found: dict[UUID, Mapping[str, Vectors | Words]] = {}
            for some in _parts(list(dict.fromkeys(ids)), _WHOLE):
                texts = [str(id) for id in some]
                there = await self._ask(partial(copy.points.get, ids=texts, include=[]), collection, True)
                rows = {
                    name: await self._ask(partial(_rows, entries, texts), collection, True)
                    for name, entries in copy.vectors.items()
                }
                words = await self._words.words(copy.name, some)
                for id in there["ids"]:
                    dense = {name: held[id] for name, held in rows.items() if id in held}
                    found[UUID(id)] = {**dense, **words.get(UUID(id), {})}
            return found

        return await self._read(collection, ask)

    async def scroll(
        self, collection: str, fields: Sequence[str] | None = ()
    ) -> AsyncIterator[Sequence[tuple[UUID, Json]]]:
        """Lists the ids of one copy first (90 bytes each), then reads it to its end, even if another replaces it."""
        copy = await self._ask(lambda: self._chroma.copies.known(collection, fresh=True), collection, True)
        try:
            for some in _parts(await self._ids(copy, collection), _WHOLE if fields is None else _READ):
                if fields is not None and not fields:
                    yield [(id, {}) for id in some]
                    continue
                held = await self._payloads(copy, collection, some)
                if batch := [(id, _chosen(held[id], fields)) for id in some if id in held]:
                    yield batch
        except NotFound as error:
            raise IndexUnavailable(
                f'Index "{collection}" was removed or replaced while it was read. Read it again.'
            ) from error

    async def count(self, collection: str, where: Where | None = None) -> int:
        async def ask(copy: Copy) -> int:
            narrow = wire.narrowed(copy.schema, where)
            if wire.matches_nothing(narrow):
                return 0
            if (chosen := wire.to_where(narrow)) is None:
                return int(await self._ask(copy.points.count, collection, True))
            answer = await self._ask(lambda: copy.points.get(where=chosen, include=[]), collection, True)
            return len(answer["ids"])

        return await self._read(collection, ask)

    async def _ids(self, copy: Copy, collection: str) -> list[UUID]:
        answer = await self._ask(lambda: copy.points.get(include=[]), collection, True)
        return await asyncio.to_thread(lambda: sorted(map(UUID, answer["ids"])))

    async def _payloads(self, copy: Copy, collection: str, ids: Sequence[UUID]) -> dict[UUID, Json]:
        """Payloads of those ids that are there, in no order; at least one id."""
        texts = [str(id) for id in ids]

        def read() -> dict[UUID, Json]:
            answer = copy.points.get(ids=texts, include=["metadatas"])
            return {
                UUID(id): wire.from_metadata(metadata)
                for id, metadata in zip(answer["ids"], answer["metadatas"], strict=True)
            }

        return await self._ask(read, collection, True) if texts else {}

    async def _read(self, collection: str, ask: Callable[[Copy], Awaitable[T]]) -> T:
        """Ask the copy that serves; if it is gone, having been replaced, the one that serves now."""
        copy = await self._ask(lambda: self._chroma.copies.known(collection), collection, True)
        try:
            return await ask(copy)
        except NotFound:
            self._chroma.copies.forget(copy.name)
            now = await self._ask(lambda: self._chroma.copies.known(collection, fresh=True), collection, True)
            if now.name == copy.name:
                raise
        return await ask(now)

    async def aclose(self) -> None:
        """Close the folder, or the connections. May be repeated."""
        await self._chroma.aclose()


def _nearest(entries: Entries, asked: Vectors, where: Json | None, limit: int) -> list[Hit]:
    answer = entries.query(query_embeddings=asked[np.newaxis], n_results=limit, where=where, include=["distances"])
    return [
        Hit(UUID(id), 1.0 - distance) for id, distance in zip(answer["ids"][0], answer["distances"][0], strict=True)
    ]


def _rows(entries: Entries, ids: Sequence[str]) -> dict[str, Vectors]:
    """The vectors of those entries that are there; one that Chroma has lost, while it still lists its entry, is not."""
    try:
        held = entries.get(ids=ids, include=["embeddings"])
    except ChromaError as error:
        if not is_lost(error):
            raise
        if len(ids) == 1:
            return {}
        middle = len(ids) // 2
        return _rows(entries, ids[:middle]) | _rows(entries, ids[middle:])
    return {id: np.asarray(row, np.float32) for id, row in zip(held["ids"], held["embeddings"], strict=True)}


def _chosen(payload: Json, fields: Sequence[str] | None) -> Json:
    return payload if fields is None else {name: payload[name] for name in fields if name in payload}


def _parts(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
