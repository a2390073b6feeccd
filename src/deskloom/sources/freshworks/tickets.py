"""A ticket's row, and that of a message, as far as both products send the same (HELPDESK-APIS 2.5, 2.6, 3.5, 3.6)."""

from __future__ import annotations

from collections.abc import Mapping

from deskloom.model import Json, Message
from deskloom.sources.freshworks.values import instant, integer, object_of, text, texts


def ticket_members(row: Json) -> Json:
    """Members of `Ticket` from a list row with includes, or a view; what is missing is missing.

    Close times come from `stats` and nowhere else (T50).
    """
    stats, requester = object_of(row.get("stats")), object_of(row.get("requester"))
    return {
        "external_id": int(row["id"]),
        "subject": text(row.get("subject")),
        "description_html": text(row.get("description")),
        "description_text": text(row.get("description_text")),
        "status": integer(row.get("status")),
        "priority": integer(row.get("priority")),
        "channel": integer(row.get("source")),
        "type": text(row.get("type")),
        "requester_id": integer(row.get("requester_id")),
        "requester_name": text(requester.get("name")),
        "requester_email": text(requester.get("email")) or text(requester.get("primary_email")),
        "responder_id": integer(row.get("responder_id")),
        "group_id": integer(row.get("group_id")),
        "tags": texts(row.get("tags")) or (),
        "custom_fields": object_of(row.get("custom_fields")),
        "created_at": instant(row.get("created_at")),
        "updated_at": instant(row.get("updated_at")),
        "due_by": instant(row.get("due_by")),
        "first_responded_at": instant(stats.get("first_responded_at")),
        "resolved_at": instant(stats.get("resolved_at")),
        "closed_at": instant(stats.get("closed_at")),
        "raw": row,
    }


def to_message(row: Json, kinds: Mapping[int, str]) -> Message:
    """A reply or note; `kinds` names its `source`. Only an explicit `private: false` makes it public (T33)."""
    source = integer(row.get("source"))
    return Message(
        external_id=int(row["id"]),
        private=row.get("private") is not False,
        incoming=row.get("incoming") is True,
        kind=kinds.get(source, f"source {source}") if source is not None else "unknown",
        body_html=text(row.get("body")),
        body_text=text(row.get("body_text")),
        from_email=text(row.get("from_email")),
        to_emails=texts(row.get("to_emails")),
        cc_emails=texts(row.get("cc_emails")),
        support_email=text(row.get("support_email")),
        author_id=integer(row.get("user_id")),
        created_at=instant(row.get("created_at")),
        updated_at=instant(row.get("updated_at")),
        raw=row,
    )
