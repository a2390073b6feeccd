"""Rate limits by plan: an account-wide window, smaller windows per endpoint, and what each answer says of them.

Each product has its own plans; `NONE` has no limits, `HOURLY` is an account that was never moved to minute windows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from deskloom.sandbox.clock import Clock


@dataclass(frozen=True, slots=True)
class Plan:
    """Requests (credits) allowed in a window of `seconds`; `parts` are the sub-limits by endpoint."""

    total: int | None
    parts: Mapping[str, int] = field(default_factory=dict)
    seconds: int = 60


NONE = Plan(None)
HOURLY = Plan(3000, seconds=3600)


@dataclass(slots=True)
class _Window:
    ends: float = 0.0
    used: int = 0


class Limits:
    """Counts what an account has used. Time comes from the sandbox's clock."""

    def __init__(self, plan: str, clock: Clock, plans: Mapping[str, Plan]) -> None:
        if plan not in plans:
            raise ValueError(f"There is no rate plan {plan!r}; choose one of {', '.join(plans)}.")
        self.name = plan
        self.plan = plans[plan]
        self._plans = plans
        self._clock = clock
        self._windows: dict[str, _Window] = {}

    def charge(
        self,
        endpoint: str,
        credits: int,
        *,
        parts_in: Literal["requests", "credits"],
        total_of: Literal["account", "endpoint"],
    ) -> tuple[dict[str, str], int | None]:
        """Use up `credits`. Returns the headers and, when refused, the seconds to wait (then nothing is used)."""
        if self.plan.total is None:
            return {"x-ratelimit-used-currentrequest": str(credits)}, None
        now = self._clock.now().timestamp()
        account = self._window("", now)
        wanted = [(account, self.plan.total, credits)]
        part = self.plan.parts.get(endpoint)
        if part is not None:
            wanted.append((self._window(endpoint, now), part, credits if parts_in == "credits" else 1))
        full = [window for window, allowed, cost in wanted if window.used + cost > allowed]
        if not full:
            for window, _, cost in wanted:
                window.used += cost
        shown, allowed, _ = wanted[-1] if total_of == "endpoint" else wanted[0]
        headers = {
            "x-ratelimit-total": str(allowed),
            "x-ratelimit-remaining": str(0 if full else max(allowed - shown.used, 0)),
            "x-ratelimit-used-currentrequest": str(0 if full else credits),
        }
        return headers, max(math.ceil(max(w.ends for w in full) - now), 1) if full else None

    def on(self, plan: str) -> Limits:
        """The same account on another plan, with nothing used yet."""
        return Limits(plan, self._clock, self._plans)

    def reset(self) -> None:
        self._windows.clear()

    def _window(self, name: str, now: float) -> _Window:
        window = self._windows.setdefault(name, _Window())
        # A clock that was set back must not leave a window that never ends.
        if not window.ends - self.plan.seconds <= now < window.ends:
            window.ends, window.used = now + self.plan.seconds, 0
        return window
