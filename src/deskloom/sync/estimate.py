"""What a reindex would cost, told from a sample of the documents before anything is built."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby

from deskloom import documents
from deskloom.documents import Document
from deskloom.errors import ItemError
from deskloom.protocols import Embedder, Vectors
from deskloom.record import embeddings, rebuilds
from deskloom.record.engine import Record
from deskloom.sync.build import build
from deskloom.sync.vectors import text_hash

SAMPLE = 200
"""Documents that are looked at."""
TIMED = 16
"""Texts at most that are embedded to learn the model's speed on this machine."""
LONG_ENOUGH = 3.0
"""Seconds after which no further text is embedded for that: somebody waits for the answer."""
_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What building a collection anew takes. `texts` are what the model would be given, `cached` those of them whose
    vectors are known; `tokens` and `seconds` are for the rest, `bytes` is the disk space of the new copy."""

    collection: str
    documents: int
    sampled: int
    texts: int
    cached: int
    tokens: int
    seconds: float
    bytes: int


async def estimate(record: Record, embedder: Embedder, collection: str, *, sample: int = SAMPLE) -> Estimate:
    """Extrapolate from up to `sample` documents chosen at random; embeds a few of their texts to measure the speed."""
    async with record.reading() as tx:
        total = await rebuilds.count_documents(tx, collection)
        claims = await rebuilds.sample_documents(tx, collection, limit=sample)
    found: list[Document] = []
    for _, same in groupby(sorted(claims, key=lambda claim: claim.key), key=lambda claim: claim.source):
        found += [document for _, document in (await build(record, list(same))).documents]
    if not found:
        return Estimate(
            collection=collection, documents=total, sampled=0, texts=0, cached=0, tokens=0, seconds=0.0, bytes=0
        )
    texts = {text_hash(text): text for document in found for text in document.sections.values()}
    async with record.reading() as tx:
        known: dict[str, Vectors] = await embeddings.load_vectors(tx, embedder.name, list(texts))
    parts, cached, lengths, timed = await asyncio.to_thread(_measure, embedder, texts, set(known))
    pace = await _pace(embedder, timed)
    scale = total / len(claims)
    return Estimate(
        collection=collection,
        documents=total,
        sampled=len(claims),
        texts=round(parts * scale),
        cached=round(cached * scale),
        tokens=round(sum(lengths) * scale),
        seconds=round(sum(lengths) * scale * pace, 1),
        bytes=round(sum(_size(document, embedder.dimensions) for document in found) * scale),
    )


def _measure(embedder: Embedder, texts: dict[str, str], known: set[str]) -> tuple[int, int, list[int], list[str]]:
    """How many parts there are, how many of them are cached, tokens of each of the others, and some of these to time:
    those of middling length."""
    parts = cached = 0
    fresh: list[tuple[int, str]] = []
    for key, text in texts.items():
        split = documents.split(text, embedder)
        parts += len(split)
        if key in known:
            cached += len(split)
            continue
        fresh += [(_tokens(embedder, part), part) for part in split]
    fresh.sort()
    middle = max(0, len(fresh) - TIMED) // 2
    return parts, cached, [length for length, _ in fresh], [part for _, part in fresh[middle : middle + TIMED]]


async def _pace(embedder: Embedder, texts: list[str]) -> float:
    """Seconds a token, measured; 0 where there is nothing to embed."""
    if not texts:
        return 0.0
    begun = time.perf_counter()
    tokens = 0
    for batch in (texts[place : place + _AT_ONCE] for place in range(0, len(texts), _AT_ONCE)):
        with suppress(ItemError):  # a text that the model does not take is found out by the run
            await embedder.embed(batch)
        tokens += sum(_tokens(embedder, text) for text in batch)
        if time.perf_counter() - begun > LONG_ENOUGH:
            break
    return (time.perf_counter() - begun) / tokens


def _tokens(embedder: Embedder, text: str) -> int:
    return len(embedder.offsets(text)) + 2


def _size(document: Document, dimensions: int) -> int:
    words = sum(len(one.indices) * 8 for one in documents.sparse(document).values())
    return len(document.sections) * dimensions * 4 + words + len(json.dumps(document.payload).encode())
