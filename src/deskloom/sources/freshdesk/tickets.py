"""The tickets of a Freshdesk account: three passes (active, deleted, spam), each a window that moves with its rows."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from deskloom.errors import WindowStuck
from deskloom.model import Cursor, Json, Page, Ticket, TicketState
from deskloom.protocols import Known
from deskloom.sources.freshdesk.mapping import to_ticket
from deskloom.sources.freshdesk.messages import TicketReader
from deskloom.sources.freshworks.beside import Outcome, taken
from deskloom.sources.freshworks.passes import LISTS, Batch, Pass, beginning, in_parts, read_passes
from deskloom.sources.freshworks.reader import OVERLAP, Reader, Rows
from deskloom.sources.freshworks.values import EPOCH, instant, iso, text, ticket_stamp, ticket_state
from deskloom.sources.freshworks.walk import Mark, Place, Step, mark, walk

PASSES = tuple(Pass(listed.value, listed) for listed in LISTS)
LAST_PAGE = 300
"""Page 301 of the ticket list is refused (T2)."""
INCLUDES = "requester,stats,description"
LIST_COST = 7
"""1 credit and 2 for each include (2.3), until an answer tells (T37)."""


@dataclass(frozen=True, slots=True)
class Window:
    """How far a pass has come: everything before `since` is done, and of what lies at or after it, `seen`.

    `low` is the earliest point near the helpdesk's present at which a read of this pass ended: what showed up late
    behind it is caught by the overlap of a later read. `whole` says when this pass last began at the beginning.
    """

    since: datetime
    seen: frozenset[Mark] = frozenset()
    low: datetime | None = None
    whole: datetime | None = None
    resumed: bool = False

    def after(self, rows: list[Json], inclusive: bool) -> Window:
        """The window once `rows` are done too. `since` stays a second behind while it may be exclusive (T3)."""
        since = self.since
        last = next((at for row in reversed(rows) if (at := instant(row.get("updated_at")))), None)
        if last is not None:
            since = max(since, last if inclusive else last - timedelta(seconds=1))
        seen = _at_or_after(since, self.seen) if since > self.since else self.seen
        return replace(self, since=since, seen=seen | _at_or_after(since, map(mark, rows)))


def _at_or_after(since: datetime, marks: Iterable[Mark]) -> frozenset[Mark]:
    return frozenset(one for one in marks if (instant(one[1]) or since) >= since)


def open_window(state: Json, listed: TicketState, now: datetime) -> Window:
    """The window that a pass goes on with: where it was stopped, or from its mark less the overlap, or from 1970."""
    whole = instant(state.get("whole"))
    if "since" in state:
        seen = frozenset((key, stamp) for stamp, keys in state["seen"].items() for key in keys)
        since = instant(state["since"]) or EPOCH
        return Window(since, seen, instant(state.get("low")), whole, resumed=True)
    since, whole = beginning(state, listed, now)
    return Window(since, whole=whole)


def stopped(window: Window, now: datetime) -> Json:
    """The state of a pass that is not done."""
    seen: dict[str, list[Any]] = {}
    for key, stamp in window.seen:
        seen.setdefault(str(stamp), []).append(key)
    low = window.low
    if window.since > now - OVERLAP:
        low = min(low or window.since, window.since)
    return {"since": iso(window.since), "seen": seen} | _stamps(low=low, whole=window.whole)


def finished(window: Window, latest: datetime | None, before: Json) -> Json:
    """The state of a pass that is done: its watermark is a stamp of the helpdesk's, never our clock (T7)."""
    marks = [at for at in (latest, instant(before.get("mark"))) if at is not None]
    at = max(marks) if marks else None
    if window.resumed and window.low is not None and at is not None:
        at = min(at, window.low)
    return _stamps(mark=at, whole=window.whole)


def cursor_since(when: datetime) -> Cursor:
    """All passes from `when`; the overlap is added back, so that it begins there and not before."""
    at = iso(when + OVERLAP)
    return {"v": 1, "passes": {listed.value: {"mark": at, "bounded": True} for listed in LISTS}}


@dataclass(slots=True)
class TicketStream:
    """Reads the ticket lists of one account."""

    reader: Reader
    children: TicketReader
    inclusive: bool = field(default=False, init=False)

    def read(self, after: Cursor | None, *, limit: int | None, known: Known) -> AsyncIterator[Page]:
        """Pages of changed tickets. When `limit` stops a pass, the next read begins with the one after it."""
        self.inclusive = self.inclusive or (after or {}).get("inclusive") is True
        self.children.begin()

        async def batches(one: Pass, before: Json, left: int | None) -> AsyncGenerator[Batch, None]:
            now = self.reader.client.now
            window = open_window(before, one.listed, now())
            latest = window.since if window.resumed else None
            async with aclosing(self._pass(one.listed, window, left, known)) as parts:
                async for window, outcomes, latest_row in parts:
                    latest = max(filter(None, (latest, latest_row)), default=None)
                    yield Batch(stopped(window, now()), outcomes)
            yield Batch(finished(window, latest, before))

        return read_passes(after, PASSES, batches, facts=lambda: {"inclusive": self.inclusive}, limit=limit)

    async def _pass(
        self, listed: TicketState, window: Window, left: int | None, known: Known
    ) -> AsyncGenerator[tuple[Window, list[Outcome], datetime | None], None]:
        """Batches of one pass, each with the window after it. The window moves on after every page (T2, T3, T5)."""
        async with aclosing(self.steps(listed, window)) as steps:
            async for window, step in steps:
                done = 0
                for end, changed in await in_parts(_listed(step, listed), left, known):
                    outcomes = await self.children.read_all(changed)
                    rows, done = step.new[done:end], end
                    window = window.after(rows, self.inclusive)
                    left = None if left is None else left - taken(outcomes)
                    yield window, outcomes, _latest(rows)

    async def steps(
        self, listed: TicketState, window: Window, include: str = INCLUDES
    ) -> AsyncGenerator[tuple[Window, Step], None]:
        """The pages of one pass to the end of the list, each with the window before it; children are not read."""
        while True:
            start, moved = window, False
            place = Place(len(window.seen), set(window.seen))

            async def get(page: int, size: int, since: datetime = window.since) -> Rows:
                return await self._get(listed, since, page, size, include)

            async with aclosing(walk(get, place, last_page=LAST_PAGE)) as steps:
                async for step in steps:
                    self._learn(start.since, step.answer.rows)
                    yield window, step
                    window = window.after(step.answer.rows, self.inclusive)
                    if step.ended:
                        return
                    moved = window.since > start.since
                    if moved:
                        break
            if not moved:
                raise self._stuck(listed, window)

    async def _get(self, listed: TicketState, since: datetime, page: int, size: int, include: str) -> Rows:
        params: dict[str, str | int] = {
            "updated_since": iso(since),
            "order_by": "updated_at",
            "order_type": "asc",
            "page": page,
            "per_page": size,
        }
        if include:
            params["include"] = include
        if listed is not TicketState.ACTIVE:
            params["filter"] = listed.value
        cost = LIST_COST if include else 1
        return await self.reader.required("/tickets", params, kind="tickets", cost=cost)

    def _learn(self, since: datetime, rows: list[Json]) -> None:
        """A row at the very stamp that was asked for shows that `updated_since` means at or after (section 9)."""
        stamps = [at for row in rows if (at := instant(row.get("updated_at")))]
        self.inclusive = self.inclusive or since in stamps
        if any(later < earlier - OVERLAP for earlier, later in pairwise(stamps)):
            raise WindowStuck(
                f"{self.reader.client.title} does not list tickets in order of change, so they cannot be walked "
                f"completely. Nothing was lost; please report this.",
            )

    def _stuck(self, listed: TicketState, window: Window) -> WindowStuck:
        at = iso(max((one for _, stamp in window.seen if (one := instant(stamp))), default=window.since))
        return WindowStuck(
            f"{self.reader.client.title} has 30,000 or more {listed} tickets that changed at {at}, and lists "
            f"no more than that. Change some of them (a tag will do), so that they move on, and sync again.",
            since=at,
        )


def _listed(step: Step, listed: TicketState) -> list[Ticket]:
    states = [(row, ticket_state(row, listed)) for row in step.new]
    return [
        to_ticket(row, state=state, stamp=ticket_stamp(row, state, step.answer.at), messages=None)
        for row, state in states
    ]


def _latest(rows: list[Json]) -> datetime | None:
    return max((at for row in rows if (at := instant(text(row.get("updated_at"))))), default=None)


def _stamps(**moments: datetime | None) -> Json:
    return {name: iso(at) for name, at in moments.items() if at is not None}
