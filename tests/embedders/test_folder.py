"""Sentence models in the common folder layout: families, precisions, poolings, prompts, dense layers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.contracts.embedder import TEXTS, EmbedderContract, _text_of
from tests.embedders.computed import hidden_states, pooled
from tests.embedders.made import (
    Made,
    make_transformer,
    save_json,
    save_modules,
    save_safetensors,
    save_torch,
    unigram,
    wordpiece,
)

from deskloom.documents import split
from deskloom.embedders.folder import open_folder
from deskloom.errors import Unreadable
from deskloom.protocols import Embedder, Weighing

BERT = Made(family="bert", positions=512, epsilon=1e-12)
XLM = Made()


@pytest.fixture(params=["bert", "xlm-roberta with prompts"])
async def embedder(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Embedder]:
    make_transformer(tmp_path, BERT if request.param == "bert" else replace(XLM, positions=1026))
    save_modules(tmp_path, "mean")
    if request.param != "bert":
        prompts = {"query": "the printer: ", "passage": "server, "}
        save_json(tmp_path / "config_sentence_transformers.json", {"prompts": prompts})
    embedder = open_folder(tmp_path)
    yield embedder
    await embedder.aclose()


class TestFolder(EmbedderContract):
    """E1-E3 for a BERT folder, and for an XLM-RoBERTa folder with prompts."""

    async def test_it_does_not_weigh(self, embedder: Embedder) -> None:
        """Without a layer for words, a model is no `Weighing` embedder."""
        assert not isinstance(embedder, Weighing)

    async def test_parts_fit_whatever_their_purpose(self, embedder: Embedder) -> None:
        """Parts of a long text are read as documents and as queries, prompt included."""
        parts = split(" ".join(TEXTS) * 20, embedder)
        assert len(parts) > 2
        for purpose in ("document", "query"):
            assert len(await embedder.embed(parts, purpose)) == len(parts)


@pytest.mark.parametrize("half", ["", "F16", "BF16"])
@pytest.mark.parametrize(
    "made",
    [
        BERT,
        replace(BERT, activation="gelu_new", prefix="bert."),
        replace(BERT, activation="relu", layers=1),
        XLM,
        replace(XLM, family="roberta", prefix="roberta.", activation="gelu_pytorch_tanh"),
        replace(XLM, family="camembert", positions=1030, heads=2),
    ],
    ids=lambda made: f"{made.family}-{made.activation}",
)
async def test_every_family_and_precision_equals_the_definition(tmp_path: Path, made: Made, half: str) -> None:
    """Vectors equal an independent computation with the same weights, rounded as they are stored."""
    tensors = make_transformer(tmp_path, made, half=half)
    embedder = open_folder(tmp_path)
    vectors = await embedder.embed(TEXTS)
    for text, vector in zip(TEXTS, vectors, strict=True):
        ids = _ids(made, text)
        assert np.abs(vector - pooled(hidden_states(tensors, made, ids), "mean")).max() < 2e-5
    await embedder.aclose()


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "mean_sqrt_len"])
async def test_pooling_is_the_folder_s_own(tmp_path: Path, pooling: str) -> None:
    """1_Pooling/config.json decides, in its older and its newer spelling, with the same vectors and name."""
    tensors = make_transformer(tmp_path, XLM)
    save_modules(tmp_path, pooling)
    older = open_folder(tmp_path)
    vectors = await older.embed(TEXTS)
    for text, vector in zip(TEXTS, vectors, strict=True):
        assert np.abs(vector - pooled(hidden_states(tensors, XLM, _ids(XLM, text)), pooling)).max() < 1e-5
    spelled = "mean_sqrt_len_tokens" if pooling == "mean_sqrt_len" else pooling
    save_json(tmp_path / "1_Pooling" / "config.json", {"embedding_dimension": 32, "pooling_mode": spelled})
    assert open_folder(tmp_path).name == older.name


@pytest.mark.parametrize("stored", ["model.safetensors", "pytorch_model.bin"])
async def test_a_dense_layer_follows_the_pooling(tmp_path: Path, stored: str) -> None:
    """2_Dense narrows the vector, with tanh, before it is made of unit length."""
    tensors = make_transformer(tmp_path, XLM)
    save_modules(tmp_path, "mean", dense=True, normalize=True)
    layer = {
        "linear.weight": np.random.default_rng(3).normal(size=(8, 32)).astype(np.float32),
        "linear.bias": np.full(8, 0.1, np.float32),
    }
    facts = {"in_features": 32, "out_features": 8, "activation_function": "torch.nn.modules.activation.Tanh"}
    save_json(tmp_path / "2_Dense" / "config.json", facts)
    (save_safetensors if stored.endswith("safetensors") else save_torch)(tmp_path / "2_Dense" / stored, layer)
    embedder = open_folder(tmp_path)
    (vector,) = await embedder.embed(TEXTS[:1])
    mean = hidden_states(tensors, XLM, _ids(XLM, TEXTS[0])).mean(axis=0)
    expected = np.tanh(layer["linear.weight"] @ mean + layer["linear.bias"])
    assert embedder.dimensions == 8
    assert np.abs(vector - expected / np.linalg.norm(expected)).max() < 1e-5


async def test_prompts_are_part_of_the_text(tmp_path: Path) -> None:
    """A query is embedded with the query's prompt, a document with the passage's; both take of the room there is."""
    tensors = make_transformer(tmp_path, XLM)
    save_json(
        tmp_path / "config_sentence_transformers.json", {"prompts": {"query": "printer: ", "passage": "mail server: "}}
    )
    embedder = open_folder(tmp_path)
    for purpose, prompt in (("query", "printer: "), ("document", "mail server: ")):
        (vector,) = await embedder.embed(["the volcano"], purpose)  # type: ignore[arg-type]
        hidden = hidden_states(tensors, XLM, unigram().encode(prompt + "the volcano").ids)
        assert np.abs(vector - pooled(hidden, "mean")).max() < 1e-5
    assert 490 < embedder.max_tokens < 512 - 3
    longest = _text_of(embedder, embedder.max_tokens - 2)
    assert len(await embedder.embed([longest], "query")) == 1
    with pytest.raises(Unreadable):
        await embedder.embed([longest + " again"], "query")


async def test_a_default_prompt_serves_both_purposes(tmp_path: Path) -> None:
    """`default_prompt_name` names the prompt of what has none of its own."""
    make_transformer(tmp_path, XLM)
    plain = open_folder(tmp_path)
    facts = {"prompts": {"task": "printer: "}, "default_prompt_name": "task"}
    save_json(tmp_path / "config_sentence_transformers.json", facts)
    embedder = open_folder(tmp_path)
    query, document = await embedder.embed(["volcano"], "query"), await embedder.embed(["volcano"])
    assert np.array_equal(query, document)
    assert np.allclose(query, await plain.embed(["printer: volcano"]), atol=1e-6)
    assert embedder.name != plain.name


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 512),
        ({"tokenizer_config.json": {"model_max_length": 256}}, 256),
        ({"tokenizer_config.json": {"model_max_length": 1e30}}, 512),
        (
            {"sentence_bert_config.json": {"max_seq_length": 128}, "tokenizer_config.json": {"model_max_length": 64}},
            128,
        ),
        ({"sentence_xlm-roberta_config.json": {"max_seq_length": 9999}}, 512),
        ({"sentence_bert_config.json": {"max_seq_length": None}}, 512),
    ],
)
def test_the_length_is_the_model_s(tmp_path: Path, files: dict[str, object], expected: int) -> None:
    """The model's own configuration, else the tokenizer's, and never more than there are positions for."""
    make_transformer(tmp_path, XLM)
    for name, facts in files.items():
        save_json(tmp_path / name, facts)
    assert open_folder(tmp_path).max_tokens == expected


async def test_lower_case_is_done_where_it_is_asked_for(tmp_path: Path) -> None:
    """With `do_lower_case` a text and its capitals are one, and offsets still are those of the text."""
    make_transformer(tmp_path, XLM)
    save_json(tmp_path / "sentence_bert_config.json", {"do_lower_case": True})
    embedder = open_folder(tmp_path)
    upper, lower = await embedder.embed(["THE PRINTER", "the printer"])
    assert np.array_equal(upper, lower)
    assert embedder.offsets("THE PRINTER") == [(0, 3), (4, 11)]


async def test_weights_in_several_files_are_one_model(tmp_path: Path) -> None:
    """An index of weight files is followed."""
    tensors = make_transformer(tmp_path, XLM)
    (whole,) = await open_folder(tmp_path).embed(TEXTS[:1])
    (tmp_path / "model.safetensors").unlink()
    names = list(tensors)
    index = {}
    for place, part in enumerate((names[:10], names[10:])):
        file = f"model-0000{place + 1}-of-00002.safetensors"
        save_safetensors(tmp_path / file, {name: tensors[name] for name in part})
        index |= dict.fromkeys(part, file)
    save_json(tmp_path / "model.safetensors.index.json", {"weight_map": index})
    assert np.allclose((await open_folder(tmp_path).embed(TEXTS[:1]))[0], whole, atol=1e-6)


async def test_older_names_of_norms_are_known(tmp_path: Path) -> None:
    """`gamma` and `beta` are weight and bias."""
    tensors = make_transformer(tmp_path, BERT)
    (expected,) = await open_folder(tmp_path).embed(TEXTS[:1])
    older = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in tensors.items()
    }
    save_safetensors(tmp_path / "model.safetensors", older)
    assert np.array_equal((await open_folder(tmp_path).embed(TEXTS[:1]))[0], expected)


async def test_files_behind_links_are_used(tmp_path: Path) -> None:
    """A model hub's cache keeps files under their hash and links to them."""
    make_transformer(tmp_path / "blobs", XLM)
    (tmp_path / "snapshot").mkdir()
    for place, file in enumerate(sorted((tmp_path / "blobs").iterdir())):
        blob = file.rename(tmp_path / "blobs" / f"{place}abc")
        (tmp_path / "snapshot" / file.name).symlink_to(f"../blobs/{blob.name}")
    embedder = open_folder(tmp_path / "snapshot")
    assert (await embedder.embed(["text"])).shape == (1, 32)


def test_a_module_in_a_folder_of_its_own_is_found(tmp_path: Path) -> None:
    """Older models keep their transformer in `0_Transformer`."""
    make_transformer(tmp_path / "0_Transformer", XLM)
    save_modules(tmp_path, "cls")
    modules = json.loads((tmp_path / "modules.json").read_text())
    save_json(tmp_path / "modules.json", [modules[0] | {"path": "0_Transformer"}, modules[1]])
    assert open_folder(tmp_path).dimensions == 32


def _ids(made: Made, text: str) -> list[int]:
    tokenizer = wordpiece() if made.family == "bert" else unigram()
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return list(tokenizer.encode(text).ids)
