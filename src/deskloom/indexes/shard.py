"""One collection on disk: versions of it, each a shard of Qdrant's engine, and a pointer to the one that is live.

    <collection>/CURRENT          the name of the live version and, in a second line, of the kept one it replaced
    <collection>/v-1a2b3c4d/      a version: schema.json (written last, so a version without it is unfinished), shard/

A version replaces the live one by a rename of the pointer, which names both, so that no crash falls between the two;
what it does not name is removed when the collection is opened. The engine's `optimize` is never called: it stops every
Python thread (VECTORS §1.6).
"""

from __future__ import annotations

import os
import shutil
import threading
import uuid
from pathlib import Path

import qdrant_edge as engine

from deskloom.errors import IndexUnavailable
from deskloom.indexes.checks import read_schema, schema_text
from deskloom.indexes.points import payload_schema
from deskloom.protocols import Schema


class Version:
    """An open shard and its schema. Once released or retired it is closed as soon as its last user has left."""

    def __init__(self, folder: Path, schema: Schema, shard: engine.EdgeShard) -> None:
        self.folder = folder
        self.schema = schema
        self.shard = shard
        self._users = 0
        self._released = False
        self._retired = False
        self._closed = False
        self._mutex = threading.Lock()

    def enter(self) -> None:
        """Keep it open until `leave`. Only for a version that is neither released nor retired."""
        with self._mutex:
            self._users += 1

    def leave(self) -> None:
        with self._mutex:
            self._users -= 1
            self._reap()

    def release(self) -> None:
        """Close it as soon as nobody uses it; the files stay."""
        with self._mutex:
            self._released = True
            self._reap()

    def reclaim(self) -> bool:
        """Take a release back; False if it is closed already, and has to be opened anew."""
        with self._mutex:
            self._released = False
            return not self._closed

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
        if self._users or not (self._released or self._retired):
            return
        if not self._closed:
            self._closed = True
            self.shard.close()
        if self._retired:
            shutil.rmtree(self.folder, ignore_errors=True)  # what remains is removed at the next opening


def create_version(root: Path, schema: Schema) -> Version:
    """A new, empty version in the collection's folder `root`; not live until `point_to`."""
    folder = root / f"v-{uuid.uuid4().hex[:8]}"
    (folder / "shard").mkdir(parents=True)
    dense = engine.EdgeVectorParams(size=schema.dimensions, distance=engine.Distance.Cosine)
    config = engine.EdgeConfig(
        vectors=dict.fromkeys(schema.vectors, dense),
        sparse_vectors={
            **{name: engine.EdgeSparseVectorParams(modifier=engine.Modifier.Idf) for name in schema.words},
            **{name: engine.EdgeSparseVectorParams() for name in schema.weights},
        },
    )
    version = Version(folder, schema, engine.EdgeShard.create(str(folder / "shard"), config))
    version.index_fields(schema)
    return version


def point_to(root: Path, live: Path, kept: Path | None = None) -> None:
    """Make a version's folder the live one, and `kept` the one that it replaced, for good once this returns."""
    _write_whole(root / "CURRENT", live.name if kept is None else f"{live.name}\n{kept.name}")


def open_live(root: Path) -> Version | None:
    """The live version; None if there is none that can be read. Leftovers are removed, damage is set aside.

    Raises `IndexUnavailable` if the files are there but may not be read.
    """
    live, kept = folders(root)
    for folder in root.glob("v-*"):
        if folder not in (live, kept):
            shutil.rmtree(folder, ignore_errors=True)
    if live is None:
        return None
    try:
        return _open(live)
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


def open_kept(folder: Path) -> Version:
    """The kept version. Raises `IndexUnavailable` if it is damaged."""
    try:
        return _open(folder)
    except BaseException as error:  # see `open_live`
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise IndexUnavailable(
            f"The kept copy in {folder} cannot be opened: {error}. Rebuild it: deskloom reindex"
        ) from error


def _open(folder: Path) -> Version:
    return Version(folder, _read_schema(folder), engine.EdgeShard.load(str(folder / "shard")))


def kept_schema(root: Path) -> Schema | None:
    """What the kept version was made with; None if there is none that could serve."""
    kept = folders(root)[1]
    if kept is None or not (kept / "shard").is_dir():
        return None
    try:
        return _read_schema(kept)
    except (FileNotFoundError, ValueError, TypeError):
        return None


def folders(root: Path) -> tuple[Path | None, Path | None]:
    """The folders of the live and of the kept version, as far as the pointer names them and they are there."""
    try:
        names = (root / "CURRENT").read_text(encoding="utf-8").split("\n")
    except (FileNotFoundError, UnicodeDecodeError):
        return None, None
    there = {folder.name: folder for folder in root.glob("v-*")}
    return there.get(names[0]), there.get(names[1]) if len(names) > 1 else None


def _set_aside(root: Path, live: Path) -> None:
    """Keep the latest damaged version for whoever wants to know; it is not used again."""
    damaged = root / "damaged"
    shutil.rmtree(damaged, ignore_errors=True)
    live.rename(damaged)


def _unreadable(root: Path, error: BaseException) -> IndexUnavailable:
    return IndexUnavailable(f"The index in {root} cannot be opened: {error}. Give this process access to the folder.")


def _read_schema(folder: Path) -> Schema:
    return read_schema((folder / "schema.json").read_text(encoding="utf-8"))


def _write_schema(folder: Path, schema: Schema) -> None:
    _write_whole(folder / "schema.json", schema_text(schema))


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
