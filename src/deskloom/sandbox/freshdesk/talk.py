"""Replies and notes of a ticket: list, reply, note, edit, delete (HELPDESK-APIS 2.6)."""

from __future__ import annotations

from typing import Any

from deskloom.sandbox.answers import Answer, Call, Refused, allow, denied
from deskloom.sandbox.freshdesk import shapes
from deskloom.sandbox.freshdesk.bodies import body_of, required
from deskloom.sandbox.freshdesk.desk import Desk, ticket_state
from deskloom.sandbox.freshdesk.listing import paged
from deskloom.sandbox.paging import PAGING
from deskloom.sandbox.rows import Row

FIRST_ID = 15_000_000_000
SUPPORT = "help@sandbox.example"
_REPLY: dict[str, type] = {"body": str, "from_email": str, "user_id": int, "cc_emails": list, "bcc_emails": list}
_NOTE: dict[str, type] = {"body": str, "private": bool, "incoming": bool, "notify_emails": list, "user_id": int}


def list_conversations(desk: Desk, call: Call) -> Answer:
    allow(call.query, PAGING)
    row = desk.tickets.get(call.id)
    if row is None:
        raise Refused(404)
    state = ticket_state(row)
    if state == "archived" and desk.switches.archived_view == 404:
        raise Refused(404)
    if state == "deleted" and desk.switches.deleted_view != 200:
        raise Refused(404) if desk.switches.deleted_view == 404 else denied()
    return _messages(desk, call)


def list_archived_conversations(desk: Desk, call: Call) -> Answer:
    allow(call.query, PAGING)
    row = desk.tickets.get(call.id)
    if row is None or not row.get("_archived"):
        raise Refused(404)
    return _messages(desk, call)


def _messages(desk: Desk, call: Call) -> Answer:
    ids = desk.conversations.ids("ticket", call.id)
    return paged(desk, call, ids, lambda key: shapes.conversation(desk.conversations.get(key) or {}))


def reply(desk: Desk, call: Call) -> Answer:
    ticket = _open(desk, call.id)
    body = body_of(call, _REPLY)
    required(body, "body")
    author = body.get("user_id") or call.agent["id"]
    to = (shapes.requester(desk, ticket.get("requester_id")) or {}).get("email")
    extra: Row = {
        "cc_emails": body.get("cc_emails") or [],
        "bcc_emails": body.get("bcc_emails") or [],
        "to_emails": [to] if to else [],
    }
    sender = body.get("from_email") or f"{desk.name} <{SUPPORT}>"
    row = add_message(
        desk, ticket, body["body"], user_id=author, source=0, from_email=sender, support_email=SUPPORT, **extra
    )
    names = (
        "body",
        "body_text",
        "id",
        "user_id",
        "from_email",
        "cc_emails",
        "bcc_emails",
        "ticket_id",
        "attachments",
        "created_at",
        "updated_at",
    )
    whole = shapes.conversation(row)
    return Answer(
        201, {**{name: whole[name] for name in names}, "structured_body": None, "replied_to": row["to_emails"]}
    )


def note(desk: Desk, call: Call) -> Answer:
    """Notes are private unless said otherwise."""
    ticket = _open(desk, call.id)
    body = body_of(call, _NOTE)
    required(body, "body")
    marks = {"private": body.get("private", True), "incoming": body.get("incoming", False)}
    row = add_message(desk, ticket, body["body"], user_id=body.get("user_id") or call.agent["id"], source=2, **marks)
    names = (
        "body",
        "body_text",
        "id",
        "incoming",
        "private",
        "user_id",
        "support_email",
        "ticket_id",
        "attachments",
        "created_at",
        "updated_at",
    )
    whole = shapes.conversation(row)
    return Answer(
        201,
        {
            **{name: whole[name] for name in names},
            "structured_body": None,
            "notified_to": body.get("notify_emails") or [],
        },
    )


def add_message(desk: Desk, ticket: Row, body: str, *, source: int, bump: bool = True, **members: Any) -> Row:
    """Put a reply (source 0) or note (source 2) under a ticket. An agent's public message counts as a response."""
    now = desk.stamp()
    key = desk.new_id("conversation", desk.conversations, FIRST_ID)
    row = {
        "id": key,
        "ticket_id": ticket["id"],
        "body": body,
        "source": source,
        "created_at": now,
        "updated_at": now,
        **members,
    }
    desk.conversations.put(row)
    stats = dict(ticket.get("stats", {}))
    if row.get("incoming"):
        stats["requester_responded_at"] = now
    elif not row.get("private"):
        stats |= {"agent_responded_at": now, "first_responded_at": stats.get("first_responded_at") or now}
    if bump:
        desk.bump(ticket["id"], stats=stats)
    else:
        desk.tickets.change(ticket["id"], stats=stats)
    return row


def edit_conversation(desk: Desk, call: Call) -> Answer:
    row = desk.conversations.get(call.id)
    if row is None:
        raise Refused(404)
    if row.get("source") != 2:
        raise Refused(405)
    body = body_of(call, {"body": str})
    required(body, "body")
    return Answer(body=shapes.conversation(edit_note(desk, row, body["body"], call.agent["id"])))


def edit_note(desk: Desk, row: Row, body: str, agent_id: int | None) -> Row:
    now = desk.stamp()
    changed = desk.conversations.change(
        row["id"], body=body, updated_at=now, last_edited_at=now, last_edited_user_id=agent_id
    )
    _touch(desk, row["ticket_id"], desk.switches.note_edit_bumps)
    return changed


def delete_conversation(desk: Desk, call: Call) -> Answer:
    row = desk.conversations.get(call.id)
    if row is None:
        raise Refused(404)
    drop_message(desk, row)
    return Answer(204)


def drop_message(desk: Desk, row: Row) -> None:
    desk.conversations.drop(row["id"])
    _touch(desk, row["ticket_id"], desk.switches.note_delete_bumps)


def _touch(desk: Desk, ticket_id: int, bump: bool) -> None:
    if bump and ticket_id in desk.tickets:
        desk.bump(ticket_id)


def _open(desk: Desk, key: int) -> Row:
    row = desk.tickets.get(key)
    if row is None or row.get("_archived"):
        raise Refused(404)
    if row.get("deleted") or row.get("spam"):
        raise Refused(405)
    return row
