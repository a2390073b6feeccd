"""Walking a list that moves: nothing that stayed as it was is stepped over."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from deskloom.sources.freshworks.reader import Rows
from deskloom.sources.freshworks.walk import Place, overlapping, walk


@given(covered=st.integers(0, 60_000))
def test_a_page_begins_before_the_place_and_reaches_beyond_it(covered: int) -> None:
    """Whatever the place, some allowed page holds the last row met and at least one more."""
    page, size = overlapping(covered)
    assert 50 <= size <= 100
    assert (page - 1) * size <= max(covered - 1, 0) < page * size
    assert page * size > covered


@given(covered=st.integers(0, 29_999))
def test_no_page_is_asked_for_beyond_the_last_allowed_one(covered: int) -> None:
    """T2: where page 301 is refused, page sizes are chosen so that it is not needed."""
    page, size = overlapping(covered, 300)
    assert page <= 300
    assert page * size > covered


async def met(
    rows: list[dict[str, Any]], changes: dict[int, list[tuple[str, int]]], links: bool
) -> tuple[list[int], int]:
    """The ids a walk meets in a list that changes before the given calls, and the number of calls."""
    rows, calls, newest = list(rows), 0, 10_000

    async def get(page: int, size: int) -> Rows:
        nonlocal calls, newest
        for what, where in changes.get(calls, []):
            if what == "remove" and rows:
                rows.pop(where % len(rows))
            elif what == "insert":
                newest += 1
                rows.insert(where % (len(rows) + 1), {"id": newest, "updated_at": "new"})
            elif what == "move" and rows:
                row = rows.pop(where % len(rows))
                rows.append(row | {"updated_at": f"moved {calls}"})
        calls += 1
        assert calls < 200
        part = rows[(page - 1) * size : page * size]
        return Rows(part, len(rows) > page * size if links else None, None)

    found = [row["id"] async for step in walk(get, Place()) for row in step.new]
    return found, calls


def listed(count: int) -> list[dict[str, Any]]:
    return [{"id": key, "updated_at": "old"} for key in range(count)]


@settings(max_examples=100, deadline=None)
@given(
    count=st.integers(0, 700),
    changes=st.dictionaries(
        st.integers(1, 8),
        st.lists(st.tuples(st.sampled_from(["remove", "insert", "move"]), st.integers(0, 800)), max_size=60),
        max_size=6,
    ),
    links=st.booleans(),
)
async def test_every_row_that_stayed_is_met(count: int, changes: dict[int, list[tuple[str, int]]], links: bool) -> None:
    """T5: rows may leave, enter and move between any two pages; every row that did none of it is met."""
    touched: set[int] = set()
    rows = listed(count)
    alive, newest = list(rows), 10_000
    for call in sorted(changes):  # the same changes, on a copy: which rows are still as they were
        for what, where in changes[call]:
            if what == "remove" and alive:
                touched.add(alive.pop(where % len(alive))["id"])
            elif what == "insert":
                newest += 1
                alive.insert(where % (len(alive) + 1), {"id": newest})
            elif what == "move" and alive:
                row = alive.pop(where % len(alive))
                touched.add(row["id"])
                alive.append(row)
    found, _ = await met(rows, changes, links)
    assert set(range(count)) - touched <= set(found)


async def test_a_list_that_rests_costs_little_more_than_full_pages() -> None:
    """Looking back costs at most one call in six more than pages that do not overlap, and nothing on short lists."""
    for count in (0, 1, 99, 100, 101, 1000, 5000):
        found, calls = await met(listed(count), {}, True)
        assert found == list(range(count))
        assert calls <= max(1, math.ceil(count / (97 if count < 1000 else 86)))


async def test_t9_a_server_with_its_own_page_size_is_read_to_the_end() -> None:
    """A page of 30 where 100 were asked for is not the end if a Link says that more follows."""
    rows = listed(100)

    async def get(page: int, size: int) -> Rows:
        return Rows(rows[(page - 1) * 30 : page * 30], page * 30 < len(rows), None)

    assert [row["id"] async for step in walk(get, Place()) for row in step.new] == list(range(100))


async def test_a_server_that_does_not_page_is_read_once() -> None:
    """A server that sends the same full page for every number does not keep the walk for ever."""

    async def get(page: int, size: int) -> Rows:
        return Rows(listed(100)[:size], None, None)

    found = [row["id"] async for step in walk(get, Place()) for row in step.new]
    assert found == list(range(100))
