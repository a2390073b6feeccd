"""Walking Freshservice's ticket list, whatever its order: nothing is lost, and the window moves only where it may."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deskloom.errors import SourceRejected, WindowStuck
from deskloom.model import Json, TicketState
from deskloom.sources.freshservice.lists import Lists
from deskloom.sources.freshservice.windows import Order, Window, finished, open_window, stopped
from deskloom.sources.freshworks.passes import Pass
from deskloom.sources.freshworks.reader import Rows
from deskloom.sources.freshworks.values import EPOCH, instant, iso

BEGAN = datetime(2026, 11, 2, 9, tzinfo=UTC)
ACTIVE = Pass("active", TicketState.ACTIVE)
LIMIT = 400
ROLL = 150
"""Here a window moves on after two pages already."""


class _Client:
    title = 'Freshservice "acme"'


@dataclass
class Account:
    """A list of tickets that changes before given calls. `honours`: it sorts by `order_by`; else by `column`, and
    where it `descends` it does not take `order_type` either."""

    rows: list[dict[str, Any]]
    column: str = "created_at"
    honours: bool = False
    descends: bool = False
    refuses: bool = False
    inclusive: bool = True
    last_page: int | None = None
    changes: dict[int, list[tuple[str, int]]] = field(default_factory=dict)
    now: datetime = BEGAN
    asked: list[Json] = field(default_factory=list)
    client: _Client = field(default_factory=_Client)

    async def page(self, path: str, params: Json, **_: Any) -> Rows:
        self.now += timedelta(seconds=3)
        for what, where in self.changes.get(len(self.asked), []):
            self.change(what, where)
        self.asked.append(params)
        assert len(self.asked) < LIMIT
        page, size = params["page"], params["per_page"]
        if (self.refuses and "order_by" in params) or (self.last_page is not None and page > self.last_page):
            raise SourceRejected("no", fields=[])
        since = params["updated_since"]
        inside = [
            row for row in self.rows if row["updated_at"] > since or self.inclusive * (row["updated_at"] == since)
        ]
        column = "updated_at" if self.honours and "order_by" in params else self.column
        inside.sort(key=lambda row: (row[column], row["id"]), reverse=self.descends)
        part = inside[(page - 1) * size : page * size]
        return Rows([dict(row) for row in part], len(inside) > page * size, self.now)

    def change(self, what: str, where: int) -> None:
        stamp = iso(self.now)
        if what == "create":
            key = 10_000 + len(self.asked) * 100 + where % 100
            self.rows.append({"id": key, "created_at": stamp, "updated_at": stamp})
        elif self.rows:
            row = self.rows[where % len(self.rows)]
            if what == "delete":
                self.rows.remove(row)
            else:
                row["updated_at"] = stamp


def account(count: int, spread: int = 7, **options: Any) -> Account:
    """Tickets that did not change in the order in which they were made, some in the same second."""
    rows = []
    for key in range(1, count + 1):
        made = BEGAN - timedelta(days=30) + timedelta(seconds=(key * 37) % max(count, 1))
        changed = BEGAN - timedelta(days=20) + timedelta(seconds=(key * 101) % max(count, 1) // spread)
        rows.append({"id": (key * 53) % 9973, "created_at": iso(made), "updated_at": iso(changed)})
    return Account(rows, **options)


Met = dict[int, str]


async def read(desk: Account, state: Json, met: Met, cut: int | None = None) -> Json:
    """One pass from `state`, all of it or cut in the middle of its page `cut`; what was met goes to `met`."""
    window, number = open_window(state, TicketState.ACTIVE, desk.now), 0
    steps = Lists(desk, roll=ROLL).steps(ACTIVE, window)  # type: ignore[arg-type]
    async for window, step in steps:
        rows = step.answer.rows
        if number == cut:
            rows = rows[: len(rows) // 2]
        new = [row for row in step.new if row in rows]
        met |= {row["id"]: row["updated_at"] for row in new}
        window = window.after(step.start, rows)
        if number == cut:
            return stopped(window, state)
        number += 1
    return finished(window, state)


_CHANGES = st.dictionaries(
    st.integers(1, 9),
    st.lists(st.tuples(st.sampled_from(["touch", "delete", "create"]), st.integers(0, 900)), max_size=40),
    max_size=6,
)


@settings(max_examples=150, deadline=None)
@given(
    count=st.integers(0, 600),
    spread=st.sampled_from([1, 7, 150, 10_000]),
    column=st.sampled_from(["created_at", "updated_at", "id"]),
    honours=st.booleans(),
    descends=st.booleans(),
    inclusive=st.booleans(),
    changes=_CHANGES,
    cut=st.none() | st.integers(0, 6),
)
async def test_nothing_is_lost_whatever_the_order(
    count: int,
    spread: int,
    column: str,
    honours: bool,
    descends: bool,
    inclusive: bool,
    changes: dict[int, list[tuple[str, int]]],
    cut: int | None,
) -> None:
    """Tickets change, come and go between any two pages, and the read may be cut off: by the end of the read after
    that, every ticket that is there was met as it is."""
    desk = account(count, spread, column=column, honours=honours, inclusive=inclusive, changes=changes)
    desk.descends = descends
    met: Met = {}
    state = await read(desk, {}, met, cut)
    desk.changes = {}
    state = await read(desk, state, met)
    if "since" in state or cut is not None:
        state = await read(desk, state, met)
    there = {row["id"]: row["updated_at"] for row in desk.rows}
    assert {key: met.get(key) for key in there} == there


async def test_the_window_moves_only_where_the_order_is_proven() -> None:
    """In order of change the window rolls, so no deep page is asked for; in another order, or by chance, it stays."""
    for honours in (True, False):
        desk = account(1500, spread=1, honours=honours)
        met: Met = {}
        await read(desk, {}, met)
        windows = {params["updated_since"] for params in desk.asked}
        assert len(met) == 1500
        assert (len(windows) > 1, max(params["page"] for params in desk.asked) < 6) == (honours, honours)


@pytest.mark.parametrize("inclusive", [True, False])
async def test_a_window_moves_to_within_a_second(inclusive: bool) -> None:
    """T3: of tickets that share the second to which the window moves, none is skipped."""
    desk = account(600, spread=1, honours=True, inclusive=inclusive)
    for place, row in enumerate(sorted(desk.rows, key=lambda row: str(row["updated_at"]))):
        row["updated_at"] = iso(BEGAN - timedelta(hours=1) + timedelta(seconds=min(place, 160) + max(place - 400, 0)))
    met: Met = {}
    await read(desk, {}, met)
    assert len(met) == 600
    assert len({params["updated_since"] for params in desk.asked}) > 2


async def test_a_list_that_is_in_order_of_change_by_chance_is_read_whole() -> None:
    """Tickets that never changed since they were made rise by both columns: that proves nothing, and hides nothing."""
    desk = account(0)
    for key in range(1, 301):
        made = iso(BEGAN - timedelta(days=30) + timedelta(seconds=key))
        desk.rows.append({"id": key, "created_at": made, "updated_at": made})
    desk.rows[99]["updated_at"] = iso(BEGAN - timedelta(days=1))  # the last row of the first page changed long after
    met: Met = {}
    await read(desk, {}, met)
    assert len(met) == 300
    assert {params["updated_since"] for params in desk.asked} == {iso(EPOCH)}


async def test_an_order_that_was_chance_is_noticed() -> None:
    """A page that fell by change shows that the window should not have moved: the pass begins anew."""
    desk = account(0, column="rank")
    for rank in range(700):
        change = 300 + rank if rank < 300 else 899 - rank  # three pages look as if they were in order of change
        made, changed = BEGAN - timedelta(days=30, seconds=rank), BEGAN - timedelta(seconds=3600 - change)
        desk.rows.append({"id": 1000 - rank, "rank": rank, "created_at": iso(made), "updated_at": iso(changed)})
    met: Met = {}
    await read(desk, {}, met)
    assert len(met) == 700
    assert len({params["updated_since"] for params in desk.asked}) > 1


async def test_a_window_that_rows_left_is_read_again() -> None:
    """A deletion in mid-walk makes the walk step back, and the whole window is read once more."""
    purge = {3: [("delete", where) for where in range(60)]}
    desk, calm, ordered = account(500, changes=purge), account(500), account(500, changes=purge, honours=True)
    for one in (desk, calm, ordered):
        await read(one, {}, {})
    firsts = [sum(params["page"] == 1 for params in one.asked) for one in (desk, calm)]
    assert firsts == [2, 1]
    assert len(ordered.asked) < len(desk.asked)  # there rows leave with every change, and nothing is read again


async def test_the_mark_is_never_later_than_the_pass_began() -> None:
    """A ticket that changed in mid-walk, where the walk had been, is met by the next read."""
    desk = account(300, changes={2: [("touch", 5)]})
    state = await read(desk, {}, {})
    mark = instant(state["mark"])
    assert mark is not None
    assert mark <= BEGAN + timedelta(seconds=3)


async def test_order_by_is_tried_once_where_it_is_refused() -> None:
    """One 400, and never again; where it is taken it is always sent, with all other parameters on every page (T10)."""
    desk = account(250, refuses=True)
    lists = Lists(desk)  # type: ignore[arg-type]
    for _ in range(2):
        async for _window, _step in lists.steps(ACTIVE, Window.at(EPOCH)):
            pass
    assert [("order_by" in params) for params in desk.asked] == [True] + [False] * (len(desk.asked) - 1)
    assert lists.taken == {"order": False}
    desk = account(250)
    await read(desk, {}, {})
    assert {tuple(sorted(params)) for params in desk.asked} == {
        ("order_by", "order_type", "page", "per_page", "updated_since")
    }


async def test_a_page_cap_in_another_order_is_an_error() -> None:
    """A list that ends before its end, and cannot be rolled, is said to be so: it never looks complete."""
    with pytest.raises(WindowStuck, match="refuses page 3 of its active tickets"):
        await read(account(900, last_page=2), {}, {})
    met: Met = {}
    await read(account(900, spread=1, last_page=6, honours=True), {}, met)
    assert len(met) == 900  # in order of change the window rolls before the cap


def test_only_a_page_that_falls_by_the_other_columns_proves_the_order() -> None:
    """Rising by change proves nothing where the page rises by creation or id too, or holds only a few changes."""

    def rows(*, made: int, ids: int, count: int = 12) -> list[Json]:
        at = [iso(BEGAN + timedelta(seconds=number)) for number in range(count)]
        return [
            {"id": ids * number, "created_at": iso(BEGAN + made * timedelta(seconds=number)), "updated_at": at[number]}
            for number in range(count)
        ]

    found = []
    for page in (rows(made=-1, ids=-1), rows(made=1, ids=-1), rows(made=-1, ids=1), rows(made=-1, ids=-1, count=9)):
        order = Order()
        order.note(page)
        found.append((order.proven, order.refuted))
    assert found == [(True, False), (False, False), (False, False), (False, False)]
    order = Order()
    order.note(rows(made=-1, ids=-1))
    order.note([*reversed(rows(made=-1, ids=-1))])
    order.note(rows(made=-1, ids=-1))
    assert (order.proven, order.refuted) == (False, True)


def test_a_stopped_window_is_opened_as_it_was() -> None:
    """Window and place are one unit of state (T6)."""
    window = replace(Window.at(EPOCH, BEGAN), began=BEGAN).after(7, [{"id": 1, "updated_at": iso(BEGAN)}])
    assert open_window(stopped(window, {"mark": "x"}), TicketState.ACTIVE, BEGAN) == window
    assert stopped(window, {"mark": "x"})["mark"] == "x"
