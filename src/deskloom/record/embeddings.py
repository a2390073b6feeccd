"""The embedding cache: vectors by model and text hash, so that a rebuild embeds nothing it has embedded before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.protocols import Vectors
from deskloom.record.statements import chunks, upsert
from deskloom.record.tables import embeddings


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


async def store_vectors(tx: AsyncConnection, model: str, vectors: Mapping[str, Vectors]) -> None:
    """Cache vectors of shape (parts, width) by text hash; what is cached already is overwritten."""
    rows = [
        {
            "model": model,
            "hash": text_hash,
            "parts": rows.shape[0],
            "width": rows.shape[1],
            "vectors": np.ascontiguousarray(rows, dtype="<f4").tobytes(),
        }
        for text_hash, rows in vectors.items()
    ]
    await upsert(tx, embeddings, rows)
