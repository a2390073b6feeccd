"""The embedding cache: vectors by model and text hash, so that a rebuild embeds nothing it has embedded before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.protocols import Vectors, Words
from deskloom.record.statements import chunks, upsert
from deskloom.record.tables import embeddings

_PAIR = np.dtype([("index", "<u4"), ("weight", "<f4")])


async def load_vectors(tx: AsyncConnection, model: str, hashes: Iterable[str]) -> dict[str, Vectors]:
    """Text hash → float32 vectors of shape (parts, width), read-only, for those that are cached."""
    columns = embeddings.c
    found: dict[str, Vectors] = {}
    for chunk in chunks(sorted(set(hashes))):
        query = select(columns.hash, columns.parts, columns.width, columns.vectors)
        for row in await tx.execute(query.where(columns.model == model, columns.hash.in_(chunk))):
            flat = np.frombuffer(row.vectors, dtype="<f4").astype(np.float32, copy=False)
            found[row.hash] = flat.reshape(row.parts, row.width)
    return found


async def forget_models(tx: AsyncConnection, *, but: Iterable[str]) -> int:
    """Drop the cached vectors of every model except those named; returns how many texts that were."""
    return (await tx.execute(delete(embeddings).where(embeddings.c.model.not_in(list(but))))).rowcount


async def load_weights(tx: AsyncConnection, model: str, hashes: Iterable[str]) -> dict[str, Words]:
    """Text hash → the words of the text as the model weighed them, for those that are cached with any."""
    columns = embeddings.c
    found: dict[str, Words] = {}
    for chunk in chunks(sorted(set(hashes))):
        query = select(columns.hash, columns.weights).where(columns.model == model, columns.hash.in_(chunk))
        for row in await tx.execute(query.where(columns.weights.is_not(None))):
            pairs = np.frombuffer(row.weights, dtype=_PAIR)
            found[row.hash] = Words(tuple(pairs["index"].tolist()), tuple(pairs["weight"].tolist()))
    return found


async def store_vectors(
    tx: AsyncConnection, model: str, vectors: Mapping[str, Vectors], weights: Mapping[str, Words] | None = None
) -> None:
    """Cache vectors of shape (parts, width), and weighed words, by text hash; what is cached already is overwritten."""
    rows = [
        {
            "model": model,
            "hash": text_hash,
            "parts": rows.shape[0],
            "width": rows.shape[1],
            "vectors": np.ascontiguousarray(rows, dtype="<f4").tobytes(),
            "weights": _pairs(weights[text_hash]) if weights and text_hash in weights else None,
        }
        for text_hash, rows in vectors.items()
    ]
    await upsert(tx, embeddings, rows)


def _pairs(words: Words) -> bytes:
    return np.array(list(zip(words.indices, words.weights, strict=True)), dtype=_PAIR).tobytes()
