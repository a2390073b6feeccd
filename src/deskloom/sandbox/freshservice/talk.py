"""Replies and notes of a ticket: list, reply, note, edit, delete (HELPDESK-APIS 3.6)."""

from __future__ import annotations

from deskloom.sandbox.answers import Answer, Call, Refused, allow
from deskloom.sandbox.bodies import body_of, required
from deskloom.sandbox.freshservice import shapes
from deskloom.sandbox.freshservice.desk import FreshserviceDesk
from deskloom.sandbox.freshservice.tickets import live, viewable
from deskloom.sandbox.life import add_message, drop_message, edit_note
from deskloom.sandbox.listing import paged
from deskloom.sandbox.paging import PAGING
from deskloom.sandbox.rows import Row

SUPPORT = "help@sandbox.example"
NOTE = 2
_REPLY: dict[str, type] = {"body": str, "from_email": str, "user_id": int, "cc_emails": list, "bcc_emails": list}
_NOTE: dict[str, type] = {"body": str, "private": bool, "incoming": bool, "notify_emails": list, "user_id": int}


def list_conversations(desk: FreshserviceDesk, call: Call) -> Answer:
    allow(call.query, PAGING)
    ids = desk.conversations.ids("ticket", viewable(desk, call)["id"])
    answer = paged(
        desk, call, ids, lambda key: shapes.conversation(desk.conversations.get(key) or {}), within="conversations"
    )
    answer.body["meta"] = {"count": len(ids)}
    return answer


def reply(desk: FreshserviceDesk, call: Call) -> Answer:
    ticket = live(desk, call)
    body = body_of(call, _REPLY)
    required(body, "body")
    to = desk.email_of(ticket.get("requester_id"))
    row = add_message(
        desk, ticket, body["body"], source=0, user_id=body.get("user_id") or call.agent["id"],
        from_email=body.get("from_email") or f"{desk.name} <{SUPPORT}>", support_email=SUPPORT,
        cc_emails=body.get("cc_emails") or [], bcc_emails=body.get("bcc_emails") or [], to_emails=[to] if to else [],
    )  # fmt: skip
    return _written(row, without=("private", "incoming", "source", "support_email"))


def note(desk: FreshserviceDesk, call: Call) -> Answer:
    """Notes are private unless said otherwise."""
    ticket = live(desk, call)
    body = body_of(call, _NOTE)
    required(body, "body")
    row = add_message(
        desk, ticket, body["body"], source=NOTE, user_id=body.get("user_id") or call.agent["id"],
        private=body.get("private", True), incoming=body.get("incoming", False),
        to_emails=body.get("notify_emails") or [],
    )  # fmt: skip
    return _written(row, without=("source", "from_email", "cc_emails", "bcc_emails"))


def _written(row: Row, *, without: tuple[str, ...]) -> Answer:
    """The answer to a new message lacks some of its members (3.6)."""
    shown = {name: value for name, value in shapes.conversation(row).items() if name not in without}
    return Answer(201, {"conversation": shown})


def edit_conversation(desk: FreshserviceDesk, call: Call) -> Answer:
    """Only notes can be edited."""
    row = _message(desk, call.id)
    if row.get("source") != NOTE:
        raise Refused(405)
    body = body_of(call, {"body": str, "attachments": list})
    required(body, "body")
    return Answer(body={"conversation": shapes.conversation(edit_note(desk, row, body["body"], call.agent["id"]))})


def delete_conversation(desk: FreshserviceDesk, call: Call) -> Answer:
    drop_message(desk, _message(desk, call.id))
    return Answer(204)


def _message(desk: FreshserviceDesk, key: int) -> Row:
    row = desk.conversations.get(key)
    if row is None:
        raise Refused(404)
    return row
