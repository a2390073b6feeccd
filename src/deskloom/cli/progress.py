"""How runs are watched: bars on a terminal, one line per event elsewhere, nothing when only JSON is wanted."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from deskloom.cli.output import clean, console, counted, interactive, say

if TYPE_CHECKING:
    from rich.progress import TaskID

Run = dict[str, Any]
"""A run as the API tells it (API.md, Helpdesk sync)."""

LINE_EVERY = 10.0
"""Seconds between two lines about a run that is only getting on."""


class Watch(Protocol):
    """Shows runs as they go. Used as a context manager."""

    def __enter__(self) -> Watch: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def say(self, text: str) -> None:
        """Tell something that happened."""
        ...

    def show(self, run: Run) -> None:
        """Show how a run stands now; may be called as often as one likes."""
        ...


def watch(*, silent: bool = False) -> Watch:
    """The way of watching that fits standard output."""
    if silent:
        return Silence()
    return Bars() if interactive() else Lines()


class Silence:
    """Shows nothing: the caller wants JSON and nothing else."""

    def __enter__(self) -> Silence:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def say(self, text: str) -> None:
        pass

    def show(self, run: Run) -> None:
        pass


class Lines:
    """A line when a run's phase changes, and every ten seconds while it only gets on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, out: Callable[[str], None] = say) -> None:
        self._clock = clock
        self._out = out
        self._told: dict[str, tuple[str, float, float]] = {}

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def say(self, text: str) -> None:
        self._out(text)

    def show(self, run: Run) -> None:
        phase = re.sub(r"\d+", "#", _phase(run))  # a countdown is one event
        work = run["counts"]["fetched"] + run["counts"]["indexed"]
        told = self._told.get(run["id"])
        now = self._clock()
        if told is not None and told[0] == phase and (told[1] == work or now - told[2] < LINE_EVERY):
            return
        self._told[run["id"]] = (phase, work, now)
        self._out(f"{title(run)}: {_phase(run)}; {_standing(run)}")


class Bars:
    """A bar for each run, with its phase, its API calls, and why it waits if it does."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24, complete_style="cyan", finished_style="green", pulse_style="cyan"),
            TextColumn("{task.fields[items]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[phase]}", style="dim", markup=False),
            console=console(),
            refresh_per_second=8,
        )

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        self._progress.console.print(text, markup=False)

    def show(self, run: Run) -> None:
        done, total = _share(run)
        ended = run["state"] not in ("queued", "running")
        name = run["id"]
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(title(run), total=None, items="", phase="")
        self._progress.update(
            self._tasks[name],
            total=total,
            completed=done,
            items=_standing(run),
            phase="" if ended else _phase(run),
        )
        if ended:
            self._progress.stop_task(self._tasks[name])


def _share(run: Run) -> tuple[int, int | None]:
    """How much of the bar is full, of how much; a total of None: nobody knows yet."""
    progress = run["progress"]
    done, total = progress["done"], progress["total"]
    if run["state"] not in ("queued", "running"):
        return 1, 1
    if total is None and progress["phase"] == "publishing":  # everything is read, so that is the total
        return run["counts"]["indexed"], done or None
    return done, total


def title(run: Run) -> str:
    """`freshdesk tickets`; `verify` for a run that is not about one source."""
    return clean(run["stream"] if run["source"] == "*" else f"{run['source']} {run['stream']}")


def _phase(run: Run) -> str:
    if run["state"] in ("queued", "running"):
        return clean(run["progress"]["phase"])
    return str(run["state"])


def _standing(run: Run) -> str:
    counts, done, total = run["counts"], run["progress"]["done"], run["progress"]["total"]
    items = f"{done:,} of {total:,} items" if total and total >= done else counted(done, "item")
    return f"{items}, {counts['embedded']:,} embedded, {counted(counts['api_calls'], 'API call')}"
