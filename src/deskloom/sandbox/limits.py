"""Rate limits by plan: an account-wide window, smaller windows per endpoint, and what each answer says of them.

Figures: HELPDESK-APIS 2.3. `none` has no limits; `hourly` is an account that was never moved to minute windows.
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


def _parts(create: int, update: int, tickets: int, contacts: int) -> dict[str, int]:
    return {
        "POST /tickets": create,
        "PUT /tickets/[id]": update,
        "GET /tickets": tickets,
        "GET /contacts": contacts,
    }


PLANS: Mapping[str, Plan] = {
    "none": Plan(None),
    "trial": Plan(50),
    "growth": Plan(200, _parts(80, 80, 20, 20)),
    "pro": Plan(400, _parts(160, 160, 100, 100)),
    "enterprise": Plan(700, _parts(280, 280, 200, 200)),
    "hourly": Plan(3000, seconds=3600),
}


@dataclass(slots=True)
class _Window:
    ends: float = 0.0
    used: int = 0


class Limits:
    """Counts what an account has used. Time comes from the sandbox's clock."""

    def __init__(self, plan: str, clock: Clock) -> None:
        if plan not in PLANS:
            raise ValueError(f"There is no rate plan {plan!r}; choose one of {', '.join(PLANS)}.")
        self.name = plan
        self.plan = PLANS[plan]
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

    def reset(self) -> None:
        self._windows.clear()

    def _window(self, name: str, now: float) -> _Window:
        window = self._windows.setdefault(name, _Window())
        # A clock that was set back must not leave a window that never ends.
        if not window.ends - self.plan.seconds <= now < window.ends:
            window.ends, window.used = now + self.plan.seconds, 0
        return window
