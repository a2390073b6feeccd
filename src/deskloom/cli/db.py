"""`deskloom db`: the record's migrations, and copies of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import typer

from deskloom.cli import backup, exits

if TYPE_CHECKING:
    from deskloom.settings import Settings

db = typer.Typer(help="The record's database.", no_args_is_help=True)


@db.callback()
def _group() -> None:
    pass


@db.command("upgrade")
def upgrade() -> int:
    """Bring the record to this version's tables.

    The record is the SQLite file in the data folder, or the database of DATABASE_URL.
    """
    from deskloom.cli.running import run
    from deskloom.cli.startup import start

    return run(_upgrade(start()))


db.command("backup")(backup.backup)
db.command("restore")(backup.restore)


async def _upgrade(settings: Settings) -> int:
    from contextlib import ExitStack

    from deskloom.cli.output import say
    from deskloom.home import own_home
    from deskloom.record.engine import open_record
    from deskloom.record.schema import require_current, upgrade

    with ExitStack() as stack:
        if settings.database_url is None:
            home = await asyncio.to_thread(own_home, settings.home, "db upgrade")
            stack.callback(home.release)
        record = open_record(settings.record_url())
        try:
            await upgrade(record)
            await require_current(record)
            if settings.dispatch == "procrastinate":
                from deskloom.dispatch.queue import scripts
                from deskloom.record.queue import upgrade_queue

                await upgrade_queue(record, scripts())
        finally:
            await record.aclose()
    where = "The PostgreSQL database of DATABASE_URL" if settings.database_url else str(settings.home / "deskloom.db")
    say(f"{where} has the tables of this version.")
    return exits.DONE
