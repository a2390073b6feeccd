"""The whole truth of a desk, row by row, for comparison with a copy of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deskloom.sandbox.rows import Row, Rows

if TYPE_CHECKING:
    from deskloom.sandbox.desk import HelpDesk


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a kind, and how each is shown: once, or once per language."""

    rows: Rows
    shown: Callable[[Row], Iterable[Row]]


def once(rows: Rows, shape: Callable[[Row], Row]) -> Table:
    return Table(rows, lambda row: (shape(row),))


def counts(desk: HelpDesk[Any]) -> dict[str, int]:
    return {kind: len(table.rows) for kind, table in desk.product.tables(desk).items()}


def page(desk: HelpDesk[Any], kind: str, after: int, limit: int) -> tuple[list[Row], int | None]:
    """Up to `limit` rows with ids above `after`, as they are shown, and the id to go on from."""
    table = desk.product.tables(desk)[kind]
    part = table.rows.after(after, limit)
    return [view for row in part for view in table.shown(row)], part[-1]["id"] if len(part) == limit else None


def whole(desk: HelpDesk[Any], kind: str) -> list[Row]:
    """All rows of a kind, in order of id."""
    return page(desk, kind, 0, 1 << 62)[0]
