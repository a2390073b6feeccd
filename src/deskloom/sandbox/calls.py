"""What was asked of the sandbox: counts by endpoint and status, credits, and the last request lines."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any


class Calls:
    """Counts since the last reset. The log keeps the newest 50,000 lines; it never holds a key or a body."""

    def __init__(self) -> None:
        self.log: deque[dict[str, Any]] = deque(maxlen=50_000)
        self.reset()

    def reset(self) -> None:
        self.endpoints: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.credits = 0
        self.log.clear()

    @property
    def total(self) -> int:
        return self.endpoints.total()

    def note(self, endpoint: str, line: str, outcome: str, credits: int, at: str) -> None:
        self.endpoints[endpoint] += 1
        self.statuses[outcome] += 1
        self.credits += credits
        self.log.append({"request": line, "outcome": outcome, "credits": credits, "at": at})

    def as_row(self, *, log: bool = False) -> dict[str, Any]:
        row: dict[str, Any] = {
            "total": self.total,
            "credits": self.credits,
            "by_endpoint": dict(sorted(self.endpoints.items())),
            "by_outcome": dict(sorted(self.statuses.items())),
        }
        if log:
            row["log"] = list(self.log)
        return row
