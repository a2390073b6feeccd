"""Time entries, which only their ticket leads to: list, view, create, change, delete (HELPDESK-APIS 3.7)."""

from __future__ import annotations

from deskloom.sandbox.answers import Answer, Call, Refused, allow, invalid
from deskloom.sandbox.bodies import body_of, required
from deskloom.sandbox.freshservice import shapes
from deskloom.sandbox.freshservice.desk import FreshserviceDesk
from deskloom.sandbox.freshservice.tickets import viewable
from deskloom.sandbox.listing import paged
from deskloom.sandbox.paging import PAGING
from deskloom.sandbox.rows import Row
from deskloom.sandbox.timers import (
    add_entry,
    change_entry,
    changed_members,
    check_change,
    counted,
    drop_entry,
    new_members,
    stop,
)

_ENTRY: dict[str, type] = {
    "agent_id": int, "billable": bool, "note": str, "time_spent": str, "executed_at": str, "start_time": str,
    "timer_running": bool, "task_id": int, "custom_fields": dict,
}  # fmt: skip


def list_time_entries(desk: FreshserviceDesk, call: Call) -> Answer:
    allow(call.query, PAGING)
    ids = desk.time_entries.ids("ticket", viewable(desk, call)["id"])
    return paged(desk, call, ids, lambda key: _shown(desk, desk.time_entries.get(key) or {}), within="time_entries")


def view_time_entry(desk: FreshserviceDesk, call: Call) -> Answer:
    allow(call.query, frozenset())
    return Answer(body={"time_entry": _shown(desk, _entry(desk, call))})


def create_time_entry(desk: FreshserviceDesk, call: Call) -> Answer:
    """The timer does not run unless that is said, and then the time spent is mandatory."""
    ticket = viewable(desk, call)
    body = _body(call)
    required(body, "agent_id")
    if body["agent_id"] not in desk.agents:
        raise invalid("agent_id", '["There is no agent with this id"]')
    members = new_members(desk, call, body, runs=False)
    if members["timer_running"] and "time_spent" in body:
        raise invalid("time_spent", "It cannot be set while the timer is running", "incompatible_field")
    if not members["timer_running"]:
        required(body, "time_spent")
    if members["executed_at"] > desk.stamp():
        raise invalid("executed_at", "It should not be in the future")
    extra: Row = {name: body[name] for name in ("task_id", "custom_fields") if name in body}
    return Answer(201, {"time_entry": _shown(desk, add_entry(desk, ticket, {**members, **extra}))})


def update_time_entry(desk: FreshserviceDesk, call: Call) -> Answer:
    row = _entry(desk, call)
    body = _body(call)
    check_change(row, body)
    if body.get("timer_running") is False:
        stop(desk, row)
        body = {name: value for name, value in body.items() if name != "timer_running"}
    return Answer(body={"time_entry": _shown(desk, change_entry(desk, row, **changed_members(body)))})


def delete_time_entry(desk: FreshserviceDesk, call: Call) -> Answer:
    """Final, and answered by 200."""
    drop_entry(desk, _entry(desk, call))
    return Answer(200)


def _shown(desk: FreshserviceDesk, row: Row) -> Row:
    return shapes.time_entry(desk, counted(desk, row))


def _entry(desk: FreshserviceDesk, call: Call) -> Row:
    """The entry of the ticket that the path names."""
    row = desk.time_entries.get(call.ids[1])
    if row is None or row["ticket_id"] != call.id:
        raise Refused(404)
    return row


def _body(call: Call) -> Row:
    """The body comes wrapped."""
    if not (isinstance(call.body, dict) and isinstance(call.body.get("time_entry"), dict)):
        raise invalid("time_entry", "It should be a/an key/value pair object", "missing_field")
    allow(call.body, frozenset({"time_entry"}))
    call.body = call.body["time_entry"]
    return body_of(call, _ENTRY)
