"""Freshservice's tickets and what was said on them made into records (HELPDESK-APIS 3.5, 3.6): nothing is made up."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from deskloom.model import Json, Message, Ticket, TicketState, TimeEntry
from deskloom.sources.freshworks.values import instant, integer, object_of, text, texts

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

    `company_id` is whose ticket it is where it has no department. Close times come from `stats` and nowhere else (T50).
    A service request has no text of its own: what was asked for stands in its `requested_items`, if they are there.
    """
    stats, requester = object_of(row.get("stats")), object_of(row.get("requester"))
    asked = items_text(row.get("requested_items")) if lacks_text(row) else None
    department = integer(row.get("department_id"))
    return Ticket(
        external_id=int(row["id"]),
        stamp=stamp,
        state=state,
        subject=text(row.get("subject")),
        description_html=text(row.get("description")) if asked is None else None,
        description_text=_stripped(row.get("description_text")) if asked is None else asked,
        status=integer(row.get("status")),
        priority=integer(row.get("priority")),
        channel=integer(row.get("source")),
        type=text(row.get("type")),
        requester_id=integer(row.get("requester_id")),
        requester_name=text(requester.get("name")),
        requester_email=text(requester.get("email")) or text(requester.get("primary_email")),
        responder_id=integer(row.get("responder_id")),
        group_id=integer(row.get("group_id")),
        company_id=department if department is not None else company_id,
        workspace_id=integer(row.get("workspace_id")),
        resolution_html=text(row.get("resolution_notes_html")),
        resolution_text=_stripped(row.get("resolution_notes")),
        tags=texts(row.get("tags")) or (),
        custom_fields=object_of(row.get("custom_fields")),
        created_at=instant(row.get("created_at")),
        updated_at=instant(row.get("updated_at")),
        due_by=instant(row.get("due_by")),
        first_responded_at=instant(stats.get("first_responded_at")),
        resolved_at=instant(stats.get("resolved_at")),
        closed_at=instant(stats.get("closed_at")),
        messages=messages,
        time_entries=time_entries,
        raw=row,
    )


def to_message(row: Json) -> Message:
    """A reply or note. Only an explicit `private: false` makes it public (T33)."""
    source = integer(row.get("source"))
    return Message(
        external_id=int(row["id"]),
        private=row.get("private") is not False,
        incoming=row.get("incoming") is True,
        kind=MESSAGE_KINDS.get(source, f"source {source}") if source is not None else "unknown",
        body_html=text(row.get("body")),
        body_text=_stripped(row.get("body_text")),
        from_email=text(row.get("from_email")),
        to_emails=texts(row.get("to_emails")),
        cc_emails=texts(row.get("cc_emails")),
        support_email=text(row.get("support_email")),
        author_id=integer(row.get("user_id")),
        created_at=instant(row.get("created_at")),
        updated_at=instant(row.get("updated_at")),
        raw=row,
    )


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


def _stripped(value: Any) -> str | None:
    """The helpdesk's own plain text, which begins with a no-break space (3.5)."""
    found = text(value)
    return found.strip() if found is not None else None
