"""Time entries: list, create, change, stop and start, delete; none of it touches the ticket (HELPDESK-APIS 2.7)."""

from __future__ import annotations

from deskloom.sandbox.answers import Answer, Call, Refused, allow, invalid
from deskloom.sandbox.clock import moment, parse_input, stamp
from deskloom.sandbox.freshdesk import shapes
from deskloom.sandbox.freshdesk.bodies import body_of
from deskloom.sandbox.freshdesk.desk import Desk
from deskloom.sandbox.freshdesk.listing import choice_of, number_of, paged, since_of
from deskloom.sandbox.paging import PAGING
from deskloom.sandbox.rows import Row

FIRST_ID = 81_001
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

    def wanted(row: Row) -> bool:
        at = row["executed_at"]
        fits = (after is None or at >= after) and (before is None or at <= before)
        return (
            fits
            and (billable is None or row["billable"] == (billable == "true"))
            and all(row.get(k) == v for k, v in equal.items())
        )

    ids = [key for key in desk.time_entries.ids("updated", "all") if wanted(desk.time_entries.get(key) or {})]
    return paged(desk, call, ids, lambda key: shapes.time_entry(_counted(desk, desk.time_entries.get(key) or {})))


def list_of_ticket(desk: Desk, call: Call) -> Answer:
    allow(call.query, PAGING)
    if call.id not in desk.tickets:
        raise Refused(404)
    ids = desk.time_entries.ids("ticket", call.id)
    return paged(desk, call, ids, lambda key: shapes.time_entry(_counted(desk, desk.time_entries.get(key) or {})))


def create_time_entry(desk: Desk, call: Call) -> Answer:
    """With neither `time_spent` nor `timer_running` given, the timer runs."""
    ticket = desk.tickets.get(call.id)
    if ticket is None:
        raise Refused(404)
    body = body_of(call, _ENTRY)
    start = _instant(desk, body, "start_time")
    if start and start > desk.stamp():
        raise invalid("start_time", "It should not be in the future")
    if start and body.get("timer_running") is False:
        raise invalid("start_time", "It cannot be set when the timer is not running", "incompatible_field")
    running = body.get("timer_running", start is not None or "time_spent" not in body)
    agent_id = body.get("agent_id") or call.agent["id"]
    if running:
        _stop_others(desk, agent_id)
    now = desk.stamp()
    row: Row = {
        "id": desk.new_id("time_entry", desk.time_entries, FIRST_ID), "ticket_id": ticket["id"], "agent_id": agent_id,
        "company_id": ticket.get("company_id"), "billable": body.get("billable", True), "note": body.get("note") or "",
        "timer_running": running, "start_time": start or now, "executed_at": _instant(desk, body, "executed_at") or now,
        "created_at": now, "updated_at": now, **_spent(body.get("time_spent")),
    }  # fmt: skip
    desk.time_entries.put(row)
    return Answer(201, shapes.time_entry(row))


def update_time_entry(desk: Desk, call: Call) -> Answer:
    row = _entry(desk, call.id)
    body = body_of(call, _ENTRY)
    if body.get("timer_running") is not None and body["timer_running"] == row["timer_running"]:
        raise invalid("timer_running", f"It should be {str(not row['timer_running']).lower()}")
    if "agent_id" in body and row["timer_running"]:
        raise invalid("agent_id", "It cannot be changed while the timer is running", "inaccessible_field")
    members = {name: value for name, value in body.items() if name != "time_spent"}
    for name in ("executed_at", "start_time"):
        if name in members:
            members[name] = _instant(desk, body, name)
    if "time_spent" in body:
        members |= _spent(body["time_spent"])
    desk.time_entries.change(row["id"], **members, updated_at=desk.stamp())
    return Answer(body=shapes.time_entry(_counted(desk, row)))


def toggle_timer(desk: Desk, call: Call) -> Answer:
    row = _entry(desk, call.id)
    if row["timer_running"]:
        _stop(desk, row)
    else:
        _stop_others(desk, row["agent_id"])
        desk.time_entries.change(row["id"], timer_running=True, start_time=desk.stamp(), updated_at=desk.stamp())
    return Answer(body=shapes.time_entry(row))


def delete_time_entry(desk: Desk, call: Call) -> Answer:
    desk.time_entries.drop(_entry(desk, call.id)["id"])
    return Answer(204)


def _entry(desk: Desk, key: int) -> Row:
    row = desk.time_entries.get(key)
    if row is None:
        raise Refused(404)
    return row


def _counted(desk: Desk, row: Row) -> Row:
    """A running timer's time grows until it is stopped."""
    if not row["timer_running"]:
        return row
    ran = int((desk.clock.now() - moment(row["start_time"])).total_seconds())
    return {**row, **_time(row["time_spent_in_seconds"] + max(ran, 0))}


def _stop(desk: Desk, row: Row) -> None:
    desk.time_entries.change(row["id"], **{**_counted(desk, row), "timer_running": False, "updated_at": desk.stamp()})


def _stop_others(desk: Desk, agent_id: int) -> None:
    for row in desk.time_entries:
        if row["timer_running"] and row["agent_id"] == agent_id:
            _stop(desk, row)


def _spent(text: str | None) -> Row:
    hours, _, minutes = (text or "00:00").partition(":")
    if not (hours.isdigit() and minutes.isdigit() and int(minutes) < 60):
        raise invalid("time_spent", "It should be in the 'hh:mm' format")
    return _time(int(hours) * 3600 + int(minutes) * 60)


def _time(seconds: int) -> Row:
    """The text truncates to minutes: 103 s are "00:01" (T35)."""
    return {"time_spent": f"{seconds // 3600:02d}:{seconds % 3600 // 60:02d}", "time_spent_in_seconds": seconds}


def _instant(desk: Desk, body: Row, name: str) -> str | None:
    if body.get(name) is None:
        return None
    parsed = parse_input(body[name])
    if parsed is None:
        raise invalid(name, "It should be a valid date in the ISO 8601 format")
    return stamp(parsed)
