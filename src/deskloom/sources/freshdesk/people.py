"""Agents, companies, contacts and code tables: what tickets refer to."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta

from deskloom.errors import AccessRefused, SourceRejected
from deskloom.model import Agent, Codes, Company, Contact, Cursor, ItemFailure, Json, Kind, Page, Record, Tombstone
from deskloom.protocols import Known
from deskloom.sources.freshdesk.mapping import FIXED_CODES, to_agent, to_codes
from deskloom.sources.freshworks.reader import BATCH, OVERLAP, Absent, Reader, Rows
from deskloom.sources.freshworks.values import EPOCH, code_table, instant, iso
from deskloom.sources.freshworks.walk import Mark, Place, mark, walk

LIST_EVERY = timedelta(days=1)
"""How often lists without an update filter are read again."""
BLOCKED = "blocked"
CONTACTS = ("living", BLOCKED, "buried")
STATES = {"buried": "deleted", BLOCKED: "blocked"}
"""The parts of the contacts that have to be asked for by their state (2.8)."""
_KEPT = 100
"""How many of the last rows a cursor keeps, so that a walk finds its place again."""


# --------------------------------------------------------------------------------------- agents and code tables: whole


@dataclass(slots=True)
class WholeStream:
    """Lists that are small and have no update filter: read whole, at most once a day."""

    reader: Reader
    kind: Kind

    async def read(self, after: Cursor | None, *, limit: int | None, known: Known) -> AsyncIterator[Page]:
        """Changed records, and on the last page the whole listing, unless `limit` cut it."""
        listed_at = instant((after or {}).get("listed_at"))
        now = self.reader.client.now()
        if listed_at is not None and timedelta() <= now - listed_at < LIST_EVERY:
            return
        records, failures, complete = await self._list()
        at = self.reader.client.now()
        stored = await known(self.kind, [record.key for record in records])
        changed = [record for record in records if stored.get(record.key) != record.stamp]
        done: Json = {} if limit is None else dict((after or {}).get("done", {}))
        changed = [record for record in changed if done.get(record.key) != record.stamp]
        room = len(changed) if limit is None else limit - len(failures)
        if len(changed) > room:
            taken = changed[:room]
            done |= {record.key: record.stamp for record in taken}
            yield Page(records=tuple(taken), failures=failures, cursor={"done": done})
            return
        keys = frozenset(record.key for record in records)
        yield Page(
            records=tuple(changed),
            failures=failures,
            cursor={"listed_at": iso(at)},
            listing=keys if complete and self.kind is Kind.AGENT else None,
        )

    async def list_agents(self) -> list[Agent]:
        """The account's agents."""
        return [to_agent(row) for row in await self.reader.every("/agents", kind="agents", refusals=1)]

    async def list_codes(self) -> list[Codes]:
        """The account's code tables."""
        return to_codes(await self.reader.every("/ticket_fields", kind="ticket fields", refusals=1))

    async def _list(self) -> tuple[Sequence[Agent | Codes], tuple[ItemFailure, ...], bool]:
        """The records; where the key may not read them, a warning, and for codes the fixed ones."""
        try:
            if self.kind is Kind.AGENT:
                return await self.list_agents(), (), True
            return await self.list_codes(), (), True
        except AccessRefused as error:
            fixed = (
                [code_table(name, labels) for name, labels in FIXED_CODES.items()] if self.kind is Kind.CODES else []
            )
            return fixed, (not_read(self.kind, error.message),), False
        except Absent:
            raise self.reader.nowhere("/agents" if self.kind is Kind.AGENT else "/ticket_fields") from None


def not_read(kind: Kind, reason: str) -> ItemFailure:
    """The warning that reference data is closed to the key: tickets go on, and what was read before stays."""
    return ItemFailure(kind=kind, key="*", reason=reason, retry=False)


# --------------------------------------------------------------------------- companies and contacts: by update filter


@dataclass(slots=True)
class FilteredStream:
    """Lists with an update filter but in an order of their own, mostly alphabetical, so that a rename moves a row.

    The list is walked by position (`walk`). The watermark moves only when the walk is complete, and never beyond the
    helpdesk's time when it began: what changed during the walk belongs to the next read.
    """

    reader: Reader
    kind: Kind
    path: str
    make: Callable[[Json], Company | Contact]
    spellings: tuple[str, ...]
    """Names of the update filter: which one the account takes is found out and kept (2.8)."""
    parts: tuple[str, ...] = ("living",)
    """Its lists: those that the default leaves out are asked for by their state."""

    async def read(self, after: Cursor | None, *, limit: int | None, known: Known) -> AsyncIterator[Page]:
        cursor: Json = dict(after or {})
        left = limit
        try:
            for part in self.parts:
                if part in cursor.get("done", ()):
                    continue
                try:
                    async with aclosing(self.part(part, cursor, left, known)) as pages:
                        async for page in pages:
                            left = None if left is None else left - len(page.records)
                            cursor = page.cursor
                            if page.records:
                                yield page
                            if left == 0:
                                return
                except SourceRejected:
                    if part != BLOCKED:
                        raise
                    cursor["done"] = [*cursor.get("done", ()), part]  # an account that knows no such state
        except AccessRefused as error:
            yield Page(records=(), failures=(not_read(self.kind, error.message),), cursor=cursor)
            return
        began, latest = cursor.pop("began", None), cursor.pop("latest", None)
        cursor.pop("done", None)
        if began is not None and latest is not None:
            cursor["mark"] = max(min(began, latest), cursor.get("mark", latest))
        if cursor != (after or {}):
            yield Page(records=(), cursor=cursor)

    async def part(self, part: str, before: Cursor, left: int | None, known: Known) -> AsyncGenerator[Page, None]:
        """One list, page by page; the last page's cursor says that the part is done."""
        cursor = dict(before)
        since = instant(cursor.get("mark"))
        since = since - OVERLAP if since else EPOCH
        place = Place(cursor.get("covered", 0), {(key, stamp) for key, stamp in cursor.get("seen", ())})
        began = cursor.get("began")

        async def get(page: int, size: int) -> Rows:
            return await self._get(part, cursor, since, page, size)

        async with aclosing(walk(get, place)) as steps:
            async for step in steps:
                if began is None and step.answer.at is not None:
                    began = iso(step.answer.at)
                if began is not None:
                    cursor["began"] = began
                if stamps := [iso(at) for row in step.answer.rows if (at := instant(row.get("updated_at")))]:
                    cursor["latest"] = max(*stamps, cursor.get("latest", ""))
                rows, start = step.answer.rows, step.start
                fresh = {mark(row) for row in step.new}
                records = [self.record(row, buried=part == "buried") if mark(row) in fresh else None for row in rows]
                wanted = [record for record in records if record is not None]
                stored = await known(self.kind, [record.key for record in wanted]) if wanted else {}
                taken: list[Record] = []
                for index, record in enumerate(records):
                    if record is None or stored.get(record.key) == record.stamp:
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
                done = [*cursor.get("done", ()), part]
                cursor = {name: value for name, value in cursor.items() if name not in ("covered", "seen")}
                yield Page(records=tuple(taken), cursor=cursor | {"done": done})

    async def _get(self, part: str, cursor: Json, since: datetime, page: int, size: int) -> Rows:
        """A page, asked with the spelling the account takes; a filter that is ignored is noticed by its rows."""
        params: dict[str, str | int] = {"page": page, "per_page": size}
        if part in STATES:
            params["state"] = STATES[part]
        remembered = cursor.get("filter")
        names = [remembered] if remembered is not None else list(self.spellings)
        unfiltered: tuple[str, Rows] | None = None
        refused: SourceRejected | None = None
        for name in names:
            try:
                answer = await self._page({**params, name: iso(since)})
            except SourceRejected as error:
                refused = error
                continue
            stamps = [at for row in answer.rows if (at := instant(row.get("updated_at")))]
            if since == EPOCH or remembered is not None or all(at >= since for at in stamps):
                if since != EPOCH or len(names) == 1 or refused is not None:
                    cursor["filter"] = name
                return answer
            unfiltered = unfiltered or (name, answer)
        if unfiltered is not None:
            cursor["filter"] = unfiltered[0]
            return unfiltered[1]
        if remembered is not None and refused is not None:
            cursor.pop("filter")  # the account has changed its mind: find out again
            return await self._get(part, cursor, since, page, size)
        assert refused is not None
        raise refused

    async def _page(self, params: dict[str, str | int]) -> Rows:
        return await self.reader.required(self.path, params, kind=self.path.strip("/"))

    def record(self, row: Json, *, buried: bool = False) -> Record:
        """A row as a record: a tombstone if it says so, or stands in the list of the deleted (T23)."""
        if not buried and row.get("deleted") is not True:
            return self.make(row)
        stamp = row.get("updated_at")
        return Tombstone(
            kind=self.kind,
            key=str(int(row["id"])),
            reason="deleted at the helpdesk",
            stamp=f"{stamp} deleted" if stamp is not None else None,
        )


def _at(cursor: Json, covered: int, rows: list[Json]) -> Cursor:
    """The cursor after so many rows of the list, of which `rows` are the last."""
    seen: list[Mark] = [mark(row) for row in rows[-_KEPT:]]
    return {**cursor, "covered": covered, "seen": [list(one) for one in seen]}
