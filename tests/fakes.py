"""Stand-ins that obey the contracts and need no model: fast, deterministic, counted."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np

from deskloom.errors import Unreadable
from deskloom.protocols import Purpose, Vectors, Words

_TOKEN = re.compile(r"\w+|[^\w\s]")


class FakeEmbedder:
    """Vectors from hashed words: texts that share words are near. `texts` counts what it was asked to embed.

    A text that holds `poison` is refused, as a model may refuse one.
    """

    def __init__(
        self, dimensions: int = 32, max_tokens: int = 64, name: str = "fake", poison: str | None = None
    ) -> None:
        self.name = name
        self.dimensions = dimensions
        self.max_tokens = max_tokens
        self.languages: frozenset[str] | None = None
        self.poison = poison
        self.texts = 0

    async def embed(self, texts: Sequence[str], purpose: Purpose = "document") -> Vectors:
        rows = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            if self.poison and self.poison in text:
                raise Unreadable("the model cannot take this text")
            if len(self.offsets(text)) > self.max_tokens - 2:
                raise Unreadable(f"{len(self.offsets(text))} tokens are more than {self.max_tokens}")
            for word in _TOKEN.findall(text.casefold()) or [""]:
                digest = hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest()
                row[digest[0] % self.dimensions] += 1.0 if digest[1] % 2 else -1.0
            if not row.any():
                row[0] = 1.0
            row /= np.linalg.norm(row)
        self.texts += len(texts)
        return rows

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        return [match.span() for match in _TOKEN.finditer(text)]

    async def aclose(self) -> None:
        return None


class WeighingEmbedder(FakeEmbedder):
    """A fake that weighs words as well, each by its length."""

    async def embed_weighed(self, texts: Sequence[str], purpose: Purpose = "document") -> tuple[Vectors, list[Words]]:
        weights: list[dict[int, float]] = [
            {sum(word.encode()): float(len(word)) for word in text.casefold().split()} for text in texts
        ]
        return await self.embed(texts, purpose), [Words(tuple(one), tuple(one.values())) for one in weights]
