"""Every test of the embedder contract can fail: for each there is an embedder that breaks just that promise."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from hashlib import sha256

import numpy as np
import pytest
from tests.contracts.embedder import EmbedderContract

from deskloom.errors import Unreadable
from deskloom.protocols import Embedder, Purpose, Vectors


class WordHashes:
    """An honest embedder of 16 dimensions: a token is a run of visible characters."""

    name = "word-hashes"
    dimensions = 16
    max_tokens = 128
    languages = None

    async def embed(self, texts: Sequence[str], purpose: Purpose = "document") -> Vectors:
        return await asyncio.to_thread(self.compute, texts)

    def compute(self, texts: Sequence[str]) -> Vectors:
        rows = [self.row(text) for text in texts]
        return np.array(rows, np.float32).reshape(len(texts), self.dimensions)

    def row(self, text: str) -> Vectors:
        tokens = [text[start:end] for start, end in self.offsets(text)]
        if len(tokens) > self.max_tokens - 2:
            raise Unreadable("too long")
        seeds = [int.from_bytes(sha256(token.encode("utf-8", "replace")).digest()[:4]) for token in ["^", *tokens]]
        row = np.sum([np.random.default_rng(seed).normal(size=self.dimensions) for seed in seeds], axis=0)
        return np.asarray(row / np.linalg.norm(row), np.float32)

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        return [match.span() for match in re.finditer(r"\S{1,80}", text)]

    async def aclose(self) -> None: ...


class Unordered(WordHashes):
    def compute(self, texts: Sequence[str]) -> Vectors:
        return super().compute(sorted(texts))


class Flattened(WordHashes):
    def compute(self, texts: Sequence[str]) -> Vectors:
        return np.array([self.row(text) for text in texts], np.float32)


class Dividing(WordHashes):
    def row(self, text: str) -> Vectors:
        return super().row(text) if text.strip() else np.full(self.dimensions, np.nan, np.float32)


class Leaking(WordHashes):
    def compute(self, texts: Sequence[str]) -> Vectors:
        vectors = super().compute(texts)
        return vectors + np.float32(2e-5) * (len(texts) > 1)


class Cutting(WordHashes):
    def row(self, text: str) -> Vectors:
        return super().row(" ".join(text.split()[:100]))


class Skipping(WordHashes):
    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        return super().offsets(text)[:-1] or super().offsets(text)


class Blocking(WordHashes):
    async def embed(self, texts: Sequence[str], purpose: Purpose = "document") -> Vectors:
        return self.compute(texts)


contract = EmbedderContract()
SABOTEURS: list[tuple[type[WordHashes], Callable[[Embedder], object]]] = [
    (Unordered, contract.test_e1_one_unit_vector_for_each_text_in_order),
    (Flattened, contract.test_e1_no_texts_give_no_vectors),
    (Dividing, contract.test_e1_awkward_texts_have_vectors_too),
    (Leaking, contract.test_e2_neighbours_do_not_matter),
    (Cutting, contract.test_e3_a_text_of_the_full_length_is_read_to_its_end),
    (Cutting, contract.test_e3_a_text_over_the_limit_is_refused),
    (Skipping, contract.test_e3_offsets_cover_the_text),
    (Blocking, contract.test_the_event_loop_goes_on),
]


@pytest.mark.parametrize(("saboteur", "broken"), SABOTEURS, ids=lambda value: value.__name__)
async def test_a_saboteur_is_caught(saboteur: type[WordHashes], broken: Callable) -> None:
    """The contract test that guards the broken promise fails."""
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await broken(saboteur())


def test_every_contract_test_has_a_saboteur() -> None:
    """No test of the contract is without an embedder that fails it."""
    tests = {name for name in dir(EmbedderContract) if name.startswith("test_")}
    assert tests == {broken.__name__ for _, broken in SABOTEURS}


class TestHonest(EmbedderContract):
    """The saboteurs differ from an embedder that passes."""

    @pytest.fixture
    def embedder(self) -> WordHashes:
        return WordHashes()
