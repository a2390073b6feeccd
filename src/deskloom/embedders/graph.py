"""The computation of a BERT encoder as an ONNX graph over a safetensors file, whose bytes are used where they lie."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from onnx import TensorProto, helper, numpy_helper

Pooling = Literal["mean", "cls"]
_FUSED = "com.microsoft"  # onnxruntime's own fused operators: a third faster than their standard parts


@dataclass(frozen=True, slots=True, kw_only=True)
class BertShape:
    """The figures of a BERT `config.json` that its computation depends on."""

    layers: int
    heads: int
    epsilon: float

    @classmethod
    def read(cls, config: Path) -> BertShape:
        """Raises `ValueError` for an architecture that this module does not build."""
        facts = json.loads(config.read_text(encoding="utf-8"))
        if facts.get("model_type") != "bert" or facts.get("hidden_act") != "gelu":
            raise ValueError(f"{config} does not describe a BERT encoder with GELU")
        return cls(
            layers=facts["num_hidden_layers"], heads=facts["num_attention_heads"], epsilon=facts["layer_norm_eps"]
        )


def build_graph(weights: Path, shape: BertShape, pooling: Pooling) -> bytes:
    """The serialized model: `ids`, `mask` (int64, batch × length) → `vectors` (float32, batch × width, unit length).

    The tensors stay in `weights`, which the model names by file name, offset and length; the runtime must be told its
    folder. Transposes and the fusing of query, key and value are left to the runtime's constant folding at load.
    """
    graph = _Graph(weights)
    hidden = _embeddings(graph, shape)
    for layer in range(shape.layers):
        hidden = _layer(graph, f"encoder.layer.{layer}", hidden, shape)
    _pool(graph, hidden, pooling)
    return graph.serialize()


def _embeddings(graph: _Graph, shape: BertShape) -> str:
    graph.constant("zero", np.array(0, np.int64))
    graph.constant("one", np.array(1, np.int64))
    graph.constant("axis0", np.array([0], np.int64))
    graph.constant("axis1", np.array([1], np.int64))
    length = graph.add("Gather", graph.add("Shape", "ids"), "one", axis=0)
    positions = graph.add("Gather", "embeddings.position_embeddings.weight", graph.add("Range", "zero", length, "one"))
    # Each text is a single segment, so the token type is 0 everywhere and its embedding one row.
    segment = graph.add("Gather", "embeddings.token_type_embeddings.weight", "axis0")
    place = graph.add("Unsqueeze", graph.add("Add", positions, segment), "axis0")
    words = graph.add("Gather", "embeddings.word_embeddings.weight", "ids")
    norm = "embeddings.LayerNorm"
    return graph.add(
        "LayerNormalization",
        graph.add("Add", words, place),
        f"{norm}.weight",
        f"{norm}.bias",
        axis=-1,
        epsilon=shape.epsilon,
    )


def _layer(graph: _Graph, name: str, hidden: str, shape: BertShape) -> str:
    if not graph.has("mask32"):
        graph.add("Cast", "mask", to=TensorProto.INT32, output="mask32")
    parts = [f"{name}.attention.self.{part}" for part in ("query", "key", "value")]
    weight = graph.transposed(graph.add("Concat", *(f"{part}.weight" for part in parts), axis=0))
    bias = graph.add("Concat", *(f"{part}.bias" for part in parts), axis=0)
    attended = graph.add("Attention", hidden, weight, bias, "mask32", domain=_FUSED, num_heads=shape.heads)
    hidden = _project(graph, f"{name}.attention.output", attended, hidden, shape)
    inner = graph.add("MatMul", hidden, graph.transposed(f"{name}.intermediate.dense.weight"))
    active = graph.add("BiasGelu", inner, f"{name}.intermediate.dense.bias", domain=_FUSED)
    return _project(graph, f"{name}.output", active, hidden, shape)


def _project(graph: _Graph, name: str, value: str, residual: str, shape: BertShape) -> str:
    projected = graph.add("MatMul", value, graph.transposed(f"{name}.dense.weight"))
    norm = (f"{name}.LayerNorm.weight", f"{name}.LayerNorm.bias", f"{name}.dense.bias")
    return graph.add("SkipLayerNormalization", projected, residual, *norm, domain=_FUSED, epsilon=shape.epsilon)


def _pool(graph: _Graph, hidden: str, pooling: Pooling) -> None:
    if pooling == "cls":
        pooled = graph.add("Gather", hidden, "zero", axis=1)
    else:
        graph.constant("axis2", np.array([2], np.int64))
        mask = graph.add("Unsqueeze", graph.add("Cast", "mask", to=TensorProto.FLOAT), "axis2")
        total = graph.add("ReduceSum", graph.add("Mul", hidden, mask), "axis1", keepdims=0)
        pooled = graph.add("Div", total, graph.add("ReduceSum", mask, "axis1", keepdims=0))
    graph.add("LpNormalization", pooled, axis=-1, p=2, output="vectors")


class _Graph:
    """Nodes and tensors as they are added; a tensor of the weights file becomes part of the graph when first used."""

    def __init__(self, weights: Path) -> None:
        self._weights = weights
        with weights.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            self._header: dict[str, Any] = json.loads(file.read(size))
        self._data_start = 8 + size
        self._nodes: list[Any] = []
        self._tensors: dict[str, Any] = {}
        self._values: set[str] = {"ids", "mask"}

    def has(self, value: str) -> bool:
        return value in self._values

    def constant(self, name: str, value: np.ndarray[Any, Any]) -> None:
        self._tensors[name] = numpy_helper.from_array(value, name)
        self._values.add(name)

    def add(self, operator: str, *inputs: str, domain: str = "", output: str = "", **attributes: Any) -> str:
        """Append a node; returns the name of its output."""
        for name in inputs:
            if name not in self._values:
                self._tensors[name] = self._stored(name)
                self._values.add(name)
        output = output or f"{operator}.{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], domain=domain, **attributes))
        self._values.add(output)
        return output

    def transposed(self, matrix: str) -> str:
        """PyTorch keeps linear weights as (out, in); MatMul wants (in, out)."""
        return self.add("Transpose", matrix, perm=[1, 0])

    def serialize(self) -> bytes:
        batch: Sequence[str] = ("batch", "length")
        graph = helper.make_graph(
            self._nodes,
            "encoder",
            [helper.make_tensor_value_info(name, TensorProto.INT64, batch) for name in ("ids", "mask")],
            [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ("batch", "width"))],
            list(self._tensors.values()),
        )
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid(_FUSED, 1)]
        return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())

    def _stored(self, name: str) -> Any:
        entry = self._header[name]
        if entry["dtype"] != "F32":
            raise ValueError(f"tensor {name} of {self._weights} is {entry['dtype']}, not F32")
        begin, end = entry["data_offsets"]
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=entry["shape"])
        tensor.data_location = TensorProto.EXTERNAL
        where = {"location": self._weights.name, "offset": self._data_start + begin, "length": end - begin}
        for key, value in where.items():
            tensor.external_data.add(key=key, value=str(value))
        return tensor
