"""Compares one collection of the index with what the record says was published: part of step 4 (verify).

The first look is cheap: ids and hashes, one scroll of the index against a table of 33 bytes a document. What looks
wrong is looked at again, between two readings of its row: only where the row stood still meanwhile, and the point is
still wrong, a difference is reported. So runs may publish at the same time without a false alarm.

A point is right if it is what its row says was published, be it with older rules or another model: bringing those up to
date is what `reindex` does, and they are counted as `outdated`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from deskloom import documents
from deskloom.documents import RULES, point_id
from deskloom.errors import NotFound
from deskloom.model import Json
from deskloom.protocols import VectorIndex
from deskloom.record import checks
from deskloom.record import runs as record_runs
from deskloom.record.engine import Record
from deskloom.record.published import ItemKey, Standing, find_standings, read_standings
from deskloom.sync.content import examine
from deskloom.sync.table import LOST, PENDING, SETTLED, Entry, Table
from deskloom.sync.vectors import fingerprint

What = Literal["missing", "stale", "extra", "orphaned", "payload"]
PAGE = 2000
"""Documents, and points, that are read at once."""
DEEP_PAGE = 200
"""Documents whose whole points are held at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Where index and record disagree, and why; `standing` is the document's row, if it has one.

    missing: it was published, and there is no point. stale: the point is not what was published last. payload: the
    point's content is not what its hash says. orphaned: its item is deleted, or its source gone, in the record. extra:
    any other point that no document has.
    """

    what: What
    id: UUID
    why: str
    source: str | None = None
    item_id: str | None = None
    language: str | None = None
    standing: Standing | None = None


class Comparison:
    """One comparison; iterate it once. The counts are right when the iteration has ended.

    `documents` and `points` are those looked at; `pending` are documents that are not ready, or being published now;
    `outdated` are ready ones that were made with another model, or by other rules, than points are made with now.
    """

    def __init__(
        self,
        record: Record,
        index: VectorIndex,
        *,
        collection: str,
        embedder: str,
        deep: bool = False,
        source: str | None = None,
        on_points: Callable[[int], None] = lambda count: None,
    ) -> None:
        """`embedder` is the name of the model that points are made with now.

        `deep` also compares contents and vectors. With `source` only its documents and points count, and points that
        name no source the record knows. `on_points` is told how many points were looked at, whenever some were.
        """
        self.record, self.index = record, index
        self.collection, self.embedder, self.deep, self.source = collection, embedder, deep, source
        self.on_points = on_points
        self.points = self.documents = self.pending = self.outdated = 0

    async def __aiter__(self) -> AsyncIterator[Difference]:
        table = await self._table()
        strangers = await self._scroll(table)
        if self.deep or strangers or table.suspects():
            async for difference in self._documents(table, strangers):
                yield difference
        for chunk in _in_parts(sorted(strangers), PAGE):
            for difference in await self._strangers(chunk):
                yield difference

    # ------------------------------------------------------------------------------------------------- first look

    async def _table(self) -> Table:
        table = Table()
        async for rows in self._pages(self.source):
            entries = await asyncio.to_thread(lambda page=rows: [self._entry(row) for row in page])  # type: ignore[misc]
            table.add(entries)
            self.documents += len(rows)
            self.pending += sum(not row.settled for row in rows)
            self.outdated += sum(row.settled and self._outdated(row) for row in rows)
        await asyncio.to_thread(table.sort)
        return table

    def _entry(self, row: Standing) -> Entry:
        id = point_id(self.collection, row.source, row.item_id, row.language).bytes
        if row.settled:
            return id, bytes.fromhex(self._hash(row)), SETTLED
        return id, bytes(32), LOST if row.lost else PENDING

    async def _scroll(self, table: Table) -> set[bytes]:
        """Note what the index holds; returns the ids of points that no document has."""
        strangers: set[bytes] = set()
        fields = ("hash", "source") if self.source else ("hash",)
        known = await self._sources() if self.source else frozenset()
        try:
            async for batch in self.index.scroll(self.collection, fields):
                unknown = table.see([(id.bytes, payload.get("hash")) for id, payload in batch])
                others = {place for place in unknown if self._of_another(batch[place][1], known)}
                strangers |= {batch[place][0].bytes for place in unknown if place not in others}
                self.points += len(batch) - len(others)
                self.on_points(len(batch))
        except NotFound:  # the collection is not there: it holds nothing
            pass
        return strangers

    def _of_another(self, payload: Json, known: frozenset[str]) -> bool:
        """Whether a point says that it belongs to a source that is not being compared."""
        name = payload.get("source")
        return isinstance(name, str) and name != self.source and name in known

    # ------------------------------------------------------------------------------------------------ second look

    async def _documents(self, table: Table, strangers: set[bytes]) -> AsyncIterator[Difference]:
        """Read the documents once more, and look again at those that seemed wrong (all of them, if `deep`).

        Removes from `strangers` points whose document turned up.
        """
        async for rows in self._pages(None if strangers else self.source):
            ids = [point_id(self.collection, *row.item) for row in rows]
            strangers.difference_update(id.bytes for id in ids)
            suspects = table.suspected([id.bytes for id in ids])
            named = {id: row for id, row, bad in zip(ids, rows, suspects, strict=True) if bad}
            for difference in await self._confirmed(named):
                yield difference
            if self.deep:
                sound = {id: row for id, row, bad in zip(ids, rows, suspects, strict=True) if not bad and row.settled}
                wanted = {id: row for id, row in sound.items() if self.source in (None, row.source)}
                for part in _in_parts(list(wanted), DEEP_PAGE):
                    for difference in await self._deeper({id: wanted[id] for id in part}):
                        yield difference

    async def _confirmed(self, named: Mapping[UUID, Standing]) -> list[Difference]:
        """Those of the suspected documents whose points are wrong while their rows stand still."""
        found: list[Difference] = []
        for part in _in_parts(list(named), PAGE // 4):
            rows = {id: named[id] for id in part}
            held = await self._payloads(part)
            busy = await self._busy() if any(row.lost for row in rows.values()) else frozenset()
            wrong = [(id, row, what) for id, row in rows.items() if (what := self._judge(row, held.get(id), busy))]
            found += await self._unmoved(wrong)
        return found

    def _judge(self, row: Standing, payload: Json | None, busy: frozenset[str]) -> tuple[What, str] | None:
        kind = _kind(self.collection)
        if row.lost:
            if payload is not None or row.source in busy:
                return None
            return "missing", f"{kind} {_key(row.item)} was published, and the index lost it; it waits to be published"
        if not row.settled:
            return None
        if payload is None:
            return "missing", f"{kind} {_key(row.item)} was published, and the index has no point for it"
        told = payload.get("hash")
        if told == self._hash(row):
            return None
        if told is None:
            return "stale", f"the point of {kind} {_key(row.item)} has no hash: something else wrote it"
        return "stale", f"the point of {kind} {_key(row.item)} is not the one that was published last"

    async def _deeper(self, rows: Mapping[UUID, Standing]) -> list[Difference]:
        found = await examine(
            self.record,
            self.index,
            self.collection,
            rows,
        )
        return await self._unmoved([(id, rows[id], what) for id, what in found.items()])

    async def _unmoved(self, wrong: Sequence[tuple[UUID, Standing, tuple[What, str]]]) -> list[Difference]:
        """The differences whose documents stand as they stood before their points were looked at."""
        if not wrong:
            return []
        async with self.record.reading() as tx:
            items = [row.item for _, row, _ in wrong]
            now = await find_standings(tx, self.collection, items)
        return [
            Difference(
                what=what,
                id=id,
                why=why,
                source=row.source,
                item_id=row.item_id,
                language=row.language,
                standing=row,
            )
            for id, row, (what, why) in wrong
            if now.get(row.item) == row
        ]

    # --------------------------------------------------------------------------------------------------- strangers

    async def _strangers(self, ids: Sequence[bytes]) -> list[Difference]:
        """Points without a document, told apart by what their payload says they are."""
        held = await self._payloads([UUID(bytes=id) for id in ids])
        items = {id: item for id, payload in held.items() if (item := self._own(id, payload))}
        async with self.record.reading() as tx:
            rows = await find_standings(tx, self.collection, items.values())
            states = await checks.item_states(tx, self.collection, items.values())
            known = await checks.source_names(tx)
        return [
            self._stranger(id, items.get(id), states, known) for id in held if id not in items or items[id] not in rows
        ]

    def _stranger(
        self, id: UUID, item: ItemKey | None, states: Mapping[ItemKey, str], known: frozenset[str]
    ) -> Difference:
        if item is None:
            return Difference(what="extra", id=id, why="nothing in the record has this id: something else wrote it")
        kind, state = _kind(self.collection), states.get(item)
        what: What = "extra"
        if item[0] not in known:
            what, why = "orphaned", f'the record has no source "{item[0]}"'
        elif state == "deleted":
            what, why = "orphaned", f"{kind} {_key(item)} is deleted"
        elif state is None:
            why = f"the record has no {kind} {_key(item)}"
        else:
            why = f"{kind} {_key(item)} has no document in the record"
        return Difference(what=what, id=id, why=why, source=item[0], item_id=item[1], language=item[2])

    def _own(self, id: UUID, payload: Json) -> ItemKey | None:
        """The key a point was made for, if its payload gives its id."""
        kind = _kind(self.collection)
        source, number = payload.get("source"), payload.get("item_id" if kind == "row" else f"{kind}_id")
        if not isinstance(source, str) or number is None:
            return None
        language = str(payload.get("language"))
        # A row may stand for all of its languages; then its key has none, whichever it seems to be written in.
        languages = {"ticket": [""], "article": [language]}.get(kind, [language, ""])
        items = [(source, str(number), one) for one in languages]
        return next((item for item in items if point_id(self.collection, *item) == id), None)

    # ------------------------------------------------------------------------------------------------ small things

    def _hash(self, row: Standing) -> str:
        return fingerprint(row.embedder or "", row.rules or 0, row.published, row.payload_hash or "")

    def _outdated(self, row: Standing) -> bool:
        return (row.embedder, row.rules) != (self.embedder, RULES)

    async def _pages(self, source: str | None) -> AsyncIterator[list[Standing]]:
        after: ItemKey | None = None
        while True:
            async with self.record.reading() as tx:
                rows = await read_standings(tx, self.collection, source=source, after=after, limit=PAGE)
            if not rows:
                return
            yield rows
            after = rows[-1].item

    async def _payloads(self, ids: Sequence[UUID]) -> Mapping[UUID, Json]:
        try:
            return await self.index.retrieve(self.collection, ids)
        except NotFound:
            return {}

    async def _sources(self) -> frozenset[str]:
        async with self.record.reading() as tx:
            return await checks.source_names(tx)

    async def _busy(self) -> frozenset[str]:
        """Sources of which a run is under way: what they lack may be on its way."""
        async with self.record.reading() as tx:
            return frozenset(run.source for run in await record_runs.open_runs(tx) if run.mode != "verify")


def _kind(collection: str) -> str:
    return documents.kind_of(collection).value


def _key(item: ItemKey) -> str:
    return f"{item[1]}:{item[2]}" if item[2] else item[1]


def _in_parts(values: Sequence[bytes] | Sequence[UUID], size: int) -> Iterable[list]:  # type: ignore[type-arg]
    return (list(values[start : start + size]) for start in range(0, len(values), size))
