"""What a sentence model's folder says about itself: pooling, dense layers, prompts, length (sentence-transformers)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deskloom.embedders.encoders import Dense
from deskloom.embedders.graph import Pooling
from deskloom.embedders.shape import EncoderShape
from deskloom.embedders.weights import damaged, read_json, read_weights, weight_files
from deskloom.errors import ModelDamaged, ModelMissing, SettingInvalid
from deskloom.protocols import Purpose, Vectors

SPARSE = "sparse_linear.pt"
"""The file that makes a folder one of BGE-M3's layout: the layer that weighs words."""

_POOLINGS: Mapping[str, Pooling] = {
    "mean_tokens": "mean",
    "mean": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_len",
    "cls_token": "cls",
    "cls": "cls",
    "max_tokens": "max",
    "max": "max",
}
_PROMPTS: Mapping[Purpose, tuple[str, ...]] = {
    "query": ("query",),
    "document": ("document", "passage", "corpus"),
}
"""The names under which sentence-transformers looks for the prompt of a purpose, in this order."""
_UNKNOWN_LENGTH = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """`encoder` is the folder of the transformer itself, in most models the model's own. `sparse`: weights (width,)
    and bias of BGE-M3's layer for words."""

    encoder: Path
    pooling: Pooling = "mean"
    dense: tuple[Dense, ...] = ()
    prompts: Mapping[Purpose, str]
    max_tokens: int
    lower: bool = False
    sparse: tuple[Vectors, float] | None = None
    files: tuple[Path, ...] = ()
    """The weight files of dense and sparse layers."""


def read_layout(folder: Path) -> Layout:
    """Without `modules.json` a folder is a plain transformer, whose tokens' mean is the vector of the text.

    Raises `SettingInvalid` for what is not supported, naming it, and `ModelDamaged` for files that cannot be read.
    """
    modules = _modules(folder)
    encoder = folder / modules.get("Transformer", [""])[0]
    pooling: Pooling = "mean"
    if places := modules.get("Pooling"):
        pooling = _pooling(folder / places[0] / "config.json")
    found = [_dense(folder / place) for place in modules.get("Dense", [])]
    files = tuple(file for _, file in found)
    sparse = None
    if (folder / SPARSE).exists():
        sparse, files = _sparse(folder / SPARSE), (*files, folder / SPARSE)
    own = next(iter(sorted(encoder.glob("sentence_*_config.json"))), None)
    facts = read_json(own) if own else {}
    return Layout(
        encoder=encoder,
        pooling=pooling,
        dense=tuple(dense for dense, _ in found),
        prompts=_prompts(folder / "config_sentence_transformers.json"),
        max_tokens=_max_tokens(encoder, facts.get("max_seq_length")),
        lower=bool(facts.get("do_lower_case")),
        sparse=sparse,
        files=files,
    )


def _modules(folder: Path) -> dict[str, list[str]]:
    """The folders of a model's modules, by kind."""
    file = folder / "modules.json"
    modules: dict[str, list[str]] = {}
    if not file.exists():
        return modules
    try:
        for module in read_json(file):
            modules.setdefault(str(module["type"]).rsplit(".", 1)[-1], []).append(str(module["path"]))
    except (KeyError, TypeError) as error:
        raise damaged(file, "does not list modules") from error
    for kind in modules:
        if kind not in ("Transformer", "Pooling", "Dense", "Normalize", "Dropout"):
            raise _unsupported(folder, f'a module "{kind}"')
    return modules


def _pooling(file: Path) -> Pooling:
    facts = _facts(file)
    modes = [name.removeprefix("pooling_mode_") for name, on in facts.items() if name[:13] == "pooling_mode_" and on]
    if isinstance(facts.get("pooling_mode"), str):
        modes = [facts["pooling_mode"]]
    if len(modes) != 1 or modes[0] not in _POOLINGS:
        raise _unsupported(file.parent.parent, f"the pooling {' and '.join(modes) or 'none'}")
    if facts.get("include_prompt") is False:
        raise _unsupported(file.parent.parent, "pooling that leaves the prompt out")
    return _POOLINGS[modes[0]]


def _dense(folder: Path) -> tuple[Dense, Path]:
    facts = _facts(folder / "config.json")
    activation = str(facts.get("activation_function", "Identity")).rsplit(".", 1)[-1]
    if activation not in ("Tanh", "Identity"):
        raise _unsupported(folder.parent, f'a dense layer with the activation "{activation}"')
    files = weight_files(folder)
    if not files:
        raise ModelMissing(f"{folder} holds no weights. Copy the model again, whole.", folder=str(folder))
    tensors = read_weights(files).tensors
    try:
        weight = tensors["linear.weight"].read()
        bias = tensors["linear.bias"].read() if "linear.bias" in tensors else None
    except (KeyError, ValueError) as error:
        raise damaged(files[0], "does not hold a linear layer") from error
    if weight.shape != (facts.get("out_features"), facts.get("in_features")):
        raise damaged(files[0], f"holds a layer of the shape {weight.shape}, not what its config.json says")
    return Dense(weight, bias, activation == "Tanh"), files[0]


def _sparse(file: Path) -> tuple[Vectors, float]:
    tensors = read_weights((file,)).tensors
    try:
        weight, bias = tensors["weight"].read(), tensors["bias"].read()
        if weight.shape[0] != 1 or bias.size != 1:
            raise ValueError(weight.shape)
    except (KeyError, ValueError, IndexError) as error:
        raise damaged(file, "does not hold the layer that weighs words") from error
    return weight.reshape(-1), float(bias.reshape(-1)[0])


def _prompts(file: Path) -> dict[Purpose, str]:
    facts = _facts(file) if file.exists() else {}
    named = facts.get("prompts") or {}
    default = named.get(facts.get("default_prompt_name"), "")
    return {
        purpose: next((str(named[name]) for name in names if name in named), str(default))
        for purpose, names in _PROMPTS.items()
    }


def _max_tokens(encoder: Path, stated: Any) -> int:
    """What the model's own configuration says, else its tokenizer's, and never more than it has positions for."""
    limits: list[Any] = [stated] if isinstance(stated, int) and stated > 0 else []
    file = encoder / "tokenizer_config.json"
    if not limits and file.exists():
        limits = [_facts(file).get("model_max_length")]
    try:
        limits.append(EncoderShape.read(encoder / "config.json").max_tokens)
    except SettingInvalid:  # another architecture, which an export computes
        limits.append(_facts(encoder / "config.json").get("max_position_embeddings"))
    except (OSError, ModelDamaged):
        pass
    return min((int(one) for one in limits if isinstance(one, int | float) and 2 < one < 1e6), default=_UNKNOWN_LENGTH)


def _facts(file: Path) -> dict[str, Any]:
    if not file.exists():
        raise ModelMissing(f"{file} is missing. Copy or download the model again, whole.", file=str(file))
    facts = read_json(file)
    if not isinstance(facts, dict):
        raise damaged(file, "is not a configuration")
    return facts


def _unsupported(folder: Path, what: str) -> SettingInvalid:
    return SettingInvalid(
        f"The model in {folder} has {what}, which Deskloom does not compute. Use another model, or let an embedding "
        "server run it (DESKLOOM_EMBEDDER=openai).",
        setting="DESKLOOM_EMBEDDER",
    )
