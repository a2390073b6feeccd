"""What of a model's `config.json` its computation depends on, and which architectures are built from weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from deskloom.embedders.weights import damaged, read_json
from deskloom.errors import SettingInvalid

Activation = Literal["BiasGelu", "FastGelu", "Relu"]

_ACTIVATIONS: Mapping[str, Activation] = {
    "gelu": "BiasGelu",
    "gelu_python": "BiasGelu",
    "gelu_new": "FastGelu",
    "gelu_fast": "FastGelu",
    "gelu_pytorch_tanh": "FastGelu",
    "relu": "Relu",
}
_COUNTED = frozenset({"roberta", "xlm-roberta", "camembert"})
"""Families whose positions are counted from the padding id."""
FAMILIES = frozenset({"bert", *_COUNTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderShape:
    """What of a `config.json` the computation depends on. `padding`: the id positions count from; None: from 0."""

    family: str
    layers: int
    heads: int
    width: int
    inner: int
    vocabulary: int
    positions: int
    epsilon: float
    activation: Activation
    padding: int | None

    @property
    def max_tokens(self) -> int:
        """Tokens for which there are positions."""
        return self.positions if self.padding is None else self.positions - self.padding - 1

    @classmethod
    def read(cls, config: Path) -> EncoderShape:
        """Raises `SettingInvalid` for an architecture that this module does not build, `ModelDamaged` for no model."""
        facts = read_json(config)
        try:
            family = facts.get("model_type")
            if why := _unsupported(facts):
                raise SettingInvalid(
                    f"{config.parent} holds {why}, which cannot be run from its weights here. Export it to ONNX "
                    "(onnx/model.onnx in that folder), or let an embedding server run it (DESKLOOM_EMBEDDER=openai).",
                    setting="DESKLOOM_EMBEDDER",
                    architecture=str(family),
                )
            return cls(
                family=family,
                layers=int(facts["num_hidden_layers"]),
                heads=int(facts["num_attention_heads"]),
                width=int(facts["hidden_size"]),
                inner=int(facts["intermediate_size"]),
                vocabulary=int(facts["vocab_size"]),
                positions=int(facts["max_position_embeddings"]),
                epsilon=float(facts.get("layer_norm_eps", 1e-12)),
                activation=_ACTIVATIONS[facts.get("hidden_act", "gelu")],
                padding=int(facts.get("pad_token_id", 1)) if family in _COUNTED else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise damaged(config, "does not describe an encoder") from error


def _unsupported(facts: Mapping[str, Any]) -> str:
    """What stands in the way of building this model; "" if nothing does."""
    family = facts.get("model_type")
    if family not in FAMILIES:
        return f'a model of the architecture "{family}"'
    if "AutoModel" in (facts.get("auto_map") or {}):
        return f'a model of the architecture "{family}" with code of its own'
    if facts.get("position_embedding_type", "absolute") != "absolute":
        return f'a model with positions of the type "{facts["position_embedding_type"]}"'
    if facts.get("hidden_act", "gelu") not in _ACTIVATIONS:
        return f'a model with the activation "{facts["hidden_act"]}"'
    return "a decoder" if facts.get("is_decoder") else ""
