"""Tables of rows in memory with sorted orders that every change keeps, so that no page is made by sorting."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

from deskloom.sandbox.clock import shift

Row = dict[str, Any]
"""One object as the helpdesk would send it; members that start with `_` are the sandbox's own and are never sent."""

Place = Callable[[Row], tuple[Hashable, str]]
"""Where a row stands in an order: its bucket (for example "deleted") and its sort key within it."""


def sent(row: Row) -> Row:
    """Without the sandbox's own members, and with the row's own offset where it has one."""
    offset = row.get("_offset")
    out = {name: value for name, value in row.items() if name[0] != "_"}
    if offset:
        out |= {name: shift(out[name], offset) for name in ("created_at", "updated_at") if out.get(name)}
    return out


class Rows:
    """Rows by id, with named orders. Ties stand in order of id. Rows change only through `change`."""

    def __init__(self, **orders: Place) -> None:
        self._rows: dict[int, Row] = {}
        self._places = orders
        self._orders: dict[str, dict[Hashable, list[tuple[str, int]]]] = {name: {} for name in orders}

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(list(self._rows.values()))

    def __contains__(self, key: int) -> bool:
        return key in self._rows

    def get(self, key: int | None) -> Row | None:
        return self._rows.get(key) if key is not None else None

    def fill(self, rows: Iterable[Row]) -> None:
        """Add many rows at once; orders are sorted a single time."""
        for row in rows:
            self._rows[row["id"]] = row
        for name, place in self._places.items():
            buckets: dict[Hashable, list[tuple[str, int]]] = {}
            for row in self._rows.values():
                bucket, key = place(row)
                buckets.setdefault(bucket, []).append((key, row["id"]))
            for entries in buckets.values():
                entries.sort()
            self._orders[name] = buckets

    def put(self, row: Row) -> Row:
        self.drop(row["id"])
        self._rows[row["id"]] = row
        self._enter(row)
        return row

    def change(self, key: int, /, **members: Any) -> Row:
        row = self._rows[key]
        self._leave(row)
        row.update(members)
        self._enter(row)
        return row

    def drop(self, key: int) -> Row | None:
        row = self._rows.pop(key, None)
        if row is not None:
            self._leave(row)
        return row

    def order(self, name: str, bucket: Hashable) -> list[tuple[str, int]]:
        """Sorted (key, id) pairs of a bucket. The caller slices it and does not change it."""
        return self._orders[name].get(bucket, [])

    def ids(self, name: str, bucket: Hashable) -> list[int]:
        return [key for _, key in self.order(name, bucket)]

    def since(self, name: str, bucket: Hashable, start: str, *, inclusive: bool = True) -> int:
        """The position in the order of the first entry at (or, exclusively, after) `start`."""
        entries = self.order(name, bucket)
        return bisect_left(entries, (start,)) if inclusive else bisect_right(entries, start, key=lambda entry: entry[0])

    def newest_id(self) -> int:
        return max(self._rows, default=0)

    def after(self, key: int, limit: int) -> list[Row]:
        """Rows with a greater id, in order of id."""
        keys = sorted(k for k in self._rows if k > key)
        return [self._rows[k] for k in keys[:limit]]

    def _enter(self, row: Row) -> None:
        for name, place in self._places.items():
            bucket, key = place(row)
            insort(self._orders[name].setdefault(bucket, []), (key, row["id"]))

    def _leave(self, row: Row) -> None:
        for name, place in self._places.items():
            bucket, key = place(row)
            entries = self._orders[name][bucket]
            entries.pop(bisect_left(entries, (key, row["id"])))
            if not entries:
                del self._orders[name][bucket]
