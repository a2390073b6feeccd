"""What was said on a ticket, read whole, and what it means when it cannot be read (T20, T21, T24-T27)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from deskloom.errors import AccessRefused, Unreadable
from deskloom.model import Json, Message, Ticket, TicketState
from deskloom.sources.freshdesk.mapping import MESSAGE_KINDS, to_ticket
from deskloom.sources.freshworks.beside import Beside, Outcome, unknown
from deskloom.sources.freshworks.passes import SILENT
from deskloom.sources.freshworks.reader import Absent, Reader
from deskloom.sources.freshworks.tickets import to_message
from deskloom.sources.freshworks.values import ticket_stamp, ticket_state


@dataclass(slots=True)
class TicketReader:
    """Reads tickets by id and their messages."""

    reader: Reader
    _beside: Beside = field(default_factory=Beside, init=False)

    def begin(self) -> None:
        """A new read: earlier failures say nothing about it."""
        self._beside.begin()

    async def read_all(self, tickets: Sequence[Ticket]) -> list[Outcome]:
        """The tickets with their messages, in the same order, read side by side within the account's budget."""
        return await self._beside.read_all(tickets, self._read, unknown)

    async def fetch(self, key: str) -> Ticket | None:
        """A ticket by id, archived ones too; None when it is gone for good. Raises `Unreadable` on a 403 (T20)."""
        try:
            try:
                row = await self.reader.one(
                    f"/tickets/{key}", {"include": "requester,stats"}, kind="ticket", refusals=1
                )
                archived = ""
            except Absent:
                row = await self.reader.one(f"/tickets/archived/{key}", kind="archived ticket", refusals=1)
                archived = "archived/"
        except Absent:
            return None
        except AccessRefused as error:
            raise Unreadable(f"Ticket {key} may not be read now: {error.message}", key=key) from None
        state = ticket_state(row, TicketState.ARCHIVED if archived else TicketState.ACTIVE)
        stamp = ticket_stamp(row, state, self.reader.client.now())
        if state in SILENT:
            return to_ticket(row, state=state, stamp=stamp, messages=None)
        try:
            messages = await self._messages(f"/tickets/{archived}{key}/conversations")
        except (Absent, AccessRefused):
            raise Unreadable(f"The replies and notes of ticket {key} may not be read now.", key=key) from None
        return to_ticket(row, state=state, stamp=stamp, messages=messages)

    async def _read(self, listed: Ticket) -> Outcome:
        if listed.state in SILENT:
            return Outcome((listed,))
        try:
            messages = await self._messages(f"/tickets/{listed.key}/conversations")
            return Outcome((replace(listed, messages=messages),))
        except (Absent, AccessRefused):
            found = await self.fetch(listed.key)
        if found is None:
            raise Unreadable(
                "It was listed, but is found neither by id nor among the archived tickets.", key=listed.key
            )
        return Outcome((found,))

    async def _messages(self, path: str) -> tuple[Message, ...]:
        """All replies and notes, oldest first as listed: every page (T25), not the ten of an include (T24)."""
        rows: list[Json] = await self.reader.every(path, kind="conversations", refusals=1)
        return tuple(to_message(row, MESSAGE_KINDS) for row in rows)
