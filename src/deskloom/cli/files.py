"""The model's files: fetched by the command that misses them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from deskloom.cli.output import interactive, notice
from deskloom.settings import Settings


async def ensure_model(settings: Settings) -> None:
    """Fetch the configured model if this machine does not have it yet.

    Raises `EmbedderUnavailable`, which says why it cannot be had; a damaged model is left to whoever opens it.
    """
    from deskloom.embedders import MODELS

    model = MODELS.get(settings.embedder)
    if model is not None and not (settings.models / model.name).is_dir():
        await fetch(model.name, settings.models)


async def fetch(name: str, models: Path) -> Path:
    """Fetch a model with a notice, and a sign of life on a terminal; returns its folder."""
    from deskloom.embedders import MODELS
    from deskloom.embedders.models import fetch_model

    notice(f'Fetching the model "{name}" into {models}, once (83 MB).')
    work = asyncio.create_task(asyncio.to_thread(fetch_model, MODELS[name], models))
    if not interactive():
        return await work
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from deskloom.cli.output import console

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn())
    with Progress(*columns, console=console(), transient=True) as progress:
        progress.add_task(f"model {name}", total=None)
        return await work
