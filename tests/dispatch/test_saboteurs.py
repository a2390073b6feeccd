"""Every test of the dispatcher contract can fail: for each there are dispatchers that break just that promise.

What breaks it is laid over both dispatchers, the one of one process and the one of many workers.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import update
from tests.contracts.dispatcher import Bench, DispatcherContract
from tests.dispatch.test_inline import inline
from tests.dispatch.test_procrastinate import queued, working

from deskloom.dispatch.inline import InlineDispatcher
from deskloom.dispatch.performing import MOST_TAKEOVERS, Performer
from deskloom.dispatch.procrastinate import ProcrastinateDispatcher
from deskloom.errors import AlreadyRunning, LeaseLost
from deskloom.record import Record, checkpoints
from deskloom.record import runs as record_runs
from deskloom.record.runs import Run
from deskloom.record.tables import runs
from deskloom.sync.runs import ActiveRun, Step

__all__ = ["queued"]


class Idle:
    """Takes runs and performs none."""

    def _start(self, run: Run) -> None: ...

    async def start(self, run: Run) -> None: ...

    async def recover(self) -> list[Run]:
        return []


class Pushing:
    """Starts a second run anyway: it ends the first one in the record."""

    async def submit(self: Any, **asked: Any) -> Run:
        try:
            return await super().submit(**asked)
        except AlreadyRunning:
            async with self.record.transaction() as tx:
                await tx.execute(update(runs).values(state="cancelled"))
            return await super().submit(**asked)


class Nameless:
    """Refuses, but does not say in favour of which run."""

    async def submit(self: Any, **asked: Any) -> Run:
        try:
            return await super().submit(**asked)
        except AlreadyRunning as error:
            error.facts["run_id"] = str(uuid4())
            raise


class Single:
    """One run at a time, whatever it is about."""

    async def submit(self: Any, **asked: Any) -> Run:
        async with self.record.reading() as tx:
            if before := await record_runs.open_runs(tx):
                raise AlreadyRunning("busy", run_id=str(before[0].id))
        return await super().submit(**asked)


class Once:
    """Never runs a stream again."""

    async def submit(self: Any, **asked: Any) -> Run:
        async with self.record.reading() as tx:
            if before := await record_runs.last_run(tx, asked["source"], asked["stream"]):
                raise AlreadyRunning("it was synced", run_id=str(before.id))
        return await super().submit(**asked)


class Forgetful:
    """Begins anew what it takes over."""

    async def recover(self: Any) -> list[Run]:
        async with self.record.transaction() as tx:
            for run in await record_runs.open_runs(tx):
                if run.id not in self.tasks:
                    await checkpoints.drop_checkpoint(tx, run.source, run.stream)
        return await super().recover()


class Careless:
    """Leaves the dead to themselves."""

    async def recover(self) -> list[Run]:
        return []


class Abrupt:
    """Cancels its runs when it stops."""

    async def stop(self: Any) -> None:
        for task in self.tasks.values():
            task.cancelled = True
        await super().stop()


class Stubborn(ActiveRun):
    async def _save(self, tx: Any, step: Step) -> bool:
        try:
            return await super()._save(tx, step)
        except LeaseLost:
            return False


class UnfencedPerformer(Performer):
    def _active(self, run: Run) -> ActiveRun:
        return Stubborn(run, record=self.record, clock=self.clock, lease=self.lease)


class Unfenced:
    """Commits whoever holds the run."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, performer=UnfencedPerformer, **named)


class Greedy:
    """Takes the runs of the living."""

    def _is_orphan(self, run: Run) -> bool:
        return True


class Endless:
    """Takes over for ever."""

    async def recover(self: Any) -> list[Run]:
        async with self.record.transaction() as tx:
            await tx.execute(update(runs).values(takeovers=0))
        return await super().recover()


class Faint:
    """Gives up at the first takeover."""

    async def recover(self: Any) -> list[Run]:
        async with self.record.transaction() as tx:
            await tx.execute(update(runs).values(takeovers=MOST_TAKEOVERS))
        return await super().recover()


class Mute:
    """Fails a run and does not say why."""

    async def wait(self: Any, run_id: Any) -> None:
        await super().wait(run_id)
        async with self.record.transaction() as tx:
            await tx.execute(update(runs).values(errors=[]))


HUNG = 60
"""Seconds after which a check has hung: each takes a few."""
contract = DispatcherContract()
SABOTEURS: list[tuple[type, Callable[..., Any]]] = [
    (Idle, contract.test_a_run_is_performed),
    (Pushing, contract.test_d1_a_second_run_is_refused_with_the_id_of_the_first),
    (Nameless, contract.test_d1_a_second_run_is_refused_with_the_id_of_the_first),
    (Single, contract.test_d1_other_streams_and_sources_run_beside_it),
    (Once, contract.test_d1_a_stream_is_free_again_after_its_run),
    (Forgetful, contract.test_d2_the_run_of_a_dead_worker_goes_on_from_its_last_page),
    (Careless, contract.test_d2_the_run_of_a_dead_worker_goes_on_from_its_last_page),
    (Forgetful, contract.test_d2_a_worker_that_stops_leaves_its_run_to_the_next),
    (Abrupt, contract.test_d2_a_worker_that_stops_leaves_its_run_to_the_next),
    (Unfenced, contract.test_d2_a_worker_back_from_the_dead_cannot_commit),
    (Greedy, contract.test_d2_a_living_worker_is_left_alone),
    (Endless, contract.test_d3_a_run_that_keeps_killing_its_worker_is_failed_and_says_so),
    (Faint, contract.test_d3_a_run_that_keeps_killing_its_worker_is_failed_and_says_so),
    (Mute, contract.test_d3_a_run_that_keeps_killing_its_worker_is_failed_and_says_so),
]


async def _is_caught(record: Record, make: Any, kind: type, saboteur: type, broken: Callable[..., Any]) -> None:
    over = type(saboteur.__name__, (saboteur, kind), {})
    bench = Bench(record, partial(make, over), takeovers=MOST_TAKEOVERS, patience=4)
    # One that never comes to an end is caught as well, and need not be closed in good order.
    try:
        with pytest.raises((AssertionError, ValueError, AlreadyRunning, TimeoutError)):
            async with asyncio.timeout(HUNG):
                await broken(bench)
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HUNG):
                await bench.aclose()


pairs = pytest.mark.parametrize(("saboteur", "broken"), SABOTEURS, ids=lambda value: getattr(value, "__name__", ""))


@pairs
async def test_a_saboteur_is_caught(sqlite_record: Record, saboteur: type, broken: Callable[..., Any]) -> None:
    """The contract test that guards the broken promise fails."""
    await _is_caught(sqlite_record, inline, InlineDispatcher, saboteur, broken)


@pairs
async def test_a_saboteur_among_workers_is_caught(queued: Record, saboteur: type, broken: Callable[..., Any]) -> None:
    """It fails for many workers too."""
    await _is_caught(queued, working, ProcrastinateDispatcher, saboteur, broken)


def test_every_contract_test_has_a_saboteur() -> None:
    """No test of the contract is without a dispatcher that fails it."""
    tests = {name for name in dir(DispatcherContract) if name.startswith("test_")}
    assert tests == {broken.__name__ for _, broken in SABOTEURS}
