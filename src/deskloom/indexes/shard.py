"""One collection on disk: versions of it, each a shard of Qdrant's engine, and a pointer to the one that is live.

    <collection>/CURRENT          the name of the live version
    <collection>/v-1a2b3c4d/      a version: schema.json (written last, so a version without it is unfinished), shard/

A version replaces the live one by a rename of the pointer; what the pointer does not name is removed when the
collection is opened. The engine's `optimize` is never called: it stops every Python thread (VECTORS §1.6).
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import uuid
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import qdrant_edge as engine

from deskloom.errors import IndexMismatch, IndexUnavailable
from deskloom.indexes.points import payload_schema
from deskloom.protocols import Schema


class Version:
    """An open shard and its schema. Once retired it is closed and removed as soon as its last user has left."""

    def __init__(self, folder: Path, schema: Schema, shard: engine.EdgeShard) -> None:
        self.folder = folder
        self.schema = schema
        self.shard = shard
        self._users = 0
        self._retired = False
        self._closed = False
        self._mutex = threading.Lock()

    def enter(self) -> None:
        """Keep it open until `leave`. Only for a version that is not retired."""
        with self._mutex:
            self._users += 1

    def leave(self) -> None:
        with self._mutex:
            self._users -= 1
            self._reap()

    def retire(self) -> None:
        """Remove it from disk as soon as nobody uses it."""
        with self._mutex:
            self._retired = True
            self._reap()

    def close(self) -> None:
        """Flush and close; the files stay."""
        with self._mutex:
            if not self._closed:
                self._closed = True
                self.shard.flush()
                self.shard.close()

    def index_fields(self, schema: Schema) -> None:
        """Give every filter field its index; repeating it is free."""
        for field, kind in payload_schema(schema.filters).items():
            self.shard.update(engine.UpdateOperation.create_field_index(field, kind))
        self.shard.flush()
        _write_schema(self.folder, schema)
        self.schema = schema

    def _reap(self) -> None:
        if self._retired and not self._users and not self._closed:
            self._closed = True
            self.shard.close()
            shutil.rmtree(self.folder, ignore_errors=True)  # what remains is removed at the next opening


def create_version(root: Path, schema: Schema) -> Version:
    """A new, empty version in the collection's folder `root`; not live until `point_to`."""
    folder = root / f"v-{uuid.uuid4().hex[:8]}"
    (folder / "shard").mkdir(parents=True)
    dense = engine.EdgeVectorParams(size=schema.dimensions, distance=engine.Distance.Cosine)
    config = engine.EdgeConfig(
        vectors=dict.fromkeys(schema.vectors, dense),
        sparse_vectors={name: engine.EdgeSparseVectorParams(modifier=engine.Modifier.Idf) for name in schema.words},
    )
    version = Version(folder, schema, engine.EdgeShard.create(str(folder / "shard"), config))
    version.index_fields(schema)
    return version


def point_to(root: Path, version: Version) -> None:
    """Make a version the live one, for good once this returns."""
    _write_whole(root / "CURRENT", version.folder.name)


def open_live(root: Path) -> Version | None:
    """The live version; None if there is none that can be read. Leftovers are removed, damage is set aside.

    Raises `IndexUnavailable` if the files are there but may not be read.
    """
    live = _live_folder(root)
    for folder in root.glob("v-*"):
        if folder != live:
            shutil.rmtree(folder, ignore_errors=True)
    if live is None:
        return None
    try:
        schema = Schema(**_tuples(json.loads((live / "schema.json").read_text(encoding="utf-8"))))
        return Version(live, schema, engine.EdgeShard.load(str(live / "shard")))
    except PermissionError as error:
        raise _unreadable(root, error) from error
    # The engine answers damage with plain exceptions, or with a panic, which is no Exception.
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        if "Permission denied" in str(error) or "Too many open files" in str(error):
            raise _unreadable(root, error) from error
        _set_aside(root, live)
        return None


def require_same(stored: Schema, wanted: Schema) -> None:
    """Raise `IndexMismatch` unless vectors made for `wanted` can live beside those that are stored."""
    facts = {"collection": wanted.collection, "stored": stored.embedder, "wanted": wanted.embedder}
    remedy = "Rebuild it beside the old one: deskloom reindex"
    if stored.dimensions != wanted.dimensions:
        raise IndexMismatch(
            f'Index "{wanted.collection}" holds vectors of width {stored.dimensions}; embedder "{wanted.embedder}" '
            f"makes {wanted.dimensions}. {remedy}",
            **facts,
        )
    if stored.embedder != wanted.embedder:
        raise IndexMismatch(
            f'Index "{wanted.collection}" holds vectors of embedder "{stored.embedder}", not of "{wanted.embedder}". '
            f"{remedy}",
            **facts,
        )
    if set(stored.vectors) != set(wanted.vectors) or set(stored.words) != set(wanted.words):
        raise IndexMismatch(
            f'Index "{wanted.collection}" holds the vectors {", ".join((*stored.vectors, *stored.words))}, not '
            f"{', '.join((*wanted.vectors, *wanted.words))}. {remedy}",
            **facts,
        )


def _live_folder(root: Path) -> Path | None:
    try:
        name = (root / "CURRENT").read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return next((folder for folder in root.glob("v-*") if folder.name == name), None)


def _set_aside(root: Path, live: Path) -> None:
    """Keep the latest damaged version for whoever wants to know; it is not used again."""
    damaged = root / "damaged"
    shutil.rmtree(damaged, ignore_errors=True)
    live.rename(damaged)


def _unreadable(root: Path, error: BaseException) -> IndexUnavailable:
    return IndexUnavailable(f"The index in {root} cannot be opened: {error}. Give this process access to the folder.")


def _tuples(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()}


def _write_schema(folder: Path, schema: Schema) -> None:
    _write_whole(folder / "schema.json", json.dumps(asdict(replace(schema, filters=dict(schema.filters))), indent=1))


def _write_whole(path: Path, text: str) -> None:
    """Replace a file so that a crash leaves the old text or the new one."""
    fresh = path.with_name(path.name + ".new")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
