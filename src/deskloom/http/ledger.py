"""What a budget needs to share an account's limits with other processes: small loans from one ledger.

A process borrows a few seconds' worth of credits at a time, spends them without asking, and accounts for what it spent
when it borrows again. What is lent and what was spent in the last window is together never more than our share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

LOAN = 5.0
"""Seconds for which borrowed credits may be spent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a process tells the ledger of one purse when it asks. Times are in seconds from now, back or ahead.

    `spent` holds (age, credits) of requests answered since it last asked; `in_flight` counts those not answered.
    `total`, `remaining` (until `renewed_in`) and `paused_for` are what it learned from the helpdesk, None: nothing new.
    """

    spent: Sequence[tuple[float, float]]
    in_flight: float
    window: float
    total: float | None = None
    remaining: float | None = None
    renewed_in: float = 0
    paused_for: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Loan:
    """What the ledger answers: credits to be spent within `LOAN` seconds, or none and how long to wait.

    `total` and `paused_for` are what all processes together know.
    """

    credits: float
    wait: float = 0
    total: float | None = None
    paused_for: float = 0


class Ledger(Protocol):
    """The shared book of one account. `purse` is a class of endpoints, or "" for the account."""

    async def borrow(self, purse: str, account: Account, *, least: float, share: float) -> Loan:
        """Credits for one request at `least`, at best for `LOAN` seconds of our share of the limit.

        While no limit is known one process asks at a time, with one request.
        """
        ...
