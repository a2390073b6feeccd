"""`deskloom db backup` and `db restore`: the record in a file. The index is not in it: it is made from the record."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deskloom.cli import exits

if TYPE_CHECKING:
    from deskloom.settings import Settings

DUMP = 'pg_dump --format=custom --file={} "$DATABASE_URL"'
RESTORE = 'pg_restore --clean --if-exists --no-owner --dbname="$DATABASE_URL" {}'


def backup(file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that does not exist yet.")]) -> int:
    """Copy the record in the data folder to a file, while everything goes on.

    The index is left out: it is made again from the record, with vectors that the record keeps. For PostgreSQL the
    pg_dump command is told.
    """
    from deskloom.cli.output import say
    from deskloom.cli.startup import start
    from deskloom.record.backup import copy_record

    settings = start()
    size = copy_record(_place(settings, DUMP, file), file)
    say(f"{file} holds the record, {size / 1e6:,.1f} MB. Restore it: deskloom db restore {file}")
    return exits.DONE


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What deskloom db backup wrote.")],
    replace: Annotated[bool, typer.Option("--replace", help="Drop the record that is there.")] = False,
) -> int:
    """Put a backup in the place of the record; the index is made again from it by the next sync.

    No other command may be using the data folder. For PostgreSQL the pg_restore command is told.
    """
    from deskloom.cli.running import run
    from deskloom.cli.startup import start

    settings = start()
    record = _place(settings, RESTORE, file)
    if not file.is_file():
        raise exits.Ended(exits.USAGE, f"There is no file {file}.")
    if record.exists() and not replace:
        raise exits.Ended(exits.FAILED, f"{record} exists. Say --replace to drop it, or back it up first.")
    return run(_restore(settings, file, record))


async def _restore(settings: Settings, file: Path, record: Path) -> int:
    from deskloom.cli.output import say
    from deskloom.home import own_home
    from deskloom.record.backup import copy_record, detach, remove_record
    from deskloom.record.engine import open_record
    from deskloom.record.schema import require_current, upgrade

    home = await asyncio.to_thread(own_home, settings.home, "db restore")
    fresh = record.with_name(f"{record.name}.new")
    try:
        remove_record(fresh)
        await asyncio.to_thread(copy_record, file, fresh)
        opened = open_record(f"sqlite:///{fresh.absolute()}")
        try:
            await upgrade(opened)
            await require_current(opened)
            await detach(opened)
        finally:
            await opened.aclose()
        # The index first: without it the old record is as good as with it, but a record that is older is not.
        await asyncio.to_thread(shutil.rmtree, settings.home / "index", ignore_errors=True)
        remove_record(record)
        fresh.rename(record)
    finally:
        remove_record(fresh)
        home.release()
    say(f"{record} is what {file} holds. Read what has changed since, and fill the index: deskloom sync all")
    return exits.DONE


def _place(settings: Settings, command: str, file: Path) -> Path:
    """The record's file. PostgreSQL has tools of its own, which are named instead."""
    from deskloom.record.engine import open_record

    url = open_record(settings.record_url()).url
    if url.get_backend_name() == "sqlite":
        return Path(url.database or "")
    told = f"The record is in the PostgreSQL database of DATABASE_URL, whose own tool does this: {command}"
    raise exits.Ended(exits.USAGE, told.format(file))
