"""Starts a sync whenever a source says that something changed, so that it is found within seconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Protocol, runtime_checkable
from uuid import UUID

import structlog

from deskloom.errors import AlreadyRunning, DeskloomError
from deskloom.record.engine import Record
from deskloom.record.runs import Run, get_run, prune_runs

log = structlog.get_logger(__name__)

REQUESTED_BY = "follow"
PACE = 1.0
"""Seconds from the start of one run to that of the next, at least."""
KEPT = 100
"""How many of the runs that were started here are kept, of each source."""
PRUNED_EVERY = 50
_RETRY = 5.0
_LONGEST_RETRY = 300.0
_POLL = 0.2


@runtime_checkable
class Following(Protocol):
    """A source that can tell when something may have changed."""

    name: str

    def changes(self) -> AsyncIterator[str]:
        """The stream that may have changed, whenever one has. Raises what reading raises."""
        ...


Submit = Callable[..., Awaitable[Run]]


class Follower:
    """Follows sources, each in a task of its own. `submit` and `wait` are the dispatcher's."""

    def __init__(self, record: Record, submit: Submit, wait: Callable[[UUID], Awaitable[None]]) -> None:
        self.record, self.submit, self.wait = record, submit, wait

    async def run_forever(self, sources: Iterable[object]) -> None:
        """Follow every source that can be followed, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for source in sources:
                if isinstance(source, Following):
                    group.create_task(self._follow(source), name=f"follow {source.name}")

    async def _follow(self, source: Following) -> None:
        started, told = 0, ""
        while True:
            try:
                async with aclosing(source.changes()) as changes:  # type: ignore[type-var]
                    async for stream in changes:
                        begun, told = asyncio.get_running_loop().time(), ""
                        await self._sync(source.name, stream)
                        started += 1
                        if started % PRUNED_EVERY == 0:
                            await self._prune(source.name)
                        await asyncio.sleep(max(0.0, PACE - (asyncio.get_running_loop().time() - begun)))
            except DeskloomError as error:
                if error.message != told:  # once, however long it lasts
                    log.warning("a source cannot be followed now", source=source.name, error=error.message)
                told = error.message
            except Exception:  # a bug in following one source must not end the others
                log.exception("a source could not be followed", source=source.name)
            await asyncio.sleep(_RETRY)

    async def _sync(self, source: str, stream: str) -> None:
        """Sync until a run of ours does not fail; while another is under way, what changed may be behind it."""
        pause = _RETRY
        while True:
            try:
                run = await self.submit(source=source, stream=stream, requested_by=REQUESTED_BY)
            except AlreadyRunning as error:
                await self._ended(UUID(error.facts["run_id"]))
                continue
            if (await self._ended(run.id)).state != "failed":
                return
            await asyncio.sleep(pause)
            pause = min(_LONGEST_RETRY, 2 * pause)

    async def _ended(self, run_id: UUID) -> Run:
        await self.wait(run_id)
        while True:  # it may be performed elsewhere
            async with self.record.reading() as tx:
                run = await get_run(tx, run_id)
            if run.finished_at is not None:
                return run
            await asyncio.sleep(_POLL)

    async def _prune(self, source: str) -> None:
        async with self.record.transaction() as tx:
            await prune_runs(tx, source=source, requested_by=REQUESTED_BY, keep=KEPT)
