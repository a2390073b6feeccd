"""The bundled model keeps the contract and agrees with its reference implementation."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from tests.contracts.embedder import EmbedderContract
from tests.contracts.models import models_folder

from deskloom.embedders import open_embedder
from deskloom.embedders.onnx import TOKEN_BUDGET, batches
from deskloom.errors import EmbedderUnavailable, Unreadable
from deskloom.protocols import Embedder
from deskloom.settings import Settings

REFERENCE = json.loads((Path(__file__).parent / "reference.json").read_text(encoding="utf-8"))


@pytest.fixture
async def embedder() -> AsyncIterator[Embedder]:
    embedder = await open_embedder(Settings(models_dir=models_folder()))
    yield embedder
    await embedder.aclose()


class TestMiniLM(EmbedderContract):
    """E1-E3."""

    async def test_it_equals_the_reference_implementation(self, embedder: Embedder) -> None:
        """Vectors of pinned texts lie within 1e-3 (cosine) of those that `reference.json` says how to compute."""
        expected = np.array([np.frombuffer(base64.b64decode(row), "<f4") for row in REFERENCE["vectors"]])
        vectors = await embedder.embed(REFERENCE["texts"])
        assert vectors.shape == expected.shape
        assert float(np.min(np.sum(vectors * expected, axis=1))) > 1 - 1e-3
        # fp32 is in fact as good as equal; a quantised or wrongly pooled graph is not.
        assert float(np.abs(vectors - expected).max()) < 1e-5

    async def test_its_name_and_limits(self, embedder: Embedder) -> None:
        """The name carries the weights and the precision, and the limit is the model's, not the tokenizer file's."""
        assert (embedder.name, embedder.dimensions, embedder.max_tokens) == ("minilm-fp32-53aa5117", 384, 256)

    async def test_a_long_text_is_named_by_its_place_not_its_words(self, embedder: Embedder) -> None:
        """The refusal of a long text tells which one and how long, and quotes nothing of it."""
        with pytest.raises(Unreadable) as refused:
            await embedder.embed(["short", "confidential " * 300])
        assert refused.value.facts == {"tokens": 302, "max_tokens": 256, "place": 1}
        assert "confidential" not in refused.value.message

    async def test_closed_means_closed(self, embedder: Embedder) -> None:
        """After `aclose`, which may be repeated, embedding raises instead of hanging."""
        await embedder.aclose()
        await embedder.aclose()
        with pytest.raises(EmbedderUnavailable):
            await embedder.embed(["text"])


@pytest.mark.parametrize("lengths", [[], [5], [3000], [10, 2000, 30, 2000, 7], list(range(2, 250))])
def test_batches_hold_each_text_once_and_keep_the_budget(lengths: list[int]) -> None:
    """Every place is in one batch; a batch of several texts, padded, keeps the token budget; lengths descend."""
    found = list(batches(lengths))
    places = [place for batch in found for place in batch]
    assert sorted(places) == list(range(len(lengths)))
    assert all(len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= TOKEN_BUDGET for batch in found)
    assert [lengths[place] for place in places] == sorted(lengths, reverse=True)


async def test_a_text_that_was_measured_gets_the_same_vector(embedder: Embedder) -> None:
    """Tokens that are kept between measuring a text and embedding it are the text's own, also of the second time."""
    texts = ["The printer says PC LOAD LETTER", "", "naïve café – 打印机 \ud83d", "a printer " * 60]
    first = await embedder.embed(texts)
    for text in texts:
        embedder.offsets(text)
    assert np.array_equal(await embedder.embed(texts), first)
    assert np.array_equal(await embedder.embed(texts), first)
