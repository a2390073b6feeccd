"""Writes the next revision: what `tables.py` has beyond the last one. Read and complete what it writes.

Use: python -m deskloom.record.migrations "add links"
The difference is found on an empty SQLite file that is upgraded first. Views, data and anything PostgreSQL alone has
are to be added by hand; `tests/record/test_migrations.py` says what is still missing.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from alembic import command

from deskloom.record.engine import open_record
from deskloom.record.schema import config, revisions, upgrade


async def revise(message: str) -> None:
    """Write a revision file with this message into `versions/`."""
    with tempfile.TemporaryDirectory() as folder:
        record = open_record(f"sqlite:///{Path(folder) / 'empty.db'}")
        try:
            if revisions():
                await upgrade(record)
            number = f"{len(revisions()) + 1:04}"
            async with record.transaction() as tx:
                await tx.run_sync(
                    lambda connection: command.revision(config(connection), message, autogenerate=True, rev_id=number)
                )
        finally:
            await record.aclose()


if __name__ == "__main__":
    asyncio.run(revise(" ".join(sys.argv[1:]) or "change the tables"))
