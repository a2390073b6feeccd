"""The folder of an embedded index, which belongs to one process at a time."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Any

from deskloom.errors import HomeInUse, IndexUnavailable


def own_folder(root: Path) -> Any:
    """Make the folder and take it; it is given up when the file that this returns is closed.

    Raises `HomeInUse` if another process, or another index in this one, has it, `IndexUnavailable` if it is unusable.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = (root / "lock").open("w")
    except OSError as error:
        raise IndexUnavailable(f"The index folder {root} cannot be used: {error.strerror}.") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise HomeInUse(
            f"Another process is using the index in {root}. Stop it, or ask it over HTTP.", folder=str(root)
        ) from None
    return file
