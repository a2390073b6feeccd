"""Time entries: list, create, change, stop and start, delete; none of it touches the ticket (HELPDESK-APIS 2.7)."""

from __future__ import annotations

from datetime import timedelta

from deskloom.sandbox.answers import Answer, Call, Refused, allow
from deskloom.sandbox.bodies import body_of
from deskloom.sandbox.clock import stamp
from deskloom.sandbox.freshdesk import shapes
from deskloom.sandbox.freshdesk.desk import Desk
from deskloom.sandbox.listing import choice_of, number_of, paged, since_of
from deskloom.sandbox.paging import PAGING
from deskloom.sandbox.rows import Row
from deskloom.sandbox.timers import (
    add_entry,
    change_entry,
    changed_members,
    check_change,
    counted,
    drop_entry,
    entry,
    new_members,
    stop,
    stop_others,
)

WINDOW = timedelta(days=30)
_LIST = PAGING | {"company_id", "agent_id", "executed_after", "executed_before", "billable"}
_ENTRY: dict[str, type] = {
    "agent_id": int, "billable": bool, "note": str, "time_spent": str, "executed_at": str, "start_time": str,
    "timer_running": bool,
}  # fmt: skip


def list_time_entries(desk: Desk, call: Call) -> Answer:
    allow(call.query, _LIST)
    equal: Row = {name: number_of(call, name) for name in ("company_id", "agent_id") if name in call.query}
    billable = choice_of(call, "billable", ("true", "false"))
    after, before = since_of(call, "executed_after"), since_of(call, "executed_before")

    start = stamp(desk.clock.now() - WINDOW) if desk.switches.hours_window else None

    def wanted(row: Row) -> bool:
        fits = _between(row["executed_at"], after or start, before, inclusive=desk.switches.executed_inclusive)
        return (
            fits
            and (billable is None or row["billable"] == (billable == "true"))
            and all(row.get(k) == v for k, v in equal.items())
        )

    ids = [key for key in desk.time_entries.ids("updated", "all") if wanted(desk.time_entries.get(key) or {})]
    return paged(desk, call, ids, lambda key: shapes.time_entry(counted(desk, desk.time_entries.get(key) or {})))


def _between(at: str | None, after: str | None, before: str | None, *, inclusive: bool) -> bool:
    """Whether a work date passes the filters; an entry without one passes none."""
    if at is None:
        return after is None and before is None
    if inclusive:
        return (after is None or at >= after) and (before is None or at <= before)
    return (after is None or at > after) and (before is None or at < before)


def list_of_ticket(desk: Desk, call: Call) -> Answer:
    allow(call.query, PAGING)
    if call.id not in desk.tickets:
        raise Refused(404)
    ids = desk.time_entries.ids("ticket", call.id)
    return paged(desk, call, ids, lambda key: shapes.time_entry(counted(desk, desk.time_entries.get(key) or {})))


def create_time_entry(desk: Desk, call: Call) -> Answer:
    """With neither `time_spent` nor `timer_running` given, the timer runs."""
    ticket = desk.tickets.get(call.id)
    if ticket is None:
        raise Refused(404)
    body = body_of(call, _ENTRY)
    members = new_members(desk, call, body, runs="time_spent" not in body)
    return Answer(201, shapes.time_entry(add_entry(desk, ticket, {**members, "company_id": ticket.get("company_id")})))


def update_time_entry(desk: Desk, call: Call) -> Answer:
    row = entry(desk, call.id)
    body = body_of(call, _ENTRY)
    check_change(row, body)
    return Answer(body=shapes.time_entry(counted(desk, change_entry(desk, row, **changed_members(body)))))


def toggle_timer(desk: Desk, call: Call) -> Answer:
    row = entry(desk, call.id)
    if row["timer_running"]:
        stop(desk, row)
    else:
        stop_others(desk, row["agent_id"])
        change_entry(desk, row, timer_running=True, start_time=desk.stamp())
    return Answer(body=shapes.time_entry(row))


def delete_time_entry(desk: Desk, call: Call) -> Answer:
    drop_entry(desk, entry(desk, call.id))
    return Answer(204)
