"""The embedders. A new one is a module here, a kind in `choice`, and a line in each table."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from deskloom.embedders.bge_m3 import BGE_M3, open_bge_m3
from deskloom.embedders.choice import Choice, choose
from deskloom.embedders.folder import open_folder
from deskloom.embedders.minilm import MINILM, open_minilm
from deskloom.embedders.models import Model
from deskloom.embedders.openai import open_openai
from deskloom.protocols import Embedder
from deskloom.settings import Settings

__all__ = ["EMBEDDERS", "MODELS", "Choice", "Model", "choose", "open_choice", "open_embedder"]


async def _open_openai(choice: Choice, settings: Settings, dimensions: int) -> Embedder:
    url, api_key = choice.url or "", None
    if settings.embedder == "openai" or settings.embedder.startswith("openai:"):
        named = choose(settings)
        if named.model == choice.model and named.url:
            url = named.url  # the same model has moved
    if settings.embedder_api_key is not None and choose(settings, f"openai:{choice.model}").url == url:
        api_key = settings.embedder_api_key.get_secret_value()  # which belongs to that server alone
    return await open_openai(
        url,
        choice.model or "",
        api_key=api_key,
        max_tokens=settings.embedder_max_tokens,
        dimensions=dimensions,
        concurrency=settings.embedder_concurrency,
        retries=settings.retries,
    )


def _threaded(load: Callable[[Choice, Settings], Embedder]) -> Opening:
    """Local models load for a while, and never need to be told their width."""
    return lambda choice, settings, dimensions: asyncio.to_thread(load, choice, settings)


Opening = Callable[[Choice, Settings, int], Awaitable[Embedder]]

EMBEDDERS: Mapping[str, Opening] = {
    "minilm": _threaded(lambda choice, settings: open_minilm(settings.models)),
    "bge-m3": _threaded(lambda choice, settings: open_bge_m3(settings.models)),
    "folder": _threaded(lambda choice, settings: open_folder(Path(choice.path or "."))),
    "openai": _open_openai,
}

MODELS: Mapping[str, Model] = {"minilm": MINILM, "bge-m3": BGE_M3}
"""What `deskloom models get` can fetch (`models.fetch_model`)."""


async def open_choice(choice: Choice, settings: Settings, *, dimensions: int = 0) -> Embedder:
    """Open a model that was chosen. `ModelMissing`, `ModelDamaged` and `SettingInvalid` say what to do.

    `EmbedderUnavailable` if a server is down, unless the width of its vectors is known from before (`dimensions`): then
    it is asked at its first use. A server that the settings name is asked there, wherever the choice was made.
    """
    return await EMBEDDERS[choice.kind](choice, settings, dimensions)


async def open_embedder(settings: Settings) -> Embedder:
    """The embedder that the settings name; raises what `choose` and `open_choice` raise."""
    return await open_choice(choose(settings), settings)
