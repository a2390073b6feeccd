"""A run in progress: its lease, its fence, its counts. Every commit of a run goes through `ActiveRun.step`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.http import Meter
from deskloom.model import ItemFailure, Json
from deskloom.record import runs as record_runs
from deskloom.record.engine import Record
from deskloom.record.runs import Run

log = structlog.get_logger(__name__)

Clock = Callable[[], datetime]
T = TypeVar("T")

COUNTS = (
    "fetched",
    "created",
    "updated",
    "unchanged",
    "deleted",
    "skipped",
    "failed",
    "embedded",
    "indexed",
    "api_calls",
    "api_credits",
    "waited_seconds",
)
ERRORS_KEPT = 100
WHOLE = "*"
"""The key of a failure that is about a whole stream: its list may not be read, or something is odd about it."""


def wording(kind: str, key: str, reason: str) -> str:
    """How a failed item reads in `errors`, as API.md words it; what is about a whole stream speaks for itself."""
    return reason if key == WHOLE else f"Failed to process {kind} {key}: {reason}"


@dataclass(slots=True)
class Step:
    """One transaction of a run, with what it adds to the run's counts and errors once it is committed."""

    tx: AsyncConnection
    counts: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """What stands among the errors, but is not counted as one."""

    @property
    def said(self) -> list[str]:
        return [*self.warnings, *self.errors]

    def fail(self, failures: Iterable[ItemFailure]) -> None:
        """Count failed items and name them."""
        for failure in failures:
            self.counts["failed"] += 1
            self.errors.append(wording(failure.kind, failure.key, failure.reason))

    def tell(self, failures: Iterable[ItemFailure]) -> None:
        """Name what is odd about a whole stream that the run's own needs: that makes the run no failure."""
        self.warnings += [wording(one.kind, one.key, one.reason) for one in failures if one.key == WHOLE]


class ActiveRun:
    """A run this process holds the lease of.

    A step checks the fence in its own transaction: when another worker took the run over, `LeaseLost` is raised and
    nothing is committed (D2).
    """

    def __init__(self, run: Run, *, record: Record, clock: Clock, lease: timedelta, helpers: bool = False) -> None:
        self.run = run
        self.record = record
        self.clock = clock
        self.lease = lease
        self.helpers = helpers
        """Whether other workers may help to publish; what they did joins the counts at every heartbeat."""
        self.steps = 0
        self.meter = Meter()
        self.counts: Counter[str] = Counter({name: run.counts.get(name, 0) for name in COUNTS})
        self.errors = list(run.errors)
        self.error_count = run.error_count
        self.phase = "starting"
        self.total: int | None = None
        self.report: Json | None = run.report
        """What a verify, sweep or reindex found; stored when the run ends."""
        self.measure = "fetched"
        """The count that tells how far the run is."""
        self.taken = 0
        """Items of the run's own stream that this run has taken, against its limit."""
        if run.limit is not None:
            self.taken = self.counts["fetched"]

    @property
    def left(self) -> int | None:
        """How many items this run may still take; None: no limit."""
        return None if self.run.limit is None else max(0, self.run.limit - self.taken)

    @asynccontextmanager
    async def step(self) -> AsyncIterator[Step]:
        """A fenced transaction. Its counts and errors join the run's only if it commits."""
        async with self.record.transaction() as tx:
            step = Step(tx)
            yield step
            await self._save(tx, step)
        self._join(step)
        self.steps += 1

    async def heartbeat(self) -> bool:
        """Renew the lease and publish the progress; True when someone asked to cancel."""
        async with self.record.transaction() as tx:
            step = await self._helped(tx)
            cancel = await self._save(tx, step)
        self._join(step)
        return cancel

    async def finish(self, state: str, *, error: str | None = None) -> None:
        """End the run; `error` is what stopped it."""
        async with self.record.transaction() as tx:
            step = await self._helped(tx)
            if state == "succeeded" and step.errors:
                state = "partial"
            errors = [*self.errors, *step.said, *([error] if error else [])]
            await record_runs.finish_run(
                tx,
                self.run,
                state=state,
                progress=self.progress(done=self.counts + step.counts),
                counts=self._totals(step.counts),
                errors=errors[-ERRORS_KEPT:] if error else errors[:ERRORS_KEPT],
                error_count=self.error_count + len(step.errors) + (1 if error else 0),
                report=self.report,
                now=self.clock(),
            )

    async def pause(self) -> None:
        """Give the run back unfinished: the next process goes on from the last committed page."""
        async with self.record.transaction() as tx:
            await self._save(tx, Step(tx))
            await record_runs.requeue_run(tx, self.run)

    def progress(self, done: Counter[str]) -> Json:
        """What callers see while it runs: items done, items expected (or null), and the phase in words."""
        return {"done": done[self.measure], "total": self.total, "phase": self.meter.waiting_for or self.phase}

    def _totals(self, adding: Counter[str]) -> dict[str, float]:
        totals: dict[str, float] = dict(self.counts + adding)
        for name in COUNTS:
            totals.setdefault(name, 0)
        totals["api_calls"] += self.meter.calls
        totals["api_credits"] += self.meter.credits
        totals["waited_seconds"] += round(self.meter.waited_seconds, 1)
        return totals

    async def _helped(self, tx: AsyncConnection) -> Step:
        """What helpers have done since the last look: taken out of the record, to be saved in the same transaction."""
        step = Step(tx)
        if self.helpers:
            for help in await record_runs.collect_help(tx, self.run.id):
                step.counts.update(help.counts)
                step.errors += help.errors
        return step

    def _join(self, step: Step) -> None:
        self.counts += step.counts
        self.errors = (self.errors + step.said)[:ERRORS_KEPT]
        self.error_count += len(step.errors)

    async def _save(self, tx: AsyncConnection, step: Step) -> bool:
        now = self.clock()
        return await record_runs.save_progress(
            tx,
            self.run,
            progress=self.progress(done=self.counts + step.counts),
            counts=self._totals(step.counts),
            errors=(self.errors + step.said)[:ERRORS_KEPT],
            error_count=self.error_count + len(step.errors),
            lease_until=now + self.lease,
            now=now,
        )


async def uninterrupted(work: Awaitable[T]) -> T:
    """Finish `work` even when the task is cancelled meanwhile, then let the cancellation through.

    A page that began to commit commits; the run stops between pages.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):  # told to stop once more: it is about to
                await asyncio.wait({task})
        if not task.cancelled() and (error := task.exception()):
            log.info("what was being stored when the run was stopped is not", error=str(error))
        raise
