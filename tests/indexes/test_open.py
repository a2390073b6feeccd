"""The settings choose the index."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from deskloom.indexes import INDEXES, open_index
from deskloom.indexes.edge import EdgeIndex
from deskloom.indexes.qdrant import QdrantIndex
from deskloom.settings import Settings

_WITHOUT_CLIENT = """
import asyncio, sys
sys.modules["qdrant_client"] = None
from deskloom.errors import SettingInvalid
from deskloom.indexes import open_index
from deskloom.settings import Settings
try:
    asyncio.run(open_index(Settings(_env_file=None, index="qdrant", qdrant_url="http://localhost:6333")))
except SettingInvalid as error:
    sys.stdout.write(error.message)
"""


async def test_the_settings_choose_the_index(tmp_path: Path) -> None:
    """`DESKLOOM_INDEX` opens what it names; nothing is asked of a server for that."""
    made = {
        name: await open_index(Settings(_env_file=None, home=tmp_path, index=name, qdrant_url="http://127.0.0.1:1"))
        for name in INDEXES
    }
    assert {name: type(index) for name, index in made.items()} == {"edge": EdgeIndex, "qdrant": QdrantIndex}
    for index in made.values():
        await index.aclose()


def test_without_the_extra_the_client_is_named() -> None:
    """Where `qdrant-client` is not installed, choosing it says how to install it; Edge needs none of it."""
    ran = subprocess.run([sys.executable, "-c", _WITHOUT_CLIENT], capture_output=True, text=True, check=True)
    assert ran.stdout == "DESKLOOM_INDEX=qdrant needs Qdrant's client. Install it: pip install 'deskloom[qdrant]'"
