"""What was said on a ticket, read whole, and what it means when it cannot be read (T20, T21, T24-T27)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from deskloom.errors import AccessRefused, SourceUnavailable, Unreadable
from deskloom.model import ItemFailure, Json, Kind, Message, Ticket, TicketState
from deskloom.sources.freshdesk.mapping import to_message, to_ticket
from deskloom.sources.freshworks.reader import Absent, Reader
from deskloom.sources.freshworks.values import ticket_stamp, ticket_state

Outcome = tuple[Ticket, ItemFailure | None]

_SILENT = (TicketState.DELETED, TicketState.SPAM)
"""Tickets whose messages are not read: they are tombstones."""
_MOST_IN_A_ROW = 5
"""So many tickets that fail one after another mean that the helpdesk is down, not that the tickets are odd."""


@dataclass(slots=True)
class TicketReader:
    """Reads tickets by id and their messages. One failure is an item's; many in a row are the helpdesk's."""

    reader: Reader
    _in_a_row: int = field(default=0, init=False)

    def begin(self) -> None:
        """A new read: earlier failures say nothing about it."""
        self._in_a_row = 0

    async def read_all(self, tickets: Sequence[Ticket]) -> list[Outcome]:
        """The tickets with their messages, in the same order, read side by side within the account's budget."""
        tasks: list[asyncio.Task[Outcome]] = []
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._read(ticket)) for ticket in tickets]
        except BaseExceptionGroup as errors:
            raise first_error(errors) from None
        return [task.result() for task in tasks]

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
        if state in _SILENT:
            return to_ticket(row, state=state, stamp=stamp, messages=None)
        try:
            messages = await self._messages(f"/tickets/{archived}{key}/conversations")
        except (Absent, AccessRefused):
            raise Unreadable(f"The replies and notes of ticket {key} may not be read now.", key=key) from None
        return to_ticket(row, state=state, stamp=stamp, messages=messages)

    async def _read(self, listed: Ticket) -> Outcome:
        if listed.state in _SILENT:
            return listed, None
        try:
            try:
                messages = await self._messages(f"/tickets/{listed.key}/conversations")
                self._in_a_row = 0
                return replace(listed, messages=messages), None
            except (Absent, AccessRefused):
                found = await self.fetch(listed.key)
            if found is not None:
                return found, None
            reason = "It was listed, but is found neither by id nor among the archived tickets."
        except Unreadable as error:
            reason = error.message
        except SourceUnavailable as error:
            self._in_a_row += 1
            if self._in_a_row >= _MOST_IN_A_ROW:
                raise
            reason = error.message
        # Unknown is not empty (T27): no messages, and no stamp, so that the ticket is read again when it is seen next.
        failure = ItemFailure(kind=Kind.TICKET, key=listed.key, reason=reason)
        return replace(listed, messages=None, stamp=None), failure

    async def _messages(self, path: str) -> tuple[Message, ...]:
        """All replies and notes, oldest first as listed: every page (T25), not the ten of an include (T24)."""
        rows: list[Json] = await self.reader.every(path, kind="conversations", refusals=1)
        return tuple(to_message(row) for row in rows)


def first_error(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error behind a group, so that callers see it as it was raised."""
    first = errors.exceptions[0]
    return first_error(first) if isinstance(first, BaseExceptionGroup) else first
