"""Step 7, search: asks every vector a role may read, by meaning and by word, and fuses the ranks into one list."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from deskloom import documents, words
from deskloom.errors import IndexMismatch, IndexUnavailable, InvalidRequest
from deskloom.model import Json, Kind, Visibility
from deskloom.protocols import Embedder, EmbedderOf, VectorIndex, Vectors, Weighing, Where, Words
from deskloom.text.language import UNKNOWN, language_of

Mode = Literal["hybrid", "semantic", "keyword"]
COLLECTIONS: Mapping[str, str] = {"tickets": documents.TICKETS, "kb": documents.ARTICLES}
"""What callers call a collection in `in=`."""
VECTORS: Mapping[str, str] = {
    "symptom": "symptom_vec",
    "cause": "cause_vec",
    "resolution": "resolution_vec",
    "intent": "intent_vec",
    "procedure": "procedure_vec",
    "content": "content_vec",
}
WEIGHTS: Mapping[str, Mapping[str, float]] = {
    documents.TICKETS: {
        "symptom_vec": 1.0,
        "cause_vec": 0.3,
        "resolution_vec": 0.3,
        "words": 1.5,
        "words_internal": 1.5,
        "weights": 0.3,
        "weights_internal": 0.3,
    },
    documents.ARTICLES: {"intent_vec": 0.3, "procedure_vec": 1.0, "words": 0.3, "weights": 0.3},
}
ROW_WEIGHTS: Mapping[str, float] = {"content_vec": 1.0, "words": 0.3, "weights": 0.3}
"""The same for collections of table rows: as articles."""

"""What each branch counts in rank fusion: measured on real questions (`benchmarks/retrieval.py`, decision 0004). There
are no labels for private notes; they count like their public counterparts. Words weighed by a model (`weights`) count
beside its vectors as BGE-M3's authors propose (arXiv 2402.03216, section 4); that was not measured here."""
_ID = {Kind.TICKET: "ticket_id", Kind.ARTICLE: "article_id", Kind.ROW: "item_id"}
_WEIGHED = frozenset({"weights", "weights_internal"})
FOREIGN = 0.1
"""What meaning counts, beside words, for a question in a language that the model does not know."""
RANK_CONSTANT = 10
"""k of reciprocal rank fusion, measured like the weights."""
CANDIDATES = 100
"""Points asked of each branch before fusion."""
SNIPPET = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question. `internal` says that the caller may read private notes and internal texts."""

    text: str
    collections: Sequence[str] = ()
    vector: str | None = None
    mode: Mode = "hybrid"
    filters: Mapping[str, Sequence[str | int]] = field(default_factory=dict)
    updated_since: datetime | None = None
    limit: int = 10
    internal: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A hit with everything a caller shows."""

    collection: str
    source: str
    id: str
    title: str
    snippet: str
    score: float
    matched: tuple[str, ...]
    url: str | None
    updated_at: str | None
    payload: Json


Link = Callable[[str, Kind, str], str | None]
"""Where a person reads an object: (source, kind, key) → address, if the source is known."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """A question as one embedder understands it: its vector, its words where it weighs them, and whether it is in a
    language that the model does not know."""

    vector: Vectors
    words: Words | None
    foreign: bool


class Search:
    """Answers questions from one index; `embedder_of` says which embedder made the vectors of a collection.

    `tables` are the collections of table rows there are, which callers call by their own names.
    """

    def __init__(self, index: VectorIndex, embedder_of: EmbedderOf, link: Link, *, tables: Sequence[str] = ()) -> None:
        self.index = index
        self.embedder_of = embedder_of
        self.link = link
        self.collections = {**COLLECTIONS, **{name: name for name in tables}}

    async def search(self, query: Query) -> list[Found]:
        """The best hits over all collections asked for, best first, at most `limit`.

        Raises `InvalidRequest` for an unknown collection or vector, `IndexUnavailable`, `EmbedderUnavailable`.
        """
        if not query.text.strip():
            raise InvalidRequest("q is empty. Ask with some words, for example q=printer+offline", parameter="q")
        names = self._collections(query)
        sparse = words.query_words(query.text) if query.mode != "semantic" else None
        embedders = await self._embedders(query, names)
        try:
            ranked = await self._ranked(query, names, embedders, sparse)
        except (IndexMismatch, IndexUnavailable):
            # A rebuilt copy, made with another model, may have taken the place of the one that was asked for.
            renewed = await self._embedders(query, names)
            if {name: one.name for name, one in renewed.items()} == {name: one.name for name, one in embedders.items()}:
                raise
            ranked = await self._ranked(query, names, renewed, sparse)
        best = sorted((hit for hits in ranked for hit in hits), key=lambda hit: -hit[1])[: query.limit]
        return await self._found(query, best)

    def _collections(self, query: Query) -> list[str]:
        names = query.collections or tuple(self.collections)
        for name in names:
            if name not in self.collections:
                known = ", ".join(self.collections)
                raise InvalidRequest(f'in="{name}" is not a collection. Use one of: {known}', parameter="in")
        return [self.collections[name] for name in names]

    async def _embedders(self, query: Query, names: Sequence[str]) -> dict[str, Embedder]:
        """The embedder of each collection; none for a question by word, which works without any model."""
        return {} if query.mode == "keyword" else {name: await self.embedder_of(name) for name in names}

    async def _ranked(
        self, query: Query, names: Sequence[str], embedders: Mapping[str, Embedder], sparse: Words | None
    ) -> list[list[tuple[str, float, UUID, tuple[str, ...]]]]:
        meanings = {
            one.name: await _meaning(query.text, one) for one in {e.name: e for e in embedders.values()}.values()
        }
        understood = {name: meanings[one.name] for name, one in embedders.items()}
        return await asyncio.gather(*(self._collection(query, name, understood.get(name), sparse) for name in names))

    async def _collection(
        self, query: Query, collection: str, meaning: Meaning | None, sparse: Words | None
    ) -> list[tuple[str, float, UUID, tuple[str, ...]]]:
        """Rank fusion within one collection: (collection, score, id, branches that found it)."""
        where = self._where(query)
        by_word = documents.word_names(collection)
        branches: dict[str, Vectors | Words] = {}
        for name in WEIGHTS.get(collection, ROW_WEIGHTS):
            value = self._asked(query, name, by_word, meaning, sparse)
            if value is not None:
                branches[name] = value
        results = await asyncio.gather(
            *(
                self.index.query(collection, name, value, where=where, limit=max(CANDIDATES, query.limit))
                for name, value in branches.items()
            )
        )
        weights = _weights(collection, list(branches), by_word, foreign=meaning is not None and meaning.foreign)
        scores: defaultdict[UUID, float] = defaultdict(float)
        matched: defaultdict[UUID, list[str]] = defaultdict(list)
        for name, hits in zip(branches, results, strict=True):
            for rank, hit in enumerate(hits, start=1):
                scores[hit.id] += weights[name] / (RANK_CONSTANT + rank)
                matched[hit.id].append("keyword" if name in by_word else name)
        best = sorted(scores.items(), key=lambda item: -item[1])[: query.limit]
        return [(collection, score, id, tuple(dict.fromkeys(matched[id]))) for id, score in best]

    def _asked(
        self, query: Query, name: str, by_word: Sequence[str], meaning: Meaning | None, sparse: Words | None
    ) -> Vectors | Words | None:
        """What to ask the named vector for; None if it is not to be asked."""
        if query.vector is not None and query.vector not in VECTORS:
            known = ", ".join(VECTORS)
            raise InvalidRequest(f'vector="{query.vector}" does not exist. Use one of: {known}', parameter="vector")
        if name in documents.INTERNAL_NAMES and not query.internal:
            return None
        if query.vector is not None:
            return meaning.vector if meaning and VECTORS[query.vector] == name else None
        if name in by_word:
            return sparse if sparse is not None and sparse.indices else None
        if meaning is None:
            return None
        if name in _WEIGHED:
            return meaning.words if meaning.words is not None and meaning.words.indices else None
        return meaning.vector

    def _where(self, query: Query) -> Where:
        at_least: dict[str, Any] = {}
        if query.updated_since is not None:
            at_least["updated_at"] = query.updated_since.astimezone(UTC).isoformat().replace("+00:00", "Z")
        exclude = {} if query.internal else {"visibility": [Visibility.INTERNAL.value, Visibility.RESTRICTED.value]}
        return Where(equals=dict(query.filters), at_least=at_least, exclude=exclude)

    async def _found(self, query: Query, best: Sequence[tuple[str, float, UUID, tuple[str, ...]]]) -> list[Found]:
        by_collection: defaultdict[str, list[UUID]] = defaultdict(list)
        for collection, _, id, _ in best:
            by_collection[collection].append(id)
        payloads: dict[UUID, Json] = {}
        for collection, ids in by_collection.items():
            payloads |= await self.index.retrieve(collection, ids)
        asked = frozenset(words.tokens(query.text))
        found = []
        for collection, score, id, matched in best:
            payload = payloads.get(id)
            if payload is None:  # deleted since the ranks were taken
                continue
            found.append(self._hit(collection, payload, score, matched, asked, query.internal))
        return found

    def _hit(
        self,
        collection: str,
        payload: Json,
        score: float,
        matched: tuple[str, ...],
        asked: frozenset[str],
        internal: bool,
    ) -> Found:
        kind = documents.kind_of(collection)
        item = str(payload[_ID[kind]])
        key = f"{item}:{payload.get('language')}" if kind is Kind.ARTICLE else item
        shown = {name: value for name, value in payload.items() if internal or name not in documents.INTERNAL_FIELDS}
        text = str(payload.get("content") or payload.get("description") or "")
        if internal and "cause_vec" in matched:
            text = f"{text}\n{payload.get('internal_content') or ''}"
        return Found(
            collection=collection,
            source=str(payload["source"]),
            id=item,
            title=str(payload.get("subject" if kind is Kind.TICKET else "title") or ""),
            snippet=snippet(text, asked),
            score=round(score, 6),
            matched=matched,
            url=self.link(str(payload["source"]), kind, key),
            updated_at=payload.get("updated_at"),
            payload=shown,
        )


async def _meaning(text: str, embedder: Embedder) -> Meaning:
    first = documents.split(text, embedder)[0]
    weighed: Sequence[Words | None] = [None]
    if isinstance(embedder, Weighing):
        rows, weighed = await embedder.embed_weighed([first], "query")
    else:
        rows = await embedder.embed([first], "query")
    known = embedder.languages
    return Meaning(rows[0], weighed[0], known is not None and language_of(text) not in known | {UNKNOWN})


def _weights(collection: str, branches: Sequence[str], by_word: Sequence[str], *, foreign: bool) -> dict[str, float]:
    """Weights of the branches asked; they sum to 1, so that scores of several collections can be compared."""
    counted = WEIGHTS.get(collection, ROW_WEIGHTS)
    weights = {name: counted[name] * (FOREIGN if foreign and name not in by_word else 1.0) for name in branches}
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def snippet(text: str, asked: frozenset[str], width: int = SNIPPET) -> str:
    """The passage of `text`, at most `width` characters, that holds most of the words that were asked for."""
    flat = re.sub(r"\s+", " ", text).strip()
    if len(flat) <= width:
        return flat
    starts = [0, *(match.end() for match in re.finditer(r"[.!?。]\s+|\s[-•]\s", flat))]
    windows = {start: flat[start : start + width] for start in starts}
    best = max(windows, key=lambda start: (len(asked & frozenset(words.tokens(windows[start]))), -start))
    passage = windows[best]
    if best + width < len(flat):
        passage = passage.rsplit(" ", 1)[0] + " …"
    return passage if best == 0 else f"… {passage}"
