"""The model's files: fetched by the command that misses them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from deskloom.cli.output import interactive, notice
from deskloom.settings import Settings


async def ensure_model(settings: Settings) -> None:
    """Fetch the configured model if this machine does not have it yet.

    Raises `EmbedderUnavailable` or `ModelMissing`, which say why it cannot be had; a damaged model is left to whoever
    opens it.
    """
    from deskloom.embedders import MODELS

    model = MODELS.get(settings.embedder)
    if model is not None and not (settings.models / model.name).is_dir():
        await fetch(model.name, settings.models)


async def fetch(name: str, models: Path) -> Path:
    """Fetch a model with a notice, and a sign of life on a terminal; returns its folder."""
    from deskloom.embedders import MODELS
    from deskloom.embedders.models import Hub, fetch_model

    model = MODELS[name]
    notice(f'Fetching the model "{name}" into {models}, once ({model.size / 1e6:,.0f} MB).')
    if not interactive():
        return await asyncio.to_thread(fetch_model, model, models)
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

    from deskloom.cli.output import console

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn())
    counted = (DownloadColumn(), TransferSpeedColumn()) if isinstance(model.origin, Hub) else ()
    with Progress(*columns, *counted, console=console(), transient=True) as progress:
        task = progress.add_task(f"model {name}", total=None)

        def show(here: int, of: int) -> None:
            progress.update(task, completed=here, total=of)

        return await asyncio.to_thread(fetch_model, model, models, progress=show)
