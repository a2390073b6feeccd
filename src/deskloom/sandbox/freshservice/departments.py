"""Departments, which carry the account number, and the account's field lists (HELPDESK-APIS 3.8, 3.10, 5.1)."""

from __future__ import annotations

from deskloom.sandbox.answers import Answer, Call, Refused, allow
from deskloom.sandbox.bodies import body_of, required
from deskloom.sandbox.freshservice import shapes, spaces
from deskloom.sandbox.freshservice.desk import PRIMARY, FreshserviceDesk
from deskloom.sandbox.freshservice.fields import GLOBAL
from deskloom.sandbox.life import touch_customer
from deskloom.sandbox.listing import paged
from deskloom.sandbox.paging import PAGING
from deskloom.sandbox.query import query_of
from deskloom.sandbox.rows import Row

_DEPARTMENT: dict[str, type] = {
    "name": str, "description": str, "head_user_id": int, "prime_user_id": int, "domains": list, "custom_fields": dict,
    "workspace_id": int,
}  # fmt: skip


def list_departments(desk: FreshserviceDesk, call: Call) -> Answer:
    """All of them, by name; `query` knows the name alone and answers the newest first."""
    allow(call.query, PAGING | {"workspace_id", "query"})
    inside = spaces.client(desk, call)
    if "query" in call.query:
        test, shown_until = query_of(call, frozenset({"name"})), desk.searchable()
        rows = [desk.departments.get(key) or {} for key in reversed(desk.departments.ids("created", "all"))]
        rows = [row for row in rows if row["updated_at"] <= shown_until and test(row)]
    else:
        rows = [desk.departments.get(key) or {} for key in desk.departments.ids("name", "all")]
    found = [row for row in rows if inside(row)]
    return paged(desk, call, found, shapes.department, within="departments", size=desk.switches.people_per_page)


def view_department(desk: FreshserviceDesk, call: Call) -> Answer:
    allow(call.query, frozenset())
    row = shapes.department(_department(desk, call.id))
    if desk.switches.docs_wrappers:
        return Answer(body={"departments": {**row, "id": str(row["id"])}})
    return Answer(body={"department": row})


def create_department(desk: FreshserviceDesk, call: Call) -> Answer:
    body = body_of(call, _DEPARTMENT)
    required(body, "name")
    _unique_name(desk, body, None)
    now = desk.stamp()
    row = {**body, "id": desk.new_id("department", desk.departments, 15_100_000_001)}
    row = desk.departments.put({"workspace_id": PRIMARY, **row, "created_at": now, "updated_at": now})
    location = {"location": f"{call.base}/api/v2/departments/{row['id']}"}
    return Answer(201, {"department": shapes.department(row)}, location)


def update_department(desk: FreshserviceDesk, call: Call) -> Answer:
    row = _department(desk, call.id)
    body = body_of(call, _DEPARTMENT)
    _unique_name(desk, body, row["id"])
    return Answer(body={"department": shapes.department(change_department(desk, row, body))})


def change_department(desk: FreshserviceDesk, row: Row, body: Row) -> Row:
    members = {**body, "updated_at": desk.stamp()}
    if body.get("custom_fields"):
        kept = row.get("custom_fields", {})
        kept = kept if desk.switches.department_fields_merge else dict.fromkeys(kept)
        members["custom_fields"] = {**kept, **body["custom_fields"]}
    desk.departments.change(row["id"], **members)
    touch_customer(desk, department_id=row["id"])
    return row


def delete_department(desk: FreshserviceDesk, call: Call) -> Answer:
    """For good; people and tickets stay without it."""
    row = _department(desk, call.id)
    desk.departments.drop(row["id"])
    for person in desk.requesters:
        if row["id"] in person.get("department_ids", []):
            kept = [key for key in person["department_ids"] if key != row["id"]]
            desk.requesters.change(person["id"], department_ids=kept)
    for ticket in desk.tickets:
        if ticket.get("department_id") == row["id"]:
            desk.tickets.change(ticket["id"], department_id=None)
    return Answer(204)


def _department(desk: FreshserviceDesk, key: int) -> Row:
    row = desk.departments.get(key)
    if row is None:
        raise Refused(404)
    return row


def _unique_name(desk: FreshserviceDesk, body: Row, own: int | None) -> None:
    if any(other["name"] == body.get("name") and other["id"] != own for other in desk.departments):
        error = {"field": "name", "message": "It should be a unique value", "code": "duplicate_value"}
        raise Refused(409, {"description": "Validation failed", "errors": [error]})


# ------------------------------------------------------------------------------------------------------- field lists


def list_department_fields(desk: FreshserviceDesk, call: Call) -> Answer:
    """Without types, with stamps that name no zone, and with `domain_names` for the domains."""
    allow(call.query, PAGING)
    return paged(desk, call, desk.department_fields, dict, within="department_fields")


def list_ticket_fields(desk: FreshserviceDesk, call: Call) -> Answer:
    """Those of all workspaces and of the one asked for (the primary one unless said)."""
    allow(call.query, PAGING | {"workspace_id"})
    workspace = spaces.chosen(desk, call, all_by_zero=False)
    groups = [row for row in desk.groups if row.get("workspace_id", PRIMARY) == workspace]
    filled = {
        "workspace_id": [{"id": row["id"], "value": row["name"]} for row in desk.workspaces],
        "group": [{"id": row["id"], "value": row["name"]} for row in groups],
        "agent": [{"id": row["id"], "value": desk.name_of(row)} for row in desk.agents],
        "department": [{"id": row["id"], "value": row["name"]} for row in desk.departments],
    }
    rows = [
        {**field, "choices": filled.get(field["name"], field["choices"])}
        for field in desk.ticket_fields
        if field["workspace_id"] in (GLOBAL, workspace)
    ]
    return Answer(body={"ticket_fields": rows})
