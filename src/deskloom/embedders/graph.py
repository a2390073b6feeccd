"""The computation of an encoder of BERT's kind as an ONNX graph over its weight files, whose bytes stay where they lie.

XLM-RoBERTa, RoBERTa and CamemBERT compute what BERT does, but for the positions: theirs count from the padding id, and
only tokens that are not padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from onnx import TensorProto

from deskloom.embedders.nodes import FUSED, Graph
from deskloom.embedders.shape import EncoderShape
from deskloom.embedders.weights import Weights

Pooling = Literal["mean", "mean_sqrt_len", "cls", "max"]

LONG = 512
"""Models that read more tokens than this attend without a mask where they can: onnxruntime then computes attention in
tiles, in memory linear in the text (4,096 tokens, one layer: 0.6 GB instead of 1.4, and twice as fast)."""


@dataclass(frozen=True, slots=True)
class BuiltGraph:
    """A serialized model, and the folder that its tensors' file names are relative to."""

    model: bytes
    folder: Path


def build_graph(
    weights: Weights, shape: EncoderShape, pooling: Pooling, *, sparse: tuple[Any, float] | None = None
) -> BuiltGraph:
    """`ids`, `mask` (int64, batch × length) → `vectors` (float32, batch × width, as pooled, not yet of unit length).

    With `sparse`, the weights (width,) and bias of a linear layer, also `weights` (float32, batch × length): that layer
    over each token, negative values as 0. The tensors stay in their files, which the model names by file name, offset
    and length; the runtime must be told the folder. Transposes, the fusing of query, key and value, and the widening of
    half-precision weights are left to the runtime's constant folding at load. Raises `ModelDamaged` for tensors that
    are missing or of another shape than `shape` says.
    """
    graph = Graph(weights)
    hidden = _embeddings(graph, shape)
    for layer in range(shape.layers):
        hidden = _layer(graph, f"encoder.layer.{layer}", hidden, shape)
    outputs = {"vectors": ("batch", "width")}
    _pool(graph, hidden, pooling)
    if sparse is not None:
        graph.constant("sparse.weight", np.asarray(sparse[0], np.float32).reshape(shape.width))
        graph.constant("sparse.bias", np.array(sparse[1], np.float32))
        weighed = graph.add("Add", graph.add("MatMul", hidden, "sparse.weight"), "sparse.bias")
        graph.add("Relu", weighed, output="weights")
        outputs["weights"] = ("batch", "length")
    return BuiltGraph(graph.serialize(outputs), graph.folder)


def _embeddings(graph: Graph, shape: EncoderShape) -> str:
    graph.constant("one", np.array(1, np.int64))
    graph.constant("axis0", np.array([0], np.int64))
    table = graph.tensor("embeddings.position_embeddings.weight", (shape.positions, shape.width))
    # Each text is a single segment, so the token type is 0 everywhere and its embedding one row.
    segments = graph.tensor("embeddings.token_type_embeddings.weight", (None, shape.width))
    words = graph.add("Gather", graph.tensor("embeddings.word_embeddings.weight", (None, shape.width)), "ids")
    segment = graph.add("Gather", segments, "axis0")
    if shape.padding is None:
        graph.constant("zero", np.array(0, np.int64))
        length = graph.add("Gather", graph.add("Shape", "ids"), "one", axis=0)
        places = graph.add("Gather", table, graph.add("Range", "zero", length, "one"))
        place = graph.add("Unsqueeze", graph.add("Add", places, segment), "axis0")
    else:
        graph.constant("padding", np.array(shape.padding, np.int64))
        counted = graph.add("Cast", graph.add("Not", graph.add("Equal", "ids", "padding")), to=TensorProto.INT64)
        count = graph.add("Mul", graph.add("CumSum", counted, "one"), counted)
        place = graph.add("Add", graph.add("Gather", table, graph.add("Add", count, "padding")), segment)
    norm = _norm(graph, "embeddings", shape)
    return graph.add("LayerNormalization", graph.add("Add", words, place), *norm, axis=-1, epsilon=shape.epsilon)


def _layer(graph: Graph, name: str, hidden: str, shape: EncoderShape) -> str:
    attended = _attention(graph, f"{name}.attention.self", hidden, shape)
    hidden = _project(graph, f"{name}.attention.output", attended, hidden, shape, shape.width)
    linear = f"{name}.intermediate.dense"
    inner = graph.add("MatMul", hidden, graph.transposed(graph.tensor(f"{linear}.weight", (shape.inner, shape.width))))
    bias = graph.tensor(f"{linear}.bias", (shape.inner,))
    if shape.activation == "Relu":
        active = graph.add("Relu", graph.add("Add", inner, bias))
    else:
        active = graph.add(shape.activation, inner, bias, domain=FUSED)
    return _project(graph, f"{name}.output", active, hidden, shape, shape.inner)


def _attention(graph: Graph, name: str, hidden: str, shape: EncoderShape) -> str:
    if not graph.has("mask32"):
        graph.add("Cast", "mask", to=TensorProto.INT32, output="mask32")
    parts = [f"{name}.{part}" for part in ("query", "key", "value")]
    weights = [graph.tensor(f"{part}.weight", (shape.width, shape.width)) for part in parts]
    weight = graph.transposed(graph.add("Concat", *weights, axis=0))
    bias = graph.add("Concat", *(graph.tensor(f"{part}.bias", (shape.width,)) for part in parts), axis=0)
    if shape.max_tokens <= LONG:
        return graph.add("Attention", hidden, weight, bias, "mask32", domain=FUSED, num_heads=shape.heads)
    if not graph.has("whole"):
        graph.constant("thirds", np.array([shape.width] * 3, np.int64))
        graph.add("Cast", graph.add("ReduceMin", "mask32", keepdims=0), to=TensorProto.BOOL, output="whole")
    projected = graph.add("MatMul", hidden, weight)
    inputs = [*graph.split(projected, "thirds", 3), bias]
    return graph.choose("whole", "MultiHeadAttention", inputs, [*inputs, "mask32"], num_heads=shape.heads)


def _project(graph: Graph, name: str, value: str, residual: str, shape: EncoderShape, width: int) -> str:
    projected = graph.add("MatMul", value, graph.transposed(graph.tensor(f"{name}.dense.weight", (shape.width, width))))
    norm = (*_norm(graph, name, shape), graph.tensor(f"{name}.dense.bias", (shape.width,)))
    return graph.add("SkipLayerNormalization", projected, residual, *norm, domain=FUSED, epsilon=shape.epsilon)


def _norm(graph: Graph, name: str, shape: EncoderShape) -> tuple[str, str]:
    """Weight and bias of a layer norm; files that come from BERT's first release call them gamma and beta."""
    names = ("weight", "bias") if graph.stores(f"{name}.LayerNorm.weight") else ("gamma", "beta")
    weight, bias = (graph.tensor(f"{name}.LayerNorm.{part}", (shape.width,)) for part in names)
    return weight, bias


def _pool(graph: Graph, hidden: str, pooling: Pooling) -> None:
    if pooling == "cls":
        graph.constant("first", np.array(0, np.int64))
        graph.add("Gather", hidden, "first", axis=1, output="vectors")
        return
    graph.constant("axis2", np.array([2], np.int64))
    mask = graph.add("Unsqueeze", graph.add("Cast", "mask", to=TensorProto.FLOAT), "axis2")
    if pooling == "max":
        graph.constant("lowest", np.array(np.finfo(np.float32).min, np.float32))
        kept = graph.add("Where", graph.add("Cast", mask, to=TensorProto.BOOL), hidden, "lowest")
        graph.add("ReduceMax", kept, axes=[1], keepdims=0, output="vectors")
        return
    graph.constant("axis1", np.array([1], np.int64))
    total = graph.add("ReduceSum", graph.add("Mul", hidden, mask), "axis1", keepdims=0)
    count = graph.add("ReduceSum", mask, "axis1", keepdims=0)
    graph.add("Div", total, graph.add("Sqrt", count) if pooling == "mean_sqrt_len" else count, output="vectors")
