"""Real workers, as processes of their own: killed, frozen, stopped, poisoned, and with the database restarted."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests import postgres
from tests.conftest import TEMPLATE
from tests.rig import Rig
from tests.served_index import ServedIndex, served_index

from deskloom.dispatch.performing import MOST_TAKEOVERS
from deskloom.dispatch.queue import scripts
from deskloom.record import open_record, upgrade
from deskloom.record.queue import upgrade_queue
from deskloom.record.runs import Run
from deskloom.sandbox.clock import Clock
from deskloom.sandbox.generate import generate
from deskloom.sandbox.server import SandboxServer

pytestmark = pytest.mark.slow

LEASE = 2.0
PATIENCE = 90.0
ENDED = ("succeeded", "partial", "failed", "cancelled")


@dataclass
class Process:
    """A worker: its process, what it wrote, and the texts it embedded."""

    popen: subprocess.Popen[bytes]
    log: Path
    notes: Path

    def embedded(self) -> list[str]:
        return self.notes.read_text().split() if self.notes.exists() else []

    def says(self, what: str) -> bool:
        return what in self.log.read_text()

    def owns(self, run: Run) -> bool:
        return f":{self.popen.pid}:" in (run.owner or "")


@dataclass
class Yard:
    """A help desk, a record on PostgreSQL, an index that all reach, an app that only submits, and its workers."""

    rig: Rig
    folder: Path
    arguments: list[str]
    workers: list[Process] = field(default_factory=list)

    async def hire(self, count: int = 1, *, concurrency: int = 1, slowness: float = 0.0, poison: str = "") -> None:
        """Start workers and wait until each is ready."""
        hired = [self._spawn(str(concurrency), str(slowness), poison) for _ in range(count)]
        for worker in hired:
            await self.until(lambda worker=worker: worker.says("worker ready"), "the worker is not ready")

    def _spawn(self, *settings: str) -> Process:
        number = len(self.workers)
        log, notes = self.folder / f"worker{number}.log", self.folder / f"embedded{number}.txt"
        command = [
            sys.executable,
            "-m",
            "tests.crash.worker_process",
            *self.arguments,
            str(notes),
            str(LEASE),
            *settings,
        ]
        with log.open("wb") as out:
            popen = subprocess.Popen(command, stdout=out, stderr=out, cwd=Path(__file__).parents[2])
        self.workers.append(Process(popen, log, notes))
        return self.workers[-1]

    async def until(self, true: Callable[[], bool], otherwise: str) -> None:
        """Other processes have no event to offer: looked at again and again."""
        for _ in range(int(PATIENCE / 0.05)):
            if true():
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{otherwise}; {[worker.log.read_text()[-1500:] for worker in self.workers]}")

    async def run_until(self, run: Run, true: Callable[[Run], bool]) -> Run:
        for _ in range(int(PATIENCE / 0.05)):
            now = await self.rig.run(run)
            if true(now):
                return now
            await asyncio.sleep(0.05)
        raise AssertionError(f"{now}; {[worker.log.read_text()[-1500:] for worker in self.workers]}")

    async def ended(self, run: Run) -> Run:
        return await self.run_until(run, lambda run: run.state in ENDED)

    async def in_the_midst(self, run: Run) -> tuple[Process, Run]:
        """The worker of the run, once it has both read and published something."""
        now = await self.run_until(run, lambda run: run.counts.get("indexed", 0) > 0)
        (worker,) = [worker for worker in self.workers if worker.owns(now)]
        return worker, now

    def embedded(self) -> Counter[str]:
        return Counter(text for worker in self.workers for text in worker.embedded())

    def dismiss(self) -> None:
        for worker in self.workers:
            worker.popen.kill()
            worker.popen.wait(30)


async def _open(folder: Path, database_url: str, url: str, index_url: str, desk: object) -> Yard:
    record = open_record(database_url)
    await upgrade_queue(record, scripts())
    await record.aclose()
    rig = Rig(desk, url, folder / "home", database_url=database_url, dispatch="procrastinate", lease_seconds=LEASE)
    rig.embedder.max_tokens = 100_000  # as the workers' model: a text is one part
    rig.index = ServedIndex(index_url)
    await rig.open()
    return Yard(rig, folder, [database_url, url, desk.key, index_url])


@pytest.fixture
async def yard(postgres_server: postgres.Server, tmp_path: Path) -> AsyncIterator[Yard]:
    desk = generate(seed=3, tickets=160, articles=0, clock=Clock())
    with SandboxServer(desk) as serving, served_index(tmp_path / "index") as index_url:
        async with postgres.database(postgres_server, TEMPLATE) as url:
            made = await _open(tmp_path, url, serving.url, index_url, desk)
            try:
                yield made
            finally:
                made.dismiss()
                await made.rig.close()


async def test_a_killed_worker_is_taken_over(yard: Yard) -> None:
    """After kill -9 another worker goes on from the last page: nothing is lost, and the run says so."""
    await yard.hire(2, slowness=0.1)
    run = await yard.rig.start()
    worker, before = await yard.in_the_midst(run)
    worker.popen.send_signal(signal.SIGKILL)
    began = time.monotonic()
    taken = await yard.run_until(run, lambda run: run.fence > before.fence)
    assert time.monotonic() - began < 5 * LEASE  # within the lease, and what a busy machine takes
    ended = await yard.ended(run)
    assert not worker.owns(taken)
    assert (ended.state, ended.takeovers, ended.counts["fetched"]) == ("succeeded", 1, 160)
    assert await yard.rig.differences() == []


async def test_a_frozen_worker_cannot_commit_when_it_wakes(yard: Yard) -> None:
    """While SIGSTOP lasts its run is another's; after SIGCONT it finds that out and changes nothing any more."""
    await yard.hire(2, slowness=0.1)
    run = await yard.rig.start()
    worker, before = await yard.in_the_midst(run)
    worker.popen.send_signal(signal.SIGSTOP)
    await yard.run_until(run, lambda run: run.fence > before.fence)
    worker.popen.send_signal(signal.SIGCONT)
    await yard.until(lambda: worker.says("taken over by another worker"), "it did not notice")
    ended = await yard.ended(run)
    assert (ended.state, ended.takeovers, ended.counts["fetched"]) == ("succeeded", 1, 160)
    assert worker.popen.poll() is None
    assert await yard.rig.differences() == []


async def test_a_stopped_worker_gives_its_run_back(yard: Yard) -> None:
    """SIGTERM ends a worker at a page; another goes on at once, which is no takeover."""
    await yard.hire(2, slowness=0.1)
    run = await yard.rig.start()
    worker, _ = await yard.in_the_midst(run)
    worker.popen.send_signal(signal.SIGTERM)
    ended = await yard.ended(run)
    assert (worker.popen.wait(30), worker.says("stopped")) == (0, True)
    assert (ended.state, ended.takeovers, ended.counts["fetched"]) == ("succeeded", 0, 160)
    assert await yard.rig.differences() == []


async def test_workers_help_each_other_to_publish(yard: Yard) -> None:
    """Idle workers publish batches of a run that has many: each text is embedded once, and all count for the run."""
    await yard.hire(3, slowness=0.2)
    ended = await yard.ended(await yard.rig.start())
    embedded = yard.embedded()
    assert [bool(worker.embedded()) for worker in yard.workers] == [True] * 3
    assert ended.state == "succeeded"
    assert ended.counts["embedded"] == embedded.total()
    assert ended.counts["indexed"] == len(await _documents(yard))
    assert await yard.rig.differences() == []


async def test_what_a_dead_helper_had_is_published_by_others(yard: Yard) -> None:
    """A helper killed in mid-batch costs the run neither its end nor a document."""
    await yard.hire(2, slowness=0.2)
    run = await yard.rig.start()
    owner, _ = await yard.in_the_midst(run)
    (helper,) = [worker for worker in yard.workers if worker is not owner]
    await yard.until(lambda: bool(helper.embedded()), "nobody helped")
    helper.popen.send_signal(signal.SIGKILL)
    ended = await yard.ended(run)
    assert (ended.state, ended.takeovers, ended.errors) == ("succeeded", 0, [])
    assert await yard.rig.differences() == []


async def test_a_cancel_reaches_a_run_of_any_worker(yard: Yard) -> None:
    """A process that only submits can stop a run, and start the next; D1 holds among all of them."""
    await yard.hire(1, slowness=0.1)
    run = await yard.rig.start()
    await yard.in_the_midst(run)
    await yard.rig.app.dispatcher.cancel(run.id)
    assert (await yard.ended(run)).state == "cancelled"
    again = await yard.ended(await yard.rig.start())
    assert (again.state, again.errors) == ("succeeded", [])
    assert await yard.rig.differences() == []


async def test_a_run_that_keeps_killing_workers_is_failed_and_named(
    postgres_server: postgres.Server, tmp_path: Path
) -> None:
    """A text that kills whoever embeds it takes so many workers and no more; the run says what happened."""
    desk = generate(seed=3, tickets=5, articles=0, clock=Clock())
    for ticket in desk.tickets:
        ticket["description"] = ticket["description_text"] = "deadly nightshade in the server room"
    with SandboxServer(desk) as serving, served_index(tmp_path / "index") as index_url:
        async with postgres.database(postgres_server, TEMPLATE) as url:
            yard = await _open(tmp_path, url, serving.url, index_url, desk)
            try:
                await yard.hire(MOST_TAKEOVERS + 2, poison="nightshade")
                ended = await yard.ended(await yard.rig.start())
                killed = [worker for worker in yard.workers if worker.popen.poll() == -signal.SIGKILL]
                assert (ended.state, len(killed)) == ("failed", MOST_TAKEOVERS + 1)
                assert ended.errors == [f"Interrupted {MOST_TAKEOVERS + 1} times without an end; not tried again."]
            finally:
                yard.dismiss()
                await yard.rig.close()


async def test_a_restart_of_the_database_is_survived(tmp_path: Path) -> None:
    """Connections are made anew and the run goes on from its last page: not failed, nothing lost, nothing doubled."""
    desk = generate(seed=3, tickets=160, articles=0, clock=Clock())
    with (
        postgres.running(safe=True) as server,
        SandboxServer(desk) as serving,
        served_index(tmp_path / "index") as index_url,
    ):
        record = open_record(server.url("postgres"))
        await upgrade(record)
        await record.aclose()
        yard = await _open(tmp_path, server.url("postgres"), serving.url, index_url, desk)
        try:
            await yard.hire(2, slowness=0.1)
            run = await yard.rig.start()
            for _ in range(2):
                await yard.in_the_midst(run)
                await asyncio.to_thread(server.restart)
            ended = await yard.ended(run)
            assert (ended.state, ended.counts["fetched"]) == ("succeeded", 160)
            assert await yard.rig.differences() == []
            again = await yard.ended(await yard.rig.start())  # and the queue works again too
            assert again.state == "succeeded"
        finally:
            yard.dismiss()
            await yard.rig.close()


async def _documents(yard: Yard) -> list[object]:
    from deskloom.record import tables

    return [row for row in await yard.rig.rows(tables.documents) if row["collection"] == "support_tickets"]
