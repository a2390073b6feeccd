"""Runs of many workers keep the contract, over a real queue; and what is particular to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from tests import postgres
from tests.conftest import TEMPLATE
from tests.contracts.dispatcher import TICKETS, Bench, DispatcherContract, Door

from deskloom.dispatch.performing import MOST_TAKEOVERS
from deskloom.dispatch.procrastinate import ProcrastinateDispatcher
from deskloom.dispatch.queue import PERFORM, scripts
from deskloom.errors import RecordOutdated, SettingInvalid
from deskloom.record import Record, open_record
from deskloom.record import runs as record_runs
from deskloom.record.clock import DatabaseClock
from deskloom.record.queue import Scripts, require_queue, upgrade_queue
from deskloom.record.runs import Run
from deskloom.settings import Settings
from deskloom.wiring import open_app


class Started:
    """A worker process: opens its queue when it is first asked for something, and works from then on."""

    def __init__(self, made: ProcrastinateDispatcher) -> None:
        self.made = made
        self._going: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()

    async def _start(self) -> None:
        async with self._opening:
            if self._going is None and not self.made.stopping:
                await self.made.queue.open()
                self._going = asyncio.create_task(self.made.run_forever())
                await asyncio.sleep(0)

    async def submit(self, **asked: Any) -> Run:
        await self._start()
        return await self.made.submit(**asked)

    async def recover(self) -> list[Run]:
        found = await self.made.recover()
        await self._start()
        return found

    async def wait(self, run_id: Any) -> None:
        await self.made.wait(run_id)

    async def stop(self) -> None:
        await self.made.stop()
        if self._going is not None:
            self._going.cancel()
            await asyncio.wait({self._going})


def working(
    kind: type[ProcrastinateDispatcher], record: Any, perform: Any, lease: Any, clock: Any, **more: Any
) -> Started:
    reached = record.record if isinstance(record, Door) else record
    door: Any = record
    made = kind(reached, perform, within=lease, concurrency=4, clock=clock, **more)
    made.record = made.performer.record = door
    return Started(made)


@pytest.fixture
async def queued(postgres_server: postgres.Server) -> AsyncIterator[Record]:
    """An empty record on PostgreSQL, with the tables of the queue."""
    async with postgres.database(postgres_server, TEMPLATE) as url:
        record = open_record(url, pool_size=20)
        await upgrade_queue(record, scripts())
        yield record
        await record.aclose()


@pytest.fixture
async def bench(queued: Record) -> AsyncIterator[Bench]:
    bench = Bench(queued, partial(working, ProcrastinateDispatcher), takeovers=MOST_TAKEOVERS)
    yield bench
    await bench.aclose()


class TestProcrastinate(DispatcherContract):
    """D1-D3."""


async def _create(record: Record) -> Run:
    """A run in the record whose submitter died before it told the queue."""
    async with record.transaction() as tx:
        asked: dict[str, Any] = {"mode": "incremental", "requested_by": "", "since": None, "limit": None}
        return await record_runs.create_run(tx, **TICKETS, **asked, now=datetime(2026, 3, 1, tzinfo=UTC))


async def test_a_run_that_the_queue_was_never_told_of_is_performed(bench: Bench, queued: Record) -> None:
    """A crash between the two writes of a submit costs a look at the record, and nothing else."""
    run = await _create(queued)
    worker = bench.worker()
    assert [found.id for found in await worker.dispatcher.recover()] == [run.id]
    await worker.ended(run)
    assert (await bench.run(run)).state == "succeeded"


async def test_a_job_for_a_run_that_is_over_or_unknown_does_nothing(bench: Bench, queued: Record) -> None:
    """Jobs may be late, repeated, or about what is gone."""
    worker = bench.worker()
    run = await worker.dispatcher.submit(**TICKETS)
    await worker.ended(run)
    queue = worker.dispatcher.made.queue  # type: ignore[attr-defined]
    for _ in range(2):
        assert await queue.put(PERFORM, run.id)
        assert await queue.put(PERFORM, UUID(int=7))
    again = await worker.dispatcher.submit(source="acme", stream="kb")
    await worker.ended(again)
    assert (worker.job.performed, (await bench.run(again)).state) == (2, "succeeded")


async def test_a_run_that_is_found_twice_is_under_way_once(bench: Bench, queued: Record) -> None:
    """A job and a look at the record that find the same run at once start one task, which can be stopped."""
    run = await _create(queued)
    worker = bench.worker(hold=3)
    made = worker.dispatcher.made  # type: ignore[attr-defined]
    first = made.performer.start(run)
    assert made.performer.start(run) is first
    await worker.held(run)
    assert (list(made.tasks), made.free) == ([run.id], 3)
    await made.cancel(run.id)
    await worker.ended(run)
    assert ((await bench.run(run)).state, worker.job.committed) == ("cancelled", [1, 2])


async def test_a_process_that_only_submits_performs_nothing(bench: Bench, queued: Record) -> None:
    """Without room for a run nothing is taken, neither from the queue nor from the record."""
    submitting = working(ProcrastinateDispatcher, queued, _never, timedelta(seconds=1), lambda: bench.now)
    submitting.made.concurrency = 0
    run = await submitting.submit(**TICKETS)
    assert await submitting.recover() == []
    assert (await bench.run(run)).state == "queued"
    worker = bench.worker()
    await worker.dispatcher.recover()
    await submitting.wait(run.id)
    await submitting.stop()
    assert (await bench.run(run)).state == "succeeded"


async def _never(run: object) -> str:
    raise AssertionError("performed where nothing is to be performed")


async def test_the_queue_has_a_schema_of_its_own(queued: Record) -> None:
    """Its tables stand beside those of a user's own queue of the same library; making them again changes nothing."""
    script = scripts().schema
    async with queued.transaction() as tx:
        await tx.execute(text("SET LOCAL search_path TO public"))
        connection: Any = (await tx.get_raw_connection()).driver_connection
        await connection.execute(script)
    await upgrade_queue(queued, scripts())
    await require_queue(queued, scripts())
    async with queued.reading() as tx:
        query = "SELECT schemaname FROM pg_tables WHERE tablename = 'procrastinate_jobs' ORDER BY 1"
        assert list((await tx.execute(text(query))).scalars()) == ["deskloom_queue", "public"]


async def test_an_older_queue_is_brought_up_to_date(queued: Record) -> None:
    """A step that the installed library has beyond those that were run is asked for, and then run."""
    newer = Scripts(scripts().schema, [*scripts().steps, ("99_more.sql", "CREATE TABLE more (n int); SELECT 1;")])
    with pytest.raises(RecordOutdated, match="deskloom db upgrade"):
        await require_queue(queued, newer)
    await upgrade_queue(queued, newer)
    await require_queue(queued, newer)
    async with queued.reading() as tx:
        assert (await tx.execute(text("SELECT to_regclass('deskloom_queue.more') IS NOT NULL"))).scalar_one()


async def test_a_missing_queue_is_named(postgres_server: postgres.Server, sqlite_record: Record) -> None:
    """Without its tables nothing starts, and on SQLite nothing can."""
    async with postgres.database(postgres_server, TEMPLATE) as url:
        record = open_record(url)
        with pytest.raises(RecordOutdated, match="deskloom db upgrade"):
            await require_queue(record, scripts())
        await record.aclose()
    with pytest.raises(SettingInvalid, match="needs a PostgreSQL record"):
        await require_queue(sqlite_record, scripts())


async def test_time_is_the_databases(queued: Record) -> None:
    """A clock that is adjusted tells the database's time, whatever this machine's says."""
    clock = DatabaseClock()
    clock._told -= timedelta(hours=3)
    await clock.adjust(queued)
    async with queued.reading() as tx:
        there = (await tx.execute(text("SELECT clock_timestamp()"))).scalar_one()
    assert abs(clock() - there) < timedelta(seconds=2)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"index": "edge", "database_url": "postgresql://u@127.0.0.1/x"}, "needs an index that all workers reach"),
        ({"index": "qdrant", "qdrant_url": "http://127.0.0.1:1"}, "needs a PostgreSQL record"),
    ],
)
async def test_what_workers_cannot_share_is_refused(tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    """An index or a record of one process alone is refused with the remedy, before anything is opened."""
    made = Settings(_env_file=None, home=tmp_path, dispatch="procrastinate", **settings)
    with pytest.raises(SettingInvalid, match=said):
        async with open_app(made):
            pass
