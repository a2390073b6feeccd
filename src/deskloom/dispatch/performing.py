"""Performing runs in this process: take one, keep its lease, go on after the database was away, record how it ended.

What every dispatcher shares. Dispatchers differ only in who picks a run up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import structlog

from deskloom.errors import DeskloomError, LeaseLost, RecordUnavailable
from deskloom.model import Json
from deskloom.record import runs as record_runs
from deskloom.record.engine import Record
from deskloom.record.runs import Run
from deskloom.sync.runs import ActiveRun, Clock

log = structlog.get_logger(__name__)

Perform = Callable[[ActiveRun], Awaitable[str]]

MOST_TAKEOVERS = 5
"""A run that was interrupted this often without an end is failed (D3)."""
MOST_SETBACKS = 5
"""So often in a row, without a page in between, may the database go away under a run before it is failed."""
LONGEST_PULSE = 1.0
LONGEST_PAUSE = 2.0


@dataclass(slots=True)
class Task:
    """A run under way here, and why it was told to stop, if it was: by somebody, or because another worker has it."""

    task: asyncio.Task[None]
    cancelled: bool = False
    lost: bool = False


class Dispatcher(Protocol):
    """Brings runs to whoever performs them.

    D1 at most one active run for a source and stream: `submit` raises `AlreadyRunning` with the id of the first.
    D2 a run whose worker died goes on from its last committed page; a worker back from the dead cannot commit.
    D3 a run that keeps killing its worker is failed.
    """

    @property
    def stopping(self) -> bool: ...

    @property
    def tasks(self) -> dict[UUID, Task]:
        """Runs under way in this process."""
        ...

    async def submit(
        self, *, source: str, stream: str, mode: str = "incremental", requested_by: str = "", **asked: Any
    ) -> Run: ...

    async def start(self, run: Run) -> None:
        """See that a run is performed which somebody else has put into the record."""
        ...

    async def call_help(self, run: Run) -> None:
        """Ask idle workers, if there are any, to help to publish a run."""
        ...

    async def recover(self) -> list[Run]:
        """Take over what has no living worker; returns what goes on in this process."""
        ...

    async def run_forever(self) -> None: ...

    async def cancel(self, run_id: UUID) -> None: ...

    async def wait(self, run_id: UUID) -> None: ...

    async def stop(self) -> None: ...


class Performer:
    """Runs as tasks of this process, under one owner's name."""

    def __init__(
        self,
        record: Record,
        perform: Perform,
        *,
        lease: timedelta,
        clock: Clock,
        owner: str,
        helpers: bool = False,
    ) -> None:
        """`owner` is this process's name in the record; `helpers`: other workers may help to publish a run."""
        self.helpers = helpers
        self.record = record
        self.perform = perform
        self.lease = lease
        self.clock = clock
        self.owner = owner
        self.tasks: dict[UUID, Task] = {}
        self.stopping = False
        self.given_back: list[UUID] = []
        """Runs that were stopped at a page and put back into the queue."""

    async def create(
        self,
        *,
        source: str,
        stream: str,
        mode: str = "incremental",
        requested_by: str = "",
        since: datetime | None = None,
        limit: int | None = None,
        options: Json | None = None,
    ) -> Run:
        """Queue a run in the record, which decides whether it may be: raises `AlreadyRunning` (D1)."""
        async with self.record.transaction() as tx:
            return await record_runs.create_run(
                tx,
                source=source,
                stream=stream,
                mode=mode,
                requested_by=requested_by,
                since=since,
                limit=limit,
                options=options,
                now=self.clock(),
            )

    def start(self, run: Run, *, dead: bool = False) -> asyncio.Task[None]:
        """Perform a run in the background, if it can be taken. `dead`: its worker is known to be."""
        if under_way := self.tasks.get(run.id):
            return under_way.task
        task = asyncio.create_task(self._run(run, dead=dead), name=f"run {run.id}")
        self.tasks[run.id] = Task(task)
        task.add_done_callback(lambda _: self.tasks.pop(run.id, None))
        return task

    async def cancel(self, run_id: UUID) -> None:
        """Ask a run to stop at its next page; a run of another process sees it at its next heartbeat."""
        async with self.record.transaction() as tx:
            await record_runs.request_cancel(tx, run_id, now=self.clock())
        self._interrupt(run_id)

    async def wait(self, run_id: UUID) -> None:
        """Wait until this process has nothing to do with a run any more."""
        if task := self.tasks.get(run_id):
            await asyncio.wait({task.task})

    async def stop(self) -> None:
        """Stop every run at its page and give it back."""
        self.stopping = True
        tasks = [task.task for task in self.tasks.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _interrupt(self, run_id: UUID, *, lost: bool = False) -> None:
        if task := self.tasks.get(run_id):
            task.cancelled, task.lost = not lost, lost
            task.task.cancel()

    async def _run(self, queued: Run, *, dead: bool) -> None:
        try:
            await self._take_and_perform(queued, dead=dead)
        except RecordUnavailable as error:
            log.warning("a run could not start; it will be taken over", run=str(queued.id), error=error.message)

    async def _take_and_perform(self, queued: Run, *, dead: bool) -> None:
        async with self.record.transaction() as tx:
            now = self.clock()
            taken = await record_runs.take_run(
                tx, queued.id, owner=self.owner, now=now, lease_until=now + self.lease, force=dead
            )
        if taken is None:
            return
        log.info("run taken", run=str(taken.id), worker=self.owner, takeovers=taken.takeovers)
        if taken.takeovers > MOST_TAKEOVERS:
            error = f"Interrupted {taken.takeovers} times without an end; not tried again."
            await self._active(taken).finish("failed", error=error)
            return
        await self._perform(taken)

    def _active(self, run: Run) -> ActiveRun:
        return ActiveRun(run, record=self.record, clock=self.clock, lease=self.lease, helpers=self.helpers)

    async def _perform(self, taken: Run) -> None:
        """Perform a run and record how it ended. Nothing may escape: the run's row is where it is told."""
        run = self._active(taken)
        setbacks = 0
        while True:
            try:
                state = await self._beating(run)
            except asyncio.CancelledError:
                await self._stopped(run)
            except LeaseLost:
                log.warning("run taken over by another worker", run=str(run.run.id))
            except RecordUnavailable as error:
                setbacks = 1 if run.steps else setbacks + 1
                if error.facts.get("passing") and setbacks <= MOST_SETBACKS:
                    log.warning("run interrupted by its database", run=str(run.run.id), error=error.message)
                    if (again := await self._again(run)) is not None:
                        run = again
                        continue
                else:
                    await self._finish(run, "failed", error.message)
            except DeskloomError as error:
                await self._finish(run, "failed", error.message)
            except Exception as error:  # a bug must end the run, not the process
                log.exception("run failed", run=str(run.run.id))
                await self._finish(run, "failed", f"Internal error ({type(error).__name__}); the log has the details.")
            else:
                await self._finish(run, state)
            return

    async def _again(self, run: ActiveRun) -> ActiveRun | None:
        """The same run from its last committed page, once the database is back; None if it is no longer ours.

        The fence moves: a commit that is still on its way through the old connection comes before, or not at all.
        """
        pause = 0.05
        try:
            while True:
                try:
                    async with self.record.transaction() as tx:
                        until = self.clock() + self.lease
                        return self._active(await record_runs.retake_run(tx, run.run, lease_until=until))
                except RecordUnavailable as error:
                    if not error.facts.get("passing"):
                        log.warning("a run must be left", run=str(run.run.id), error=error.message)
                        return None
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, LONGEST_PAUSE)
        except LeaseLost:
            log.warning("run taken over by another worker", run=str(run.run.id))
        except asyncio.CancelledError:
            await self._stopped(run)
        return None

    async def _beating(self, run: ActiveRun) -> str:
        """Perform with a heartbeat beside it."""
        heart = asyncio.create_task(self._heartbeat(run))
        try:
            return await self.perform(run)
        finally:
            heart.cancel()
            await asyncio.wait({heart})  # a heartbeat in mid-transaction would hold the record's lock

    async def _stopped(self, run: ActiveRun) -> None:
        task = self.tasks.get(run.run.id)
        if task and task.lost:
            log.warning("run taken over by another worker", run=str(run.run.id))
            return
        if not self.stopping or (task and task.cancelled):
            await self._finish(run, "cancelled")
            return
        try:
            await run.pause()
        except (LeaseLost, RecordUnavailable) as lost:
            log.warning("a run could not be given back; it will be taken over", run=str(run.run.id), error=lost.code)
        else:
            self.given_back.append(run.run.id)

    async def _finish(self, run: ActiveRun, state: str, error: str | None = None) -> None:
        """Record the end of a run; a database that is away for a moment is waited for, within the lease."""
        deadline = self.clock() + self.lease
        while True:
            try:
                await run.finish(state, error=error)
            except (LeaseLost, RecordUnavailable) as lost:
                if lost.facts.get("passing") and self.clock() < deadline and not self.stopping:
                    await asyncio.sleep(min(0.5, self.lease.total_seconds() / 10))
                    continue
                what = "the end of a run could not be recorded; it will be taken over"
                log.warning(what, run=str(run.run.id), error=lost.code)
            return

    async def _heartbeat(self, run: ActiveRun) -> None:
        pulse = min(self.lease.total_seconds() / 3, LONGEST_PULSE)
        while True:
            await asyncio.sleep(pulse)
            try:
                cancel = await run.heartbeat()
            except LeaseLost:
                self._interrupt(run.run.id, lost=True)
                return
            except RecordUnavailable:
                continue
            if cancel:
                self._interrupt(run.run.id)
                return
