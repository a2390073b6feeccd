"""The tickets of every workspace of a Freshservice account, with what hangs on each that changed.

What a ticket costs (credits; HELPDESK-APIS 3.3). Not in lists, so needed of each changed ticket: its view (tags,
urgency, impact, resolution notes, attachments), its conversations, its time entries. None of the three can be known to
be unchanged or empty without being asked for.

- `stats` and `requester` cost 2 each on a list page of 100 tickets, and 1 each on a view: 0.04 against 2 a ticket. So
  lists bring them, and tags too where the account takes `include=tags` there: 3 calls and 3 credits a ticket, else 4.
- A page of which one or two tickets changed is cheaper without includes: 1 + 4 a ticket against 7 + 1 (5 + 2). So a
  window that does not begin in 1970 is asked plainly, and a page with three or more changed ones once more with them.
- `include=conversations` on the view is two calls by the documentation, in all or on top: what it saves it costs. It is
  used only where the account's own answers show it to be cheaper (`messages`).
- Deleted and spam tickets are tombstones: neither includes nor views.

Tickets a minute at 3 credits, with the whole limit: Starter 33, Growth 66, Pro 133, Enterprise 166 (by its 160 views a
minute 160); at 4 credits 25, 50, 100, 125. Three calls one after the other, one a second, are 20.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime

from deskloom.errors import AccessRefused, SourceRejected
from deskloom.model import Cursor, ItemFailure, Json, Kind, Page, Ticket, TicketState
from deskloom.protocols import Known, Listed
from deskloom.sources.freshservice.lists import Lists, not_read, note_closed, passes_of
from deskloom.sources.freshservice.mapping import to_ticket
from deskloom.sources.freshservice.messages import TicketReader
from deskloom.sources.freshservice.windows import Window, finished, open_window, stopped
from deskloom.sources.freshservice.workspaces import Division, Workspaces
from deskloom.sources.freshworks.beside import taken
from deskloom.sources.freshworks.lists import warning
from deskloom.sources.freshworks.passes import SILENT, Batch, Pass, in_parts, read_passes
from deskloom.sources.freshworks.reader import OVERLAP, Reader
from deskloom.sources.freshworks.values import EPOCH, iso, ticket_stamp, ticket_state
from deskloom.sources.freshworks.walk import Step, mark

WORTH_INCLUDES = 3
"""So many changed tickets on a page make its includes cheaper than those of their views."""


@dataclass(slots=True)
class TicketStream:
    """Reads the ticket lists of one account."""

    reader: Reader
    workspaces: Workspaces
    children: TicketReader
    lists: Lists

    async def read(self, after: Cursor | None, *, limit: int | None, known: Known) -> AsyncIterator[Page]:
        """Pages of changed tickets; the last one says which workspaces could not be read.

        Raises what the lists raise if none of them may be read.
        """
        before = after or {}
        self.lists.taken |= before.get("taken", {})
        self.children.begin()
        division = await self.workspaces.division()
        passes = passes_of(division)
        states, vanished = _vanished(before.get("passes", {}), passes, division)
        bound: Json = {"since": before["since"]} if "since" in before else {}
        closed: dict[int, str] = {}

        async def batches(one: Pass, state: Json, left: int | None) -> AsyncGenerator[Batch, None]:
            if not state and bound:
                state = {"mark": bound["since"], "bounded": True}
            space = one.params.get("workspace_id")
            if space in closed:
                return
            try:
                async with aclosing(self._pass(one, state, left, known)) as parts:
                    async for batch in parts:
                        yield batch
            except (AccessRefused, SourceRejected) as error:
                note_closed(closed, division, one, error)
                yield Batch(state | {"refused": True})

        def closing() -> tuple[ItemFailure, ...]:
            said = [*not_read(division, closed), *vanished]
            return (*([warning(Kind.TICKET, " ".join(said))] if said else []), *self.children.told())

        def facts() -> Json:
            return {"taken": dict(self.lists.taken)} | bound

        reading = read_passes(after, passes, batches, facts=facts, limit=limit, states=states, closing=closing)
        async with aclosing(reading) as pages:  # type: ignore[type-var]
            async for page in pages:
                yield page

    async def listing(self) -> AsyncIterator[Sequence[Listed]]:
        """Every ticket of every workspace that the key may read, from 1970 on, 1 credit for a page of 100 at most.

        A workspace that is closed to the key is left out: nothing of it is in the record, or it was readable once, and
        then its tickets are refused one by one, not gone. A ticket that moves from one list to the other meanwhile is
        met in both, or in none.
        """
        division = await self.workspaces.division()
        closed: dict[int, str] = {}
        for one in passes_of(division):
            if one.params.get("workspace_id") in closed:
                continue
            try:
                async with aclosing(self.lists.steps(one, Window.at(EPOCH))) as steps:
                    async for _, step in steps:
                        yield [_as_listed(self._listed(one, row, step)) for row in step.new]
            except (AccessRefused, SourceRejected) as error:
                note_closed(closed, division, one, error)

    async def _pass(self, one: Pass, before: Json, left: int | None, known: Known) -> AsyncGenerator[Batch, None]:
        """Batches of one pass; the last one is its state when it is done."""
        window = open_window(before, one.listed, self.reader.client.now())
        first = "whole" not in before and window.base == EPOCH
        include = one.listed is TicketState.ACTIVE and first
        refusals = 0 if before.get("refused") else None
        async with aclosing(self.lists.steps(one, window, include=include, refusals=refusals)) as steps:
            async for window, step in steps:
                rows = step.answer.rows
                for end, changed in await self._changed(one, window, step, left, known, plain=not include):
                    outcomes = await self.children.read_all(changed)
                    left = None if left is None else left - taken(outcomes)
                    yield Batch(stopped(window.after(step.start, rows[:end]), before), outcomes)
                window = window.after(step.start, rows)
        yield Batch(finished(window, before))

    async def _changed(
        self, one: Pass, window: Window, step: Step, left: int | None, known: Known, *, plain: bool
    ) -> list[tuple[int, list[Ticket]]]:
        """The tickets of a page that are not known, in parts; with what includes tell if that is worth a call."""
        fresh = set(map(mark, step.new))
        tickets = [self._listed(one, row, step) if mark(row) in fresh else None for row in step.answer.rows]
        parts = await in_parts(tickets, left, known)
        if not plain or one.listed in SILENT or sum(len(changed) for _, changed in parts) < WORTH_INCLUDES:
            return parts
        answer = await self.lists.page(one, window, step.page, step.size, include=True)
        richer = {mark(row): row for row in answer.rows}
        return [(end, [replace(it, raw=richer.get(mark(it.raw), it.raw)) for it in changed]) for end, changed in parts]

    def _listed(self, one: Pass, row: Json, step: Step) -> Ticket:
        state = ticket_state(row, one.listed)
        return to_ticket(row, state=state, stamp=ticket_stamp(row, state, step.answer.at))


def _as_listed(ticket: Ticket) -> Listed:
    return Listed(key=ticket.key, stamp=ticket.stamp, gone=ticket.state in SILENT, updated_at=ticket.updated_at)


def cursor_since(when: datetime) -> Cursor:
    """All passes of all workspaces from `when`; the overlap is added back, so that they begin there and not before."""
    return {"v": 1, "since": iso(when + OVERLAP)}


def _vanished(states: Mapping[str, Json], passes: Sequence[Pass], division: Division) -> tuple[Json, list[str]]:
    """The states of passes, those of workspaces that are no longer listed marked so; and a sentence when they go."""
    here = {one.key for one in passes}
    gone = {key for key in states if "/" in key and key not in here} if division.workspaces else set()
    fresh = sorted({key.partition("/")[0] for key in gone if not states[key].get("vanished")})
    marked = {key: state | {"vanished": True} if key in gone else state for key, state in states.items()}
    return marked, [
        f"Workspace {space} is no longer listed. Its tickets stand as they were read; a sweep asks for each of them."
        for space in fresh
    ]
