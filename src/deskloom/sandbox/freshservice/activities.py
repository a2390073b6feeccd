"""The activities of a ticket: twenty at a time, the newest first, in words (HELPDESK-APIS 3.5)."""

from __future__ import annotations

from urllib.parse import urlencode

from deskloom.sandbox.answers import Answer, Call, Refused, allow
from deskloom.sandbox.freshservice import shapes
from deskloom.sandbox.freshservice.desk import FreshserviceDesk
from deskloom.sandbox.listing import number_of
from deskloom.sandbox.rows import Row

SIZE = 20


def note(desk: FreshserviceDesk, ticket_id: int, content: str, *, actor: int | None) -> None:
    """Remember that something was done to a ticket. Actor None: a workflow did it."""
    row: Row = {"actor": actor, "content": content, "created_at": desk.stamp()}
    desk.activities.setdefault(ticket_id, []).append(row)


def list_activities(desk: FreshserviceDesk, call: Call) -> Answer:
    allow(call.query, frozenset({"start_token"}))
    ticket = desk.tickets.get(call.id)
    if ticket is None:
        raise Refused(404)
    rows = sorted(_all(desk, ticket), key=lambda row: str(row["created_at"]), reverse=True)
    start = number_of(call, "start_token") or 0
    after = f"{call.base}{call.path}?{urlencode({'start_token': start + SIZE})}"
    page = [_shown(desk, row) for row in rows[start : start + SIZE]]
    return Answer(body={"activities": page, "next_page_url": after if len(rows) > start + SIZE else None})


def _all(desk: FreshserviceDesk, ticket: Row) -> list[Row]:
    """What was noted, and what the messages tell."""
    rows = list(desk.activities.get(ticket["id"], []))
    if not any(row["content"] == "created this ticket" for row in rows):
        rows.append({"actor": ticket.get("requester_id"), "content": "created this ticket",
                     "created_at": ticket["created_at"]})  # fmt: skip
    for key in desk.conversations.ids("ticket", ticket["id"]):
        message = desk.conversations.get(key) or {}
        kind = "added a private note" if message.get("private") else "sent a reply"
        rows.append({"actor": message.get("user_id"), "content": kind, "created_at": message["created_at"]})
    return rows


def _shown(desk: FreshserviceDesk, row: Row) -> Row:
    who = shapes.person(desk, row["actor"]) or {"id": 0, "name": "Workflow"}
    return {
        "actor": {"id": who["id"], "name": who["name"]},
        "content": f" {row['content']}",
        "sub_contents": [],
        "created_at": row["created_at"],
    }
