"""Following a table by its change column: windows by (change, key), and a mark that waits for late commits.

A transaction may commit long after it stamped its rows, behind rows that were read meanwhile. So the mark that a read
begins at moves to a row only after a later window from the earlier mark, once every transaction that was under way when
the row was first read has ended (`marks`). Some rows are read twice for it; known ones are skipped. `OVERLAP` covers
what stamps rows by another clock. Rows that no longer meet the conditions arrive as tombstones; rows that were removed,
or changed without a new stamp, are found by a complete listing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import asyncpg

from deskloom.errors import Unreadable
from deskloom.model import Cursor, ItemFailure, Json, Kind, Page, Record, Row, Tombstone
from deskloom.protocols import Known, nothing_known
from deskloom.sources.postgres.catalog import quote
from deskloom.sources.postgres.database import Database
from deskloom.sources.postgres.declared import Declared
from deskloom.sources.postgres.mapping import to_row
from deskloom.sources.postgres.marks import Open, confirmed, latest, minus, open_transactions, pending, reached
from deskloom.sources.postgres.reading import (
    Found,
    Snapshot,
    by_change,
    by_key,
    canonical,
    key_text,
    living_keys,
    snapshot,
    some,
)

OVERLAP = 30.0
"""Seconds by which the clocks that stamp rows may differ from the database's."""
DEAD = "it no longer meets the conditions of its table"
REMOVED = "it was removed from its table"


def read_row(declared: Declared, row: Found) -> Row | Tombstone:
    """What a row is for us: itself, or a tombstone. Raises `Unreadable` for one that cannot be taken."""
    if not row.alive:
        return Tombstone(kind=Kind.ROW, key=row.key, reason=DEAD)
    return to_row(declared, row.key, row.values)


def _read(declared: Declared, row: Found) -> Record | ItemFailure:
    """The same, or why the row is set aside until it changes."""
    try:
        return read_row(declared, row)
    except Unreadable as error:
        return ItemFailure(kind=Kind.ROW, key=row.key, reason=error.message, retry=False)


async def sorted_out(
    declared: Declared, rows: Sequence[Found], known: Known
) -> list[tuple[Found, Record | ItemFailure | None]]:
    """The rows with what they are for us; None for those that are stored as they are."""
    read = [(row, _read(declared, row)) for row in rows]
    stored = await known(Kind.ROW, [row.key for row in rows])
    return [(row, None if _is_stored(one, stored, known) else one) for row, one in read]


def _is_stored(one: Record | ItemFailure, stored: Mapping[str, str], known: Known) -> bool:
    """Whether it would change nothing. Where nothing counts as known, a tombstone may well be news."""
    if isinstance(one, Row):
        return one.stamp is not None and stored.get(one.key) == one.stamp
    return isinstance(one, Tombstone) and known is not nothing_known and one.key not in stored


async def named_rows(
    connection: asyncpg.Connection, declared: Declared, named: Mapping[str, Sequence[str]], known: Known
) -> list[tuple[str, Record | ItemFailure | None]]:
    """What the rows of these keys are now, in the order they were named; None for those that are stored as they are,
    that nobody knows, or that came before under another spelling."""
    spelled = dict(zip(named, await canonical(connection, declared, list(named.values())), strict=True))
    parts = {key_text(one): one for one in spelled.values() if one is not None}
    rows = {row.key: row for row in await some(connection, declared, list(parts.values()))}
    read = {row.key: one for row, one in await sorted_out(declared, list(rows.values()), known)}
    removed = [Tombstone(kind=Kind.ROW, key=key, reason=REMOVED) for key in parts if key not in rows]
    stored = await known(Kind.ROW, [one.key for one in removed]) if removed else {}
    read |= {one.key: one for one in removed if not _is_stored(one, stored, known)}
    return [(key, read.pop(key_text(one), None) if one is not None else None) for key, one in spelled.items()]


def page(taken: Sequence[Record | ItemFailure], cursor: Cursor, listing: frozenset[str] | None = None) -> Page:
    return Page(
        records=tuple(one for one in taken if not isinstance(one, ItemFailure)),
        failures=tuple(one for one in taken if isinstance(one, ItemFailure)),
        cursor=cursor,
        listing=listing,
    )


@dataclass(slots=True)
class Taking:
    """How many more records a read may yield."""

    left: int | None

    def cut(self, rows: Sequence[tuple[Any, Record | ItemFailure | None]]) -> tuple[int, bool]:
        """How many of the rows may be done, and whether that uses the limit up."""
        if self.left is None:
            return len(rows), False
        for place, (_, one) in enumerate(rows):
            if one is None:
                continue
            if self.left == 0:
                return place, True
            self.left -= 1
            if self.left == 0:
                return place + 1, True
        return len(rows), False


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a whole read: what it brings, and the state after it. The last has `ended`, and brings the complete
    `listing` of what was there then."""

    taken: Sequence[Record | ItemFailure] = ()
    state: Json
    ended: bool = False
    listing: frozenset[str] | None = None


async def whole(
    connection: asyncpg.Connection, declared: Declared, state: Json, taking: Taking, known: Known
) -> AsyncGenerator[Part, None]:
    """A table in the order of its key, from where `state` says; without an end where the limit is used up.

    The listing is read by itself in the end: it is complete also where earlier parts were read by another run.
    """
    state = dict(state)
    async for rows in by_key(connection, declared, state.get("after")):
        told = await sorted_out(declared, rows, known)
        done, used_up = taking.cut(told)
        state |= {"after": list(told[done - 1][0].parts)}
        yield Part(taken=[one for _, one in told[:done] if one is not None], state=dict(state))
        if used_up:
            return
    listing: set[str] = set()
    async for keys in living_keys(connection, declared):
        listing.update(keys)
    yield Part(state=state, ended=True, listing=frozenset(listing))


class ColumnReader:
    """Reads one table. Without a change column every read is a whole one."""

    def __init__(self, database: Database, declared: Declared, overlap: float = OVERLAP) -> None:
        self.database, self.declared, self.overlap = database, declared, overlap

    async def read(self, after: Cursor | None, *, limit: int | None, known: Known) -> AsyncIterator[Page]:
        """What changed; everything, the first time."""
        cursor: Json = dict(after or {"whole": {}})
        if self.declared.settings.changed is None and "whole" not in cursor:
            cursor |= {"whole": {}}
        taking = Taking(limit)
        async with self.database.connection() as connection:
            going = await open_transactions(connection)
            async with self.database.frozen(connection):
                seen = await snapshot(connection)
                reader = self._whole if "whole" in cursor else self._window
                async with aclosing(reader(connection, cursor, seen, going, taking, known)) as pages:
                    async for one in pages:
                        yield one

    async def _whole(
        self, connection: asyncpg.Connection, cursor: Json, seen: Snapshot, going: Open, taking: Taking, known: Known
    ) -> AsyncGenerator[Page, None]:
        state: Json = dict(cursor["whole"])
        if "pending" not in state:
            at = await latest(connection, self.declared) if self.declared.settings.changed is not None else None
            state |= {"pending": [pending(at, seen, going)] if at is not None else []}
        async with aclosing(whole(connection, self.declared, state, taking, known)) as parts:
            async for part in parts:
                if part.ended:
                    yield page([], {"pending": state["pending"]}, part.listing)
                else:
                    yield page(part.taken, {"whole": part.state})

    async def _window(
        self, connection: asyncpg.Connection, cursor: Json, seen: Snapshot, going: Open, taking: Taking, known: Known
    ) -> AsyncGenerator[Page, None]:
        """Rows from the mark on, then those whose change column is null.

        A window that an earlier run began counts as seen by the snapshot it began with, up to where that run came.
        """
        state: Json = dict(cursor.get("window") or {"began": [seen.text, *going.noted()]})
        rest = {name: value for name, value in cursor.items() if name != "window"}
        seen, going = Snapshot(state["began"][0]), Open.of(state["began"][1:])
        if "after" in state and "at" not in state:
            state["at"] = await reached(connection, self.declared, state["after"][0])
        mark = cursor.get("mark")
        since = await minus(connection, self.declared, mark, self.overlap) if mark is not None else None
        highest: str | None = None
        async for rows in by_change(connection, self.declared, since, state.get("after")):
            told = await sorted_out(self.declared, rows, known)
            done, used_up = taking.cut(told)
            last = told[done - 1][0]
            highest = last.at
            state["after"] = [last.at, *last.parts]
            yield page([one for _, one in told[:done] if one is not None], rest | {"window": dict(state)})
            if used_up:
                return
        async for rows in self._unmarked(connection):
            told = await sorted_out(self.declared, rows, known)
            done, used_up = taking.cut(told)
            yield page([one for _, one in told[:done] if one is not None], rest | {"window": dict(state)})
            if used_up:
                return
        at = state.get("at") or (await reached(connection, self.declared, highest) if highest is not None else None)
        moved = confirmed(rest, seen, going)
        if at is not None and at != mark:
            moved["pending"].append(pending(at, seen, going))
        yield page([], moved)

    async def _unmarked(self, connection: asyncpg.Connection) -> AsyncIterator[list[Found]]:
        changed = self.declared.settings.changed
        if changed is None or not self.declared.table.columns[changed].nullable:
            return
        where = f"{quote(changed)} IS NULL AND ({self.declared.living})"
        async for rows in by_key(connection, self.declared, None, where=where):
            yield rows
