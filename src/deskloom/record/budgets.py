"""Helpdesk budgets that several processes share: one row a purse, which whoever borrows from it locks for an instant.

A loan costs two statements and lasts some seconds, however many requests are made with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.http.ledger import LOAN, Account, Loan
from deskloom.record.engine import Record
from deskloom.record.statements import Row, insert
from deskloom.record.tables import budgets

GRACE = 2.0
"""Seconds by which a request may reach the helpdesk after the loan it was admitted under has ended."""
GRAIN = 0.5
"""Spending is kept by half seconds: a window has at most so many entries."""
LEARNING = 0.25
"""Seconds after which is looked again whether another process has learned the limit."""


@dataclass(slots=True)
class _Book:
    """One purse as it stands at a moment, in seconds since the epoch. `held`: process → (until, credits)."""

    now: float
    window: float
    total: float | None = None
    remaining: float | None = None
    renewed_by: float = 0
    paused_until: float = 0
    spent: list[tuple[float, float]] = field(default_factory=list)
    held: dict[str, tuple[float, float]] = field(default_factory=dict)

    def enter(self, process: str, account: Account) -> None:
        """Take in what a process has spent and learned since it asked last; what it had borrowed is settled."""
        self.window = max(self.window, account.window)
        self.held.pop(process, None)
        self.total = self.total if account.total is None else account.total
        self.paused_until = max(self.paused_until, self.now + account.paused_for)
        if account.remaining is not None:
            heard = self.now - min(age for age, _ in account.spent)
            since = sum(credits for at, credits in self.spent if at > heard) + self._lent() + account.in_flight
            self.remaining, self.renewed_by = account.remaining - since, self.now + account.renewed_in
        by_time: dict[float, float] = {}
        for at, credits in [*self.spent, *((self.now - age, credits) for age, credits in account.spent)]:
            slot = math.ceil(at / GRAIN) * GRAIN
            by_time[slot] = by_time.get(slot, 0) + credits
        self.spent = [(at, by_time[at]) for at in sorted(by_time) if at > self.now - self.window]
        self.held = {name: loan for name, loan in self.held.items() if self._ends(loan[0]) > self.now}

    def lend(self, process: str, in_flight: float, least: float, share: float) -> Loan:
        """Lend what there is room for, up to `LOAN` seconds' worth."""
        paused = max(self.paused_until - self.now, 0)
        if self.total is None:
            # Nobody knows the limit yet. One request goes, and its answer tells.
            busy = any(until > self.now for until, _ in self.held.values())
            credits, pause = (0.0, LEARNING) if busy else (least, 0.0)
        else:
            limit = self.total * share
            used = sum(credits for _, credits in self.spent) + self._lent() + in_flight
            room = limit - used
            if self.remaining is not None and self.now < self.renewed_by:
                room = min(room, self.remaining)
            wanted = max(least, limit / self.window * LOAN)
            if room >= least:
                credits, pause = min(wanted, room), 0.0
            elif not used:
                credits, pause = least, 0.0  # a limit smaller than one request must not stop everything
            else:
                credits, pause = 0.0, self._until(least - (limit - used))
        if credits or in_flight:
            self.held[process] = (self.now + LOAN, credits + in_flight)
        if self.remaining is not None:
            self.remaining -= credits
        return Loan(credits=credits, wait=pause, total=self.total, paused_for=paused)

    def _until(self, lacking: float) -> float:
        """Seconds until so much is free again; not beyond `LOAN`, when others have accounted for their loans."""
        frees = [(at + self.window, credits) for at, credits in self.spent]
        frees += [(self._ends(until), credits) for until, credits in self.held.values()]
        for at, credits in sorted(frees):
            lacking -= credits
            if lacking <= 0:
                return min(max(at - self.now, 0), LOAN)
        return LOAN

    def _lent(self) -> float:
        return sum(credits for _, credits in self.held.values())

    def _ends(self, until: float) -> float:
        return until + GRACE + self.window


class RecordLedger:
    """The ledger of one account, in the record. `clock` is the same for all processes: the database's."""

    def __init__(self, record: Record, account: str, *, clock: Callable[[], datetime]) -> None:
        self._record = record
        self._account = account
        self._clock = clock
        self._process = uuid4().hex

    async def borrow(self, purse: str, account: Account, *, least: float, share: float) -> Loan:
        """As `http.Ledger` says. Raises what `Record.transaction` raises."""
        async with self._record.transaction() as tx:
            book = await self._open(tx, purse, account.window)
            book.enter(self._process, account)
            loan = book.lend(self._process, account.in_flight, least, share)
            await tx.execute(update(budgets).where(*self._is(purse)).values(**_row(book)))
        return loan

    def _is(self, purse: str) -> tuple[Any, Any]:
        return budgets.c.account == self._account, budgets.c.purse == purse

    async def _open(self, tx: AsyncConnection, purse: str, window: float) -> _Book:
        query = select(budgets).where(*self._is(purse)).with_for_update()
        row = (await tx.execute(query)).mappings().first()
        if row is None:
            new = {"account": self._account, "purse": purse, "window_seconds": window, "spent": [], "held": {}}
            await tx.execute(insert(tx, budgets).values(new).on_conflict_do_nothing())
            row = (await tx.execute(query)).mappings().one()
        return _Book(
            now=self._clock().timestamp(),  # after the row was locked: earlier loans lie before it
            window=row["window_seconds"],
            total=row["total"],
            remaining=row["remaining"],
            renewed_by=_stamp(row["renewed_by"]),
            paused_until=_stamp(row["paused_until"]),
            spent=[(at, credits) for at, credits in row["spent"]],
            held={name: (until, credits) for name, (until, credits) in row["held"].items()},
        )


def _row(book: _Book) -> Row:
    return {
        "total": book.total,
        "remaining": book.remaining,
        "renewed_by": _moment(book.renewed_by),
        "window_seconds": book.window,
        "paused_until": _moment(book.paused_until),
        "spent": book.spent,
        "held": book.held,
    }


def _stamp(moment: datetime | None) -> float:
    return moment.timestamp() if moment else 0.0


def _moment(stamp: float) -> datetime | None:
    return datetime.fromtimestamp(stamp, UTC) if stamp else None
