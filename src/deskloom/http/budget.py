"""How much may be asked of one account, learned from its own answers (HELPDESK-APIS 2.3, T8 of section 1, T37, T38).

The account and every class of endpoints have a purse each. A request is admitted when both have enough left in the
minute before now. A request counts from its admission until a minute after its answer, which is never less than the
helpdesk's own count, wherever its windows begin.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from math import inf

from deskloom.http.ledger import LOAN, Account, Ledger, Loan
from deskloom.http.meter import current_meter
from deskloom.http.timing import Timing

MINUTE, HOUR = 60.0, 3600.0
_GRAIN = 0.05


@dataclass(slots=True)
class _Purse:
    """Credits of one limit: what was spent in the window, what is in flight, and what the helpdesk said is left."""

    total: float | None = None
    remaining: float | None = None
    window: float = MINUTE
    renewed_by: float = 0
    paused_until: float = 0
    spent: deque[tuple[float, float]] = field(default_factory=deque)
    spent_sum: float = 0
    in_flight: float = 0
    requests: int = 0
    answered: bool = False
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    lent: float = 0
    lent_until: float = 0
    unreported: list[tuple[float, float]] = field(default_factory=list)

    def delay(self, now: float, cost: float, share: float) -> float:
        """Seconds until `cost` credits may be spent; 0 means now."""
        while self.spent and self.spent[0][0] <= now - self.window:
            self.spent_sum -= self.spent.popleft()[1]
        if self.paused_until > now:
            return self.paused_until - now
        if not self.requests and not self.spent:
            return 0.0  # a limit smaller than one request must not stop everything
        if self.remaining is not None and now < self.renewed_by and self.remaining - self.in_flight < cost:
            return self.renewed_by - now
        if self.total is None:
            return 0.0
        over = self.spent_sum + self.in_flight + cost - self.total * share
        if over <= 0:
            return 0.0
        for at, amount in self.spent:
            over -= amount
            if over <= 0:
                return max(at + self.window - now, _GRAIN)
        return inf if self.requests else 0.0  # only requests in flight stand in the way: their answers will tell

    def learn(self, now: float, total: float | None, remaining: float | None, cost: float) -> None:
        if total is not None:
            self.total = total
        if remaining is None:
            self.remaining = None if self.remaining is None else self.remaining - cost
            return
        if self.remaining is None or remaining > self.remaining or now >= self.renewed_by:
            self.renewed_by = now + self.window  # the helpdesk's window began at this answer at the latest
        self.remaining = remaining

    def account(self, now: float, spent: list[tuple[float, float]]) -> Account:
        """What is told to the ledger that this purse is shared through."""
        return Account(
            spent=[(now - at, amount) for at, amount in spent],
            in_flight=self.in_flight,
            window=self.window,
            total=self.total,
            remaining=self.remaining if spent and now < self.renewed_by else None,
            renewed_in=self.renewed_by - now,
            paused_for=max(self.paused_until - now, 0),
        )

    def take(self, loan: Loan, now: float) -> None:
        """Use a loan in place of what is left of the last one, and learn what other processes know."""
        self.lent, self.lent_until = loan.credits, now + LOAN
        self.total = self.total if loan.total is None else loan.total
        self.paused_until = max(self.paused_until, now + loan.paused_for)


@dataclass(frozen=True, slots=True)
class Admission:
    """A request that was admitted, until it is settled."""

    kind: str
    cost: float


class Budget:
    """The purses of one account. `share`: the part of each limit we may use; `concurrency`: requests at a time.

    With a `ledger` the limits are shared with other processes. A class whose limit is not smaller than the account's
    is held by the account's purse, and asks the ledger for nothing.
    """

    def __init__(
        self, *, label: str, share: float, concurrency: int, timing: Timing, ledger: Ledger | None = None
    ) -> None:
        self._ledger = ledger
        self._label, self._share, self._timing = label, share, timing
        self._slots = asyncio.Semaphore(concurrency)
        self._account = _Purse()
        self._classes: dict[str, _Purse] = {}
        self._costs: dict[str, float] = {}

    async def admit(self, kind: str, guess: float) -> Admission:
        """Wait until a request of class `kind` may be sent; `guess` is its cost until one was answered.

        The first request of an account, and of a class, goes alone, since nothing is known before its answer. Every
        admission must be settled.
        """
        purse = self._classes.setdefault(kind, _Purse())
        async with purse.turn:
            while True:
                await self._until_free(purse, kind, guess)
                if self._is_apart(purse):
                    await self._until_lent(purse, kind, guess)
                await self._slots.acquire()
                try:
                    async with self._account.turn:
                        await self._until_free(self._account, kind, guess)
                        await self._until_lent(self._account, kind, guess)
                        cost = self._costs.get(kind, guess)
                        if self._delay(purse, cost) <= 0:
                            for each in (purse, self._account):
                                each.requests += 1
                                each.in_flight += cost
                                each.lent -= cost
                            return Admission(kind, cost)
                except BaseException:
                    self._slots.release()
                    raise
                self._slots.release()  # the class was held back meanwhile: others may go first

    def settle(self, admission: Admission, headers: Mapping[str, str] | None) -> float:
        """Count an answer (None: there was none) and learn from its headers; returns the credits it used."""
        self._slots.release()
        now, answered = self._timing.monotonic(), headers is not None
        headers = headers or {}
        used = read_number(headers.get("x-ratelimit-used-currentrequest"))
        total, remaining = (read_number(headers.get(f"x-ratelimit-{name}")) for name in ("total", "remaining"))
        cost = admission.cost if used is None else used
        if used:
            self._costs[admission.kind] = used
        purse = self._classes[admission.kind]
        purse.learn(now, total, remaining, cost)
        if total is not None:
            # A class may be told its own, smaller limit in the same header; the largest one seen is the account's.
            of_account = self._account.total is None or total >= self._account.total
            self._account.learn(now, total if of_account else None, remaining if of_account else None, cost)
        for each in (purse, self._account):
            each.requests -= 1
            each.in_flight = each.in_flight - admission.cost if each.requests else 0
            each.spent.append((now, cost))
            each.lent -= cost - admission.cost
            if self._ledger is not None:
                each.unreported.append((now, cost))
            each.spent_sum += cost
            each.answered = each.answered or answered
            each.answers.set()
        return cost

    def pause(self, kind: str, seconds: float, headers: Mapping[str, str]) -> None:
        """Obey a 429: hold the class, or the whole account when the limit that was hit is the account's."""
        until = self._timing.monotonic() + seconds
        total = read_number(headers.get("x-ratelimit-total"))
        remaining = read_number(headers.get("x-ratelimit-remaining"))
        largest = self._account.total
        of_class = (total is not None and largest is not None and total < largest) or (remaining or 0) > 0
        for each in (self._classes[kind],) if of_class else (self._classes[kind], self._account):
            each.paused_until = max(each.paused_until, until)
            each.window = HOUR if seconds > MINUTE else each.window  # an old account, never moved to minute windows
            each.remaining = None

    async def tell(self, kind: str) -> None:
        """Tell the other processes, if limits are shared, of a pause."""
        if self._ledger is not None:
            for each in (self._classes[kind], self._account):
                if each.paused_until > self._timing.monotonic():
                    await self._borrow(self._ledger, each, kind, 0)

    def _is_apart(self, purse: _Purse) -> bool:
        """Whether a class has a limit of its own, below the account's."""
        return purse.total is not None and purse.total < (self._account.total or 0)

    async def _until_lent(self, purse: _Purse, kind: str, guess: float) -> None:
        """Wait until the ledger, if there is one, has lent enough for the request."""
        while True:
            now, cost = self._timing.monotonic(), self._costs.get(kind, guess)
            if self._ledger is None or (purse.answered and purse.total is None):
                return  # an account that tells no limit is not held back
            if purse.lent >= cost and now < purse.lent_until:
                return
            loan = await self._borrow(self._ledger, purse, kind, cost)
            if loan.credits < cost:
                await wait(self._timing, max(loan.wait, _GRAIN), f"{self._label}'s rate limit")

    async def _borrow(self, ledger: Ledger, purse: _Purse, kind: str, least: float) -> Loan:
        now = self._timing.monotonic()
        spent, purse.unreported = purse.unreported, []
        try:
            name = "" if purse is self._account else kind
            loan = await ledger.borrow(name, purse.account(now, spent), least=least, share=self._share)
        except BaseException:
            purse.unreported = spent + purse.unreported
            raise
        purse.take(loan, now)
        return loan

    def _delay(self, purse: _Purse, cost: float) -> float:
        if not purse.answered and purse.requests:
            return inf
        return purse.delay(self._timing.monotonic(), cost, self._share)

    async def _until_free(self, purse: _Purse, kind: str, guess: float) -> None:
        """Wait until one purse allows the request; its cost may become known meanwhile."""
        while (delay := self._delay(purse, self._costs.get(kind, guess))) > 0:
            if delay == inf:
                purse.answers.clear()
                await purse.answers.wait()
            else:
                await wait(self._timing, delay, f"{self._label}'s rate limit")


async def wait(timing: Timing, seconds: float, why: str) -> None:
    """Sleep, and let the run's meter tell how long and what for."""
    meter = current_meter()
    meter.begin_wait(
        timing.monotonic(), timing.now() + timedelta(seconds=seconds), f"waiting {seconds:.0f} s for {why}"
    )
    try:
        await timing.sleep(seconds)
    finally:
        meter.end_wait(timing.monotonic())


def read_number(text: str | None) -> float | None:
    """A header's figure; some accounts send `100.0` (HELPDESK-APIS 2.3)."""
    try:
        number = float(text) if text is not None else None
    except ValueError:
        return None
    return number if number is not None and 0 <= number < inf else None
