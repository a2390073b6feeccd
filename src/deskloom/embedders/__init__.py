"""The embedders, by the name they have in the settings. A new one is a module here and a line in each table."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from deskloom.embedders.minilm import MINILM, open_minilm
from deskloom.embedders.models import Model
from deskloom.protocols import Embedder
from deskloom.settings import Settings

EMBEDDERS: Mapping[str, Callable[[Settings], Embedder]] = {
    "minilm": lambda settings: open_minilm(settings.models),
}

MODELS: Mapping[str, Model] = {"minilm": MINILM}
"""What `deskloom models get` can fetch (`models.fetch_model`)."""


async def open_embedder(settings: Settings) -> Embedder:
    """The embedder that the settings name. Raises `ModelMissing` or `ModelDamaged`, which say what to do."""
    return await asyncio.to_thread(EMBEDDERS[settings.embedder], settings)
