"""Lists of one stream that are read one after another, each with a place of its own (T19), under one limit."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from deskloom.model import Cursor, ItemFailure, Json, Kind, Page, Ticket, TicketState
from deskloom.protocols import Known
from deskloom.sources.freshworks.beside import Outcome, taken
from deskloom.sources.freshworks.reader import BATCH, OVERLAP
from deskloom.sources.freshworks.values import EPOCH, instant

LISTS = (TicketState.ACTIVE, TicketState.DELETED, TicketState.SPAM)
"""The lists that hold an account's tickets, or a workspace's: deleted and spam ones stand on none but their own."""
SILENT = (TicketState.DELETED, TicketState.SPAM)
"""Tickets of which no more is read than their row: they are tombstones."""
WHOLE_EVERY = timedelta(days=1)
"""How often the deleted and spam lists are read whole: whether deleting moves `updated_at` is not known (section 9)."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One list. Its state stands in the cursor under `key`; `params` is what it is always asked with."""

    key: str
    listed: TicketState
    params: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """What a pass brought, and its state once that is stored: its window and the place in it are one (T6).

    `keep`: the state is worth a page though nothing was brought, since many calls led there.
    """

    state: Json
    outcomes: Sequence[Outcome] = ()
    failures: tuple[ItemFailure, ...] = ()
    keep: bool = False


Batches = Callable[[Pass, Json, int | None], AsyncGenerator[Batch, None]]
"""Reads one pass on from its state, at most so many items; the last batch is the state of a pass that is done."""


async def read_passes(
    after: Cursor | None,
    passes: Sequence[Pass],
    read: Batches,
    *,
    facts: Callable[[], Json],
    limit: int | None,
    states: Mapping[str, Json] | None = None,
    closing: Callable[[], tuple[ItemFailure, ...]] = tuple,
) -> AsyncIterator[Page]:
    """Pages of all passes. When `limit` stops one, the next read begins with the one after it, so that none starves.

    Passes that were `done` before a read was stopped are not begun again by one with a `limit`, which goes on with the
    others: with nothing known it would never come to an end. One without goes on with the others first.
    `facts` of the moment stand in each page's cursor; `closing` failures come with the last page. `states` of passes
    are those of `after` if they are not given; those of passes that are not read stay as they are.
    """
    before = after or {}
    standing: dict[str, Json] = dict(before.get("passes", {}) if states is None else states)
    keys = [one.key for one in passes]
    turn = keys.index(before["next"]) if before.get("next") in keys else 0
    earlier = [key for key in before.get("done", ()) if key in keys]
    done, left, stored = list(earlier), limit, after

    def cursor(following: str) -> Cursor:
        return {"v": 1, "next": following} | facts() | {"passes": dict(standing)} | ({"done": [*done]} if done else {})

    turns = [*passes[turn:], *passes[:turn]]
    again = [one for one in turns if one.key in earlier] if limit is None else []
    for one in (*(one for one in turns if one.key not in earlier), *again):
        async with aclosing(read(one, standing.get(one.key, {}), left)) as batches:
            async for batch in batches:
                standing[one.key] = batch.state
                left = None if left is None else left - taken(batch.outcomes)
                if left is not None and left <= 0:
                    following = keys[(keys.index(one.key) + 1) % len(keys)]
                    yield _page(batch, cursor(following), closing())
                    return
                if batch.outcomes or batch.failures or batch.keep:
                    stored = cursor(keys[turn])
                    yield _page(batch, stored)
        done.append(one.key)
    done.clear()
    end, last = cursor(keys[0] if keys else ""), closing()
    if last or end != stored:
        yield Page(records=(), failures=last, cursor=end)


def _page(batch: Batch, cursor: Cursor, more: tuple[ItemFailure, ...] = ()) -> Page:
    return Page(
        records=tuple(record for outcome in batch.outcomes for record in outcome.records),
        failures=(*(failure for outcome in batch.outcomes for failure in outcome.failures), *batch.failures, *more),
        cursor=cursor,
    )


def beginning(state: Json, listed: TicketState, now: datetime) -> tuple[datetime, datetime | None]:
    """Where a pass that is done begins the next time, and when it last began at the beginning.

    It begins at its mark less the overlap; without a mark in 1970, and the silent ones once a day too, unless they are
    `bounded`.
    """
    at, whole = instant(state.get("mark")), instant(state.get("whole"))
    stale = whole is None or not timedelta() <= now - whole < WHOLE_EVERY
    if at is None or (listed in SILENT and stale and not state.get("bounded")):
        return EPOCH, now
    return at - OVERLAP, whole


async def in_parts(tickets: Sequence[Ticket | None], left: int | None, known: Known) -> list[tuple[int, list[Ticket]]]:
    """The tickets of a page that are not known, at most `BATCH` of them a part and `left` in all.

    With each part, how many rows of the page are done after it. None stands for a row that was met before.
    """
    keys = [ticket.key for ticket in tickets if ticket is not None]
    stored = await known(Kind.TICKET, keys) if keys else {}
    parts: list[tuple[int, list[Ticket]]] = []
    count = 0
    for end, ticket in enumerate(tickets, start=1):
        changed = ticket is not None and (ticket.stamp is None or stored.get(ticket.key) != ticket.stamp)
        if changed and left is not None and count >= left:
            break
        if not parts or (changed and len(parts[-1][1]) == BATCH):
            parts.append((end, []))
        batch = [*parts[-1][1], ticket] if changed and ticket is not None else parts[-1][1]
        parts[-1] = (end, batch)
        count += changed
    return parts
