"""How far a pass over a ticket list has come, whether or not the list is in order of change (HELPDESK-APIS 3.4).

Only `order_type` is documented for Freshservice's ticket list, and not by which column, so a list is walked by position
(`freshworks.walk`) within one window: all that changed at or after `since`. Where its rows prove to be in order of
change, `since` moves on after some thousand of them, so that no page is too deep; else the window stays as it is until
the list was read to its end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from deskloom.model import Json, TicketState
from deskloom.sources.freshworks.passes import beginning
from deskloom.sources.freshworks.values import EPOCH, instant, integer, iso
from deskloom.sources.freshworks.walk import Mark, mark

_KEPT = 200
"""How many of the last rows are kept: twice a page, so that a walk finds its place again although rows moved."""
_BEHIND = 100
"""A window moves to a row that so many were seen to follow: what one row, or one page, shows may be chance."""
_ENOUGH = 10
"""A page with fewer changes than this proves no order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What is asked for (`since`), and the place in it: rows before `covered` were met, `seen` are the last of them.

    `base` is where the pass began. `began` is the helpdesk's time then: what changed later belongs to the next read.
    `latest` is the newest stamp met. `whole` says when the pass last began in 1970. `moves`: its rows have proven to be
    in order of change, and it is time to move on.
    """

    since: datetime
    base: datetime
    covered: int = 0
    seen: tuple[Mark, ...] = ()
    began: datetime | None = None
    latest: datetime | None = None
    whole: datetime | None = None
    moves: bool = False

    @classmethod
    def at(cls, since: datetime, whole: datetime | None = None) -> Window:
        """A window that was not yet read."""
        return cls(since=since, base=since, whole=whole)

    def after(self, start: int, rows: list[Json]) -> Window:
        """The window once `rows`, the first of which is at position `start`, are done too.

        One that moves begins a second before a row, since `updated_since` may be exclusive (T3), if everything that was
        met since then is still kept.
        """
        stamps = [at for row in rows if (at := instant(row.get("updated_at")))]
        before = set(self.seen)
        seen = (*self.seen, *(one for row in rows if (one := mark(row)) not in before))[-_KEPT:]
        moved = replace(
            self, covered=start + len(rows), seen=seen, latest=max(filter(None, (*stamps, self.latest)), default=None)
        )
        behind = instant(seen[-_BEHIND][1]) if self.moves and len(seen) == _KEPT else None
        since = self.since if behind is None else behind - timedelta(seconds=1)
        tail = tuple(one for one in seen if (instant(one[1]) or EPOCH) >= since)
        if since <= self.since or len(tail) == len(seen):
            return moved
        return replace(moved, since=since, covered=0, seen=tail)

    def again(self, since: datetime) -> Window:
        """The same pass from `since` on, from the first row of the list."""
        return replace(self, since=since, covered=0, seen=(), moves=False)


def open_window(state: Json, listed: TicketState, now: datetime) -> Window:
    """The window that a pass goes on with: where it was stopped, or from its mark less the overlap, or from 1970."""
    if "since" not in state:
        return Window.at(*beginning(state, listed, now))
    since = instant(state["since"]) or EPOCH
    return Window(
        since=since,
        base=instant(state.get("base")) or since,
        covered=state.get("covered", 0),
        seen=tuple((key, stamp) for key, stamp in state.get("seen", ())),
        began=instant(state.get("began")),
        latest=instant(state.get("latest")),
        whole=instant(state.get("whole")),
    )


def stopped(window: Window, before: Json) -> Json:
    """The state of a pass that is not done: window and place are one unit (T6), and the old mark is kept with them."""
    place: Json = {"covered": window.covered, "seen": [list(one) for one in window.seen]}
    times = {name: getattr(window, name) for name in ("since", "base", "began", "latest", "whole")}
    return place | _stamps(times) | _mark(before)


def finished(window: Window, before: Json) -> Json:
    """The state of a pass that is done. Its mark is a stamp of the helpdesk's (T7): the newest met, but not later than
    the pass began, since a row that changed meanwhile may have moved to where the walk had been."""
    marks = [instant(before.get("mark"))]
    if window.began is not None and window.latest is not None:
        marks.append(min(window.began, window.latest))
    at = max(filter(None, marks), default=None)
    return _stamps({"mark": at, "whole": window.whole})


def _mark(state: Json) -> Json:
    return {"mark": state["mark"]} if "mark" in state else {}


def _stamps(moments: dict[str, Any]) -> Json:
    return {name: iso(at) for name, at in moments.items() if at is not None}


@dataclass(slots=True)
class Order:
    """What pages have shown of the column by which a list is sorted.

    `proven`: a page rose by `updated_at`, and fell somewhere both by `created_at` and by `id`, so that it is sorted by
    neither of these. `refuted`: a page fell by `updated_at`.
    """

    proven: bool = False
    refuted: bool = False

    def note(self, rows: list[Json]) -> None:
        changed = [instant(row.get("updated_at")) or EPOCH for row in rows]
        if _falls(changed):
            self.proven, self.refuted = False, True
            return
        made = [instant(row.get("created_at")) or EPOCH for row in rows]
        ids = [integer(row.get("id")) or 0 for row in rows]
        if not self.refuted and len(set(changed)) >= _ENOUGH and _falls(made) and _falls(ids):
            self.proven = True


def _falls(values: list[Any]) -> bool:
    return any(later < earlier for earlier, later in pairwise(values))
