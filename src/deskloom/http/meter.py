"""Counts what one run asks of a helpdesk, although several runs share one client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime

_current: ContextVar[Meter | None] = ContextVar("deskloom_meter", default=None)


@dataclass(slots=True)
class Meter:
    """Calls and credits of one run, and the time it stood still. Waits that overlap are counted once.

    `waiting_until` and `waiting_for` are set while the run waits, and None otherwise.
    """

    calls: int = 0
    credits: float = 0
    waited_seconds: float = 0
    waiting_until: datetime | None = None
    waiting_for: str | None = None
    _waiters: int = field(default=0, repr=False)
    _since: float = field(default=0, repr=False)

    def begin_wait(self, at: float, until: datetime, why: str) -> None:
        """Note that one of the run's requests starts to wait; `at` is monotonic seconds."""
        if not self._waiters:
            self._since = at
        self._waiters += 1
        if self.waiting_until is None or until > self.waiting_until:
            self.waiting_until, self.waiting_for = until, why

    def end_wait(self, at: float) -> None:
        self._waiters -= 1
        if not self._waiters:
            self.waited_seconds += at - self._since
            self.waiting_until = self.waiting_for = None


def current_meter() -> Meter:
    """The meter of the run that is asking; a throw-away one outside of runs."""
    return _current.get() or Meter()


@contextmanager
def metered(meter: Meter) -> Iterator[Meter]:
    """Everything asked inside, tasks started inside included, counts on `meter`."""
    token = _current.set(meter)
    try:
        yield meter
    finally:
        _current.reset(token)
