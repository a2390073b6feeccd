"""Engines beside which Deskloom is measured: one class each, behind one interface, fed with the same texts.

They are no part of the project's environment: the command in `INSTALL` installs them, and a benchmark names
those that are missing and goes on without them. None of them calls anywhere: what each needs for that is set here,
before it is imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from deskloom.model import Json
from deskloom.protocols import Embedder, Vectors

INSTALL = ".venv/bin/uv sync --frozen --inexact --group peers"
OFFLINE = {
    "COCOINDEX_DISABLE_USAGE_TRACKING": "1",
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
    "HF_HUB_OFFLINE": "1",
}
BATCH = 128
"""Texts a call of the model, as Deskloom gives them; every peer that batches texts is set to it."""


@dataclass(frozen=True, slots=True)
class Item:
    """One text to be indexed: a section of a ticket. `metadata` holds values of JSON."""

    id: str
    text: str
    metadata: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counts:
    """What one update did: texts given to the model, points written or removed, seconds."""

    texts: int
    writes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Held:
    """A point as it stands in a peer's store. `item` is None if it says nothing of one."""

    item: str | None
    text: str | None
    metadata: Json | None
    vector: Vectors


class Peer(Protocol):
    """An engine with its store in a folder."""

    def sync(self, items: Sequence[Item], *, anew: bool = False) -> Counts:
        """The engine's ordinary update: `items` is all there should be. `anew`: what it offers to do all again."""
        ...

    def points(self) -> Mapping[str, Held]:
        """What its store holds, by point id."""
        ...

    def remove(self, points: Sequence[str]) -> None:
        """Remove points behind the engine's back."""
        ...

    def put(self, points: Mapping[str, tuple[Vectors, Json]]) -> None:
        """Write points behind the engine's back."""
        ...

    def payloads(self, points: Sequence[str]) -> Mapping[str, Json]:
        """The payloads of points as they are stored."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Kind:
    """A peer by its name: what it is called in tables, its module and class, and the packages whose versions count."""

    title: str
    module: str
    packages: tuple[str, ...]


PEERS: Mapping[str, Kind] = {
    "cocoindex": Kind("CocoIndex", "cocoindex_peer", ("cocoindex",)),
    "langchain": Kind(
        "LangChain indexing", "langchain_peer", ("langchain-core", "langchain-qdrant", "langchain-community")
    ),
    "llamaindex": Kind("LlamaIndex pipeline", "llamaindex_peer", ("llama-index-core",)),
}


def installed(wanted: Sequence[str] | None = None) -> list[str]:
    """The peers that can be measured, of those that are wanted; names the others, and how to get them."""
    found, missing = [], []
    for name in wanted if wanted is not None else PEERS:
        try:
            for package in (*PEERS[name].packages, "qdrant-client"):
                metadata.version(package)
            found.append(name)
        except metadata.PackageNotFoundError:
            missing.append(PEERS[name].title)
    if missing:
        print(f"NOT MEASURED, for want of the package: {', '.join(missing)}. To install them: {INSTALL}")
    return found


def versions(names: Sequence[str]) -> str:
    """The versions of peers and stores, for the record of a measurement."""
    packages = [package for name in names for package in PEERS[name].packages] + ["qdrant-client", "qdrant-edge-py"]
    found = {package for one in metadata.distributions() if (package := one.name) in packages}
    return ", ".join(f"{package} {metadata.version(package)}" for package in packages if package in found)


def open_peer(name: str, folder: Path, embedder: Embedder, *, in_memory: bool = False) -> Peer:
    """Open a peer over what a folder holds. `in_memory`: its points live in memory alone."""
    os.environ.update(OFFLINE)
    module = import_module(f"benchmarks.peers.{PEERS[name].module}")
    opened: Callable[..., Peer] = module.open_peer
    return opened(folder, embedder, in_memory=in_memory)


@dataclass(slots=True)
class Wrong:
    """How a store differs from what it should hold."""

    missing: int = 0
    stale: int = 0
    extra: int = 0

    @property
    def total(self) -> int:
        return self.missing + self.stale + self.extra


def compare(points: Mapping[str, Held], items: Sequence[Item], vector_of: Callable[[str], Vectors]) -> Wrong:
    """Points beside what should be: one for each item, with its text, its metadata and the vector of its text."""
    wanted = {item.id: item for item in items}
    seen: set[str] = set()
    wrong = Wrong()
    for point in points.values():
        item = wanted.get(point.item or "")
        if item is None or item.id in seen:
            wrong.extra += 1
            continue
        seen.add(item.id)
        wrong.stale += not is_right(point, item, vector_of)
    wrong.missing = len(wanted.keys() - seen)
    return wrong


def is_right(point: Held, item: Item, vector_of: Callable[[str], Vectors]) -> bool:
    """Whether a point is what an item should be."""
    same = point.item == item.id and point.text == item.text and point.metadata == item.metadata
    return same and bool(np.allclose(point.vector, vector_of(item.text), atol=1e-3))


def as_json(items: Sequence[Item]) -> list[Any]:
    """Items as they go to another process."""
    return [[item.id, item.text, item.metadata] for item in items]


def from_json(rows: Sequence[Any]) -> list[Item]:
    """Items as they came from another process."""
    return [Item(*row) for row in rows]
