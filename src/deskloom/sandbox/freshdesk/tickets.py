"""Ticket endpoints: list, view, create, update, delete, restore, merge, and the archive (HELPDESK-APIS 2.5)."""

from __future__ import annotations

from typing import Any

from deskloom.sandbox import life
from deskloom.sandbox.answers import Answer, Call, Refused, allow, invalid
from deskloom.sandbox.bodies import body_of, required
from deskloom.sandbox.freshdesk import shapes
from deskloom.sandbox.freshdesk.desk import Desk
from deskloom.sandbox.life import (
    add_message,
    change_ticket,
    hide_ticket,
    purge_ticket,
    show_ticket,
    status_stats,
    ticket_state,
    visible,
)
from deskloom.sandbox.listing import choice_of, includes_of, number_of, paged, since_of, window
from deskloom.sandbox.paging import PAGING
from deskloom.sandbox.rows import Row

LAST_PAGE = 300
TOO_FAR = "You cannot access tickets beyond the 300th page. Please provide a smaller page number."
LIST_INCLUDES = ("requester", "stats", "description")
VIEW_INCLUDES = ("conversations", "requester", "company", "stats")
FILTERS = ("new_and_my_open", "watching", "spam", "deleted")
ORDERS = ("created_at", "due_by", "updated_at", "status")
_LIST = PAGING | {
    "filter", "requester_id", "email", "unique_external_id", "company_id", "updated_since", "order_by", "order_type",
    "include",
}  # fmt: skip

WRITABLE: dict[str, type] = {
    "subject": str, "description": str, "type": str, "status": int, "priority": int, "source": int,
    "requester_id": int, "responder_id": int, "group_id": int, "company_id": int, "product_id": int,
    "email_config_id": int, "email": str, "name": str, "phone": str, "unique_external_id": str, "twitter_id": str,
    "facebook_id": str, "cc_emails": list, "tags": list, "custom_fields": dict, "due_by": str, "fr_due_by": str,
    "parent_id": int, "related_ticket_ids": list, "internal_agent_id": int, "internal_group_id": int,
    "lookup_parameter": str,
}  # fmt: skip
_WHO = ("requester_id", "email", "phone", "unique_external_id", "twitter_id", "facebook_id")


def list_tickets(desk: Desk, call: Call) -> Answer:
    allow(call.query, _LIST)
    if (number_of(call, "page") or 1) > LAST_PAGE:
        raise invalid("page", TOO_FAR)
    includes = includes_of(call, LIST_INCLUDES)
    found = _found(desk, call)
    return paged(desk, call, found, lambda key: shapes.ticket(desk, desk.tickets.get(key) or {}, includes))


def _found(desk: Desk, call: Call) -> list[int]:
    """Ids in the order asked for. The common question (by `updated_at`, no other filter) costs one look-up."""
    chosen = choice_of(call, "filter", FILTERS)
    order = choice_of(call, "order_by", ORDERS, "created_at")
    descending = choice_of(call, "order_type", ("asc", "desc"), "desc") == "desc"
    since = since_of(call)
    state = chosen if chosen in ("spam", "deleted") else "live"
    entries = window(desk, state, order or "created_at", since)
    if state == "live" and desk.switches.archived_listed:
        entries = sorted(entries + window(desk, "archived", order or "created_at", since))
    ids = [key for _, key in entries]
    wanted = _wanted(desk, call, chosen)
    if wanted:
        ids = [key for key in ids if wanted(desk.tickets.get(key) or {})]
    if order in ("due_by", "status"):
        ids.sort(key=lambda key: (str((desk.tickets.get(key) or {}).get(order) or ""), key))
    elif order == "created_at" and since is not None:
        ids.sort(key=lambda key: ((desk.tickets.get(key) or {})["created_at"], key))
    return ids[::-1] if descending else ids


def _wanted(desk: Desk, call: Call, chosen: str | None) -> Any:
    """A test for the filters that need a look at each row, or None when there is none."""
    equal: Row = {name: number_of(call, name) for name in ("requester_id", "company_id") if name in call.query}
    for name in ("email", "unique_external_id"):
        if name in call.query:
            person = next((row for row in desk.contacts if row.get(name) == call.query[name]), None)
            equal["requester_id"] = person["id"] if person else -1
    if chosen == "watching":
        return lambda row: False
    if chosen == "new_and_my_open":
        mine = (None, call.agent.get("id"))
        return lambda row: row.get("status", 2) == 2 and row.get("responder_id") in mine and _equals(row, equal)
    return (lambda row: _equals(row, equal)) if equal else None


def _equals(row: Row, equal: Row) -> bool:
    return all(row.get(name) == value for name, value in equal.items())


def view_ticket(desk: Desk, call: Call) -> Answer:
    allow(call.query, frozenset({"include"}))
    includes = includes_of(call, VIEW_INCLUDES)
    return Answer(body=shapes.ticket(desk, viewable(desk, call.id), includes, view=True))


def viewable(desk: Desk, key: int) -> Row:
    """A ticket that its own path shows: not an archived one, and a deleted one if the account shows those."""
    row = visible(desk, key)
    if ticket_state(row) == "archived" and desk.switches.archived_view == 404:
        raise Refused(404)
    return row


def view_archived(desk: Desk, call: Call) -> Answer:
    allow(call.query, frozenset({"include"}))
    return Answer(body=shapes.ticket(desk, _archived(desk, call.id), includes_of(call, VIEW_INCLUDES), view=True))


def delete_archived(desk: Desk, call: Call) -> Answer:
    purge_ticket(desk, _archived(desk, call.id)["id"])
    return Answer(204)


def _archived(desk: Desk, key: int) -> Row:
    row = desk.tickets.get(key)
    if row is None or not row.get("_archived"):
        raise Refused(404)
    return row


def live(desk: Desk, key: int) -> Row:
    """A ticket that may be written to: 404 where there is none, 405 where it is deleted or spam."""
    row = desk.tickets.get(key)
    if row is None or row.get("_archived"):
        raise Refused(404)
    if row.get("deleted") or row.get("spam"):
        raise Refused(405)
    return row


def check_codes(desk: Desk, body: Row) -> None:
    for name, field_name in (
        ("status", "status"),
        ("priority", "priority"),
        ("source", "source"),
        ("type", "ticket_type"),
    ):
        if body.get(name) is None:
            continue
        choices = next(field["choices"] for field in desk.ticket_fields if field["name"] == field_name)
        codes = (
            [int(code) for code in choices]
            if name == "status"
            else choices
            if name == "type"
            else list(choices.values())
        )
        if body[name] not in codes:
            raise invalid(name, f"It should be one of these values: '{','.join(map(str, codes))}'")
    known = {field["name"] for field in desk.ticket_fields if not field["default"]}
    for name in body.get("custom_fields") or {}:
        if name not in known:
            raise invalid(f"custom_fields.{name}", "Unexpected/invalid field in request", "invalid_field")


def create_ticket(desk: Desk, call: Call) -> Answer:
    allow(call.query, frozenset())
    body = body_of(call, WRITABLE)
    if not any(body.get(name) for name in _WHO):
        raise invalid(
            "requester_id",
            "Please fill at least 1 of requester_id, phone, email, twitter_id, unique_external_id fields",
            "missing_field",
        )
    check_codes(desk, body)
    row = open_ticket(desk, body)
    answer = Answer(201, shapes.ticket(desk, row, view=True))
    answer.headers["location"] = f"{call.base}/api/v2/tickets/{row['id']}"
    return answer


def open_ticket(desk: Desk, body: Row) -> Row:
    """A new ticket from the members of a request; an unknown requester becomes a contact."""
    members = {**body, "requester_id": body.get("requester_id") or _requester(desk, body)}
    if "company_id" not in members:
        members["company_id"] = (desk.contacts.get(members["requester_id"]) or {}).get("company_id")
    row = life.open_ticket(desk, members)
    if not body.get("due_by"):
        desk.plan_due(row["id"])
    return row


def _requester(desk: Desk, body: Row) -> int:
    for person in (*desk.contacts, *desk.agents):
        card = person.get("contact", person)
        if any(body.get(name) and card.get(name) == body[name] for name in ("email", "phone", "unique_external_id")):
            return int(person["id"])
    now = desk.stamp()
    row = {
        name: body[name]
        for name in ("email", "phone", "unique_external_id", "twitter_id", "facebook_id")
        if body.get(name)
    }
    name = body.get("name") or (body.get("email") or "").split("@")[0] or body.get("phone")
    return int(
        desk.contacts.put(
            {**row, "id": desk.new_person_id(), "name": name, "active": False, "created_at": now, "updated_at": now}
        )["id"]
    )


def update_ticket(desk: Desk, call: Call) -> Answer:
    allow(call.query, frozenset())
    row = live(desk, call.id)
    body = body_of(call, WRITABLE)
    if not body:
        raise invalid("request", "Please provide at least one attribute to update", "missing_field")
    check_codes(desk, body)
    change_ticket(desk, row, body)
    return Answer(body=shapes.ticket(desk, row, view=True))


def delete_ticket(desk: Desk, call: Call) -> Answer:
    hide_ticket(desk, live(desk, call.id), deleted=True)
    return Answer(204)


def restore_ticket(desk: Desk, call: Call) -> Answer:
    row = desk.tickets.get(call.id)
    if row is None or row.get("_archived"):
        raise Refused(404)
    show_ticket(desk, row)
    return Answer(204)


_NOTE: dict[str, type] = {"body": str, "private": bool}


def merge_tickets(desk: Desk, call: Call) -> Answer:
    kinds: dict[str, type] = {
        "primary_id": int,
        "ticket_ids": list,
        "note_in_primary": dict,
        "note_in_secondary": dict,
        "convert_recepients_to_cc": bool,
    }
    body = body_of(call, kinds)
    required(body, "primary_id", "ticket_ids")
    primary = live(desk, body["primary_id"])
    others = [live(desk, key) for key in body["ticket_ids"]]
    merge(desk, call.agent["id"], primary, others, body)
    return Answer(204)


def merge(desk: Desk, agent_id: int, primary: Row, others: list[Row], body: Row) -> None:
    """Close the others with a note and say in the primary what was merged."""
    bump = desk.switches.merge_bumps
    names = ", ".join(str(other["id"]) for other in others)
    note = body.get("note_in_primary") or {"body": f"Tickets {names} were merged into this ticket.", "private": True}
    add_message(desk, primary, note["body"], user_id=agent_id, private=note.get("private", True), source=2, bump=bump)
    for other in others:
        note = body.get("note_in_secondary") or {
            "body": f"This ticket is closed and merged into ticket {primary['id']}.",
            "private": True,
        }
        add_message(desk, other, note["body"], user_id=agent_id, private=note.get("private", True), source=2, bump=bump)
        stats = status_stats(other, 5, desk.stamp())
        desk.tickets.change(other["id"], status=5, stats=stats, **({"updated_at": desk.stamp()} if bump else {}))
