"""Runs in this process: what is submitted here is performed here, and so is what an earlier process left."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog

from deskloom.dispatch.performing import MOST_TAKEOVERS, Perform, Performer, Task
from deskloom.errors import RecordUnavailable
from deskloom.record import runs as record_runs
from deskloom.record.engine import Record
from deskloom.record.runs import Run
from deskloom.sync.runs import Clock

__all__ = ["MOST_TAKEOVERS", "InlineDispatcher"]

log = structlog.get_logger(__name__)


class InlineDispatcher:
    """Performs runs as tasks of this process (D1-D3 of `performing.Dispatcher`)."""

    def __init__(
        self,
        record: Record,
        perform: Perform,
        *,
        lease: timedelta = timedelta(seconds=30),
        clock: Clock = lambda: datetime.now(UTC),
        home: str = "",
        performer: type[Performer] = Performer,
    ) -> None:
        self.record = record
        self.lease = lease
        self.clock = clock
        self.home = home
        """The id of the home that this process owns: a run begun under it by another process has no living worker."""
        owner = f"{home}/{uuid4().hex}"
        self.performer = performer(record, perform, lease=lease, clock=clock, owner=owner)

    @property
    def tasks(self) -> dict[UUID, Task]:
        return self.performer.tasks

    @property
    def stopping(self) -> bool:
        return self.performer.stopping

    async def submit(self, **asked: Any) -> Run:
        """Create a run and start it; it goes on in the background. `asked` as `Performer.create` takes it."""
        run = await self.performer.create(**asked)
        self._start(run)
        return run

    async def start(self, run: Run) -> None:
        """Perform a run that somebody else, a schedule say, has put into the record."""
        if run.id not in self.tasks:
            self._start(run)

    async def call_help(self, run: Run) -> None:
        """There is nobody else."""

    async def recover(self) -> list[Run]:
        """Take over runs whose worker died, each from its last committed page; returns those that go on here."""
        async with self.record.reading() as tx:
            open_runs = await record_runs.open_runs(tx)
        orphans = [run for run in open_runs if run.id not in self.tasks and self._is_orphan(run)]
        for run in orphans:
            self._start(run)
        return orphans

    async def run_forever(self) -> None:
        """Take over runs whose worker died, now and whenever a lease runs out."""
        while True:
            try:
                await self.recover()
            except RecordUnavailable as error:
                log.warning("cannot look for interrupted runs", error=error.message)
            await asyncio.sleep(self.lease.total_seconds())

    async def cancel(self, run_id: UUID) -> None:
        """Ask a run to stop at its next page; a run of another process sees it at its next heartbeat."""
        await self.performer.cancel(run_id)

    async def wait(self, run_id: UUID) -> None:
        """Wait until a run of this process has ended."""
        await self.performer.wait(run_id)

    async def stop(self) -> None:
        """Stop every run at its page; they go on when the next process starts."""
        await self.performer.stop()

    def _start(self, run: Run) -> None:
        self.performer.start(run, dead=self._is_of_this_home(run))

    def _is_orphan(self, run: Run) -> bool:
        return self._is_of_this_home(run) or run.lease_until is None or run.lease_until < self.clock()

    def _is_of_this_home(self, run: Run) -> bool:
        return bool(self.home) and (run.owner or "").startswith(f"{self.home}/")
