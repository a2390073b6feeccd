"""Freshservice's tickets and what was said on them made into records (HELPDESK-APIS 3.5, 3.6): nothing is made up."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from deskloom.model import Json, Message, Ticket, TicketState, TimeEntry
from deskloom.sources.freshworks import tickets as freshworks
from deskloom.sources.freshworks.tickets import ticket_members
from deskloom.sources.freshworks.values import integer, object_of, text

MESSAGE_KINDS = {0: "reply", 1: "form", 2: "note", 3: "status", 4: "meta", 5: "feedback", 6: "forward"}
"""Freshservice's `source` of a conversation: 3 and 4 are written by the helpdesk, not by a person."""
_REQUESTS = ("service request", "request")
_EMPTY = re.compile(r"<[^>]*>|&nbsp;|\s")


def to_ticket(
    row: Json,
    *,
    state: TicketState,
    stamp: str | None,
    company_id: int | None = None,
    messages: tuple[Message, ...] | None = None,
    time_entries: tuple[TimeEntry, ...] | None = None,
) -> Ticket:
    """A list row, or a view with `requester`, `stats` and `tags`; what it lacks is missing.

    `company_id` is whose ticket it is where it has no department.
    A service request has no text of its own: what was asked for stands in its `requested_items`, if they are there.
    """
    members = ticket_members(row)
    members["description_text"] = _stripped(members["description_text"])
    if lacks_text(row) and (asked := items_text(row.get("requested_items"))) is not None:
        members |= {"description_html": None, "description_text": asked}
    department = integer(row.get("department_id"))
    return Ticket(
        stamp=stamp,
        state=state,
        company_id=department if department is not None else company_id,
        workspace_id=integer(row.get("workspace_id")),
        resolution_html=text(row.get("resolution_notes_html")),
        resolution_text=_stripped(text(row.get("resolution_notes"))),
        messages=messages,
        time_entries=time_entries,
        **members,
    )


def to_message(row: Json) -> Message:
    """A reply or note, or a row that the helpdesk wrote itself."""
    message = freshworks.to_message(row, MESSAGE_KINDS)
    return replace(message, body_text=_stripped(message.body_text))


def lacks_text(row: Json) -> bool:
    """Whether nothing is to be read in the description: null, blank, or tags alone."""
    return not any(_EMPTY.sub("", text(row.get(name)) or "") for name in ("description", "description_text"))


def is_request(row: Json) -> bool:
    """Whether what was asked for stands in the requested items: a service request without a text."""
    return (text(row.get("type")) or "").strip().casefold() in _REQUESTS and lacks_text(row)


def items_text(items: Any) -> str | None:
    """What was filled in when items were requested, a line for each answer; None if that is nothing."""
    rows = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    lines = [line for item in rows for line in _answers(item)]
    return "\n".join(lines) or None


def _answers(item: Json) -> Iterable[str]:
    if remarks := (text(item.get("remarks")) or "").strip():
        yield remarks
    for name, value in object_of(item.get("custom_fields")).items():
        values = value if isinstance(value, list) else [value]
        said = ", ".join(part for one in values if (part := (text(one) or "").strip()))
        if said:
            yield f"{str(name).replace('_', ' ').strip()}: {said}"


def _stripped(value: str | None) -> str | None:
    """The helpdesk's own plain text, which begins with a no-break space (3.5)."""
    return value.strip() if value is not None else None
