"""The seams. Guarantees are numbered as in the contract suites, which every implementation passes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from deskloom.model import Cursor, Json, Kind, Page, Record

# ---------------------------------------------------------------------------------------------------------- Source

Known = Callable[[Kind, Sequence[str]], Awaitable[Mapping[str, str]]]
"""Looks up what the record already holds: key → stamp, for keys whose stored state is complete. The source skips an
object whose stamp is equal. In a full read nothing is known, so everything is read again."""


async def nothing_known(kind: Kind, keys: Sequence[str]) -> Mapping[str, str]:
    """The `Known` of a full read."""
    return {}


@dataclass(frozen=True, slots=True)
class Stream:
    """One kind of object in a source. A run covers a stream and, before it, the streams it `needs`.

    `collection` is where its documents go; None: the objects are not searchable by themselves.
    """

    name: str
    kind: Kind
    collection: str | None = None
    needs: tuple[str, ...] = ()

    @property
    def asked_for(self) -> bool:
        """Whether runs are started for it; the others are only read before those that need them."""
        return self.collection is not None or self.kind is Kind.HOURS


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One object of a complete listing. `stamp` is its change mark as records carry it (None: the listing does not
    say); `gone` says that the source itself calls it deleted (spam, unpublished, merged away). `updated_at` is when it
    last changed, by the source's clock, as far as the source tells."""

    key: str
    stamp: str | None = None
    gone: bool = False
    updated_at: datetime | None = None


class Source(Protocol):
    """A place data comes from.

    S1 a read yields everything after `after` or raises; it never ends early in silence.
    S2 once a page is stored, reading on from its cursor misses nothing; it may repeat.
    S3 an unchanged object yields an equal record.
    S4 keys are unique and stable.
    S5 a rate limit raises or waits as long as the server said; refused credentials raise at once.
    S6 what the source says is deleted arrives as a tombstone (or as a ticket whose state says so).
    """

    name: str
    kind: str
    account: str
    streams: Mapping[str, Stream]

    async def check(self) -> Json:
        """Prove that the account can be read; returns facts for people. Raises `Fatal` with the remedy."""
        ...

    def read(
        self, stream: str, after: Cursor | None, *, limit: int | None = None, known: Known = nothing_known
    ) -> AsyncIterator[Page]:
        """Pages of changed records in order of change; at most `limit` records, failures counted as records."""
        ...

    def cursor_since(self, stream: str, when: datetime) -> Cursor:
        """A cursor after which a read yields what changed at or after `when`."""
        ...

    def link(self, kind: Kind, key: str) -> str | None:
        """Where a person reads the object at the source."""
        ...

    def listing(self, stream: str) -> AsyncIterator[Sequence[Listed]]:
        """Every object of a stream, in batches; ends only if it is complete, and raises otherwise (S1).

        An object that is not listed may still exist (archived, or moved while the listing was read): ask `fetch`.
        One that changed meanwhile may come twice; the later counts.
        Raises `NotFound` for a stream that has no listing.
        """
        ...

    async def fetch(self, stream: str, key: str) -> Record | None:
        """One object, whole; None when the source says that it does not exist. Raises `Unreadable` if unsure."""
        ...

    async def aclose(self) -> None: ...


# -------------------------------------------------------------------------------------------------------- Embedder

Purpose = Literal["document", "query"]
Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """Turns texts into vectors.

    E1 one vector per text, in order, unit length, float32, shape (len(texts), dimensions).
    E2 equal text → equal vector while `name` is unchanged, whatever else is in the batch (within 1e-5).
    E3 nothing is cut in silence: a text over `max_tokens` raises `Unreadable`; `documents` splits before.
    """

    name: str
    """Fingerprint: model, weights, precision. Another name means vectors that cannot be compared."""
    dimensions: int
    max_tokens: int
    languages: frozenset[str] | None
    """ISO 639-1 codes of the languages it understands; None: it was made for many."""

    async def embed(self, texts: Sequence[str], purpose: Purpose = "document") -> Vectors: ...

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        """Character ranges of the text's tokens, special tokens left out; at most `max_tokens - 2` fit."""
        ...

    async def aclose(self) -> None: ...


EmbedderOf = Callable[[str], Awaitable[Embedder]]
"""The embedder whose vectors a collection holds now, by the collection's name. It may change while a process runs."""


@dataclass(frozen=True, slots=True)
class Words:
    """A sparse word vector: indices (uint32, unique) and weights."""

    indices: tuple[int, ...]
    weights: tuple[float, ...]


@runtime_checkable
class Weighing(Protocol):
    """An embedder that also weighs the words of a text, in the same pass (BGE-M3's sparse half).

    `embed_weighed` returns what `embed` returns, and for each text its words: vocabulary ids and weights over 0.
    """

    async def embed_weighed(
        self, texts: Sequence[str], purpose: Purpose = "document"
    ) -> tuple[Vectors, list[Words]]: ...


# ----------------------------------------------------------------------------------------------------------- Index


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """What a collection holds. `filters` maps payload fields to their type for filtering.

    `words` are sparse vectors whose products count by inverse document frequency; `weights` are sparse vectors that a
    model weighed, whose products count as they are.
    """

    collection: str
    embedder: str
    dimensions: int
    vectors: tuple[str, ...]
    words: tuple[str, ...]
    weights: tuple[str, ...] = ()
    filters: Mapping[str, Literal["keyword", "integer", "datetime"]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What the index holds for a document. A dense vector has one row per part of its text: shape (parts, width).

    The index keeps the mean of the rows (docs/decisions/0004-embedder-and-index.md). `words` holds the sparse vectors,
    those of the schema's `words` and of its `weights` alike.
    """

    id: UUID
    vectors: Mapping[str, Vectors]
    words: Mapping[str, Words]
    payload: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """A filter: every entry of `equals` must match (any of its values), every range of `at_least` must hold."""

    equals: Mapping[str, Sequence[str | int]] = field(default_factory=dict)
    at_least: Mapping[str, Any] = field(default_factory=dict)
    exclude: Mapping[str, Sequence[str | int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hit:
    """A point that was found, with the engine's own score (higher is better)."""

    id: UUID
    score: float


class VectorIndex(Protocol):
    """Holds points, by collection.

    I1 after `upsert` returns, `query` finds the point, and a kill -9 does not lose it.
    I2 the same id replaces the point whole; deleting an absent id is fine.
    I3 hits match every filter, best first, at most `limit`.
    I4 `prepare` may be repeated; another width or model raises `IndexMismatch` and keeps the data.
    I5 a rebuild is invisible until `swap`, which is atomic.
    I6 a point may lack any of its named vectors.
    """

    async def prepare(self, schema: Schema) -> bool:
        """True if the collection is empty, being new or lost; then everything is to be published again.

        After `IndexMismatch` the collection can still be read and queried as it is.
        """
        ...

    async def upsert(self, collection: str, points: Sequence[Point]) -> None: ...

    async def set_payload(self, collection: str, payloads: Mapping[UUID, Json]) -> None:
        """Replace the payload of points that exist; vectors stay. An absent id raises `NotFound` naming it."""
        ...

    async def delete(self, collection: str, ids: Sequence[UUID]) -> None: ...

    async def query(
        self, collection: str, vector: str, value: Vectors | Words, *, where: Where | None = None, limit: int = 10
    ) -> list[Hit]:
        """Nearest points by one named vector: dense (shape (width,)) or words."""
        ...

    async def retrieve(self, collection: str, ids: Sequence[UUID]) -> Mapping[UUID, Json]:
        """Payloads of those ids that exist."""
        ...

    async def vectors(self, collection: str, ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Vectors | Words]]:
        """The stored vectors of those ids that exist: dense ones of shape (width,) and unit length, and words."""
        ...

    def scroll(self, collection: str, fields: Sequence[str] | None = ()) -> AsyncIterator[Sequence[tuple[UUID, Json]]]:
        """Every point in batches: id and the named payload fields (None: the whole payload)."""
        ...

    async def count(self, collection: str, where: Where | None = None) -> int: ...

    async def begin_rebuild(self, schema: Schema) -> str:
        """Start an invisible copy; returns its name, to be used as `collection` until `swap`."""
        ...

    async def swap(self, collection: str, rebuilt: str) -> None:
        """Let the copy serve from now on. What served before is kept until `drop_previous`, or the next swap."""
        ...

    async def schema(self, collection: str) -> Schema | None:
        """What the serving copy was made with; None if there is no such collection (or it was lost)."""
        ...

    async def previous(self, collection: str) -> Schema | None:
        """What the kept copy was made with; None if there is none."""
        ...

    async def reopen_previous(self, collection: str) -> str:
        """Make the kept copy one that is being rebuilt, to be brought up to date and swapped in; returns its name.

        It stays the kept one until then. Raises `NotFound` if there is none.
        """
        ...

    async def drop_previous(self, collection: str) -> None:
        """Remove the kept copy, if there is one."""
        ...

    async def drop_rebuild(self, collection: str) -> None:
        """Remove copies that were begun and not swapped in."""
        ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WordEntry:
    """The words of a point, and what it is filtered by: times are microseconds since 1970 (UTC)."""

    id: UUID
    words: Mapping[str, Words]
    fields: Mapping[str, Sequence[str | int]]


class WordIndex(Protocol):
    """The word half of an index whose store knows no sparse vectors. A `copy` is what that index calls it.

    Each call is one transaction. Ids that a copy does not have are passed over.
    """

    async def put(self, copy: str, entries: Sequence[WordEntry]) -> None:
        """Replace these entries whole; no id twice. Entries without words count, too (`is_empty`)."""
        ...

    async def set_fields(self, copy: str, fields: Mapping[UUID, Mapping[str, Sequence[str | int]]]) -> None:
        """Replace what entries are filtered by; their words stay."""
        ...

    async def delete(self, copy: str, ids: Sequence[UUID]) -> None: ...

    async def query(
        self, copy: str, name: str, words: Words, *, rarity: bool, where: Where, limit: int
    ) -> list[tuple[UUID, float]]:
        """The best entries by the sum of products of weights, times inverse document frequency with `rarity`.

        The lower bounds of `where` are whole numbers, times among them.
        """
        ...

    async def words(self, copy: str, ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Words]]: ...

    async def is_empty(self, copy: str) -> bool: ...

    async def copies(self, collection: str) -> Sequence[str]:
        """The copies that begin with `collection` and two underscores."""
        ...

    async def drop(self, copy: str) -> None: ...
