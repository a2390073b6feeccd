"""Time entries for the tickets of an account: in time, late, running, and more of them than a page on one ticket."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import timedelta

from deskloom.sandbox.clock import moment, stamp
from deskloom.sandbox.freshservice import FreshserviceDesk
from deskloom.sandbox.rows import Row
from deskloom.sandbox.timers import FIRST_ENTRY, span


def time_entries(desk: FreshserviceDesk, known: Sequence[Row], chance: random.Random) -> Iterator[Row]:
    """The `known` entries of a story; where it has none, one to three on most tickets that were worked on.

    Some are logged days after the work; some run; one ticket has more of them than a page of thirty.
    """
    agents = [row["id"] for row in desk.agents]
    tickets = [row for row in desk.tickets if row.get("status", 2) != 2] if agents else []
    key = max((row["id"] for row in known), default=FIRST_ENTRY - 1)
    for row in known:
        yield {name: value for name, value in row.items() if name != "company_id"}
    have = {row["ticket_id"] for row in known}
    now = desk.stamp()
    for place, ticket in enumerate(tickets):
        count = 0 if ticket["id"] in have and place % 9 else chance.choice((0, 1, 1, 2, 3))
        count = 34 if place == 7 else count
        for number in range(count):
            key += 1
            yield _worked(desk, ticket, key, number, chance, agents, now)
    for ticket in tickets[2:60:20]:
        key += 1
        start = stamp(desk.clock.now() - timedelta(minutes=40))
        yield {
            "id": key, "ticket_id": ticket["id"], "agent_id": agents[key % len(agents)], "billable": True,
            "note": "Still at it", "timer_running": True, **span(0), "executed_at": start, "start_time": start,
            "created_at": start, "updated_at": start,
        }  # fmt: skip


def _worked(
    desk: FreshserviceDesk, ticket: Row, key: int, number: int, chance: random.Random, agents: list[int], now: str
) -> Row:
    done = moment(ticket["updated_at"]) - timedelta(minutes=30 * number)
    done = max(done, moment(ticket["created_at"]))
    late = timedelta(days=chance.choice((0, 0, 0, 3, 20)))
    logged = min(stamp(done + late), now)
    return {
        "id": key, "ticket_id": ticket["id"], "agent_id": ticket.get("responder_id") or chance.choice(agents),
        "billable": chance.random() < 0.8, "note": chance.choice(("On site", "Remote session", "", "Phone call")),
        "timer_running": False, **span(60 * chance.choice((5, 10, 15, 30, 45, 60, 90, 150))),
        "executed_at": stamp(done), "start_time": stamp(done), "created_at": logged, "updated_at": logged,
    }  # fmt: skip
