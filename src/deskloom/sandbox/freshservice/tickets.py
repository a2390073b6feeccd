"""Ticket endpoints: list, view, create, change, delete, restore, and what belongs to one ticket (HELPDESK-APIS 3.5)."""

from __future__ import annotations

from deskloom.sandbox.answers import Answer, Call, Refused, allow, invalid
from deskloom.sandbox.bodies import body_of, required
from deskloom.sandbox.freshservice import activities, shapes, spaces
from deskloom.sandbox.freshservice.desk import PRIMARY, FreshserviceDesk
from deskloom.sandbox.freshservice.fields import choices_of
from deskloom.sandbox.life import change_ticket, hide_ticket, open_ticket, show_ticket, ticket_state, visible
from deskloom.sandbox.listing import choice_of, includes_of, number_of, paged, since_of, window
from deskloom.sandbox.paging import PAGING
from deskloom.sandbox.rows import Row

LIST_INCLUDES = ("stats", "requester", "requested_for", "onboarding_context", "offboarding_context")
VIEW_INCLUDES = (
    "conversations", "tags", "requester", "requested_for", "stats", "problem", "assets", "changes", "related_tickets",
    "department", "onboarding_context", "offboarding_context",
)  # fmt: skip
FILTERS = ("new_and_my_open", "watching", "spam", "deleted")
_LIST = PAGING | {
    "filter", "requester_id", "email", "updated_since", "type", "workspace_id", "order_type", "include",
}  # fmt: skip
ORDERS = ("created_at", "updated_at", "id", "due_by", "status")
WRITABLE: dict[str, type] = {
    "subject": str, "description": str, "type": str, "status": int, "priority": int, "source": int, "urgency": int,
    "impact": int, "requester_id": int, "requested_for_id": int, "responder_id": int, "group_id": int,
    "department_id": int, "email_config_id": int, "email": str, "name": str, "phone": str, "cc_emails": list,
    "tags": list, "custom_fields": dict, "due_by": str, "fr_due_by": str, "category": str, "sub_category": str,
    "item_category": str, "resolution_notes": str, "resolution_notes_html": str, "planned_start_date": str,
    "planned_end_date": str, "planned_effort": str, "workspace_id": int, "assets": list, "problem": dict,
}  # fmt: skip
_WHO = ("requester_id", "email", "phone")
_CODED = {"status": "status", "priority": "priority", "source": "source", "urgency": "urgency", "impact": "impact"}


def list_tickets(desk: FreshserviceDesk, call: Call) -> Answer:
    allow(call.query, _LIST | (set() if desk.switches.order_by == "refused" else {"order_by"}))
    includes = includes_of(call, (*LIST_INCLUDES, "tags") if desk.switches.list_tags else LIST_INCLUDES)
    workspace = spaces.chosen(desk, call)
    only = None if workspace else desk.global_fields()
    return paged(
        desk, call, _found(desk, call, workspace),
        lambda key: shapes.ticket(desk, desk.tickets.get(key) or {}, includes, only=only), within="tickets",
    )  # fmt: skip


def _found(desk: FreshserviceDesk, call: Call, workspace: int) -> list[int]:
    """Ids in the order of the account, or in the one asked for where that counts."""
    chosen = choice_of(call, "filter", FILTERS)
    order: str = desk.switches.sort_column
    if desk.switches.order_by == "honoured" and "order_by" in call.query:
        order = choice_of(call, "order_by", ORDERS) or order
    descending = choice_of(call, "order_type", ("asc", "desc"), "desc") == "desc"
    state = chosen if chosen in ("spam", "deleted") else "live"
    rows = [desk.tickets.get(key) or {} for key in _ordered(desk, state, order, since_of(call))]
    equal = _equal(desk, call)
    inside = spaces.within(call, workspace)
    ids = [row["id"] for row in rows if inside(row) and all(row.get(k) == v for k, v in equal.items())]
    if chosen == "watching":
        return []
    if chosen == "new_and_my_open":
        mine = (None, call.agent.get("id"))
        open_rows = (desk.tickets.get(key) or {} for key in ids)
        ids = [row["id"] for row in open_rows if row.get("status", 2) == 2 and row.get("responder_id") in mine]
    return ids[::-1] if descending else ids


def _ordered(desk: FreshserviceDesk, state: str, order: str, since: str | None) -> list[int]:
    """The tickets that the time window lets through, ascending by a column."""
    entries = window(desk, state, order, since)
    if order == "updated_at":
        return [key for _, key in entries]
    inside = {key for _, key in entries}
    if order == "created_at":
        return [key for key in desk.tickets.ids("created", state) if key in inside]
    if order == "id":
        return sorted(inside)
    return sorted(inside, key=lambda key: (str((desk.tickets.get(key) or {}).get(order) or ""), key))


def _equal(desk: FreshserviceDesk, call: Call) -> Row:
    equal: Row = {"requester_id": number_of(call, "requester_id")} if "requester_id" in call.query else {}
    if "email" in call.query:
        address = call.query["email"]
        person = next((row for row in desk.requesters if row.get("primary_email") == address), None)
        equal["requester_id"] = person["id"] if person else -1
    return equal | ({"type": call.query["type"]} if "type" in call.query else {})


def view_ticket(desk: FreshserviceDesk, call: Call) -> Answer:
    allow(call.query, frozenset({"include"}))
    row = viewable(desk, call)
    return Answer(body={"ticket": shapes.ticket(desk, row, includes_of(call, VIEW_INCLUDES), view=True, only=None)})


def viewable(desk: FreshserviceDesk, call: Call) -> Row:
    """The ticket of a path. Raises 404 where there is none, or none in a workspace of the agent."""
    row = visible(desk, call.id)
    if not spaces.sees(call.agent, row.get("workspace_id", PRIMARY)):
        raise Refused(404)
    return row


def live(desk: FreshserviceDesk, call: Call) -> Row:
    """A ticket that may be written to: 404 where there is none; a deleted or spam one as the account has it."""
    row = viewable(desk, call)
    if ticket_state(row) != "live" and desk.switches.deleted_write != 200:
        raise Refused(desk.switches.deleted_write)
    return row


def list_requested_items(desk: FreshserviceDesk, call: Call) -> Answer:
    """What a service request asks for; its description is empty."""
    allow(call.query, PAGING)
    ids = desk.requested_items.ids("ticket", viewable(desk, call)["id"])
    return paged(desk, call, ids, lambda key: shapes.requested_item(desk.requested_items.get(key) or {}),
                 within="requested_items")  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ writes


def check_codes(desk: FreshserviceDesk, body: Row) -> None:
    """Raise the 400 for a code or a custom field that the account does not have."""
    for name, field_name in _CODED.items():
        codes = [choice["id"] for choice in choices_of(desk.ticket_fields, field_name)]
        if body.get(name) is not None and body[name] not in codes:
            raise invalid(name, f"It should be one of these values: '{','.join(map(str, codes))}'")
    known = {field["name"] for field in desk.ticket_fields if not field["default_field"]}
    for name in body.get("custom_fields") or {}:
        if name not in known:
            raise invalid(f"custom_fields.{name}", "Unexpected/invalid field in request", "invalid_field")


def create_ticket(desk: FreshserviceDesk, call: Call) -> Answer:
    allow(call.query, frozenset())
    body = body_of(call, WRITABLE)
    if not any(body.get(name) for name in _WHO):
        raise invalid("requester_id", "Please fill at least 1 of requester_id, email, phone fields", "missing_field")
    check_codes(desk, body)
    workspace_id = body.get("workspace_id", PRIMARY)
    if desk.workspace_of(workspace_id) is None:
        raise invalid("workspace_id", '["It should be a valid workspace"]')
    row = add_ticket(desk, body)
    answer = Answer(201, {"ticket": _written(desk, row)})
    answer.headers["location"] = f"{call.base}/api/v2/tickets/{row['id']}"
    return answer


def add_ticket(desk: FreshserviceDesk, body: Row) -> Row:
    """A new ticket from the members of a request; an unknown requester becomes one."""
    members = {**body, "requester_id": body.get("requester_id") or _requester(desk, body)}
    members.setdefault("workspace_id", PRIMARY)
    if "department_id" not in members:
        members["department_id"] = department_of(desk, members["requester_id"])
    row = open_ticket(desk, members)
    if not body.get("due_by"):
        desk.fill_due(row["id"])
    activities.note(desk, row["id"], "created this ticket", actor=members["requester_id"])
    return row


def department_of(desk: FreshserviceDesk, requester_id: int | None) -> int | None:
    """The department of a person who is in exactly one."""
    known = (desk.requesters.get(requester_id) or {}).get("department_ids") or []
    return int(known[0]) if len(known) == 1 else None


def _requester(desk: FreshserviceDesk, body: Row) -> int:
    for person in desk.requesters:
        if any(body.get(a) and person.get(b) == body[a] for a, b in (("email", "primary_email"), ("phone", "phone"))):
            return int(person["id"])
    for agent in desk.agents:
        if body.get("email") and agent.get("email") == body["email"]:
            return int(agent["id"])
    now = desk.stamp()
    name = body.get("name") or (body.get("email") or "").split("@")[0] or body.get("phone")
    row = {"primary_email": body.get("email"), "work_phone_number": body.get("phone"), "first_name": name}
    row |= {"id": desk.new_person_id(), "created_at": now, "updated_at": now}
    return int(desk.requesters.put({**row, "workspace_id": body.get("workspace_id", PRIMARY)})["id"])


def update_ticket(desk: FreshserviceDesk, call: Call) -> Answer:
    """`tags` replace the whole set; the workspace cannot be changed here."""
    allow(call.query, frozenset({"bypass_mandatory"}))
    row = live(desk, call)
    body = body_of(call, WRITABLE)
    if not body:
        raise invalid("request", "Please provide at least one attribute to update", "missing_field")
    if "workspace_id" in body:
        raise invalid("workspace_id", "Unexpected/invalid field in request", "invalid_field")
    if body.get("due_by") and body["due_by"] < desk.stamp():
        raise invalid("due_by", "It should be a time in the future")
    check_codes(desk, body)
    edit_ticket(desk, row, body, actor=call.agent.get("id"))
    return Answer(body={"ticket": _written(desk, row)})


def edit_ticket(desk: FreshserviceDesk, row: Row, body: Row, *, actor: int | None = None) -> Row:
    """Apply members as an agent's edit would, and say so among the activities."""
    members = dict(body)
    if "requester_id" in body and desk.switches.requester_moves_department:
        members.setdefault("department_id", department_of(desk, body["requester_id"]))
    change_ticket(desk, row, members)
    activities.note(desk, row["id"], f"updated {', '.join(sorted(body))}", actor=actor)
    return row


def move_ticket(desk: FreshserviceDesk, call: Call) -> Answer:
    row = live(desk, call)
    body = body_of(call, {"workspace_id": int})
    required(body, "workspace_id")
    if desk.workspace_of(body["workspace_id"]) is None:
        raise invalid("workspace_id", '["It should be a valid workspace"]')
    desk.bump(row["id"], workspace_id=body["workspace_id"], group_id=None)
    return Answer(body={"ticket": _written(desk, row)})


def _written(desk: FreshserviceDesk, row: Row) -> Row:
    """The answer to a write holds the tags too (3.5)."""
    return shapes.ticket(desk, row, ("tags",), view=True, only=None)


def delete_ticket(desk: FreshserviceDesk, call: Call) -> Answer:
    row = live(desk, call)
    hide_ticket(desk, row, deleted=True)
    activities.note(desk, row["id"], "deleted this ticket", actor=call.agent.get("id"))
    return Answer(204)


def restore_ticket(desk: FreshserviceDesk, call: Call) -> Answer:
    row = desk.tickets.get(call.id)
    if row is None:
        raise Refused(404)
    show_ticket(desk, row)
    activities.note(desk, row["id"], "restored this ticket from trash", actor=call.agent.get("id"))
    return Answer(204)
