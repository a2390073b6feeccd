"""Copies of a record in SQLite: consistent while others write to it, and proven sound before they count."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import delete, update

from deskloom.errors import AlreadyThere, RecordDamaged, RecordUnavailable
from deskloom.record.engine import Record
from deskloom.record.faults import translate
from deskloom.record.tables import collections, index_copies, runs

BUSY = 30.0
BESIDE = ("", "-wal", "-shm")
"""The files of a SQLite database, by what their names end with."""


def copy_record(source: Path, target: Path) -> int:
    """Copy the database at `source`, as it stands at one moment, into the new file `target`; returns its bytes.

    Writers go on meanwhile: in WAL mode a reader sees one state (https://www.sqlite.org/isolation.html). A crash leaves
    no half file under the name. Raises `AlreadyThere`, `RecordDamaged` or `RecordUnavailable`.
    """
    if target.exists():
        raise AlreadyThere(f"{target} exists. Name a new file.", path=str(target))
    if not source.exists():
        raise RecordUnavailable(f"There is no record at {source}.", path=str(source))
    part = target.with_name(f"{target.name}.part")
    try:
        remove_record(part)
        part.touch(0o600)  # it holds what customers wrote
        _copy(source, part)
        part.rename(target)
        return target.stat().st_size
    except sqlite3.Error as error:
        meant = translate(error, f'"{source}"')
        if meant is None:
            raise
        raise meant from error
    except OSError as error:
        raise RecordUnavailable(f"{target} cannot be written: {error.strerror}.", path=str(target)) from error
    finally:
        remove_record(part)


def _copy(source: Path, part: Path) -> None:
    with closing(sqlite3.connect(source, timeout=BUSY)) as old, closing(sqlite3.connect(part)) as new:
        old.backup(new)
        if (found := new.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise RecordDamaged(
                f"Record {source} is damaged ({found}): a copy of it would be worth nothing. Restore an older one.",
                path=str(source),
            )
    with part.open("rb") as file:
        os.fsync(file.fileno())


async def detach(record: Record) -> None:
    """A restored record stands alone: nobody works on its runs, which can be taken over at once, and copies of
    collections beside those that serve are not there."""
    async with record.transaction() as tx:
        await tx.execute(update(runs).where(runs.c.state == "running").values(lease_until=None))
        await tx.execute(update(collections).values(previous=None))
        await tx.execute(delete(index_copies))


def remove_record(path: Path) -> None:
    """Remove a database with its log: one that stays behind would be taken for that of the next file of the name."""
    for ending in BESIDE:
        path.with_name(path.name + ending).unlink(missing_ok=True)
