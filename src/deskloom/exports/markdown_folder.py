"""A folder that documents are kept in: only what changed is written, and only what was written here is ever touched.

A journal in the folder says what was written and with which content, a line for each file, before the file itself is:
whatever a kill leaves behind is known to be ours. A file that was edited since, or that is somebody else's, is kept.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import IO, Any

from deskloom.errors import AlreadyRunning, FolderUnusable

JOURNAL = ".deskloom-export.jsonl"
LOCK = ".deskloom-export.lock"
DRAFT = ".deskloom-export.tmp"
"""What is being written, until it takes its place."""
VERSION = 1

Key = tuple[str, str, int]
"""Kind, source and id of a document."""


class Outcome(StrEnum):
    """What became of a document."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    REMOVED = "removed"
    KEPT = "kept"
    """A file stands in its place that is not what was written here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a document belongs. `mark` changes whenever its text may have."""

    path: str
    kind: str
    source: str
    id: int
    account_number: str | None
    mark: str

    @property
    def key(self) -> Key:
        return self.kind, self.source, self.id


@dataclass(slots=True)
class _File:
    """A file that was written: for which place, and what it may hold. Several contents: a write was interrupted."""

    place: Place
    contents: set[str] = field(default_factory=set)


class Folder:
    """An open folder; made by `open_folder`."""

    def __init__(self, root: Path, files: dict[str, _File], journal: IO[str]) -> None:
        self.root = root
        self.left: list[str] = []
        """Paths of files that were left alone, since they are not what was written here."""
        self._files = files
        self._journal = journal
        self._changed = any(len(entry.contents) > 1 for entry in files.values())
        self._paths = {entry.place.key: path for path, entry in files.items()}

    def places(self) -> list[Place]:
        """What was written and stands, as far as is known."""
        return [entry.place for entry in self._files.values()]

    def is_current(self, place: Place) -> bool:
        """Whether the document needs no look: the same mark, the same path, and a file is there."""
        entry = self._files.get(place.path)
        return (
            entry is not None and entry.place == place and len(entry.contents) == 1 and self._path(place.path).is_file()
        )

    def write(self, place: Place, text: str) -> Outcome:
        """Put a document in its place and take it away from where it was. Raises `FolderUnusable`."""
        content = _hash(text.encode())
        before = self._paths.get(place.key)
        entry = self._files.get(place.path)
        target = self._path(place.path)
        standing = _content(target)
        if entry is not None and standing == content and entry.contents == {content}:
            self._note(place, content)
            return self._leave(before, place, Outcome.UNCHANGED)
        ours = standing is None or (entry is not None and standing in entry.contents) or standing == content
        if not ours and not self._is_same_file(before, target):
            self.left.append(place.path)
            return Outcome.KEPT
        self._note(place, content)
        if standing == content:
            return self._leave(before, place, Outcome.UNCHANGED)
        with _told(self.root):
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = self.root / DRAFT
            draft.write_text(text, encoding="utf-8", newline="\n")
            draft.replace(target)
        return self._leave(before, place, Outcome.WRITTEN)

    def remove(self, place: Place) -> Outcome:
        """Take a document away that was written here, unless it was edited since."""
        return self._remove(place.path)

    def close(self) -> None:
        """Take away what a kill in the middle of a move left, and write the journal anew, a line for each file."""
        for path in [path for path, entry in self._files.items() if self._has_moved(path, entry.place.key)]:
            self._remove(path)
        if not self._changed:
            return
        with _told(self.root):
            draft = self.root / DRAFT
            with draft.open("w", encoding="utf-8", newline="\n") as lines:
                lines.write(_line({"deskloom": "markdown", "version": VERSION}))
                for path, entry in sorted(self._files.items()):
                    for content in sorted(entry.contents):
                        lines.write(_line(asdict(entry.place) | {"path": path, "content": content}))
            draft.replace(self.root / JOURNAL)

    def _leave(self, before: str | None, place: Place, outcome: Outcome) -> Outcome:
        """Take away what stands where the document was before, and forget it if it has become somebody's own."""
        if before is not None and before != place.path:
            self._remove(before)
        self._paths[place.key] = place.path
        return outcome

    def _remove(self, path: str) -> Outcome:
        entry = self._files.pop(path)
        target = self._path(path)
        standing = _content(target)
        edited = standing is not None and standing not in entry.contents
        if self._paths.get(entry.place.key) == path:
            del self._paths[entry.place.key]
        with _told(self.root):
            if standing is not None and not edited:
                target.unlink()
                self._remove_empty(path)
        self._append({"path": path, "gone": True})
        if edited:
            self.left.append(path)
        return Outcome.KEPT if edited else Outcome.REMOVED

    def _has_moved(self, path: str, key: Key) -> bool:
        """Whether a document stands elsewhere too, where it was written after this."""
        now = self._paths[key]
        return now != path and _content(self._path(now)) in self._files[now].contents

    def _remove_empty(self, path: str) -> None:
        """Remove the folders that a file leaves without anything in them."""
        for parent in PurePosixPath(path).parents[:-1]:
            folder = self.root / parent
            if any(folder.iterdir()):
                return
            folder.rmdir()

    def _note(self, place: Place, content: str) -> None:
        entry = self._files.get(place.path)
        if entry is not None and entry.place == place and entry.contents == {content}:
            return
        self._append(asdict(place) | {"content": content})
        if entry is not None and self._paths.get(entry.place.key) == place.path:
            del self._paths[entry.place.key]  # its document has lost its place to this one, and will get another
        self._files[place.path] = _File(place, {content})

    def _append(self, entry: Mapping[str, Any]) -> None:
        self._changed = True
        with _told(self.root):
            self._journal.write(_line(entry))
            self._journal.flush()

    def _is_same_file(self, before: str | None, target: Path) -> bool:
        """Whether a path that differs in letter case only names the file that is to be moved."""
        if before is None:
            return False
        with suppress(OSError):
            old = self._path(before)
            return old.samefile(target) and _content(old) in self._files[before].contents
        return False

    def _path(self, path: str) -> Path:
        parts = path.split("/")
        if not {"", ".", ".."}.isdisjoint(parts):
            raise FolderUnusable(f"{path} is no path within {self.root}.", path=path)
        return self.root.joinpath(*parts)


@contextmanager
def open_folder(root: Path) -> Iterator[Folder]:
    """A folder, made if need be, that no other export writes to meanwhile.

    Raises `FolderUnusable` if it cannot be read or written, `AlreadyRunning` while another export has it.
    """
    with _told(root):
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / LOCK).open("a")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"Another export is writing to {root}. Wait for it.", folder=str(root)) from None
        with _told(root):
            files = _read(root / JOURNAL)
            journal = (root / JOURNAL).open("a", encoding="utf-8", newline="\n")
        with journal:
            if not journal.tell():
                journal.write(_line({"deskloom": "markdown", "version": VERSION}))
            folder = Folder(root, files, journal)
            yield folder
            folder.close()


def _read(path: Path) -> dict[str, _File]:
    """The files that the journal tells of. A last line that was cut short is that of a file that was not written; it is
    taken off."""
    if not path.exists():
        return {}
    *lines, cut = path.read_bytes().split(b"\n")
    if cut:
        os.truncate(path, path.stat().st_size - len(cut))
    files: dict[str, _File] = {}
    for number, line in enumerate(lines):
        try:
            _take(files, json.loads(line), first=number == 0)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise FolderUnusable(
                f"Line {number + 1} of {path} is not what an export wrote. Remove that file to begin anew: documents "
                "that still are what would be written are taken over then, others are left alone.",
                path=str(path),
            ) from None
    return files


def _take(files: dict[str, _File], entry: dict[str, Any], *, first: bool) -> None:
    if first:
        if entry != {"deskloom": "markdown", "version": VERSION}:
            raise ValueError("another program's file")
    elif entry.get("gone"):
        files.pop(entry["path"], None)
    else:
        content = entry.pop("content")
        known = files.pop(entry["path"], None)  # what was written last stands last
        files[entry["path"]] = _File(Place(**entry), {content, *(known.contents if known else ())})


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False) + "\n"


def _content(path: Path) -> str | None:
    """The hash of what stands there; None if nothing does. A folder or a link to nowhere is somebody else's."""
    try:
        return _hash(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return "a broken link" if path.is_symlink() else None
    except OSError:
        return "unreadable"


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


@contextmanager
def _told(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = f" ({os.fsdecode(error.filename)})" if error.filename else ""
        raise FolderUnusable(
            f"The folder {root} cannot be written to: {error.strerror}{where}.", path=str(root)
        ) from error
