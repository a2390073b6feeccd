"""BGE-M3, in small: its published files, its dense and its word weights, against an independent computation."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from tests.contracts.embedder import AWKWARD, TEXTS, EmbedderContract, _text_of
from tests.embedders.computed import hidden_states, pooled, word_weights
from tests.embedders.made import BGE_M3, TEXT, Arrays, Made, make_bge_m3, unigram

from deskloom.documents import split
from deskloom.embedders.bge_m3 import open_bge_m3
from deskloom.embedders.folder import open_folder
from deskloom.embedders.weighing import WeighingEmbedder
from deskloom.errors import ModelDamaged, ModelMissing, Unreadable
from deskloom.protocols import Weighing, Words


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with the model in it."""
    models = tmp_path_factory.mktemp("models")
    make_bge_m3(models / "bge-m3")
    return models


@pytest.fixture(scope="module")
def tensors(tmp_path_factory: pytest.TempPathFactory) -> Arrays:
    return make_bge_m3(tmp_path_factory.mktemp("again"))


@pytest.fixture
async def embedder(models: Path) -> AsyncIterator[WeighingEmbedder]:
    embedder = open_bge_m3(models)
    assert isinstance(embedder, WeighingEmbedder)
    yield embedder
    await embedder.aclose()


class TestBgeM3(EmbedderContract):
    """E1-E3 in the layout of BGE-M3."""

    async def test_it_says_what_it_is(self, embedder: WeighingEmbedder) -> None:
        """Width and length are those of the files, and it is an embedder that weighs."""
        assert (embedder.dimensions, embedder.max_tokens) == (BGE_M3.width, 8192)
        assert embedder.name.startswith("bge-m3-fp32-")
        assert isinstance(embedder, Weighing)

    async def test_vectors_and_weights_are_those_of_the_definition(
        self, embedder: WeighingEmbedder, tensors: Arrays
    ) -> None:
        """Dense vectors and word weights equal a computation of their own, written from the model's definition."""
        texts = [*TEXTS, *AWKWARD, "a text with <pad> and <unk> and </s> written in it"]
        vectors, words = await embedder.embed_weighed(texts)
        tokenizer = unigram()
        for text, vector, weighed in zip(texts, vectors, words, strict=True):
            ids = tokenizer.encode(text.encode("utf-8", "replace").decode()).ids
            hidden = hidden_states(dict(tensors), BGE_M3, ids)
            assert np.abs(vector - pooled(hidden, "cls")).max() < 1e-5
            expected = word_weights(dict(tensors), hidden, ids)
            assert dict(zip(weighed.indices, weighed.weights, strict=True)) == pytest.approx(expected, abs=1e-3)

    async def test_weights_come_with_the_vectors_of_embed(self, embedder: WeighingEmbedder) -> None:
        """`embed_weighed` returns the vectors of `embed`, and neighbours change neither vectors nor words."""
        vectors, words = await embedder.embed_weighed([*TEXTS, *AWKWARD])
        assert np.abs(vectors - await embedder.embed([*TEXTS, *AWKWARD])).max() <= 1e-5
        for text, weighed in zip(TEXTS, words, strict=False):
            (alone,) = (await embedder.embed_weighed([text]))[1]
            assert alone.indices == weighed.indices == tuple(sorted(set(weighed.indices)))
            assert alone.weights == pytest.approx(weighed.weights, abs=1e-4)
            assert all(weight > 0 for weight in weighed.weights)
            assert all(index > 3 for index in weighed.indices)
        assert [len(weighed.indices) for weighed in words[:2]] > [3, 3]

    async def test_nothing_gives_nothing(self, embedder: WeighingEmbedder) -> None:
        """No texts have no words, and an empty text has none either."""
        vectors, words = await embedder.embed_weighed([])
        assert (vectors.shape, words) == ((0, BGE_M3.width), [])
        assert (await embedder.embed_weighed([""]))[1] == [Words((), ())]

    async def test_8192_tokens_are_read_and_8193_are_not(self, embedder: WeighingEmbedder) -> None:
        """The limit is the model's own, start and end included."""
        assert (await embedder.embed([_text_of(embedder, 8190)])).shape == (1, BGE_M3.width)
        with pytest.raises(Unreadable) as refused:
            await embedder.embed([_text_of(embedder, 8191)])
        assert refused.value.facts == {"tokens": 8193, "max_tokens": 8192, "place": 0}

    async def test_a_longer_text_is_split_and_nothing_is_lost(self, embedder: WeighingEmbedder) -> None:
        """A text of 30,000 words in parts: every visible character is in one of them, cut at sentences, all read."""
        english = " ".join(TEXT.split())
        text = ". ".join([english, "프린터가 오프라인으로 표시됩니다", english.upper()] * 200)
        parts = split(text, embedder)
        assert len(parts) > 2
        assert "".join("".join(parts).split()) == "".join(text.split())
        assert all(part.endswith(".") for part in parts[:-1])
        assert len(await embedder.embed(parts)) == len(parts)


async def test_the_real_width(tmp_path: Path) -> None:
    """At 1,024 dimensions and 16 heads, as published, vectors and weights equal the definition too."""
    made = Made(width=1024, heads=16, inner=256, positions=258)
    tensors = make_bge_m3(tmp_path, made)
    embedder = open_folder(tmp_path)
    vectors, (weighed,) = await embedder.embed_weighed([TEXTS[0]])  # type: ignore[union-attr]
    ids = unigram().encode(TEXTS[0]).ids
    hidden = hidden_states(tensors, made, ids)
    assert float(vectors[0] @ pooled(hidden, "cls")) > 0.9999
    expected = word_weights(tensors, hidden, ids)
    assert dict(zip(weighed.indices, weighed.weights, strict=True)) == pytest.approx(expected, abs=1e-3)
    await embedder.aclose()


async def test_the_name_is_of_the_files_not_of_their_place(models: Path, tmp_path: Path) -> None:
    """A copy elsewhere has the same name; another layer for words, another tokenizer or pooling has another."""
    shutil.copytree(models / "bge-m3", tmp_path / "elsewhere")
    names = [open_bge_m3(models).name, open_folder(tmp_path / "elsewhere").name]
    sparse = tmp_path / "elsewhere" / "sparse_linear.pt"
    sparse.write_bytes(sparse.read_bytes() + b"PK")  # still the same zip to a reader
    names.append(open_folder(tmp_path / "elsewhere").name)
    pooling = tmp_path / "elsewhere" / "1_Pooling" / "config.json"
    pooling.write_text(pooling.read_text().replace("cls_token", "other").replace("mean_tokens", "cls_token"))
    with pytest.raises(Exception, match="pooling"):
        open_folder(tmp_path / "elsewhere")
    assert names[0] == names[1] != names[2]


def test_without_its_folder_the_command_is_named(tmp_path: Path) -> None:
    """A missing model says how to get it."""
    with pytest.raises(ModelMissing, match="deskloom models get bge-m3"):
        open_bge_m3(tmp_path)


def test_a_published_file_that_was_altered_is_refused(models: Path, tmp_path: Path) -> None:
    """A file of the published size with another content is damaged, and the command that mends it is named."""
    shutil.copytree(models / "bge-m3", tmp_path / "bge-m3")
    tokenizer = (tmp_path / "bge-m3" / "tokenizer.json").read_text()
    (tmp_path / "bge-m3" / "tokenizer.json").write_text(tokenizer + " " * (17_098_108 - len(tokenizer.encode())))
    with pytest.raises(ModelDamaged, match="deskloom models get bge-m3"):
        open_bge_m3(tmp_path)
