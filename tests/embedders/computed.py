"""What encoders of BERT's kind compute, written down again in NumPy from their definition, one text at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from tests.embedders.made import Made

_erf = np.vectorize(math.erf)


def hidden_states(tensors: dict[str, np.ndarray], made: Made, ids: Sequence[int]) -> np.ndarray:
    """The last layer's vectors (length × width), in float64."""
    t = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    if made.family == "bert":
        positions = np.arange(len(ids))
    else:
        positions, count = np.empty(len(ids), int), 0
        for place, token in enumerate(ids):
            count += token != made.padding
            positions[place] = made.padding + (count if token != made.padding else 0)
    x = t["embeddings.word_embeddings.weight"][list(ids)] + t["embeddings.position_embeddings.weight"][positions]
    x = _norm(x + t["embeddings.token_type_embeddings.weight"][0], t, "embeddings", made)
    for layer in range(made.layers):
        name = f"encoder.layer.{layer}"
        attended = _linear(_attention(x, t, f"{name}.attention.self", made), t, f"{name}.attention.output.dense")
        x = _norm(x + attended, t, f"{name}.attention.output", made)
        inner = _activation(_linear(x, t, f"{name}.intermediate.dense"), made.activation)
        x = _norm(x + _linear(inner, t, f"{name}.output.dense"), t, f"{name}.output", made)
    return x


def pooled(hidden: np.ndarray, pooling: str) -> np.ndarray:
    """The text's vector, of unit length."""
    if pooling == "cls":
        vector = hidden[0]
    elif pooling == "max":
        vector = hidden.max(axis=0)
    else:
        vector = hidden.sum(axis=0) / (len(hidden) if pooling == "mean" else math.sqrt(len(hidden)))
    return vector / np.linalg.norm(vector)


def word_weights(tensors: dict[str, np.ndarray], hidden: np.ndarray, ids: Sequence[int]) -> dict[int, float]:
    """FlagEmbedding's lexical weights: relu of a linear layer, the largest for each id, ids 0 to 3 left out."""
    found: dict[int, float] = {}
    for token, vector in zip(ids, hidden, strict=True):
        weight = max(0.0, float(vector @ tensors["sparse.weight"][0].astype(float) + float(tensors["sparse.bias"][0])))
        if token > 3 and weight > 0:
            found[token] = max(found.get(token, 0.0), weight)
    return found


def _attention(x: np.ndarray, t: dict[str, np.ndarray], name: str, made: Made) -> np.ndarray:
    size = made.width // made.heads
    query, key, value = (_linear(x, t, f"{name}.{part}") for part in ("query", "key", "value"))
    heads = []
    for head in range(made.heads):
        part = slice(head * size, (head + 1) * size)
        scores = query[:, part] @ key[:, part].T / math.sqrt(size)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        heads.append(weights / weights.sum(axis=1, keepdims=True) @ value[:, part])
    return np.concatenate(heads, axis=1)


def _linear(x: np.ndarray, t: dict[str, np.ndarray], name: str) -> np.ndarray:
    return x @ t[f"{name}.weight"].T + t[f"{name}.bias"]


def _norm(x: np.ndarray, t: dict[str, np.ndarray], name: str, made: Made) -> np.ndarray:
    centred = x - x.mean(axis=1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + made.epsilon)
    return scaled * t[f"{name}.LayerNorm.weight"] + t[f"{name}.LayerNorm.bias"]


def _activation(x: np.ndarray, name: str) -> np.ndarray:
    if name == "relu":
        return np.maximum(x, 0)
    if name == "gelu":
        return x * (1 + _erf(x / math.sqrt(2))) / 2
    return x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
