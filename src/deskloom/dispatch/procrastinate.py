"""Runs of many workers on PostgreSQL: what is submitted anywhere is performed by a `deskloom worker`, on any host.

The queue wakes a worker at once. Beside it every worker looks at the record again and again, and takes up what was
queued but never told, what was given back, and what belongs to a worker that shows no sign of life.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog

from deskloom.dispatch.performing import Perform, Performer, Task
from deskloom.dispatch.queue import ASSIST, PERFORM, Queue, scripts
from deskloom.errors import DeskloomError, NotFound, RecordUnavailable
from deskloom.record import runs as record_runs
from deskloom.record.clock import DatabaseClock
from deskloom.record.engine import Record
from deskloom.record.queue import require_queue
from deskloom.record.runs import Run
from deskloom.sync.runs import Clock

log = structlog.get_logger(__name__)

Assist = Callable[[Run], Awaitable[bool]]
"""Helps to publish another worker's run for a while; True when there is more to be done."""

LOOKS = 6
"""How often, within the time after which a dead worker's run is taken over, the record is looked at."""
TIDIED_EVERY = timedelta(minutes=1)
POLLED_EVERY = 0.1


class ProcrastinateDispatcher:
    """Performs runs where `concurrency` is above 0, else hands them to workers (D1-D3 of `performing.Dispatcher`).

    `within` is the longest time from a worker's death to the takeover of its runs: a lease of five sixths of it, and
    a look every sixth.
    """

    def __init__(
        self,
        record: Record,
        perform: Perform,
        *,
        within: timedelta = timedelta(seconds=30),
        concurrency: int = 0,
        clock: Clock = lambda: datetime.now(UTC),
        assist: Assist | None = None,
        performer: type[Performer] = Performer,
    ) -> None:
        self.record = record
        self.within = within
        self.concurrency = concurrency
        self.clock = clock
        self.worker = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        lease = within * (LOOKS - 1) / LOOKS
        self.performer = performer(record, perform, lease=lease, clock=clock, owner=self.worker, helpers=True)
        self.queue = Queue(record, perform=self._perform, assist=self._assist)
        self._help = assist
        self._helping = 0
        self._watching: set[asyncio.Task[None]] = set()
        self._tidied = datetime.min.replace(tzinfo=UTC)

    @property
    def tasks(self) -> dict[UUID, Task]:
        return self.performer.tasks

    @property
    def stopping(self) -> bool:
        return self.performer.stopping

    @property
    def free(self) -> int:
        """How many more runs this process may perform now."""
        return self.concurrency - len(self.tasks) - self._helping

    async def submit(self, **asked: Any) -> Run:
        """Create a run and wake a worker for it. `asked` as `Performer.create` takes it."""
        run = await self.performer.create(**asked)
        await self.start(run)
        return run

    async def start(self, run: Run) -> None:
        """Wake a worker for a run that is in the record."""
        await self.queue.put(PERFORM, run.id)

    async def recover(self) -> list[Run]:
        """Take runs that nobody performs, as many as there is room for; returns those that go on here."""
        if self.stopping or self.free <= 0:
            return []
        async with self.record.reading() as tx:
            open_runs = await record_runs.open_runs(tx)
        orphans = [run for run in open_runs if run.id not in self.tasks and self._is_orphan(run)][: self.free]
        for run in orphans:
            self.performer.start(run)
        return orphans

    async def run_forever(self) -> None:
        """Work, where this process is a worker: do jobs as they come, and look after what the queue does not tell."""
        if self.concurrency:
            log.info("worker ready", worker=self.worker, concurrency=self.concurrency)
            working = self.queue.work(worker=self.worker, concurrency=self.concurrency, within=self.within)
            self._watching.add(asyncio.create_task(working, name="jobs"))
        self._watching.add(asyncio.create_task(self._look(), name="look after runs"))
        await asyncio.gather(*self._watching)

    async def cancel(self, run_id: UUID) -> None:
        """Ask a run to stop at its next page; its worker sees it at its next heartbeat."""
        await self.performer.cancel(run_id)

    async def wait(self, run_id: UUID) -> None:
        """Wait until a run has ended, or until this process, having performed it, has nothing to do with it."""
        while True:
            if run_id in self.tasks:
                await self.performer.wait(run_id)
                return
            with suppress(RecordUnavailable):
                async with self.record.reading() as tx:
                    if (await record_runs.get_run(tx, run_id)).finished_at is not None:
                        return
            await asyncio.sleep(POLLED_EVERY)

    async def stop(self) -> None:
        """Take nothing more, stop every run at its page, give it back, and wake another worker for it."""
        self.performer.stopping = True
        for task in self._watching:
            task.cancel()
        if self._watching:
            await asyncio.wait(self._watching)
        await self.performer.stop()
        for run_id in self.performer.given_back:
            await self.queue.put(PERFORM, run_id)
        self.performer.given_back.clear()
        await self.queue.close()

    async def call_help(self, run: Run) -> None:
        """Ask another worker to help to publish a run."""
        await self.queue.put(ASSIST, run.id, run.fence)

    async def _look(self) -> None:
        while True:
            try:
                if isinstance(self.clock, DatabaseClock):
                    await self.clock.adjust(self.record)
                for run in await self.recover():
                    log.info("going on with a run", run=str(run.id), worker=self.worker, left_by=run.owner)
                if self.concurrency and self.clock() - self._tidied > TIDIED_EVERY:
                    self._tidied = self.clock()
                    await self.queue.tidy(2 * self.within)
            except RecordUnavailable as error:
                log.warning("cannot look for interrupted runs", error=error.message)
            await asyncio.sleep(self.within.total_seconds() / LOOKS)

    def _is_orphan(self, run: Run) -> bool:
        return run.lease_until is None or run.lease_until < self.clock()

    async def _perform(self, run_id: str, fence: int) -> None:
        """A job: perform a run, unless it is over, taken, or there is no room (the next look finds it then)."""
        if self.stopping or self.free <= 0 or UUID(run_id) in self.tasks:
            return
        try:
            async with self.record.reading() as tx:
                run = await record_runs.get_run(tx, UUID(run_id))
        except (RecordUnavailable, NotFound) as error:
            log.warning("a job could not be done", run=run_id, error=error.message)
            return
        # The queue may go away, and with it this job; the run goes on.
        await asyncio.shield(self.performer.start(run))

    async def _assist(self, run_id: str, fence: int) -> None:
        """A job: help to publish a run that another worker performs."""
        if self._help is None or self.stopping or self.free <= 0:
            return
        self._helping += 1
        try:
            async with self.record.reading() as tx:
                run = await record_runs.get_run(tx, UUID(run_id))
            more = run.state == "running" and run.fence == fence and await self._help(run)
        except DeskloomError as error:  # its own worker goes on, and says what is wrong if it stays so
            log.warning("help with a run ended", run=run_id, error=error.message)
            return
        except Exception:  # a bug must end the job, not the worker
            log.exception("help with a run failed", run=run_id)
            return
        finally:
            self._helping -= 1
        if more:
            await self.call_help(run)


async def open_workers(
    record: Record, perform: Perform, assist: Assist, *, within: timedelta, clock: Clock, concurrency: int
) -> ProcrastinateDispatcher:
    """A dispatcher that has its queue. Raises `SettingInvalid` or `RecordOutdated`, which say what to do."""
    await require_queue(record, scripts())
    dispatcher = ProcrastinateDispatcher(
        record, perform, within=within, concurrency=concurrency, clock=clock, assist=assist
    )
    await dispatcher.queue.open()
    return dispatcher
