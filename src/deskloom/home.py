"""The data folder: who owns it, and where its owner can be reached. One process at a time owns a home."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO
from uuid import uuid4

from deskloom.errors import HomeForeign, HomeInUse, RecordUnavailable

MARKER = "deskloom.home"
LOCK = "deskloom.lock"
PAUSES = (0.01, 0.03, 0.1)
"""Seconds between attempts to own a home."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that owns a home. With `url` and `token` other commands work through it."""

    pid: int
    command: str
    url: str | None = None
    token: str | None = None


class Home:
    """An owned data folder. The lock is the operating system's, so it ends with the process, however that ends."""

    def __init__(self, path: Path, lock: IO[str], owner: Owner) -> None:
        self.path = path
        self.owner = owner
        self._lock = lock

    @property
    def id(self) -> str:
        """What tells this home from every other. Its owner knows that work begun under it has no other worker."""
        return (self.path / MARKER).read_text(encoding="utf-8").split()[-1]

    def announce(self, url: str) -> Owner:
        """Say where this process can be reached, with a fresh token that only readers of the folder know."""
        self.owner = replace(self.owner, url=url, token=secrets.token_urlsafe(32))
        self._write()
        return self.owner

    def _write(self) -> None:
        self._lock.seek(0)
        self._lock.truncate()
        json.dump({name: getattr(self.owner, name) for name in Owner.__slots__}, self._lock)
        self._lock.flush()

    def release(self) -> None:
        """Give the home up."""
        self._lock.seek(0)
        self._lock.truncate()
        self._lock.close()


def own_home(path: Path, command: str) -> Home:
    """Create the folder if need be and own it.

    Raises `HomeInUse` while another process owns it (fact `owner`), `HomeForeign` when it holds something else.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        marker = path / MARKER
        if not marker.exists():
            if any(entry.name != LOCK for entry in path.iterdir()):
                raise HomeForeign(
                    f"{path} is not empty and is not a Deskloom data folder. Choose another one with DESKLOOM_HOME.",
                    path=str(path),
                )
            marker.write_text(f"This folder belongs to Deskloom.\n{uuid4().hex}\n", encoding="utf-8")
            path.chmod(0o700)
        lock = open(os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8")  # noqa: SIM115
    except FileExistsError as error:
        raise HomeForeign(f"{path} is a file. DESKLOOM_HOME names a folder.", path=str(path)) from error
    except OSError as error:
        raise RecordUnavailable(f"The data folder {path} cannot be used: {error.strerror}.", path=str(path)) from error
    if not _lock(lock):
        lock.close()
        owner = find_owner(path)
        who = f"process {owner.pid} (deskloom {owner.command})" if owner else "another process"
        raise HomeInUse(f"{path} is in use by {who}. Wait for it, or stop it.", owner=owner)
    home = Home(path, lock, Owner(os.getpid(), command))
    home._write()
    return home


def _lock(lock: IO[str]) -> bool:
    """Take the lock; False if another process owns the home. `find_owner` holds it for an instant, so try again."""
    for pause in (0.0, *PAUSES):
        time.sleep(pause)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return True
    return False


def find_owner(path: Path) -> Owner | None:
    """The process that owns a home now, if one does.

    The lock is asked for in its shared form, so that two who look at once do not take each other for the owner.
    """
    try:
        with open(path / LOCK, "r+", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return Owner(**json.loads(lock.read()))
    except (OSError, ValueError, TypeError):
        return None
    return None
