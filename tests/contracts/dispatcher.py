"""What every dispatcher guarantees (D1-D3). A test class inherits it and gives the fixture `bench`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.errors import AlreadyRunning
from deskloom.record import Record, checkpoints
from deskloom.record import runs as record_runs
from deskloom.record.runs import Run
from deskloom.sync.runs import ActiveRun, Clock

LEASE = timedelta(seconds=30)
PAGES = 5
PATIENCE = 20
"""Seconds after which a dispatcher that does nothing has failed."""
TICKETS = {"source": "acme", "stream": "tickets"}


class Dispatcher(Protocol):
    """Performs runs."""

    async def submit(self, *, source: str, stream: str) -> Run: ...

    async def recover(self) -> list[Run]: ...

    async def wait(self, run_id: UUID) -> None: ...

    async def stop(self) -> None: ...


class Door:
    """The record as one process sees it. Behind a closed door a process does nothing, as if it were dead."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.open = asyncio.Event()
        self.open.set()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        await self.open.wait()
        async with self.record.transaction() as tx:
            yield tx

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        await self.open.wait()
        async with self.record.reading() as tx:
            yield tx


class Job:
    """What a run does: pages, each committed together with the checkpoint. It can be held before one of them."""

    def __init__(self, hold: int | None = None) -> None:
        self.hold = hold
        self.held, self.go = asyncio.Event(), asyncio.Event()
        self.performed = 0
        self.committed: list[int] = []

    async def __call__(self, run: ActiveRun) -> str:
        self.performed += 1
        place = run.run.source, run.run.stream
        async with run.record.reading() as tx:
            cursor = await checkpoints.load_checkpoint(tx, *place)
        for page in range((cursor or {"page": 0})["page"] + 1, PAGES + 1):
            if page == self.hold:
                self.held.set()
                await self.go.wait()
            async with run.step() as step:
                step.counts["fetched"] += 1
                await checkpoints.save_checkpoint(step.tx, *place, {"page": page}, now=run.clock(), completed=False)
            self.committed.append(page)
        return "succeeded"


Make = Callable[[Record, Callable[[ActiveRun], Awaitable[str]], timedelta, Clock], Dispatcher]
"""A dispatcher over a record, with what it performs, the lease and the clock."""


@dataclass(slots=True)
class Worker:
    """A process of its own: a dispatcher, its door to the record, and what it does in a run."""

    dispatcher: Dispatcher
    door: Door
    job: Job
    patience: float = PATIENCE

    async def held(self, run: Run) -> None:
        """Until the worker stands before the page at which it is held; fails if the run ends instead."""
        stands, ends = asyncio.create_task(self.job.held.wait()), asyncio.create_task(self.dispatcher.wait(run.id))
        await asyncio.wait({stands, ends}, timeout=self.patience, return_when=asyncio.FIRST_COMPLETED)
        stands.cancel()
        ends.cancel()
        assert self.job.held.is_set(), "the run was not performed up to there"

    async def ended(self, run: Run) -> None:
        async with asyncio.timeout(self.patience):
            await self.dispatcher.wait(run.id)

    def die(self) -> None:
        """From now on it does nothing, not even renew its lease."""
        self.door.open.clear()

    def come_back(self) -> None:
        self.door.open.set()
        self.job.go.set()


@dataclass(slots=True)
class Bench:
    """Workers over one record and one clock. `takeovers` is the set number of D3."""

    record: Record
    make: Make
    takeovers: int
    patience: float = PATIENCE
    now: datetime = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
    workers: list[Worker] = field(default_factory=list)

    def worker(self, *, hold: int | None = None) -> Worker:
        """A new worker; `hold` is the page before which its job waits."""
        door, job = Door(self.record), Job(hold)
        made: Any = door
        self.workers.append(Worker(self.make(made, job, LEASE, lambda: self.now), door, job, self.patience))
        return self.workers[-1]

    def let_leases_run_out(self) -> None:
        self.now += 2 * LEASE

    async def run(self, run: Run) -> Run:
        async with self.record.reading() as tx:
            return await record_runs.get_run(tx, run.id)

    async def aclose(self) -> None:
        for worker in self.workers:
            worker.come_back()
            await worker.dispatcher.stop()


class DispatcherContract:
    """Inherit it; a fixture `bench` gives a `Bench` over an empty record, and closes it."""

    async def test_a_run_is_performed(self, bench: Bench) -> None:
        """A run that is submitted is queued, goes on in the background, and ends as its work says."""
        worker = bench.worker()
        run = await worker.dispatcher.submit(**TICKETS)
        assert run.state == "queued"
        await worker.ended(run)
        ended = await bench.run(run)
        assert (ended.state, ended.counts.get("fetched"), ended.takeovers) == ("succeeded", PAGES, 0)

    async def test_d1_a_second_run_is_refused_with_the_id_of_the_first(self, bench: Bench) -> None:
        """Of many that ask at once, in one process or in several, one gets a run and the others its id."""
        workers = [bench.worker(hold=1) for _ in range(3)]
        asked = [worker.dispatcher.submit(**TICKETS) for worker in (*workers, *workers)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        (run,) = [answer for answer in answers if isinstance(answer, Run)]
        refused = [answer.facts["run_id"] for answer in answers if isinstance(answer, AlreadyRunning)]
        assert refused == [str(run.id)] * 5
        with pytest.raises(AlreadyRunning):
            await workers[0].dispatcher.submit(**TICKETS)

    async def test_d1_other_streams_and_sources_run_beside_it(self, bench: Bench) -> None:
        """One active run is one for each source and stream."""
        worker = bench.worker(hold=1)
        places = [("acme", "tickets"), ("acme", "kb"), ("other", "tickets")]
        runs = [await worker.dispatcher.submit(source=source, stream=stream) for source, stream in places]
        worker.job.go.set()
        for run in runs:
            await worker.ended(run)
        assert [(await bench.run(run)).state for run in runs] == ["succeeded"] * 3

    async def test_d1_a_stream_is_free_again_after_its_run(self, bench: Bench) -> None:
        """However a run ended, the next one may start."""
        for _ in range(2):
            worker = bench.worker()
            await worker.ended(await worker.dispatcher.submit(**TICKETS))
            await worker.ended(await worker.dispatcher.submit(**TICKETS))

    async def test_d2_the_run_of_a_dead_worker_goes_on_from_its_last_page(self, bench: Bench) -> None:
        """What was committed is neither lost nor done again, and the run says that it was taken over."""
        first, run = await _died(bench, hold=3)
        second = bench.worker()
        assert [again.id for again in await second.dispatcher.recover()] == [run.id]
        await second.ended(run)
        assert (first.job.committed, second.job.committed) == ([1, 2], [3, 4, 5])
        ended = await bench.run(run)
        assert (ended.state, ended.counts.get("fetched"), ended.takeovers) == ("succeeded", PAGES, 1)

    async def test_d2_a_worker_that_stops_leaves_its_run_to_the_next(self, bench: Bench) -> None:
        """A stop is no end: the run goes on from its last page, and that counts as no takeover."""
        first = bench.worker(hold=3)
        run = await first.dispatcher.submit(**TICKETS)
        await first.held(run)
        await first.dispatcher.stop()
        second = bench.worker()
        assert [again.id for again in await second.dispatcher.recover()] == [run.id]
        await second.ended(run)
        assert (first.job.committed, second.job.committed) == ([1, 2], [3, 4, 5])
        ended = await bench.run(run)
        assert (ended.state, ended.counts.get("fetched"), ended.takeovers) == ("succeeded", PAGES, 0)

    async def test_d2_a_worker_back_from_the_dead_cannot_commit(self, bench: Bench) -> None:
        """Once another holds the run, the first one neither commits a page nor ends the run."""
        first, run = await _died(bench, hold=3)
        second = bench.worker(hold=4)
        await second.dispatcher.recover()
        await second.held(run)
        first.come_back()
        await first.ended(run)
        assert (first.job.committed, (await bench.run(run)).state) == ([1, 2], "running")
        second.job.go.set()
        await second.ended(run)
        ended = await bench.run(run)
        assert (second.job.committed, ended.state, ended.counts.get("fetched")) == ([3, 4, 5], "succeeded", PAGES)

    async def test_d2_a_living_worker_is_left_alone(self, bench: Bench) -> None:
        """While its lease lasts nobody takes a run over."""
        first = bench.worker(hold=3)
        run = await first.dispatcher.submit(**TICKETS)
        await first.held(run)
        second = bench.worker()
        assert await second.dispatcher.recover() == []
        first.job.go.set()
        await first.ended(run)
        assert (first.job.committed, second.job.performed) == ([1, 2, 3, 4, 5], 0)

    async def test_d3_a_run_that_keeps_killing_its_worker_is_failed_and_says_so(self, bench: Bench) -> None:
        """After the set number of takeovers nobody tries again; what was committed stays."""
        _, run = await _died(bench, hold=3)
        for _ in range(bench.takeovers):
            worker = bench.worker(hold=3)
            assert [again.id for again in await worker.dispatcher.recover()] == [run.id]
            await worker.held(run)
            worker.die()
            bench.let_leases_run_out()
        last = bench.worker()
        await last.dispatcher.recover()
        await last.ended(run)
        assert last.job.performed == 0
        ended = await bench.run(run)
        assert (ended.state, ended.counts.get("fetched")) == ("failed", 2)
        assert ended.errors == [f"Interrupted {bench.takeovers + 1} times without an end; not tried again."]


async def _died(bench: Bench, hold: int) -> tuple[Worker, Run]:
    """A worker that died before page `hold` of its run, long enough ago that its lease is over."""
    worker = bench.worker(hold=hold)
    run = await worker.dispatcher.submit(**TICKETS)
    await worker.held(run)
    worker.die()
    bench.let_leases_run_out()
    return worker, run
