"""From documents to points: vectors of their sections, from the cache where a text is known and else made now."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np

from deskloom import documents
from deskloom.documents import RULES, Document
from deskloom.errors import ItemError, TextsRefused, Unreadable
from deskloom.model import ItemFailure, Json, Kind
from deskloom.protocols import Embedder, Point, Vectors, Weighing, Words
from deskloom.record import embeddings
from deskloom.record.documents import Claim
from deskloom.record.engine import Record

Pair = tuple[Claim, Document]
Cut = Mapping[str, Sequence[str]]
"""Texts in parts that the model can read, by text hash."""


@dataclass(slots=True)
class Made:
    """Vectors, shape (parts, width), and weighed words by text hash; `fresh` names those that were made just now.

    `texts` is how many parts the model was given, `refused` the documents with a text that it does not take.
    """

    vectors: dict[str, Vectors] = field(default_factory=dict)
    weights: dict[str, Words] = field(default_factory=dict)
    fresh: set[str] = field(default_factory=set)
    texts: int = 0
    refused: list[tuple[Claim, ItemError]] = field(default_factory=list)


async def make_vectors(
    record: Record, embedder: Embedder, pairs: Sequence[Pair], *, turn: asyncio.Lock | None = None
) -> Made:
    """Vectors of every dense section of these documents. A text that stands in several of them is embedded once.

    What is made is cached before this returns, so that whatever becomes of the batch, its next try costs nothing.
    Among those that share a `turn` one embeds at a time, and others cut their texts meanwhile.
    """
    texts = {text_hash(text): text for _, document in pairs for text in document.sections.values()}
    made = Made()
    await _load(record, embedder, texts, made)
    cut = await asyncio.to_thread(
        lambda: {key: documents.split(text, embedder) for key, text in texts.items() if key not in made.vectors}
    )
    async with turn or nullcontext():
        await _load(record, embedder, cut, made)  # what others have made meanwhile
        missing = {key: parts for key, parts in cut.items() if key not in made.vectors}
        await _make(record, embedder, pairs, missing, made)
    return made


async def _load(record: Record, embedder: Embedder, hashes: Collection[str], made: Made) -> None:
    """Add to `made` what is cached."""
    if not hashes:
        return
    async with record.reading() as tx:
        vectors = await embeddings.load_vectors(tx, embedder.name, hashes)
        if isinstance(embedder, Weighing):
            made.weights |= await embeddings.load_weights(tx, embedder.name, hashes)
            vectors = {key: rows for key, rows in vectors.items() if key in made.weights}
    made.vectors |= vectors


async def _make(record: Record, embedder: Embedder, pairs: Sequence[Pair], missing: Cut, made: Made) -> None:
    """Embed what is missing, and cache it."""
    try:
        refused = await _embed(embedder, missing, made)
    except ItemError:
        await _embed_apart(embedder, pairs, missing, made)
    else:
        for claim, document in pairs:
            reasons = [refused[key] for key in map(text_hash, document.sections.values()) if key in refused]
            made.refused += [(claim, Unreadable(why)) for why in reasons[:1]]
    if made.fresh:
        vectors = {key: made.vectors[key] for key in made.fresh}
        weights = {key: made.weights[key] for key in made.fresh if key in made.weights}
        async with record.transaction() as tx:
            await embeddings.store_vectors(tx, embedder.name, vectors, weights)


async def _embed_apart(embedder: Embedder, pairs: Sequence[Pair], missing: Cut, made: Made) -> None:
    """One text of many was refused: document by document, so that only its own documents are set aside."""
    for claim, document in pairs:
        own = {key: missing[key] for key in map(text_hash, document.sections.values()) if key in missing}
        try:
            refused = await _embed(embedder, {key: cut for key, cut in own.items() if key not in made.vectors}, made)
        except ItemError as error:
            made.refused.append((claim, error))
        else:
            made.refused += [(claim, Unreadable(why)) for why in list(refused.values())[:1]]


async def _embed(embedder: Embedder, texts: Cut, made: Made) -> dict[str, str]:
    """Embed texts into `made`; returns those that the model does not take, with its reason, by their hash."""
    if not texts:
        return {}
    parts = [(key, part) for key, own in texts.items() for part in own]
    weighed: Sequence[Words] = ()
    refused: Mapping[int, str] = {}
    if isinstance(embedder, Weighing):
        rows, weighed = await embedder.embed_weighed([part for _, part in parts])
    else:
        try:
            rows = await embedder.embed([part for _, part in parts])
        except TextsRefused as error:
            rows, refused = error.vectors, error.refused
    bad = {parts[place][0]: why for place, why in refused.items()}
    places: dict[str, list[int]] = {}
    for place, (key, _) in enumerate(parts):
        if key not in bad:
            places.setdefault(key, []).append(place)
    made.vectors |= {key: np.asarray(rows[own]) for key, own in places.items()}
    if weighed:
        made.weights |= {key: _highest([weighed[place] for place in own]) for key, own in places.items()}
    made.fresh |= set(places)
    made.texts += len(parts) - len(refused)
    return bad


def _highest(parts: Sequence[Words]) -> Words:
    if len(parts) == 1:
        return parts[0]
    merged: dict[int, float] = {}
    for part in parts:
        for index, weight in zip(part.indices, part.weights, strict=True):
            merged[index] = max(weight, merged.get(index, 0.0))
    return Words(tuple(merged), tuple(merged.values()))


def make_point(document: Document, made: Made, embedder: str) -> Point:
    """The point of a document, its payload with the `hash` by which `verify` compares index and record."""
    sparse = documents.sparse(document)
    if made.weights:
        by_section = {name: made.weights[text_hash(text)] for name, text in document.sections.items()}
        sparse |= documents.weighed(document, by_section)
    return Point(
        id=document.id,
        vectors={name: made.vectors[text_hash(text)] for name, text in document.sections.items()},
        words=sparse,
        payload=make_payload(document, embedder),
    )


def make_payload(document: Document, embedder: str) -> Json:
    """The payload of a document's point, with its `hash`."""
    return document.payload | {"hash": fingerprint(embedder, RULES, document.section_hashes(), document.payload_hash())}


def fingerprint(embedder: str, rules: int, sections: Mapping[str, str], payload_hash: str) -> str:
    """The `hash` of a point: what it was made of. The record's `documents` row holds the same four."""
    parts = [embedder, rules, dict(sections), payload_hash]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def text_hash(text: str) -> str:
    """The key of a text in the embedding cache."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def point_id(claim: Claim) -> UUID:
    """The id of the point of a claimed document."""
    return documents.point_id(claim.collection, claim.source, claim.item_id, claim.language)


def failure(claim: Claim, error: ItemError) -> ItemFailure:
    """What goes to the retry queue, and into `errors`, for a document that could not be made."""
    kind = documents.kind_of(claim.collection)
    key = f"{claim.item_id}:{claim.language}" if claim.language and kind is Kind.ARTICLE else claim.item_id
    return ItemFailure(kind=kind, key=key, reason=error.message, retry=error.retry)
