"""Every test of the dispatcher contract can fail: for each there is a dispatcher that breaks just that promise."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import update
from tests.contracts.dispatcher import Bench, DispatcherContract
from tests.dispatch.test_inline import inline

from deskloom.dispatch.inline import MOST_TAKEOVERS, InlineDispatcher
from deskloom.errors import AlreadyRunning, LeaseLost
from deskloom.record import Record, checkpoints
from deskloom.record import runs as record_runs
from deskloom.record.runs import Run
from deskloom.record.tables import runs
from deskloom.sync.runs import ActiveRun, Step


class Idle(InlineDispatcher):
    """Takes runs and performs none."""

    def _start(self, run: Run) -> None: ...


class Pushing(InlineDispatcher):
    """Starts a second run anyway: it ends the first one in the record."""

    async def submit(self, **asked: Any) -> Run:
        try:
            return await super().submit(**asked)
        except AlreadyRunning:
            async with self.record.transaction() as tx:
                await tx.execute(update(runs).values(state="cancelled"))
            return await super().submit(**asked)


class Nameless(InlineDispatcher):
    """Refuses, but does not say in favour of which run."""

    async def submit(self, **asked: Any) -> Run:
        try:
            return await super().submit(**asked)
        except AlreadyRunning as error:
            error.facts["run_id"] = str(uuid4())
            raise


class Single(InlineDispatcher):
    """One run at a time, whatever it is about."""

    async def submit(self, **asked: Any) -> Run:
        if self.tasks:
            raise AlreadyRunning("busy", run_id=str(next(iter(self.tasks))))
        return await super().submit(**asked)


class Once(InlineDispatcher):
    """Never runs a stream again."""

    async def submit(self, **asked: Any) -> Run:
        async with self.record.reading() as tx:
            if before := await record_runs.last_run(tx, asked["source"], asked["stream"]):
                raise AlreadyRunning("it was synced", run_id=str(before.id))
        return await super().submit(**asked)


class Forgetful(InlineDispatcher):
    """Begins anew what it takes over."""

    async def recover(self) -> list[Run]:
        async with self.record.transaction() as tx:
            for run in await record_runs.open_runs(tx):
                await checkpoints.drop_checkpoint(tx, run.source, run.stream)
        return await super().recover()


class Careless(InlineDispatcher):
    """Leaves the dead to themselves."""

    async def recover(self) -> list[Run]:
        return []


class Abrupt(InlineDispatcher):
    """Cancels its runs when it stops."""

    async def stop(self) -> None:
        for task in self.tasks.values():
            task.cancelled = True
        await super().stop()


class Unfenced(InlineDispatcher):
    """Commits whoever holds the run."""

    async def _perform(self, run: ActiveRun) -> None:
        await super()._perform(Stubborn(run.run, record=run.record, clock=run.clock, lease=run.lease))


class Stubborn(ActiveRun):
    async def _save(self, tx: Any, step: Step) -> bool:
        try:
            return await super()._save(tx, step)
        except LeaseLost:
            return False


class Greedy(InlineDispatcher):
    """Takes the runs of the living."""

    def _is_of_this_home(self, run: Run) -> bool:
        return True


class Endless(InlineDispatcher):
    """Takes over for ever."""

    async def recover(self) -> list[Run]:
        async with self.record.transaction() as tx:
            await tx.execute(update(runs).values(takeovers=0))
        return await super().recover()


class Faint(InlineDispatcher):
    """Gives up at the first takeover."""

    async def recover(self) -> list[Run]:
        async with self.record.transaction() as tx:
            await tx.execute(update(runs).values(takeovers=MOST_TAKEOVERS))
        return await super().recover()


class Mute(InlineDispatcher):
    """Fails a run and does not say why."""

    async def wait(self, run_id: Any) -> None:
        await super().wait(run_id)
        async with self.record.transaction() as tx:
            await tx.execute(update(runs).values(errors=[]))


contract = DispatcherContract()
SABOTEURS: list[tuple[type[InlineDispatcher], Callable[..., Any]]] = [
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


@pytest.mark.parametrize(("saboteur", "broken"), SABOTEURS, ids=lambda value: getattr(value, "__name__", ""))
async def test_a_saboteur_is_caught(
    sqlite_record: Record, saboteur: type[InlineDispatcher], broken: Callable[..., Any]
) -> None:
    """The contract test that guards the broken promise fails."""
    bench = Bench(sqlite_record, partial(inline, saboteur), takeovers=MOST_TAKEOVERS)
    try:
        with pytest.raises((AssertionError, ValueError, AlreadyRunning)):
            await broken(bench)
    finally:
        await bench.aclose()


def test_every_contract_test_has_a_saboteur() -> None:
    """No test of the contract is without a dispatcher that fails it."""
    tests = {name for name in dir(DispatcherContract) if name.startswith("test_")}
    assert tests == {broken.__name__ for _, broken in SABOTEURS}
