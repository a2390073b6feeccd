"""Time entries of Freshservice tickets, which only their tickets have, and which leave their tickets untouched.

There is no list of all time entries, and nothing on a ticket shows that its entries changed (HELPDESK-APIS 3.7 and rule
6): one call for each ticket is the least there is. So the stream `hours` asks for those of tickets that changed within
the last `days`, which are also those that were resolved or closed since then; in a full read, for those of all tickets.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from deskloom.errors import AccessRefused, SourceRejected, Unreadable
from deskloom.model import Cursor, ItemFailure, Json, Kind, Page, TicketState, TimeSheet
from deskloom.protocols import Known, nothing_known
from deskloom.sources.freshservice.gates import Gate
from deskloom.sources.freshservice.lists import Lists, not_read, note_closed, passes_of
from deskloom.sources.freshservice.messages import TicketReader
from deskloom.sources.freshservice.windows import Window, open_window, stopped
from deskloom.sources.freshservice.workspaces import Workspaces
from deskloom.sources.freshworks.beside import Beside, Outcome, taken
from deskloom.sources.freshworks.lists import is_known, warning
from deskloom.sources.freshworks.passes import Batch, Pass, read_passes
from deskloom.sources.freshworks.reader import BATCH, Absent, Reader
from deskloom.sources.freshworks.values import EPOCH, instant, iso
from deskloom.sources.freshworks.walk import mark


@dataclass(slots=True)
class HoursStream:
    """Reads the time sheets of tickets, one by one."""

    reader: Reader
    workspaces: Workspaces
    children: TicketReader
    lists: Lists
    days: timedelta
    _beside: Beside = field(default_factory=Beside, init=False)
    _gate: Gate = field(default_factory=lambda: Gate(Kind.HOURS, "their time entries"), init=False)

    async def read(self, after: Cursor | None, *, limit: int | None, known: Known) -> AsyncIterator[Page]:
        """Sheets that are not known, of the tickets that changed lately; of all tickets where nothing is known.

        Where time entries may not be read at all, a warning, and nothing moves.
        """
        before: Json = dict(after or {})
        self.lists.taken |= before.get("taken", {})
        self._beside.begin()
        self._gate.begin()
        division = await self.workspaces.division()
        bound: Json = {"since": before["since"]} if "since" in before else {}
        closed: dict[int, str] = {}

        async def batches(one: Pass, state: Json, left: int | None) -> AsyncGenerator[Batch, None]:
            if bound:
                since = instant(bound["since"]) or EPOCH
            elif known is nothing_known and "mark" not in state:
                since = EPOCH
            else:
                since = self.reader.client.now() - self.days
            window = open_window(state, one.listed, since) if "since" in state else Window.at(since)
            try:
                async with aclosing(self._pass(one, window, left, known)) as parts:
                    async for batch in parts:
                        yield batch
            except (AccessRefused, SourceRejected) as error:
                note_closed(closed, division, one, error)

        def closing() -> tuple[ItemFailure, ...]:
            said = not_read(division, closed)
            return (warning(Kind.HOURS, " ".join(said)),) if said else ()

        def facts() -> Json:
            return {"taken": dict(self.lists.taken)} | bound

        passes = [one for one in passes_of(division) if one.listed is TicketState.ACTIVE]
        try:
            reading = read_passes(after, passes, batches, facts=facts, limit=limit, closing=closing)
            async with aclosing(reading) as pages:  # type: ignore[type-var]
                async for page in pages:
                    before = page.cursor
                    yield page
        except _NoHours as refused:
            yield Page(records=(), failures=(warning(Kind.HOURS, str(refused)),), cursor=before)

    async def fetch(self, key: str) -> TimeSheet | None:
        """The sheet of a ticket; None for a ticket that does not exist. Raises `Unreadable` on a 403."""
        try:
            try:
                return await self.children.sheet(key)
            except Absent:
                await self.reader.one(f"/tickets/{key}", kind="ticket", refusals=1)
        except Absent:
            return None
        except AccessRefused as error:
            raise Unreadable(f"The hours of ticket {key} may not be read now: {error.message}", key=key) from None
        raise Unreadable(f"The hours of ticket {key} are not shown, although the ticket is there.", key=key)

    async def _pass(self, one: Pass, window: Window, left: int | None, known: Known) -> AsyncGenerator[Batch, None]:
        """The sheets of one workspace's tickets, in parts; what is not stored now is asked for again the next time."""
        began = window.began
        async with aclosing(self.lists.steps(one, window)) as steps:
            async for window, step in steps:
                began, rows, fresh = window.began, step.answer.rows, set(map(mark, step.new))
                for start in range(0, len(rows), BATCH):
                    part = rows[start : start + BATCH]
                    sheets = await self._read_all([str(int(row["id"])) for row in part if mark(row) in fresh])
                    outcomes, done = await _sift(part, sheets, left, known)
                    left = None if left is None else left - taken(outcomes)
                    place = window.after(step.start, rows[: start + done])
                    yield Batch(stopped(place, {}), outcomes, keep=bool(sheets))
        yield Batch({"mark": iso(began or self.reader.client.now())})

    async def _read_all(self, keys: Sequence[str]) -> dict[str, Outcome]:
        return dict(zip(keys, await self._beside.read_all(keys, self._read, _set_aside), strict=True))

    async def _read(self, key: str) -> Outcome:
        try:
            sheet = await self.children.sheet(key)
        except Absent:
            return Outcome()  # deleted meanwhile: what was worked on it stands
        except AccessRefused as error:
            self._gate.refused(error)
            if self._gate.closed:
                raise _NoHours(error.message) from None
            raise Unreadable(f"The hours of ticket {key} may not be read now: {error.message}", key=key) from None
        self._gate.passed()
        return Outcome((sheet,))


async def _sift(
    rows: Sequence[Json], sheets: Mapping[str, Outcome], left: int | None, known: Known
) -> tuple[list[Outcome], int]:
    """What is not known of the sheets of some rows, at most `left`, and how many of the rows are done with it."""
    stored = await known(Kind.HOURS, list(sheets)) if sheets else {}
    outcomes: list[Outcome] = []
    for done, row in enumerate(rows, start=1):
        outcome = sheets.get(str(row["id"]), Outcome())
        if outcome.failures or any(not is_known(sheet, stored) for sheet in outcome.records):
            outcomes.append(outcome)
            if left is not None and len(outcomes) >= left:
                return outcomes, done
    return outcomes, len(rows)


class _NoHours(Exception):
    """The account, or the key, has no time entries to read."""


def _set_aside(key: str, reason: str) -> Outcome:
    return Outcome((), (ItemFailure(kind=Kind.HOURS, key=key, reason=reason),))


def cursor_since(when: datetime) -> Cursor:
    """The sheets of tickets that changed at or after `when`; when an entry was made or changed, no list says."""
    return {"v": 1, "since": iso(when)}
