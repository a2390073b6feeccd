"""`/tickets/filter`: thirty rows a page, a total, an index that may lag behind (HELPDESK-APIS 3.5)."""

from __future__ import annotations

from deskloom.sandbox.answers import Answer, Call, allow
from deskloom.sandbox.freshservice import shapes, spaces
from deskloom.sandbox.freshservice.desk import FreshserviceDesk
from deskloom.sandbox.listing import number_of
from deskloom.sandbox.query import query_of
from deskloom.sandbox.rows import Row

SIZE = 30
_FIELDS = frozenset(
    {
        "workspace_id", "requester_id", "email", "agent_id", "group_id", "priority", "status", "impact", "urgency",
        "tag", "due_by", "fr_due_by", "created_at", "updated_at", "type", "department_id",
    }
)  # fmt: skip


def filter_tickets(desk: FreshserviceDesk, call: Call) -> Answer:
    per_page = desk.switches.filter_per_page
    allow(call.query, frozenset({"query", "workspace_id", "page"} | (set() if per_page == "refused" else {"per_page"})))
    test = query_of(call, _FIELDS | {field["name"] for field in desk.ticket_fields if not field["default_field"]})
    workspace = spaces.chosen(desk, call)
    inside, until = spaces.within(call, workspace), desk.searchable()
    ids = [key for at, key in desk.tickets.order("updated", "live") if at <= until]
    rows = [desk.tickets.get(key) or {} for key in reversed(ids)]
    found = [row for row in rows if inside(row) and test(_searched(desk, row))]
    size = min(number_of(call, "per_page") or SIZE, 100) if per_page == "honoured" else SIZE
    page = number_of(call, "page") or 1
    only = None if workspace else desk.global_fields()
    part = [shapes.ticket(desk, row, only=only) for row in found[(page - 1) * size : page * size]]
    return Answer(body={"tickets": part, "total": len(found)})


def _searched(desk: FreshserviceDesk, row: Row) -> Row:
    whole = shapes.ticket(desk, row, view=True, only=None)
    address = desk.email_of(row.get("requester_id"))
    return {**whole, "agent_id": whole["responder_id"], "tag": row.get("tags", []), "email": address}
