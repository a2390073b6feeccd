"""The schedules that a new user would want: proposed when a source is added."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from deskloom.sync.schedule import EVERY_SOURCE


@dataclass(frozen=True, slots=True)
class Proposal:
    """A schedule, and why one would want it."""

    source: str
    stream: str
    mode: str
    cron: str
    jitter: int
    why: str

    def body(self) -> dict[str, Any]:
        """It as `POST /schedules` takes it."""
        asked: dict[str, Any] = {"stream": self.stream, "mode": self.mode, "cron": self.cron, "source": self.source}
        return asked | {"jitter_seconds": self.jitter}

    @property
    def _word(self) -> str:
        return "tables" if self.stream == "rows" else self.stream

    def command(self) -> str:
        """The command that adds it."""
        mode = f" --mode {self.mode}" if self.mode not in ("incremental", "verify") else ""
        source = "" if self.source == EVERY_SOURCE else f" --source {self.source}"
        return f"deskloom schedules add {self._word} {shlex.quote(self.cron)}{source}{mode} --jitter {self.jitter}"

    def line(self) -> str:
        """It for people."""
        return f"{self._word} {self.mode}: {shlex.quote(self.cron)} UTC, {self.why}"


def propose(source: str, streams: Iterable[str], check_hours: float, *, followed: bool = False) -> list[Proposal]:
    """Schedules for a source that has these streams; `check_hours` as SYNC_CONSISTENCY_CHECK_INTERVAL (0: none).

    Tickets have a list of what changed, so asking often costs few calls; articles have none and are walked whole. A
    table that is `followed` by triggers or replication is synced whenever it changes, without a clock.
    """
    having = set(streams)
    wanted = []
    if "tickets" in having:
        wanted.append(Proposal(source, "tickets", "incremental", "*/10 * * * *", 60, "what changed, every 10 minutes"))
    if "kb" in having:
        wanted.append(Proposal(source, "kb", "incremental", "25 */6 * * *", 300, "articles, every 6 hours"))
    if "tickets" in having:
        wanted.append(Proposal(source, "tickets", "sweep", "15 3 * * *", 300, "what was deleted there, every night"))
    if "hours" in having:
        wanted.append(Proposal(source, "hours", "incremental", "45 2 * * *", 300, "time entries, every night"))
    if "rows" in having:
        if not followed:
            wanted.append(Proposal(source, "rows", "incremental", "*/5 * * * *", 30, "what changed, every 5 minutes"))
        wanted.append(Proposal(source, "rows", "sweep", "35 3 * * *", 300, "what was missed or removed, every night"))
    if cron := hourly(check_hours):
        wanted.append(Proposal(EVERY_SOURCE, "verify", "verify", cron, 60, "compares record and index"))
    return wanted


def hourly(hours: float) -> str | None:
    """The cron expression that comes nearest to every so many hours, within a day; None for 0."""
    if hours <= 0:
        return None
    if hours < 1:
        return f"*/{max(1, round(hours * 60))} * * * *" if hours <= 0.5 else "*/30 * * * *"
    if hours < 1.5:
        return "40 * * * *"
    return f"40 */{round(hours)} * * *" if hours <= 12 else "40 4 * * *"
