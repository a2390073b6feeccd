"""Helping another worker to publish its run: the same batches, claimed beside it, counted for its run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from deskloom.record import runs as record_runs
from deskloom.record.engine import Record
from deskloom.record.runs import Help, Run
from deskloom.sync.runs import Clock, Step

HELPED_FOR = timedelta(seconds=10)
"""After so long a helper makes room for whatever else waits; if there is still much to do, help is called again."""


class HelpedRun:
    """A run of another worker, as its helper sees it. A step is refused once that worker does not hold it any more."""

    def __init__(self, run: Run, *, record: Record, clock: Clock, lease: timedelta) -> None:
        self.run = run
        self.record = record
        self.clock = clock
        self.lease = lease
        self.helpers = True

    @asynccontextmanager
    async def step(self) -> AsyncIterator[Step]:
        """A transaction whose counts and errors the run's worker will add to the run. Raises `LeaseLost`."""
        async with self.record.transaction() as tx:
            step = Step(tx)
            yield step
            await record_runs.post_help(tx, self.run.held, Help(step.counts, step.errors))
