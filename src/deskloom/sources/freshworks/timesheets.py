"""Time entries as both products list them, made into sheets: running timers are left out, odd entries are named."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from deskloom.errors import Unreadable
from deskloom.model import Json, TimeEntry, TimeSheet
from deskloom.sources.freshworks.durations import seconds_spent
from deskloom.sources.freshworks.values import instant, integer, text


def to_sheet(
    rows: Iterable[Json],
    *,
    ticket_id: int | None = None,
    since: datetime | None = None,
    before: datetime | None = None,
) -> TimeSheet:
    """The sheet of a scope, from *every* row of it. Of a ticket's rows that lack `ticket_id` (3.7) it is the sheet's.

    A running timer is left out until it is stopped. A row whose duration or ticket cannot be read stands in `unread`.
    """
    entries: dict[int, TimeEntry] = {}
    unread: dict[int, tuple[int | None, str]] = {}
    for row in rows:
        if row.get("timer_running") is True:
            continue
        try:
            entries[int(row["id"])] = to_entry(row, ticket_id)
        except Unreadable as error:
            unread[int(row["id"])] = (integer(row.get("ticket_id")) or ticket_id, error.message)
    ordered = tuple(entries[key] for key in sorted(entries))
    return TimeSheet(entries=ordered, ticket_id=ticket_id, since=since, before=before, unread=unread)


def to_entry(row: Json, ticket_id: int | None = None) -> TimeEntry:
    """A time entry whose timer does not run. Raises `Unreadable` for a duration that is none, or without a ticket."""
    ticket = integer(row.get("ticket_id")) or ticket_id
    if ticket is None:
        raise Unreadable(f"Time entry {row.get('id')} names no ticket.", key=str(row.get("id")))
    return TimeEntry(
        external_id=int(row["id"]),
        ticket_id=ticket,
        seconds=seconds_spent(row),
        billable=row.get("billable") is not False,
        worked_at=instant(row.get("executed_at")),
        agent_id=integer(row.get("agent_id")),
        note=text(row.get("note")) or None,
        started_at=instant(row.get("start_time")),
        created_at=instant(row.get("created_at")),
        updated_at=instant(row.get("updated_at")),
        raw=row,
    )
