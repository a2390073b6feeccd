"""The copies of a collection in Chroma: of which parts each is made, which serves, and which is kept.

    tickets__serving                    no entries; its metadata names the copy that serves and the one that is kept
    tickets__1a2b3c4d                   a copy: one entry a point, with its payload; its metadata holds our schema
    tickets__1a2b3c4d.symptom_vec       one entry for each point that has this vector

One change of metadata is one transaction of Chroma's database, so a copy takes over at once. Everything here blocks;
it is called on the index's threads.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from chromadb.api import ClientAPI
from chromadb.errors import ChromaError, InternalError, NotFoundError

from deskloom.errors import IndexMismatch, InvalidRequest, NotFound
from deskloom.indexes.checks import read_schema, schema_text
from deskloom.protocols import Schema

Entries = Any
"""A `chromadb.Collection`: its own types do not describe what it takes."""
KEY = "deskloom"
_PHYSICAL = re.compile(r"(?P<collection>.+)__[0-9a-f]{8}")
_PAGE = 500
# Twice the default width of search, for 0.99 instead of 0.95 of the hundred nearest in 10,000 (docs/indexes.md).
_VECTORS = {"hnsw": {"space": "cosine", "ef_construction": 128, "ef_search": 256, "max_neighbors": 16}}
_NO_VECTORS = {"hnsw": {"space": "l2", "ef_construction": 8, "ef_search": 8, "max_neighbors": 2}}


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy whose parts are all there."""

    name: str
    schema: Schema
    points: Entries
    vectors: Mapping[str, Entries]


@dataclass(frozen=True, slots=True)
class Pointer:
    """The copy that serves and the one that it replaced."""

    live: str | None = None
    kept: str | None = None


class Copies:
    """Copies by their own names, and what the pointers say. `trusted` is for how many seconds a pointer is believed."""

    def __init__(self, client: ClientAPI, *, place: str, trusted: float, monotonic: Callable[[], float]) -> None:
        self._client: Any = client
        self._place = place
        self._trusted = trusted
        self._monotonic = monotonic
        self._pointers: dict[str, tuple[float, Pointer]] = {}
        self._open: dict[str, Copy] = {}

    def pointer(self, collection: str, *, fresh: bool = False) -> Pointer:
        """What serves and what is kept; nothing, if there is no such collection."""
        now = self._monotonic()
        if not fresh and collection in self._pointers:
            read, known = self._pointers[collection]
            if now - read <= self._trusted:
                return known
        try:
            metadata = self._client.get_collection(_serving(collection), embedding_function=None).metadata
        except NotFoundError:
            return Pointer()
        try:
            known = Pointer(**json.loads(metadata[KEY]))
        except (KeyError, TypeError, ValueError):
            raise self._foreign(_serving(collection), collection) from None
        self._pointers[collection] = now, known
        return known

    def point_to(self, collection: str, live: str, kept: str | None) -> None:
        """Let `live` serve and keep `kept`, at once and for good."""
        self._pointers.pop(collection, None)
        metadata = {KEY: json.dumps({"live": live, "kept": kept})}
        try:
            self._client.get_collection(_serving(collection), embedding_function=None).modify(metadata=metadata)
        except NotFoundError:
            self._create(_serving(collection), metadata, _NO_VECTORS)

    def first(self, schema: Schema) -> Copy:
        """Make the first copy of a collection and let it serve; if another process was quicker, take its copy."""
        made = self.create(schema)
        metadata = {KEY: json.dumps({"live": made.name, "kept": None})}
        try:
            self._create(_serving(schema.collection), metadata, _NO_VECTORS)
        except ChromaError:
            if (live := self.pointer(schema.collection, fresh=True).live) is None:
                raise
            self.drop(made.name)
            return self.open(live, schema.collection)
        return made

    def create(self, schema: Schema) -> Copy:
        """A new, empty copy, which nothing names yet."""
        name = f"{named(schema.collection)}__{uuid.uuid4().hex[:8]}"
        points = self._create(name, {KEY: schema_text(schema)}, _NO_VECTORS)
        vectors = {vector: self._create(_part(name, vector), {KEY: "vectors"}, _VECTORS) for vector in schema.vectors}
        self._open[name] = Copy(name, schema, points, vectors)
        return self._open[name]

    def open(self, name: str, collection: str) -> Copy:
        """A copy by its own name. Raises `NotFound` if a part is missing, `IndexMismatch` if it is not Deskloom's."""
        if (known := self._open.get(name)) is not None:
            return known
        try:
            points = self._client.get_collection(name, embedding_function=None)
            try:
                schema = read_schema((points.metadata or {})[KEY])
            except (KeyError, TypeError, ValueError):
                raise self._foreign(name, collection) from None
            vectors = {
                vector: self._client.get_collection(_part(name, vector), embedding_function=None)
                for vector in schema.vectors
            }
        except NotFoundError:
            raise absent(collection) from None
        self._open[name] = Copy(name, schema, points, vectors)
        return self._open[name]

    def is_sound(self, copy: Copy) -> bool:
        """Whether the oldest entry of each part can be read: the first that is lost with a file of its vectors."""
        for entries in (copy.points, *copy.vectors.values()):
            try:
                entries.get(limit=1, include=["embeddings"])
            except InternalError as error:
                if not is_lost(error):
                    raise
                return False
        return True

    def known(self, collection: str, *, fresh: bool = False) -> Copy:
        """The copy that serves a collection, or a rebuild by its name. Raises `NotFound`."""
        if _PHYSICAL.fullmatch(collection):
            return self.open(collection, collection)
        if (live := self.pointer(collection, fresh=fresh).live) is None:
            raise absent(collection)
        return self.open(live, collection)

    def rename(self, copy: Copy, schema: Schema) -> None:
        """Note that a copy is made with `schema` now."""
        copy.points.modify(metadata={KEY: schema_text(schema)})
        self._open[copy.name] = replace(copy, schema=schema)

    def forget(self, name: str) -> None:
        """Look for a copy anew, next time."""
        self._open.pop(name, None)

    def unnamed(self, collection: str) -> list[str]:
        """The copies of a collection that its pointer does not name, whole or in part."""
        pointer = self.pointer(collection, fresh=True)
        there = {name.partition(".")[0] for name in self.names()}
        return sorted(name for name in there - {pointer.live, pointer.kept} if is_copy(name, collection))

    def drop(self, name: str) -> None:
        """Remove what there is of a copy."""
        self.forget(name)
        for part in self.names():
            if part == name or part.startswith(f"{name}."):
                try:
                    self._client.delete_collection(part)
                except NotFoundError:  # another process was quicker
                    continue

    def names(self) -> list[str]:
        """Every collection of Chroma, ours and others."""
        names: list[str] = []
        while len(page := self._client.list_collections(limit=_PAGE, offset=len(names))) == _PAGE:
            names += [one.name for one in page]
        return names + [one.name for one in page]

    def _create(self, name: str, metadata: Mapping[str, str], configuration: Mapping[str, Any]) -> Entries:
        # Without "None" Chroma would take an embedding function of its own, which downloads a model.
        return self._client.create_collection(
            name, metadata=dict(metadata), configuration=configuration, embedding_function=None
        )

    def _foreign(self, name: str, collection: str) -> IndexMismatch:
        return IndexMismatch(
            f'{self._place} has a collection "{name}" that Deskloom did not make. Rename or remove it, or give '
            "Deskloom a Chroma of its own.",
            collection=collection,
        )


def is_copy(name: str, collection: str) -> bool:
    """Whether a name is that of a copy of the collection."""
    match = _PHYSICAL.fullmatch(name)
    return match is not None and match["collection"] == collection


def is_lost(error: BaseException) -> bool:
    """Whether Chroma says that it has no vector for an entry, or cannot read its files of vectors."""
    return isinstance(error, InternalError) and any(text in str(error) for text in ("Error finding id", "loading hnsw"))


def named(collection: str) -> str:
    """The name, if it can be one of ours: Chroma's names and our endings must not be taken for each other."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]{0,62}", collection) or "__" in collection or collection.endswith("_"):
        raise InvalidRequest(
            f'"{collection}" cannot name a collection. Use small letters, digits and single _.', parameter="collection"
        )
    return collection


def absent(collection: str) -> NotFound:
    return NotFound(f'The index has no collection "{collection}". Prepare it first.', collection=collection)


def _serving(collection: str) -> str:
    return f"{collection}__serving"


def _part(name: str, vector: str) -> str:
    return f"{name}.{vector}"
