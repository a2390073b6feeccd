"""Lists of people, companies and codes as both products have them: short ones read at once, long ones page by page."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from deskloom.model import Cursor, ItemFailure, Json, Kind, Page, Record
from deskloom.protocols import Known
from deskloom.sources.freshworks.reader import BATCH, Reader
from deskloom.sources.freshworks.values import instant, iso
from deskloom.sources.freshworks.walk import Get, Mark, Place, Step, mark, walk

LIST_EVERY = timedelta(days=1)
"""How often lists without an update filter are read again."""
_KEPT = 100
"""How many of the last rows a cursor keeps, so that a walk finds its place again."""


def warning(kind: Kind, reason: str) -> ItemFailure:
    """What a person should know about a whole list: tickets go on, and what was read before stays."""
    return ItemFailure(kind=kind, key="*", reason=reason, retry=False)


def is_due(reader: Reader, cursor: Cursor | None) -> bool:
    """Whether a list is to be read again, by the time its cursor says that it was read last."""
    listed_at = instant((cursor or {}).get("listed_at"))
    return listed_at is None or not timedelta() <= reader.client.now() - listed_at < LIST_EVERY


async def list_whole(get: Get) -> list[Json]:
    """A list at once, though rows leave and enter it meanwhile; of a row that comes twice the later counts."""
    found: dict[object, Json] = {}
    async with aclosing(walk(get, Place())) as steps:
        async for step in steps:
            found.update({row.get("id"): row for row in step.new})
    return list(found.values())


# ------------------------------------------------------------------------------------------------------ read at once


@dataclass(frozen=True, slots=True)
class Found:
    """What a list holds. `complete`: whatever it lacks is gone. `missing` stands in for what the record has none of."""

    records: Sequence[Record]
    warnings: tuple[ItemFailure, ...] = ()
    complete: bool = True
    missing: Sequence[Record] = ()


@dataclass(slots=True)
class WholeStream:
    """A list that is short and has no update filter: read whole, at most once a day.

    `setting` is what the records depend on beside the helpdesk: when it changes, the list is read at once.
    """

    reader: Reader
    kind: Kind
    ask: Callable[[], Awaitable[Found]]
    setting: str | None = None

    async def read(self, after: Cursor | None, *, limit: int | None, known: Known) -> AsyncIterator[Page]:
        """Changed records, and on the last page the whole listing, unless `limit` cut it."""
        before = after or {}
        kept: Json = {} if self.setting is None else {"setting": self.setting}
        if not is_due(self.reader, after) and before.get("setting") == self.setting:
            return
        found = await self.ask()
        at = self.reader.client.now()
        stored = await known(self.kind, [record.key for record in (*found.records, *found.missing)])
        records = [*found.records, *(record for record in found.missing if record.key not in stored)]
        done: Json = {} if limit is None else dict(before.get("done", {}))
        changed = [record for record in records if not is_known(record, stored) and not is_known(record, done)]
        cut = limit is not None and len(changed) + len(found.warnings) > limit
        left = changed[:limit] if cut else changed
        while len(left) > BATCH or (cut and left):
            part, left = left[:BATCH], left[BATCH:]
            done |= {} if limit is None else {record.key: record.stamp for record in part}
            yield Page(records=tuple(part), cursor=kept | ({"done": dict(done)} if done else {}))
        if cut:
            return
        yield Page(
            records=tuple(left),
            failures=found.warnings,
            cursor=kept | {"listed_at": iso(at)},
            listing=frozenset(record.key for record in records) if found.complete else None,
        )


def is_known(record: Record, stamps: Mapping[str, Any]) -> bool:
    """Whether a record is stored as it is. One without a stamp may always be another."""
    return record.stamp is not None and stamps.get(record.key) == record.stamp


# -------------------------------------------------------------------------------------------------- read page by page


async def read_pages(
    get: Get,
    cursor: Json,
    make: Callable[[Json], Record | None],
    *,
    part: str,
    kind: Kind,
    left: int | None,
    known: Known,
    note: Callable[[Step], None] = lambda step: None,
) -> AsyncGenerator[Page, None]:
    """The records of a long list that are not known, page by page, at most `left`; each page's cursor is a place in it.

    `cursor` is where to go on; `get` and `note`, which sees every step before its page, may write into it. The last
    page's cursor has no place any more, and `part`, the list's name, among what is `done`. `make` gives None for a row
    that is to be left out. A record without a stamp always comes.
    """
    place = Place(cursor.get("covered", 0), {(key, stamp) for key, stamp in cursor.get("seen", ())})
    async with aclosing(walk(get, place)) as steps:
        async for step in steps:
            note(step)
            rows, start = step.answer.rows, step.start
            fresh = {mark(row) for row in step.new}
            records = [make(row) if mark(row) in fresh else None for row in rows]
            wanted = [record for record in records if record is not None]
            stored = await known(kind, [record.key for record in wanted]) if wanted else {}
            taken: list[Record] = []
            for index, record in enumerate(records):
                if record is None or is_known(record, stored):
                    continue
                taken.append(record)
                left = None if left is None else left - 1
                if left == 0 or len(taken) == BATCH:
                    yield Page(records=tuple(taken), cursor=_at(cursor, start + index + 1, rows[: index + 1]))
                    taken = []
                    if left == 0:
                        return
            place.seen = {mark(row) for row in rows}
            if not step.ended:
                yield Page(records=tuple(taken), cursor=_at(cursor, place.covered, rows))
                continue
            kept = {name: value for name, value in cursor.items() if name not in ("covered", "seen")}
            yield Page(records=tuple(taken), cursor=kept | {"done": [*kept.get("done", ()), part]})


def _at(cursor: Json, covered: int, rows: list[Json]) -> Cursor:
    """The cursor after so many rows of the list, of which `rows` are the last."""
    seen: list[Mark] = [mark(row) for row in rows[-_KEPT:]]
    return {**cursor, "covered": covered, "seen": [list(one) for one in seen]}
