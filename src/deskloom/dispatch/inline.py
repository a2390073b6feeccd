"""Runs in this process: each run is a task, with a heartbeat that renews its lease and watches for a cancel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import structlog

from deskloom.errors import DeskloomError, LeaseLost, RecordUnavailable
from deskloom.record import runs as record_runs
from deskloom.record.engine import Record
from deskloom.record.runs import Run
from deskloom.sync.runs import ActiveRun, Clock

log = structlog.get_logger(__name__)

Perform = Callable[[ActiveRun], Awaitable[str]]

MOST_TAKEOVERS = 5
"""A run that was interrupted this often without an end is failed (D3)."""


@dataclass(slots=True)
class Task:
    """A run under way here, and why it was told to stop, if it was."""

    task: asyncio.Task[None]
    cancelled: bool = False


class InlineDispatcher:
    """Performs runs as tasks of this process.

    D1 is decided by the record: `submit` raises `AlreadyRunning` with the id of the run in progress.
    """

    def __init__(
        self,
        record: Record,
        perform: Perform,
        *,
        lease: timedelta = timedelta(seconds=30),
        clock: Clock = lambda: datetime.now(UTC),
        home: str = "",
    ) -> None:
        self.record = record
        self.perform = perform
        self.lease = lease
        self.clock = clock
        self.home = home
        """The id of the home that this process owns: a run begun under it by another process has no living worker."""
        self.owner = f"{home}/{uuid4().hex}"
        self.tasks: dict[UUID, Task] = {}
        self.stopping = False

    async def submit(
        self,
        *,
        source: str,
        stream: str,
        mode: str = "incremental",
        requested_by: str = "",
        since: datetime | None = None,
        limit: int | None = None,
    ) -> Run:
        """Create a run and start it; it goes on in the background."""
        async with self.record.transaction() as tx:
            run = await record_runs.create_run(
                tx,
                source=source,
                stream=stream,
                mode=mode,
                requested_by=requested_by,
                since=since,
                limit=limit,
                now=self.clock(),
            )
        self._start(run)
        return run

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

    def _is_orphan(self, run: Run) -> bool:
        return self._is_of_this_home(run) or run.lease_until is None or run.lease_until < self.clock()

    def _is_of_this_home(self, run: Run) -> bool:
        return bool(self.home) and (run.owner or "").startswith(f"{self.home}/")

    async def cancel(self, run_id: UUID) -> None:
        """Ask a run to stop at its next page; a run of another process sees it at its next heartbeat."""
        async with self.record.transaction() as tx:
            await record_runs.request_cancel(tx, run_id, now=self.clock())
        if task := self.tasks.get(run_id):
            task.cancelled = True
            task.task.cancel()

    async def wait(self, run_id: UUID) -> None:
        """Wait until a run of this process has ended."""
        if task := self.tasks.get(run_id):
            await asyncio.wait({task.task})

    async def stop(self) -> None:
        """Stop every run at its page; they go on when the next process starts."""
        self.stopping = True
        tasks = [task.task for task in self.tasks.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _start(self, run: Run) -> None:
        task = asyncio.create_task(self._run(run), name=f"run {run.id}")
        self.tasks[run.id] = Task(task)
        task.add_done_callback(lambda _: self.tasks.pop(run.id, None))

    async def _run(self, queued: Run) -> None:
        try:
            await self._take_and_perform(queued)
        except RecordUnavailable as error:
            log.warning("a run could not start; it will be taken over", run=str(queued.id), error=error.message)

    async def _take_and_perform(self, queued: Run) -> None:
        async with self.record.transaction() as tx:
            now = self.clock()
            taken = await record_runs.take_run(
                tx,
                queued.id,
                owner=self.owner,
                now=now,
                lease_until=now + self.lease,
                force=self._is_of_this_home(queued),
            )
        if taken is None:
            return
        run = ActiveRun(taken, record=self.record, clock=self.clock, lease=self.lease)
        if taken.takeovers > MOST_TAKEOVERS:
            await run.finish("failed", error=f"Interrupted {taken.takeovers} times without an end; not tried again.")
            return
        heart = asyncio.create_task(self._heartbeat(run))
        try:
            await self._perform(run)
        finally:
            heart.cancel()
            await asyncio.wait({heart})  # a heartbeat in mid-transaction would hold the record's lock

    async def _perform(self, run: ActiveRun) -> None:
        """Perform a run and record how it ended. Nothing may escape: the run's row is where it is told."""
        try:
            state = await self.perform(run)
        except asyncio.CancelledError:
            await self._stopped(run)
        except LeaseLost:
            log.warning("run taken over by another worker", run=str(run.run.id))
        except DeskloomError as error:
            await self._finish(run, "failed", error.message)
        except Exception as error:  # a bug must end the run, not the process
            log.exception("run failed", run=str(run.run.id))
            await self._finish(run, "failed", f"Internal error ({type(error).__name__}); the log has the details.")
        else:
            await self._finish(run, state)

    async def _stopped(self, run: ActiveRun) -> None:
        task = self.tasks.get(run.run.id)
        if not self.stopping or (task and task.cancelled):
            await self._finish(run, "cancelled")
            return
        try:
            await run.pause()
        except (LeaseLost, RecordUnavailable) as lost:
            log.warning("a run could not be given back; it will be taken over", run=str(run.run.id), error=lost.code)

    async def _finish(self, run: ActiveRun, state: str, error: str | None = None) -> None:
        try:
            await run.finish(state, error=error)
        except (LeaseLost, RecordUnavailable) as lost:
            log.warning(
                "the end of a run could not be recorded; it will be taken over", run=str(run.run.id), error=lost.code
            )

    async def _heartbeat(self, run: ActiveRun) -> None:
        pulse = min(self.lease.total_seconds() / 3, 1.0)
        while True:
            await asyncio.sleep(pulse)
            try:
                cancel = await run.heartbeat()
            except LeaseLost:
                cancel = True
            except RecordUnavailable:
                continue
            if cancel and (task := self.tasks.get(run.run.id)):
                task.cancelled = True
                task.task.cancel()
                return
