"""The SLA pass: what is overdue becomes escalated, which may move `updated_at` although nothing was said."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deskloom.sandbox.desk import HelpDesk

_HOURS = {1: (24, 72), 2: (8, 48), 3: (4, 24), 4: (1, 8)}


def spans(priority: int) -> tuple[timedelta, timedelta]:
    """Time to the first response and to the resolution, by priority."""
    first, whole = _HOURS.get(priority, _HOURS[1])
    return timedelta(hours=first), timedelta(hours=whole)


def run(desk: HelpDesk[Any]) -> list[int]:
    """Escalate every open ticket whose time is over. Returns the ids of those that changed."""
    now, changed = desk.stamp(), []
    for key in desk.tickets.ids("updated", "live"):
        row = desk.tickets.get(key)
        if row is None or row.get("status", 2) in (4, 5):
            continue
        late = {}
        answered = row.get("stats", {}).get("first_responded_at")
        if row.get("fr_due_by") and not answered and row["fr_due_by"] < now and not row.get("fr_escalated"):
            late["fr_escalated"] = True
        if row.get("due_by") and row["due_by"] < now and not row.get("is_escalated"):
            late["is_escalated"] = True
        if late:
            desk.tickets.change(key, **late, **({"updated_at": now} if desk.switches.sla_bumps else {}))
            changed.append(key)
    return changed
