"""What hangs on a ticket: its view, what was said, the hours spent, what was requested (T20, T24-T27, 3.5-3.7)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from deskloom.errors import AccessRefused, Unreadable
from deskloom.model import ItemFailure, Json, Kind, Message, Ticket, TimeSheet
from deskloom.sources.freshservice.gates import Gate
from deskloom.sources.freshservice.mapping import is_request, to_message, to_ticket
from deskloom.sources.freshservice.workspaces import Workspaces, company_of_client
from deskloom.sources.freshworks.beside import Beside, Outcome, unknown
from deskloom.sources.freshworks.passes import SILENT
from deskloom.sources.freshworks.reader import Absent, Reader
from deskloom.sources.freshworks.timesheets import to_sheet
from deskloom.sources.freshworks.values import integer, ticket_stamp, ticket_state

INCLUDES = ("requester", "stats", "tags")
"""What a view has only if it is asked for."""
_FOLDED = 10
"""Most conversations that a view holds: the oldest ones (T24). Fewer are all there are."""
_TALK = "conversations"


@dataclass(slots=True)
class TicketReader:
    """Reads tickets by id, with what hangs on them."""

    reader: Reader
    workspaces: Workspaces
    hours: Gate = field(default_factory=lambda: Gate(Kind.HOURS, "their time entries"), init=False)
    items: Gate = field(default_factory=lambda: Gate(Kind.TICKET, "their requested items"), init=False)
    _beside: Beside = field(default_factory=Beside, init=False)
    _viewed: dict[str, Ticket] = field(default_factory=dict, init=False)
    _folds: bool | None = field(default=None, init=False)
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    def begin(self) -> None:
        """A new read: earlier failures say nothing about it."""
        self._beside.begin()
        self._viewed.clear()
        for gate in (self.hours, self.items):
            gate.begin()

    def told(self) -> tuple[ItemFailure, ...]:
        """What tickets were read without, a sentence each."""
        return (*self.hours.told(), *self.items.told())

    async def read_all(self, tickets: Sequence[Ticket]) -> list[Outcome]:
        """The listed tickets, whole, in the same order, read side by side within the account's budget."""
        return await self._beside.read_all(tickets, self._read, self._set_aside)

    async def fetch(self, key: str) -> Ticket | None:
        """A ticket by id; None when it is gone for good. Raises `Unreadable` on a 403 (T20)."""
        try:
            row = await self._view(key, INCLUDES)
        except Absent:
            return None
        except AccessRefused as error:
            raise Unreadable(f"Ticket {key} may not be read now: {error.message}", key=key) from None
        try:
            return (await self._whole(row, None)).records[0]  # type: ignore[return-value]
        except (Absent, AccessRefused):
            raise Unreadable(f"The replies and notes of ticket {key} may not be read now.", key=key) from None

    async def sheet(self, key: str) -> TimeSheet:
        """The time entries of a ticket, all pages of them (T25); raises `Absent` and `AccessRefused`."""
        rows = await self.reader.every(f"/tickets/{key}/time_entries", kind="time entries", refusals=1)
        return to_sheet(rows, ticket_id=int(key))

    async def _read(self, listed: Ticket) -> Outcome:
        if listed.state in SILENT:
            return Outcome((listed,))
        try:
            row = await self._view(listed.key, [name for name in INCLUDES if name not in listed.raw])
        except Absent:
            raise Unreadable("It was listed, but is not found by its id.", key=listed.key) from None
        except AccessRefused as error:
            raise Unreadable(f"It was listed, but may not be read now: {error.message}", key=listed.key) from None
        try:
            return await self._whole(listed.raw | row, listed.stamp)
        except (Absent, AccessRefused):
            found = await self.fetch(listed.key)  # it may have been deleted meanwhile
        if found is None:
            raise Unreadable("It was listed, but is not found by its id.", key=listed.key)
        return Outcome((found,))

    def _set_aside(self, listed: Ticket, reason: str) -> Outcome:
        """What its view told, without the rest; a list row alone lacks too much to take the place of what stands."""
        viewed = self._viewed.pop(listed.key, None)
        outcome = unknown(viewed or listed, reason)
        return outcome if viewed else Outcome((), outcome.failures)

    async def _view(self, key: str, includes: Sequence[str]) -> Json:
        """A ticket's view, with its conversations if that is cheaper than to ask for them apart.

        The documentation's two prices for it are not (2.3, 3.3). The first view asks what the account takes.
        """
        if self._folds is None:
            async with self._asking:
                if self._folds is None:
                    row, credits = await self._ask(key, [*includes, _TALK])
                    self._folds = credits is not None and credits < 1 + len(includes) + 1
                    return row
        return (await self._ask(key, [*includes, *([_TALK] if self._folds else [])]))[0]

    async def _ask(self, key: str, includes: Sequence[str]) -> tuple[Json, float | None]:
        params = {"include": ",".join(includes)} if includes else {}
        return await self.reader.priced(f"/tickets/{key}", params, kind="ticket", refusals=1)

    async def _whole(self, row: Json, stamp: str | None) -> Outcome:
        """A ticket that was viewed, with what hangs on it. `stamp`: that of the list, if it was listed."""
        row, key, state = dict(row), str(int(row["id"])), ticket_state(row)
        told = row.pop(_TALK, None)
        if state in SILENT or stamp is None:
            stamp = ticket_stamp(row, state, self.reader.client.now())
        number = integer(row.get("workspace_id"))
        space = (await self.workspaces.division()).get(number)
        company = company_of_client(space.id) if space is not None and space.client else None
        viewed = to_ticket(row, state=state, stamp=stamp, company_id=company)
        if state in SILENT:
            return Outcome((viewed,))
        self._viewed[key] = viewed
        messages = _complete(told)
        if messages is None:
            rows = await self.reader.every(f"/tickets/{key}/conversations", kind=_TALK, refusals=1)
            messages = tuple(map(to_message, rows))
        if is_request(row):
            row |= await self._items(key)
        sheet = await self._hours(key)
        entries = sheet.entries if sheet is not None and not sheet.unread else None
        ticket = to_ticket(row, state=state, stamp=stamp, company_id=company, messages=messages, time_entries=entries)
        self._viewed.pop(key, None)
        return Outcome((ticket, sheet) if sheet is not None and sheet.unread else (ticket,))

    async def _hours(self, key: str) -> TimeSheet | None:
        """The time entries, which tickets can do without: None is unknown, and the stream `hours` asks again."""
        if self.hours.closed:
            return None
        try:
            sheet = await self.sheet(key)
        except AccessRefused as error:
            self.hours.refused(error)
            return None
        except Absent:
            return None
        self.hours.passed()
        return sheet

    async def _items(self, key: str) -> Json:
        if self.items.closed:
            return {}
        try:
            rows = await self.reader.every(f"/tickets/{key}/requested_items", kind="requested items", refusals=1)
        except AccessRefused as error:
            self.items.refused(error)
            return {}
        except Absent:
            return {}
        self.items.passed()
        return {"requested_items": rows}


def _complete(told: object) -> tuple[Message, ...] | None:
    """The conversations that came with a view, oldest first as listed, if they are surely all of them."""
    if not isinstance(told, list) or len(told) >= _FOLDED:
        return None
    if any(not isinstance(one, dict) or not {"id", "body", "private"} <= one.keys() for one in told):
        return None
    return tuple(map(to_message, told))
