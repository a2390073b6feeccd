"""ONNX exports: which input and output is which, whatever the exporter called them, and texts that stay apart."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.contracts.embedder import TEXTS, EmbedderContract
from tests.embedders.made import Arrays, make_bge_m3, save_json, save_modules, save_torch, unigram

from deskloom.embedders.folder import open_folder
from deskloom.embedders.weighing import WeighingEmbedder
from deskloom.errors import ModelDamaged, ModelMissing, SettingInvalid
from deskloom.protocols import Embedder

WIDTH, POSITIONS = 16, 600
RNG = np.random.default_rng(5)
WORDS = RNG.normal(size=(200, WIDTH)).astype(np.float32)
PLACES = RNG.normal(size=(POSITIONS, WIDTH)).astype(np.float32)
SHARED = np.linspace(-1, 1, WIDTH).astype(np.float32)
INPUTS = ("input_ids", "attention_mask")


def export(
    file: Path,
    *,
    inputs: tuple[str, ...] = INPUTS,
    outputs: tuple[str, ...] = ("last_hidden_state",),
    quantized: bool = False,
    beside: bool = False,
    kind: int = TensorProto.INT64,
    shape: tuple[Any, ...] = ("batch", "length"),
) -> None:
    """A model whose tokens' vectors are those of their words and, if it asks for them, of their positions."""
    tensors = [numpy_helper.from_array(WORDS, "words"), numpy_helper.from_array(PLACES, "places")]
    tensors.append(numpy_helper.from_array(SHARED, "shared"))
    nodes = [helper.make_node("Gather", ["words", "input_ids"], ["named"])]
    if "position_ids" in inputs:
        nodes.append(helper.make_node("Gather", ["places", "position_ids"], ["placed"]))
        nodes.append(helper.make_node("Add", ["named", "placed"], ["tokens"]))
    else:
        nodes.append(helper.make_node("Identity", ["named"], ["tokens"]))
    source = "tokens"
    if quantized:
        nodes.append(helper.make_node("DynamicQuantizeLinear", ["tokens"], ["short", "scale", "zero"]))
        nodes.append(helper.make_node("DequantizeLinear", ["short", "scale", "zero"], ["rounded"]))
        source = "rounded"
    made = []
    for name in outputs:
        if name in ("last_hidden_state", "token_embeddings", "encoded", "logits"):
            nodes.append(helper.make_node("Identity", [source], [name]))
            made.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", "length", WIDTH)))
        else:  # a vector that mean pooling does not make
            tensors.append(numpy_helper.from_array(np.array([1], np.int64), f"axis.{name}"))
            nodes.append(helper.make_node("ReduceSum", [source, f"axis.{name}"], [f"{name}.sum"], keepdims=0))
            nodes.append(helper.make_node("Add", [f"{name}.sum", "shared"], [name]))
            made.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", WIDTH)))
    given = [helper.make_tensor_value_info(name, kind, shape) for name in inputs]
    graph = helper.make_graph(nodes, "export", given, made, tensors)
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    file.parent.mkdir(parents=True, exist_ok=True)
    data = {"save_as_external_data": True, "location": f"{file.name}_data", "size_threshold": 1024} if beside else {}
    onnx.save(model, str(file), **data)


def folder(path: Path, pooling: str = "mean", **facts: Any) -> Path:
    """A model folder for an export: an architecture that is not built here, and its tokenizer."""
    path.mkdir(exist_ok=True)
    unigram().save(str(path / "tokenizer.json"))
    facts = {"model_type": "mpnet", "max_position_embeddings": 520} | facts
    save_json(path / "config.json", facts)
    save_modules(path, pooling)
    return path


def expected(text: str, pooling: Callable[[np.ndarray], np.ndarray], *, places: bool = False) -> np.ndarray:
    ids = unigram().encode(text).ids
    vector = pooling(WORDS[ids] + (PLACES[: len(ids)] if places else 0))
    return np.asarray(vector / np.linalg.norm(vector))


def mean(tokens: np.ndarray) -> np.ndarray:
    return np.asarray(tokens.mean(axis=0))


@pytest.fixture(params=["plain", "quantized"])
async def embedder(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Embedder]:
    export(folder(tmp_path) / "onnx" / "model.onnx", quantized=request.param == "quantized", beside=True)
    embedder = open_folder(tmp_path)
    yield embedder
    await embedder.aclose()


class TestExported(EmbedderContract):
    """E1-E3, also for a graph that scales a whole batch by its largest number."""


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        (INPUTS, ("last_hidden_state",)),
        (INPUTS, ("pooler_output", "last_hidden_state")),
        (INPUTS, ("logits", "token_embeddings")),
        ((*INPUTS, "token_type_ids"), ("encoded",)),
        (("input_ids",), ("last_hidden_state",)),
        ((*INPUTS, "position_ids"), ("last_hidden_state",)),
    ],
)
async def test_tokens_are_pooled_as_the_folder_says(
    tmp_path: Path, inputs: tuple[str, ...], outputs: tuple[str, ...]
) -> None:
    """The output that holds tokens is found among others, and every usual input is given."""
    export(folder(tmp_path) / "onnx" / "model.onnx", inputs=inputs, outputs=outputs)
    vectors = await open_folder(tmp_path).embed(TEXTS)
    for text, vector in zip(TEXTS, vectors, strict=True):
        assert np.allclose(vector, expected(text, mean, places="position_ids" in inputs), atol=1e-5)


@pytest.mark.parametrize("pooling", ["cls", "max", "mean_sqrt_len"])
async def test_every_pooling_of_tokens(tmp_path: Path, pooling: str) -> None:
    """First token, largest values, and sum over root of length; padding never counts."""
    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "cls": lambda tokens: tokens[0],
        "max": lambda tokens: tokens.max(axis=0),
        "mean_sqrt_len": lambda tokens: tokens.sum(axis=0) / len(tokens) ** 0.5,
    }
    export(folder(tmp_path, pooling) / "model.onnx")
    vectors = await open_folder(tmp_path).embed(TEXTS)
    for text, vector in zip(TEXTS, vectors, strict=True):
        assert np.allclose(vector, expected(text, ways[pooling]), atol=1e-5)


async def test_a_pooled_output_is_taken_as_it_is(tmp_path: Path) -> None:
    """`sentence_embedding` wins over tokens, and is only made of unit length."""
    export(folder(tmp_path) / "onnx" / "model.onnx", outputs=("token_embeddings", "sentence_embedding"))
    (vector,) = await open_folder(tmp_path).embed(TEXTS[:1])
    assert np.allclose(vector, expected(TEXTS[0], lambda tokens: tokens.sum(axis=0) + SHARED), atol=1e-5)


async def test_narrow_integers_and_single_texts_are_kept_to(tmp_path: Path) -> None:
    """A graph that wants int32, or one text at a time, gets it."""
    export(folder(tmp_path) / "onnx" / "model.onnx", kind=TensorProto.INT32, shape=(1, "length"))
    vectors = await open_folder(tmp_path).embed(TEXTS)
    assert np.allclose(vectors[2], expected(TEXTS[2], mean), atol=1e-5)


async def test_bge_m3_s_export_weighs_words_by_its_tokens(tmp_path: Path) -> None:
    """Where only the export is there, dense and word weights come from its token output."""
    tensors: Arrays = make_bge_m3(tmp_path)
    (tmp_path / "pytorch_model.bin").unlink()
    sparse = {name.removeprefix("sparse."): tensors[name] for name in tensors if name.startswith("sparse.")}
    layer = {"weight": sparse["weight"][:, :WIDTH].copy(), "bias": sparse["bias"]}
    save_torch(tmp_path / "sparse_linear.pt", layer)
    export(tmp_path / "onnx" / "model.onnx", outputs=("sentence_embedding", "token_embeddings"), beside=True)
    embedder = open_folder(tmp_path)
    assert isinstance(embedder, WeighingEmbedder)
    vectors, words = await embedder.embed_weighed(TEXTS)
    for text, vector, weighed in zip(TEXTS, vectors, words, strict=True):
        assert np.allclose(vector, expected(text, lambda tokens: tokens[0]), atol=1e-5)
        ids = unigram().encode(text).ids
        weights = {token: float(WORDS[token] @ layer["weight"][0] + layer["bias"][0]) for token in ids if token > 3}
        positive = {token: weight for token, weight in weights.items() if weight > 0}
        assert dict(zip(weighed.indices, weighed.weights, strict=True)) == pytest.approx(positive, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"outputs": ("pooler_output",)}, "no output that is a vector"),
        ({"outputs": ("logits",)}, "no output that is a vector"),
        ({"shape": ("batch", 128)}, "texts of one length"),
        ({"inputs": (*INPUTS, "pixel_values")}, "pixel_values"),
    ],
)
def test_a_graph_of_another_kind_is_refused(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    """What is no text encoder says what is missing, and how to export one."""
    export(folder(tmp_path) / "onnx" / "model.onnx", **options)
    with pytest.raises(SettingInvalid, match=f"(?s){words}.*Export the encoder"):
        open_folder(tmp_path)


@pytest.mark.parametrize("how", ["cut", "empty", "gone", "pointer"])
@pytest.mark.parametrize("what", ["graph", "data"])
def test_a_half_copied_export_is_refused(tmp_path: Path, what: str, how: str) -> None:
    """A graph or its data that is cut, missing or only a git-lfs pointer names the file."""
    graph = folder(tmp_path) / "onnx" / "model.onnx"
    export(graph, beside=True)
    file = graph if what == "graph" else graph.with_name("model.onnx_data")
    match how:
        case "gone":
            file.unlink()
            if what == "graph":
                file.with_name("model.onnx_data").unlink()
        case "pointer":
            file.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
        case _:
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2 if how == "cut" else 0])
    gone = (what, how) == ("graph", "gone")
    with pytest.raises(ModelMissing if gone else ModelDamaged, match="onnx/model.onnx" if gone else file.name):
        open_folder(tmp_path)
