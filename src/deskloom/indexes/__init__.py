"""The indexes, by the name they have in the settings. A new one is a module here and a line in the table."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from deskloom.errors import SettingInvalid
from deskloom.indexes.edge import EdgeIndex
from deskloom.protocols import VectorIndex, WordIndex
from deskloom.settings import Settings


def _qdrant(settings: Settings, _: WordIndex | None) -> VectorIndex:
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


def _chroma(settings: Settings, words: WordIndex | None) -> VectorIndex:
    if words is None:
        raise ValueError("Chroma has no sparse vectors: give it a word half")
    try:
        from deskloom.indexes.chroma_open import open_chroma  # an extra of 80 packages, which takes a second to import
    except ImportError as error:
        if not (error.name or "").startswith("chromadb"):
            raise
        raise SettingInvalid(
            "DESKLOOM_INDEX=chroma needs Chroma. Install it: pip install 'deskloom[chroma]'", setting="DESKLOOM_INDEX"
        ) from error
    return open_chroma(settings, words)


INDEXES: Mapping[str, Callable[[Settings, WordIndex | None], VectorIndex]] = {
    "edge": lambda settings, _: EdgeIndex(settings.home / "index"),
    "qdrant": _qdrant,
    "chroma": _chroma,
}


async def open_index(settings: Settings, words: WordIndex | None = None) -> VectorIndex:
    """The index that the settings name; `words` is for one whose store has no sparse vectors.

    Raises `HomeInUse`, `IndexUnavailable` or `SettingInvalid`.
    """
    return await asyncio.to_thread(INDEXES[settings.index], settings, words)
