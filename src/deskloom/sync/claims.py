"""The claims of one publisher: whose documents they are, until when, and keeping them while it works.

A claim lasts as long as a run's lease, so that what a dead publisher had is taken over as fast as its run.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

import structlog

from deskloom.errors import RecordUnavailable
from deskloom.record import documents, runs
from deskloom.record.engine import Record
from deskloom.record.runs import Run
from deskloom.sync.runs import Clock

log = structlog.get_logger(__name__)

CallHelp = Callable[[Run], Awaitable[None]]
"""Asks another worker to help to publish a run."""
CALLED_EVERY = 1.0
OWNER = re.compile(r"[0-9a-f-]{36}/\d+/")
"""How a publisher's name begins: with its run and the fence of the run's worker."""


@dataclass(slots=True, eq=False)
class Batch:
    """A batch that is claimed until a time."""

    until: datetime


class Claims:
    """What one publisher claims for a run: its own, or as a helper another worker's."""

    def __init__(self, run: Run, *, record: Record, clock: Clock, lease: timedelta) -> None:
        self.owner = f"{_name(run)}{uuid4().hex}"
        self._run = run
        self._record, self._clock, self._lease = record, clock, lease
        self._batches: list[Batch] = []
        self._called = 0.0

    @contextmanager
    def batch(self) -> Iterator[Batch]:
        """A batch to be claimed now, and kept as long as this lasts."""
        batch = Batch(self._clock() + self._lease)
        self._batches.append(batch)
        try:
            yield batch
        finally:
            self._batches.remove(batch)

    def lapsed(self, batch: Batch) -> bool:
        """Whether others may have claimed it meanwhile: this process stood still for too long."""
        return self._clock() >= batch.until

    async def keep(self) -> None:
        """Renew claims for ever, a lapsed one excepted: what is in it may be another's by now."""
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            now = self._clock()
            kept = [batch for batch in self._batches if batch.until > now]
            if not kept:
                continue
            try:
                async with self._record.transaction() as tx:
                    await documents.renew(tx, self.owner, until=now + self._lease, now=now)
            except RecordUnavailable as error:
                log.warning("claims could not be renewed", error=error.message)
            else:
                for batch in kept:
                    batch.until = now + self._lease

    async def release_dead(self, source: str, collection: str) -> None:
        """Give back what publishers claimed whose run is over, or who worked for an earlier owner of a run."""
        async with self._record.transaction() as tx:
            owners = await documents.owners(tx, collection, source)
            if not owners:
                return
            alive = {_name(run) for run in await runs.open_runs(tx) if run.state == "running"}
            for owner in owners:
                named = OWNER.match(owner)  # other names are those of others than publishers
                if named and named[0] not in alive:
                    await documents.release(tx, owner)

    async def others(self, source: str, collection: str) -> bool:
        """Whether living publishers beside this one still have documents to publish."""
        async with self._record.reading() as tx:
            return await documents.is_claimed_beside(tx, self.owner, collection, source, now=self._clock())

    async def call(self, help: CallHelp | None) -> None:
        """Ask for help, but not all the time."""
        now = asyncio.get_running_loop().time()
        if help is not None and now >= self._called + CALLED_EVERY:
            self._called = now
            await help(self._run)


def _name(run: Run) -> str:
    return f"{run.id}/{run.fence}/"
