"""Any sentence model that lies in a folder in the common layout, run on onnxruntime from its weights or its export.

Where a folder holds both, the weights count: from them the graph is ours, proven against an independent computation,
and fused. An export serves the architectures that are not built here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from deskloom.embedders.encoders import BuiltEncoder
from deskloom.embedders.exported import export_files, open_export
from deskloom.embedders.graph import build_graph
from deskloom.embedders.languages import languages_of
from deskloom.embedders.layout import Layout, read_layout
from deskloom.embedders.models import sha256_of
from deskloom.embedders.onnx import Encoder, OnnxEmbedder
from deskloom.embedders.shape import EncoderShape
from deskloom.embedders.tokenizer import load_tokenizer
from deskloom.embedders.weighing import WeighingEmbedder, unused_tokens
from deskloom.embedders.weights import damaged, read_json, read_weights, weight_files
from deskloom.errors import ModelDamaged, ModelMissing, SettingInvalid


def open_folder(
    folder: Path, *, threads: int = 0, published: Mapping[str, tuple[int, str]] | None = None
) -> OnnxEmbedder | WeighingEmbedder:
    """Check the files and load them: 2.3 GB take about 1.3 s to hash and some seconds to load.

    The name is a digest of what vectors depend on: weights, tokenizer, shape, pooling, prompts, length. `published`:
    size and sha256 of files by name; one of that size and another digest is damaged. Raises `ModelMissing`,
    `ModelDamaged` or `SettingInvalid`, with the remedy.
    """
    _refuse_strange(folder)
    layout = read_layout(folder)
    encoder, shape, files = _open_encoder(folder, layout, threads)
    tokenizer = load_tokenizer(layout.encoder, lower=layout.lower)
    _refuse_mismatch(layout.encoder, tokenizer)
    digests = _digests(folder, (*files, *layout.files, layout.encoder / "tokenizer.json"), published or {})
    kind = "fp32" if isinstance(encoder, BuiltEncoder) else "onnx"
    label = "bge-m3" if layout.sparse else str(_facts(layout.encoder).get("model_type") or "model")
    try:
        embedder = OnnxEmbedder(
            encoder,
            tokenizer,
            name=f"{label}-{kind}-{_fingerprint(digests, layout, shape)[:12]}",
            max_tokens=layout.max_tokens,
            languages=languages_of(tokenizer),
            prompts=layout.prompts,
        )
    except Exception as error:  # whatever a damaged model makes the runtime raise
        raise damaged(
            folder,
            f"holds a model that cannot embed a short text ({type(error).__name__})",
            "Copy or download it again; if it stays so, its files are not of one model.",
        ) from error
    return WeighingEmbedder(embedder, unused_tokens(layout.encoder, tokenizer)) if layout.sparse else embedder


def _open_encoder(folder: Path, layout: Layout, threads: int) -> tuple[Encoder, EncoderShape | None, tuple[Path, ...]]:
    """The computation, what it was built from if it was, and the files it reads."""
    config = layout.encoder / "config.json"
    files = weight_files(layout.encoder)
    shape, refusal = None, None
    if config.exists():
        try:
            shape = EncoderShape.read(config)
        except SettingInvalid as error:
            refusal = error
    if files and shape is not None:
        built = build_graph(read_weights(files), shape, layout.pooling, sparse=layout.sparse)
        try:
            return BuiltEncoder(built, layout.dense, threads=threads), shape, files
        except Exception as error:  # onnxruntime's exceptions share no class of their own
            raise damaged(files[0], "cannot be loaded by onnxruntime") from error
    exported = export_files(layout.encoder) or export_files(folder)
    if exported:
        padding = 0 if shape is None or shape.padding is None else shape.padding
        return open_export(exported[0], layout, padding=padding, threads=threads), shape, exported
    if files and refusal:
        raise refusal
    if files:
        raise ModelMissing(f"{config} is missing. Copy or download the model again, whole.", folder=str(folder))
    raise ModelMissing(
        f"{folder} holds no weights: none of model.safetensors, pytorch_model.bin and onnx/model.onnx. "
        "Copy or download the rest of the model.",
        folder=str(folder),
    )


def _refuse_strange(folder: Path) -> None:
    if not folder.is_dir():
        raise ModelMissing(
            f"There is no model folder {folder}. Set DESKLOOM_EMBEDDER to minilm, to bge-m3, or to the folder of a "
            "model (the one that holds its config.json).",
            folder=str(folder),
        )
    if not any((folder / name).exists() for name in ("modules.json", "config.json", "onnx/model.onnx", "model.onnx")):
        inner = next(iter(sorted(folder.glob("snapshots/*/config.json")) + sorted(folder.glob("*/config.json"))), None)
        raise ModelMissing(
            f"{folder} is not a model folder: it holds neither modules.json nor config.json."
            + (f" Did you mean {inner.parent}?" if inner else ""),
            folder=str(folder),
        )


def _refuse_mismatch(folder: Path, tokenizer: Tokenizer) -> None:
    """A token that the model has no vector for must not be met in mid-run."""
    highest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    size = _facts(folder).get("vocab_size")
    if highest < 0 or (isinstance(size, int) and highest >= size):
        raise damaged(
            folder / "tokenizer.json",
            f"numbers its tokens up to {highest}, and the model knows {size}: they do not belong together",
            "Put the tokenizer.json and the weights of one model in the folder.",
        )


def _digests(folder: Path, files: Iterable[Path], published: Mapping[str, tuple[int, str]]) -> dict[str, str]:
    """sha256 of each file, by its place in the folder."""
    digests = {}
    for file in files:
        name = file.relative_to(folder).as_posix()
        digests[name] = sha256_of(file)
        size, digest = published.get(name, (-1, ""))
        if file.stat().st_size == size and digests[name] != digest:
            raise ModelDamaged(
                f"{file} has the size of the published file, but not its content. Get it again: "
                f"deskloom models get {folder.name}",
                file=str(file),
            )
    return digests


def _fingerprint(digests: Mapping[str, str], layout: Layout, shape: EncoderShape | None) -> str:
    facts: dict[str, Any] = {
        "files": sorted(digests.values()),
        "shape": None if shape is None else asdict(shape),
        "pooling": layout.pooling,
        "tanh": [layer.tanh for layer in layout.dense],
        "prompts": dict(layout.prompts),
        "max_tokens": layout.max_tokens,
        "lower": layout.lower,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _facts(folder: Path) -> Mapping[str, Any]:
    config = folder / "config.json"
    facts = read_json(config) if config.exists() else {}
    return facts if isinstance(facts, dict) else {}
