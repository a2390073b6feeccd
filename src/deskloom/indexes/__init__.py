"""The indexes, by the name they have in the settings. A new one is a module here and a line in the table."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from deskloom.errors import SettingInvalid
from deskloom.indexes.edge import EdgeIndex
from deskloom.protocols import VectorIndex
from deskloom.settings import Settings


def _qdrant(settings: Settings) -> VectorIndex:
    try:
        from deskloom.indexes.qdrant_server import open_qdrant  # its client is an extra, and takes a second to import
    except ImportError as error:
        if not (error.name or "").startswith("qdrant_client"):
            raise
        raise SettingInvalid(
            "DESKLOOM_INDEX=qdrant needs Qdrant's client. Install it: pip install 'deskloom[qdrant]'",
            setting="DESKLOOM_INDEX",
        ) from error
    return open_qdrant(settings)


INDEXES: Mapping[str, Callable[[Settings], VectorIndex]] = {
    "edge": lambda settings: EdgeIndex(settings.home / "index"),
    "qdrant": _qdrant,
}


async def open_index(settings: Settings) -> VectorIndex:
    """The index that the settings name. Raises `HomeInUse`, `IndexUnavailable` or `SettingInvalid`."""
    return await asyncio.to_thread(INDEXES[settings.index], settings)
