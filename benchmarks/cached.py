"""An embedder that keeps its vectors on disk, so that a benchmark run again embeds nothing."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deskloom.protocols import Embedder, Purpose, Vectors

_CHUNK = 500


class CachedEmbedder:
    """The vectors of `inner`, kept in an SQLite file by its name and the hash of the text."""

    def __init__(self, inner: Embedder, file: Path) -> None:
        self.inner = inner
        self.name, self.dimensions, self.max_tokens = inner.name, inner.dimensions, inner.max_tokens
        self.languages = inner.languages
        file.parent.mkdir(parents=True, exist_ok=True)
        self._kept = sqlite3.connect(file, isolation_level=None)
        self._kept.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID")

    async def embed(self, texts: Sequence[str], purpose: Purpose = "document") -> Vectors:
        keys = [hashlib.sha256(f"{self.name}\0{text}".encode("utf-8", "replace")).digest() for text in texts]
        vectors = self._load(keys)
        missing = list({key: text for key, text in zip(keys, texts, strict=True) if key not in vectors}.items())
        for start in range(0, len(missing), _CHUNK):
            chunk = missing[start : start + _CHUNK]
            made = await self.inner.embed([text for _, text in chunk], purpose)
            rows = [(key, row.tobytes()) for (key, _), row in zip(chunk, made, strict=True)]
            self._kept.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
            vectors |= {key: row for (key, _), row in zip(chunk, made, strict=True)}
        return np.array([vectors[key] for key in keys], np.float32).reshape(len(texts), self.dimensions)

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        return self.inner.offsets(text)

    async def aclose(self) -> None:
        self._kept.close()
        await self.inner.aclose()

    def _load(self, keys: Sequence[bytes]) -> dict[bytes, Vectors]:
        found: dict[bytes, Vectors] = {}
        for start in range(0, len(keys), _CHUNK):
            chunk = keys[start : start + _CHUNK]
            marks = ",".join("?" * len(chunk))
            rows = self._kept.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", chunk)
            found |= {key: np.frombuffer(vector, np.float32) for key, vector in rows}
        return found
