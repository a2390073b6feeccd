"""The settings choose the index."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deskloom.indexes import INDEXES, open_index
from deskloom.indexes.chroma import ChromaIndex
from deskloom.indexes.edge import EdgeIndex
from deskloom.indexes.qdrant import QdrantIndex
from deskloom.record import Record
from deskloom.record.words import RecordWords
from deskloom.settings import Settings

_WITHOUT_CLIENT = """
import asyncio, sys
sys.modules[sys.argv[2]] = None
from deskloom.errors import SettingInvalid
from deskloom.indexes import open_index
from deskloom.settings import Settings
try:
    settings = Settings(_env_file=None, index=sys.argv[1], qdrant_url="http://localhost:6333")
    asyncio.run(open_index(settings, object()))
except SettingInvalid as error:
    sys.stdout.write(error.message)
"""


async def test_the_settings_choose_the_index(tmp_path: Path, sqlite_record: Record) -> None:
    """`DESKLOOM_INDEX` opens what it names; nothing is asked of a server for that."""
    made = {
        name: await open_index(
            Settings(_env_file=None, home=tmp_path, index=name, qdrant_url="http://127.0.0.1:1"),
            RecordWords(sqlite_record),
        )
        for name in INDEXES
    }
    assert {name: type(index) for name, index in made.items()} == {
        "edge": EdgeIndex,
        "qdrant": QdrantIndex,
        "chroma": ChromaIndex,
    }
    for index in made.values():
        await index.aclose()


@pytest.mark.parametrize(
    ("index", "package", "sentence"),
    [
        ("qdrant", "qdrant_client", "needs Qdrant's client. Install it: pip install 'deskloom[qdrant]'"),
        ("chroma", "chromadb", "needs Chroma. Install it: pip install 'deskloom[chroma]'"),
    ],
)
def test_without_the_extra_it_is_named(index: str, package: str, sentence: str) -> None:
    """Where an extra is not installed, choosing its index says how to install it; Edge needs none."""
    command = [sys.executable, "-c", _WITHOUT_CLIENT, index, package]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == f"DESKLOOM_INDEX={index} {sentence}"
