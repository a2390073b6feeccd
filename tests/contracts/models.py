"""The bundled model for tests: fetched once into the models folder that every home of this machine shares."""

from __future__ import annotations

from pathlib import Path

from deskloom.embedders.minilm import MINILM
from deskloom.embedders.models import fetch_model
from deskloom.settings import Settings


def models_folder() -> Path:
    """The models folder, with the bundled model in it."""
    models = Settings().models
    fetch_model(MINILM, models)
    return models
