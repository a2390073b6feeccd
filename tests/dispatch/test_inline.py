"""Runs as tasks of this process keep the contract, and what is particular to the owner of a home."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from tests.contracts.dispatcher import TICKETS, Bench, DispatcherContract

from deskloom.dispatch.inline import MOST_TAKEOVERS, InlineDispatcher
from deskloom.record import Record


def inline(kind: type[InlineDispatcher], record: Any, perform: Any, lease: Any, clock: Any, home: str = "") -> Any:
    return kind(record, perform, lease=lease, clock=clock, home=home)


@pytest.fixture
async def bench(record: Record) -> AsyncIterator[Bench]:
    bench = Bench(record, partial(inline, InlineDispatcher), takeovers=MOST_TAKEOVERS)
    yield bench
    await bench.aclose()


class TestInline(DispatcherContract):
    """D1-D3."""


@pytest.mark.parametrize(("home", "taken"), [("a", True), ("b", False)])
async def test_the_next_owner_of_a_home_takes_over_at_once(bench: Bench, home: str, taken: bool) -> None:
    """Who owns the home knows that its earlier owner is dead; a worker of another home waits for the lease."""
    bench.make = partial(inline, InlineDispatcher, home="a")
    first = bench.worker(hold=3)
    run = await first.dispatcher.submit(**TICKETS)
    await first.held(run)
    first.die()
    bench.make = partial(inline, InlineDispatcher, home=home)
    second = bench.worker()
    assert [again.id for again in await second.dispatcher.recover()] == [run.id] * taken
    await second.ended(run)
    assert second.job.committed == [3, 4, 5] * taken


async def test_a_stop_after_the_run_was_taken_over_is_quiet(bench: Bench) -> None:
    """A worker back from the dead that is stopped at once leaves the run to the one that holds it."""
    first = bench.worker(hold=3)
    run = await first.dispatcher.submit(**TICKETS)
    await first.held(run)
    first.die()
    bench.let_leases_run_out()
    second = bench.worker(hold=4)
    await second.dispatcher.recover()
    await second.held(run)
    mine = first.dispatcher.tasks[run.id].task
    first.door.open.set()
    await first.dispatcher.stop()
    assert mine.exception() is None
    second.job.go.set()
    await second.ended(run)
    assert ((await bench.run(run)).state, second.job.committed) == ("succeeded", [3, 4, 5])
