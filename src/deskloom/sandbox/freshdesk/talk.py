"""Replies and notes of a ticket: list, reply, note, edit, delete (HELPDESK-APIS 2.6)."""

from __future__ import annotations

from deskloom.sandbox.answers import Answer, Call, Refused, allow
from deskloom.sandbox.bodies import body_of, required
from deskloom.sandbox.freshdesk import shapes
from deskloom.sandbox.freshdesk.desk import Desk
from deskloom.sandbox.freshdesk.tickets import live, viewable
from deskloom.sandbox.life import add_message, drop_message, edit_note
from deskloom.sandbox.listing import paged
from deskloom.sandbox.paging import PAGING
from deskloom.sandbox.rows import Row

SUPPORT = "help@sandbox.example"
_REPLY: dict[str, type] = {"body": str, "from_email": str, "user_id": int, "cc_emails": list, "bcc_emails": list}
_NOTE: dict[str, type] = {"body": str, "private": bool, "incoming": bool, "notify_emails": list, "user_id": int}


def list_conversations(desk: Desk, call: Call) -> Answer:
    allow(call.query, PAGING)
    viewable(desk, call.id)
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
    ticket = live(desk, call.id)
    body = body_of(call, _REPLY)
    required(body, "body")
    author = body.get("user_id") or call.agent["id"]
    to = desk.email_of(ticket.get("requester_id"))
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
    ticket = live(desk, call.id)
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


def edit_conversation(desk: Desk, call: Call) -> Answer:
    row = desk.conversations.get(call.id)
    if row is None:
        raise Refused(404)
    if row.get("source") != 2:
        raise Refused(405)
    body = body_of(call, {"body": str})
    required(body, "body")
    return Answer(body=shapes.conversation(edit_note(desk, row, body["body"], call.agent["id"])))


def delete_conversation(desk: Desk, call: Call) -> Answer:
    row = desk.conversations.get(call.id)
    if row is None:
        raise Refused(404)
    drop_message(desk, row)
    return Answer(204)
