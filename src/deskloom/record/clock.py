"""The database's time, for processes on several machines whose own clocks need not agree, or may jump."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from deskloom.record.engine import Record


class DatabaseClock:
    """Now, as the database has it: asked from time to time, and counted on by this machine's steady clock."""

    def __init__(self) -> None:
        self._told = datetime.now(UTC)
        self._at = time.monotonic()

    def __call__(self) -> datetime:
        return self._told + timedelta(seconds=time.monotonic() - self._at)

    async def adjust(self, record: Record) -> None:
        """Ask a PostgreSQL record what time it is. An answer that took long is off by half of that at most."""
        async with record.reading() as tx:
            asked = time.monotonic()
            told: datetime = (await tx.execute(text("SELECT clock_timestamp()"))).scalar_one()
            answered = time.monotonic()
        self._told, self._at = told.astimezone(UTC), (asked + answered) / 2
