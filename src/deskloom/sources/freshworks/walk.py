"""Walks a list by position although rows leave and enter it meanwhile, and proves that none was stepped over.

A helpdesk's page numbers count from the front of a list that changes: when a row leaves the front, the rest moves up
and the first row of the next page was on the page before. So every page asked for here begins with a row that was
already seen, and reaches as far as a page can from there (page sizes may be anything up to 100). Where its first row
is not one that was seen, the list has moved, and the walk steps back until it is. Rows that did not change during the
walk are thus all met. Those that did change carry a newer stamp and belong to the next read.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from deskloom.model import Json
from deskloom.sources.freshworks.reader import SIZE, Rows

Get = Callable[[int, int], Awaitable[Rows]]
"""One page of the list, by number and size."""

Mark = tuple[Any, Any]
"""A row as it was: its id and its `updated_at` as given."""


def mark(row: Json) -> Mark:
    return row.get("id"), row.get("updated_at")


@dataclass(slots=True)
class Place:
    """How far a walk has come: rows before `covered` were met; `seen` holds at least the last of them.

    The walk adds to `seen`; a caller whose list is long keeps only the last page of it.
    """

    covered: int = 0
    seen: set[Mark] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Step:
    """One page: the rows not met before, the answer, the position of its first row, and whether the list ends.

    `page` and `size` are what was asked for; `slipped`: rows had left the list, so that the walk stepped back.
    """

    new: list[Json]
    answer: Rows
    start: int
    ended: bool
    page: int
    size: int
    slipped: bool = False


def overlapping(covered: int, last_page: int | None = None) -> tuple[int, int]:
    """The page (number, size) that holds position `covered - 1` and reaches farthest beyond it."""
    at = max(covered - 1, 0)
    choices = [(at // size + 1, size) for size in range(SIZE, SIZE // 2 - 1, -1)]
    allowed = [choice for choice in choices if last_page is None or choice[0] <= last_page]
    return max(allowed or choices[:1], key=lambda choice: choice[0] * choice[1])


async def walk(get: Get, place: Place, *, last_page: int | None = None) -> AsyncGenerator[Step, None]:
    """Steps until one has `ended`, or, without that, until no page up to `last_page` reaches any farther."""
    back, fixed, slipped = 0, None, False
    front: Mark | None = None
    while True:
        if fixed is None:
            page, size = overlapping(max(place.covered - back, 0), last_page)
            start = (page - 1) * size
            if not back and page * size <= place.covered:
                return  # all that may be asked for is met, and more is there
        else:
            page, size, start = place.covered // fixed + 1, SIZE, place.covered
        answer = await get(page, size)
        marks = [mark(row) for row in answer.rows]
        if start and fixed is None and not (marks and marks[0] in place.seen):
            back, slipped = min(back * 2 or 10, place.covered), True
            continue
        new = [row for row, one in zip(answer.rows, marks, strict=True) if one not in place.seen]
        ended = len(marks) < size if answer.more is None else not answer.more
        if start and marks and marks[0] == front and not new:
            ended = True  # a server that does not page sends its first rows for ever
        front = marks[0] if marks and not start else front
        if not ended and len(marks) < size:
            fixed = fixed or len(marks)  # the server has its own page size (T9): plain page numbers are all there is
        place.covered, back = start + len(marks), 0
        place.seen |= set(marks)
        yield Step(new, answer, start, ended, page, size, slipped)
        slipped = False
        if ended:
            return
