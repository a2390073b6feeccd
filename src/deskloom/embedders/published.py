"""What a published model consists of, and whether a folder holds it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deskloom.errors import ModelDamaged, ModelMissing

Progress = Callable[[int, int], None]
"""Is told how many bytes of a download are here, of how many."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A Python package that holds a model."""

    requirement: str


@dataclass(frozen=True, slots=True)
class Hub:
    """A repository of a model hub, at one revision."""

    repository: str
    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A published model. `size`: bytes to be fetched. `files`: name in our folder → (path at its origin, sha256)."""

    name: str
    origin: Wheel | Hub
    size: int
    files: Mapping[str, tuple[str, str]]


def verify_model(model: Model, models: Path) -> Path:
    """The folder of a model whose files are all there and as pinned; `ModelMissing` or `ModelDamaged` otherwise."""
    folder = models / model.name
    if not folder.is_dir():
        raise missing(model, models)
    for name, (_, digest) in model.files.items():
        try:
            intact = sha256_of(folder / name) == digest
        except OSError:
            intact = False
        if not intact:
            raise ModelDamaged(
                f'{folder / name} is missing or is not the published file of model "{model.name}". '
                f"Get it again: deskloom models get {model.name}",
                model=model.name,
                file=str(folder / name),
            )
    return folder


def missing(model: Model, models: Path) -> ModelMissing:
    """The error that names the command that gets the model."""
    return ModelMissing(
        f'Model "{model.name}" is not in {models}. Get it: deskloom models get {model.name}',
        model=model.name,
        folder=str(models / model.name),
    )


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
