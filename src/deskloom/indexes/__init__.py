"""The indexes, by the name they have in the settings. A new one is a module here and a line in the table."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from deskloom.indexes.edge import EdgeIndex
from deskloom.protocols import VectorIndex
from deskloom.settings import Settings

INDEXES: Mapping[str, Callable[[Settings], VectorIndex]] = {
    "edge": lambda settings: EdgeIndex(settings.home / "index"),
}


async def open_index(settings: Settings) -> VectorIndex:
    """The index that the settings name. Raises `HomeInUse` or `IndexUnavailable`."""
    return await asyncio.to_thread(INDEXES[settings.index], settings)
