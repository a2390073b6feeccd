"""Reads items side by side. One that fails is set aside; many in a row mean that the helpdesk is down (T20, T27)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from deskloom.errors import SourceUnavailable, Unreadable
from deskloom.model import ItemFailure, Kind, Record, Ticket

MOST_IN_A_ROW = 5
"""So many items that fail one after another mean that the helpdesk is down, not that the items are odd."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item: its records, and what of it could not be read."""

    records: tuple[Record, ...] = ()
    failures: tuple[ItemFailure, ...] = ()


def taken(outcomes: Iterable[Outcome]) -> int:
    """How much of a limit they use: a record and a failure of one key count once."""
    return sum(len({one.key for one in (*outcome.records, *outcome.failures)}) for outcome in outcomes)


def unknown(listed: Ticket, reason: str) -> Outcome:
    """A ticket of which more than its row could not be read. Unknown is not empty (T27): neither messages nor time
    entries, and no stamp, so that it is read again when it is seen next."""
    failure = ItemFailure(kind=Kind.TICKET, key=listed.key, reason=reason)
    return Outcome((replace(listed, messages=None, time_entries=None, stamp=None),), (failure,))


@dataclass(slots=True)
class Beside:
    """Counts the failures of one read, over all that it reads side by side."""

    _in_a_row: int = field(default=0, init=False)

    def begin(self) -> None:
        """A new read: earlier failures say nothing about it."""
        self._in_a_row = 0

    async def read_all(
        self,
        items: Sequence[Item],
        read: Callable[[Item], Awaitable[Result]],
        aside: Callable[[Item, str], Result],
    ) -> list[Result]:
        """What `read` makes of each item, in the same order, within the account's budget.

        Where it raises `Unreadable` or `SourceUnavailable`, what `aside` makes of the item and the reason.
        """

        async def one(item: Item) -> Result:
            try:
                result = await read(item)
                self._in_a_row = 0
                return result
            except Unreadable as error:
                return aside(item, error.message)
            except SourceUnavailable as error:
                self._in_a_row += 1
                if self._in_a_row >= MOST_IN_A_ROW:
                    raise
                return aside(item, error.message)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(item)) for item in items]
        except BaseExceptionGroup as errors:
            raise first_error(errors) from None
        return [task.result() for task in tasks]


def first_error(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error behind a group, so that callers see it as it was raised."""
    first = errors.exceptions[0]
    return first_error(first) if isinstance(first, BaseExceptionGroup) else first
