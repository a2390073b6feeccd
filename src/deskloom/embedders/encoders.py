"""The computations that `OnnxEmbedder` runs: one built from weights, and one that was exported with its model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deskloom.embedders.graph import BuiltGraph, Pooling
from deskloom.embedders.onnx import Ids, load_session
from deskloom.protocols import Vectors


@dataclass(frozen=True, slots=True)
class Dense:
    """A linear layer after pooling: `weight` (out × in), `bias` (out), and whether tanh follows."""

    weight: Vectors
    bias: Vectors | None
    tanh: bool

    def apply(self, vectors: Vectors) -> Vectors:
        projected = vectors @ self.weight.T + (0 if self.bias is None else self.bias)
        return np.asarray(np.tanh(projected) if self.tanh else projected, np.float32)


class BuiltEncoder:
    """Runs a graph of ours."""

    alone = False

    def __init__(self, graph: BuiltGraph, dense: Sequence[Dense] = (), *, threads: int = 0) -> None:
        self._session = load_session(graph.model, graph.folder, threads=threads)
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._dense = tuple(dense)

    def run(self, ids: Ids, mask: Ids) -> tuple[Vectors, Vectors | None]:
        """See `Encoder`."""
        vectors, *weights = self._session.run(self._outputs, {"ids": ids, "mask": mask})
        return finish(vectors, self._dense), weights[0] if weights else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How an exported graph is read: which output, whether it holds tokens (rank 3), and what is done with them.

    `sparse`: weights (width,) and bias of the layer that weighs tokens. `dense` applies to tokens only: an output that
    is pooled already has been through it.
    """

    output: str
    tokens: bool
    pooling: Pooling
    dense: tuple[Dense, ...] = ()
    sparse: tuple[Vectors, float] | None = None


class ExportedEncoder:
    """Runs a graph that someone exported, by the names it gives its inputs and outputs."""

    def __init__(self, session: Any, reading: Reading, *, alone: bool, padding: int = 0) -> None:
        """`padding`: the id that positions count from, should the graph ask for positions."""
        self.alone = alone
        self._session = session
        self._inputs = {one.name: one.type for one in session.get_inputs()}
        self._reading = reading
        self._padding = padding

    def run(self, ids: Ids, mask: Ids) -> tuple[Vectors, Vectors | None]:
        """See `Encoder`."""
        given = {
            "input_ids": ids,
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(ids),
            "position_ids": np.cumsum(mask, axis=1) * mask + self._padding,
        }
        if not self._padding:
            given["position_ids"] = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
        asked = {
            name: given[name].astype(np.int32 if "int32" in kind else np.int64, copy=False)
            for name, kind in self._inputs.items()
        }
        found = np.asarray(self._session.run([self._reading.output], asked)[0], np.float32)
        if not self._reading.tokens:
            return finish(found), None
        vectors = finish(pool(found, mask, self._reading.pooling), self._reading.dense)
        if self._reading.sparse is None:
            return vectors, None
        weight, bias = self._reading.sparse
        return vectors, np.maximum(found @ weight + bias, 0)


def pool(tokens: Vectors, mask: Ids, pooling: Pooling) -> Vectors:
    """One vector a text (batch × width) of its tokens' (batch × length × width)."""
    if pooling == "cls":
        return tokens[:, 0]
    shown = mask[:, :, None].astype(np.float32)
    if pooling == "max":
        return np.asarray(np.where(shown > 0, tokens, np.finfo(np.float32).min).max(axis=1))
    count = shown.sum(axis=1)
    return np.asarray((tokens * shown).sum(axis=1) / (np.sqrt(count) if pooling == "mean_sqrt_len" else count))


def finish(vectors: Vectors, dense: Sequence[Dense] = ()) -> Vectors:
    """Through the dense layers, then of unit length; without a direction, NaN."""
    for layer in dense:
        vectors = layer.apply(vectors)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, np.nan), np.float32)
