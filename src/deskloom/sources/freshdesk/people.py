"""Agents, companies, contacts and code tables: what tickets refer to."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

from deskloom.errors import AccessRefused, SourceRejected
from deskloom.model import Agent, Codes, Company, Contact, Cursor, Json, Kind, Page, Record, Tombstone
from deskloom.protocols import Known
from deskloom.sources.freshdesk.mapping import FIXED_CODES, to_agent, to_codes
from deskloom.sources.freshworks.lists import Found, read_pages, warning
from deskloom.sources.freshworks.reader import OVERLAP, Absent, Reader, Rows
from deskloom.sources.freshworks.values import EPOCH, code_table, instant, iso
from deskloom.sources.freshworks.walk import Step

BLOCKED = "blocked"
CONTACTS = ("living", BLOCKED, "buried")
STATES = {"buried": "deleted", BLOCKED: "blocked"}
"""The parts of the contacts that have to be asked for by their state (2.8)."""

# --------------------------------------------------------------------------------------- agents and code tables: whole


async def find_agents(reader: Reader) -> Found:
    """The account's agents; where the key may not read them, a warning, and those read before stay."""
    try:
        return Found(await list_agents(reader))
    except AccessRefused as error:
        return Found((), (warning(Kind.AGENT, error.message),), complete=False)


async def list_agents(reader: Reader) -> list[Agent]:
    """The account's agents; raises where the key may not read them."""
    try:
        return [to_agent(row) for row in await reader.every("/agents", kind="agents", refusals=1)]
    except Absent:
        raise reader.nowhere("/agents") from None


async def find_codes(reader: Reader) -> Found:
    """The account's code tables; where the key may not read them, a warning, and the fixed ones if there are none."""
    try:
        return Found(await list_codes(reader), complete=False)
    except AccessRefused as error:
        fixed = [code_table(name, labels) for name, labels in FIXED_CODES.items()]
        return Found((), (warning(Kind.CODES, error.message),), complete=False, missing=fixed)


async def list_codes(reader: Reader) -> list[Codes]:
    """The account's code tables; raises where the key may not read them."""
    try:
        return to_codes(await reader.every("/ticket_fields", kind="ticket fields", refusals=1))
    except Absent:
        raise reader.nowhere("/ticket_fields") from None


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
            yield Page(records=(), failures=(warning(self.kind, error.message),), cursor=cursor)
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

        async def get(page: int, size: int) -> Rows:
            return await self._get(part, cursor, since, page, size)

        def note(step: Step) -> None:
            if "began" not in cursor and step.answer.at is not None:
                cursor["began"] = iso(step.answer.at)
            if stamps := [iso(at) for row in step.answer.rows if (at := instant(row.get("updated_at")))]:
                cursor["latest"] = max(*stamps, cursor.get("latest", ""))

        def make(row: Json) -> Record:
            return self.record(row, buried=part == "buried")

        pages = read_pages(get, cursor, make, part=part, kind=self.kind, left=left, known=known, note=note)
        async with aclosing(pages):
            async for page in pages:
                yield page

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
