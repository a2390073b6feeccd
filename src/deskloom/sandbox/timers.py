"""Time entries and their timers: text and seconds, a running timer's time, one timer per agent (HELPDESK-APIS 2.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deskloom.sandbox.answers import Call, Refused, invalid
from deskloom.sandbox.clock import moment, parse_input, stamp
from deskloom.sandbox.life import touch
from deskloom.sandbox.rows import Row

if TYPE_CHECKING:
    from deskloom.sandbox.desk import HelpDesk

    Desk = HelpDesk[Any]

FIRST_ENTRY = 81_001


def entry(desk: Desk, key: int) -> Row:
    row = desk.time_entries.get(key)
    if row is None:
        raise Refused(404)
    return row


def counted(desk: Desk, row: Row) -> Row:
    """The row as it stands now: a running timer's time grows until it is stopped."""
    if not row["timer_running"]:
        return row
    ran = int((desk.clock.now() - moment(row["start_time"])).total_seconds())
    return {**row, **span(row["time_spent_in_seconds"] + max(ran, 0))}


def add_entry(desk: Desk, ticket: Row, members: Row) -> Row:
    """A new entry of a ticket; one that runs stops the agent's other timers."""
    if members["timer_running"]:
        stop_others(desk, members["agent_id"])
    now = desk.stamp()
    row = {"id": desk.new_id("time_entry", desk.time_entries, FIRST_ENTRY), "ticket_id": ticket["id"], **members}
    row = desk.time_entries.put({**row, "created_at": now, "updated_at": now})
    touch(desk, ticket["id"], desk.switches.time_entry_bumps)
    return row


def change_entry(desk: Desk, row: Row, **members: Any) -> Row:
    desk.time_entries.change(row["id"], **{**members, "updated_at": desk.stamp()})
    touch(desk, row["ticket_id"], desk.switches.time_entry_bumps)
    return row


def drop_entry(desk: Desk, row: Row) -> None:
    desk.time_entries.drop(row["id"])
    touch(desk, row["ticket_id"], desk.switches.time_entry_bumps)


def stop(desk: Desk, row: Row) -> None:
    change_entry(desk, row, **{**counted(desk, row), "timer_running": False})


def stop_others(desk: Desk, agent_id: int) -> None:
    for row in desk.time_entries:
        if row["timer_running"] and row["agent_id"] == agent_id:
            stop(desk, row)


def check_change(row: Row, body: Row) -> None:
    """What may not change: the timer's state to what it is, the agent while it runs."""
    if body.get("timer_running") is not None and body["timer_running"] == row["timer_running"]:
        raise invalid("timer_running", f"It should be {str(not row['timer_running']).lower()}")
    if "agent_id" in body and row["timer_running"]:
        raise invalid("agent_id", "It cannot be changed while the timer is running", "inaccessible_field")


def spent(text: str | None) -> Row:
    """The members of a time as it is written, `hh:mm`."""
    hours, _, minutes = (text or "00:00").partition(":")
    if not (hours.isdigit() and minutes.isdigit() and int(minutes) < 60):
        raise invalid("time_spent", "It should be in the 'hh:mm' format")
    return span(int(hours) * 3600 + int(minutes) * 60)


def span(seconds: int) -> Row:
    """The text truncates to minutes: 103 s are "00:01" (T35)."""
    return {"time_spent": f"{seconds // 3600:02d}:{seconds % 3600 // 60:02d}", "time_spent_in_seconds": seconds}


def instant(body: Row, name: str) -> str | None:
    """A time that a request gives, as a stamp."""
    if body.get(name) is None:
        return None
    parsed = parse_input(body[name])
    if parsed is None:
        raise invalid(name, "It should be a valid date in the ISO 8601 format")
    return stamp(parsed)


def new_members(desk: Desk, call: Call, body: Row, *, runs: bool) -> Row:
    """The members of an entry that a request describes, with the defaults where it is silent.

    `runs`: whether the timer runs when nothing is said of it.
    """
    start = instant(body, "start_time")
    if start and start > desk.stamp():
        raise invalid("start_time", "It should not be in the future")
    if start and body.get("timer_running") is False:
        raise invalid("start_time", "It cannot be set when the timer is not running", "incompatible_field")
    now = desk.stamp()
    return {
        "agent_id": body.get("agent_id") or call.agent["id"], "billable": body.get("billable", True),
        "note": body.get("note") or "", "timer_running": body.get("timer_running", start is not None or runs),
        "start_time": start or now, "executed_at": instant(body, "executed_at") or now,
        **spent(body.get("time_spent")),
    }  # fmt: skip


def changed_members(body: Row) -> Row:
    """The members that a request changes of an entry."""
    members = {name: value for name, value in body.items() if name != "time_spent"}
    for name in ("executed_at", "start_time"):
        if name in members:
            members[name] = instant(body, name)
    return members | (spent(body["time_spent"]) if "time_spent" in body else {})
