"""Requesters, agents and groups (HELPDESK-APIS 3.9)."""

from __future__ import annotations

from deskloom.sandbox.answers import Answer, Call, Refused, allow, denied, invalid
from deskloom.sandbox.bodies import body_of
from deskloom.sandbox.freshservice import shapes, spaces
from deskloom.sandbox.freshservice.desk import PRIMARY, FreshserviceDesk, full_name
from deskloom.sandbox.life import purge_ticket, touch_customer
from deskloom.sandbox.listing import choice_of, number_of, paged
from deskloom.sandbox.paging import PAGING
from deskloom.sandbox.query import query_of
from deskloom.sandbox.rows import Row

SEARCH_SIZE = 30
LAST_SEARCH_PAGE = 40
_LIST = PAGING | {
    "email", "mobile_phone_number", "work_phone_number", "include_agents", "belongs_to_workspace_ids", "workspace_id",
}  # fmt: skip
_SEARCHED = frozenset(
    {
        "first_name", "last_name", "name", "job_title", "primary_email", "mobile_phone_number", "work_phone_number",
        "department_id", "reporting_manager_id", "time_zone", "language", "location_id", "created_at", "updated_at",
    }
)  # fmt: skip
_REQUESTER: dict[str, type] = {
    "first_name": str, "last_name": str, "job_title": str, "primary_email": str, "secondary_emails": list,
    "work_phone_number": str, "mobile_phone_number": str, "department_ids": list, "address": str, "time_zone": str,
    "can_see_all_tickets_from_associated_departments": bool, "time_format": str, "language": str, "location_id": int,
    "reporting_manager_id": int, "background_information": str, "custom_fields": dict, "external_id": str,
}  # fmt: skip


# -------------------------------------------------------------------------------------------------------- requesters


def list_requesters(desk: FreshserviceDesk, call: Call) -> Answer:
    """Alphabetical; without the agents unless they are asked for, by who may manage agents."""
    if "query" in call.query:
        return _search(desk, call)
    allow(call.query, _LIST)
    agents = choice_of(call, "include_agents", ("true", "false")) == "true"
    if agents and not call.agent.get("_admin"):
        raise denied()
    member = "belongs_to_workspace_ids" if "belongs_to_workspace_ids" in call.query else "workspace_id"
    inside = spaces.client(desk, call, member)
    rows = [desk.requesters.get(key) or {} for key in desk.requesters.ids("name", "all")]
    rows = [row for row in rows if inside(row) and (row.get("active", True) or desk.switches.deactivated_listed)]
    shown = [*rows, *desk.agents] if agents else rows
    if agents:
        shown.sort(key=lambda row: full_name(row).casefold())
    named = (("email", "primary_email"), *((n, n) for n in ("mobile_phone_number", "work_phone_number")))
    for asked, member in named:
        if asked in call.query:
            shown = [row for row in shown if (row.get(member) or row.get(asked)) == call.query[asked]]
    name = "requester" if desk.switches.docs_wrappers else "requesters"
    size = desk.switches.people_per_page
    return paged(desk, call, shown, lambda row: requester_or_agent(desk, row), within=name, size=size)


def requester_or_agent(desk: FreshserviceDesk, row: Row) -> Row:
    return shapes.agent_as_requester(desk, row) if row["id"] in desk.agents else shapes.requester(desk, row)


def _search(desk: FreshserviceDesk, call: Call) -> Answer:
    """Thirty a page, at most forty pages, the newest first; an index that may lag behind."""
    allow(call.query, frozenset({"query", "page", "include_agents", "workspace_id"}))
    page = number_of(call, "page") or 1
    if page > LAST_SEARCH_PAGE:
        raise invalid("page", f"It should be less than or equal to {LAST_SEARCH_PAGE}")
    test = query_of(call, _SEARCHED | {field["name"] for field in desk.requester_fields})
    inside, shown_until = spaces.client(desk, call), desk.searchable()
    rows = [desk.requesters.get(key) or {} for key in reversed(desk.requesters.ids("created", "all"))]
    rows = [row for row in rows if inside(row) and row["updated_at"] <= shown_until and test(_searched(row))]
    part = rows[(page - 1) * SEARCH_SIZE : page * SEARCH_SIZE]
    return Answer(body={"requesters": [shapes.requester(desk, row) for row in part]})


def _searched(row: Row) -> Row:
    return {**row, "name": full_name(row), "department_id": [str(key) for key in row.get("department_ids", [])]}


def view_requester(desk: FreshserviceDesk, call: Call) -> Answer:
    """An agent is none: their id leads nowhere here (T48)."""
    allow(call.query, frozenset())
    return Answer(body={"requester": shapes.requester(desk, _requester(desk, call.id))})


def create_requester(desk: FreshserviceDesk, call: Call) -> Answer:
    body = _body(desk, call, None)
    if not any(body.get(name) for name in ("primary_email", "work_phone_number", "mobile_phone_number")):
        raise invalid("primary_email", "It should not be blank as this is a mandatory field", "missing_field")
    now = desk.stamp()
    row = {**body, "id": desk.new_person_id(), "created_at": now, "updated_at": now}
    row = desk.requesters.put({**row, "workspace_id": body.get("workspace_id", PRIMARY)})
    location = {"location": f"{call.base}/api/v2/requesters/{row['id']}"}
    return Answer(201, {"requester": shapes.requester(desk, row)}, location)


def update_requester(desk: FreshserviceDesk, call: Call) -> Answer:
    """What they may see is reset unless it is sent."""
    row = _requester(desk, call.id)
    body = _body(desk, call, row["id"])
    body.setdefault("can_see_all_tickets_from_associated_departments", False)
    return Answer(body={"requester": shapes.requester(desk, change_requester(desk, row, body))})


def change_requester(desk: FreshserviceDesk, row: Row, body: Row) -> Row:
    members = {**body, "updated_at": desk.stamp()}
    if body.get("custom_fields"):
        members["custom_fields"] = {**row.get("custom_fields", {}), **body["custom_fields"]}
    desk.requesters.change(row["id"], **members)
    touch_customer(desk, requester_id=row["id"])
    return row


def deactivate_requester(desk: FreshserviceDesk, call: Call) -> Answer:
    row = _requester(desk, call.id)
    desk.requesters.change(row["id"], active=False, updated_at=desk.stamp())
    return Answer(204)


def reactivate_requester(desk: FreshserviceDesk, call: Call) -> Answer:
    row = _requester(desk, call.id)
    desk.requesters.change(row["id"], active=True, updated_at=desk.stamp())
    return Answer(body={"requester": shapes.requester(desk, row)})


def forget_requester(desk: FreshserviceDesk, call: Call) -> Answer:
    """For good, and their tickets with them."""
    row = _requester(desk, call.id)
    desk.requesters.drop(row["id"])
    for ticket in desk.tickets:
        if ticket.get("requester_id") == row["id"]:
            purge_ticket(desk, ticket["id"])
    return Answer(204)


def merge_requesters(desk: FreshserviceDesk, call: Call) -> Answer:
    """The secondary ones disappear; their tickets keep ids that lead nowhere."""
    allow(call.query, frozenset({"secondary_requesters"}))
    primary = _requester(desk, call.id)
    keys = [int(part) for part in call.query.get("secondary_requesters", "").split(",") if part.isdigit()]
    for key in keys:
        desk.requesters.drop(_requester(desk, key)["id"])
    desk.requesters.change(primary["id"], updated_at=desk.stamp())
    return Answer(body={"requester": shapes.requester(desk, primary)})


def _requester(desk: FreshserviceDesk, key: int) -> Row:
    row = desk.requesters.get(key)
    if row is None:
        raise Refused(404)
    return row


def _body(desk: FreshserviceDesk, call: Call, own: int | None) -> Row:
    body = body_of(call, _REQUESTER | ({"workspace_id": int} if desk.msp else {}))
    address = body.get("primary_email")
    for other in (*desk.requesters, *desk.agents):
        if address and address == (other.get("primary_email") or other.get("email")) and other["id"] != own:
            error = {"field": "primary_email", "message": "It should be a unique value", "code": "duplicate_value"}
            raise Refused(409, {"description": "Validation failed", "errors": [error]})
    return body


def list_requester_fields(desk: FreshserviceDesk, call: Call) -> Answer:
    allow(call.query, PAGING)
    return paged(desk, call, desk.requester_fields, dict, within="requester_fields")


# ------------------------------------------------------------------------------------------------- agents and groups


def list_agents(desk: FreshserviceDesk, call: Call) -> Answer:
    allow(call.query, PAGING | {"email", "mobile_phone_number", "work_phone_number", "active", "state", "workspace_id"})
    state = choice_of(call, "state", ("fulltime", "occasional"))
    active = choice_of(call, "active", ("true", "false"))
    rows = [desk.agents.get(key) or {} for key in desk.agents.ids("name", "all")]
    for name in ("email", "mobile_phone_number", "work_phone_number"):
        rows = [row for row in rows if name not in call.query or row.get(name) == call.query[name]]
    if state:
        rows = [row for row in rows if bool(row.get("occasional")) == (state == "occasional")]
    if active:
        rows = [row for row in rows if row.get("active", True) == (active == "true")]
    return paged(desk, call, rows, shapes.agent, within="agents")


def view_agent(desk: FreshserviceDesk, call: Call) -> Answer:
    row = desk.agents.get(call.id)
    if row is None:
        raise Refused(404)
    return Answer(body={"agent": shapes.agent(row)})


def own_agent(desk: FreshserviceDesk, call: Call) -> Answer:
    return Answer(body={"agent": shapes.agent(call.agent)})


def list_groups(desk: FreshserviceDesk, call: Call) -> Answer:
    """Of one workspace; all of them at once cannot be had."""
    allow(call.query, PAGING | {"workspace_id"})
    workspace = spaces.chosen(desk, call, all_by_zero=False)
    rows = [desk.groups.get(key) or {} for key in desk.groups.ids("name", "all")]
    rows = [row for row in rows if row.get("workspace_id", PRIMARY) == workspace]
    return paged(desk, call, rows, shapes.group, within="groups")


def view_group(desk: FreshserviceDesk, call: Call) -> Answer:
    row = desk.groups.get(call.id)
    if row is None:
        raise Refused(404)
    return Answer(body={"group": shapes.group(row)})
