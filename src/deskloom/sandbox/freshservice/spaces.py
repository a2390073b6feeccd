"""Workspaces: which of them a list is about, and the workspaces themselves (HELPDESK-APIS 3.8, rules 12 and 13)."""

from __future__ import annotations

from collections.abc import Callable

from deskloom.sandbox.answers import Answer, Call, Refused, allow, denied, invalid
from deskloom.sandbox.bodies import body_of, required
from deskloom.sandbox.freshservice import blanks
from deskloom.sandbox.freshservice.desk import PRIMARY, FreshserviceDesk
from deskloom.sandbox.listing import number_of, paged
from deskloom.sandbox.paging import PAGING
from deskloom.sandbox.rows import Row, sent

Test = Callable[[Row], bool]


def chosen(desk: FreshserviceDesk, call: Call, *, all_by_zero: bool = True) -> int:
    """The workspace a list is about: the primary one unless `workspace_id` is given; 0 is all of them.

    Raises 400 for one there is not (or for 0 where a list cannot be of all), 403 for one the agent is not in.
    """
    number = number_of(call, "workspace_id")
    if number is None:
        return PRIMARY
    if number == 0 and all_by_zero:
        return 0
    if desk.workspace_of(number) is None:
        raise invalid("workspace_id", '["It should be a valid workspace"]')
    if not sees(call.agent, number):
        raise denied()
    return number


def sees(agent: Row, workspace_id: int) -> bool:
    """An administrator sees all workspaces, other agents those they are in."""
    return bool(agent.get("_admin")) or workspace_id in agent.get("workspace_ids", [PRIMARY])


def within(call: Call, workspace: int) -> Test:
    """A test of rows: of this workspace, or (0) of any the agent sees."""
    if workspace:
        return lambda row: row.get("workspace_id", PRIMARY) == workspace
    return lambda row: sees(call.agent, row.get("workspace_id", PRIMARY))


def client(desk: FreshserviceDesk, call: Call, name: str = "workspace_id") -> Test:
    """A test of departments and requesters: an MSP's belong to a client, the default one unless said; else any."""
    if not desk.msp:
        return lambda row: True
    given = [part for part in call.query.get(name, str(PRIMARY)).split(",") if part]
    if not all(part.isascii() and part.isdigit() for part in given):
        raise invalid(name, '["It should be a/an Positive Integer"]', "datatype_mismatch")
    wanted = {int(part) for part in given}
    return lambda row: 0 in wanted or row.get("workspace_id", PRIMARY) in wanted


# ------------------------------------------------------------------------------------------------ the list of them

_WORKSPACE: dict[str, type] = {
    "name": str, "description": str, "primary": bool, "restricted": bool, "template_name": str, "metadata": dict,
}  # fmt: skip


def list_workspaces(desk: FreshserviceDesk, call: Call) -> Answer:
    allow(call.query, PAGING)
    ids = [row["id"] for row in desk.workspaces if sees(call.agent, row["id"])]
    return paged(desk, call, sorted(ids), lambda key: workspace(desk, desk.workspaces.get(key) or {}),
                 within="workspaces")  # fmt: skip


def view_workspace(desk: FreshserviceDesk, call: Call) -> Answer:
    allow(call.query, frozenset())
    row = desk.workspaces.get(call.id)
    if row is None:
        raise Refused(404)
    return Answer(body={"workspace": workspace(desk, row)})


def create_workspace(desk: FreshserviceDesk, call: Call) -> Answer:
    body = body_of(call, _WORKSPACE)
    required(body, "name")
    now = desk.stamp()
    row = {**body, "id": desk.new_id("workspace", desk.workspaces, PRIMARY), "created_at": now, "updated_at": now}
    return Answer(201, {"workspace": workspace(desk, desk.workspaces.put(row))})


def workspace(desk: FreshserviceDesk, row: Row) -> Row:
    """`metadata` is an MSP's client's alone."""
    out = {**blanks.WORKSPACE, **sent(row)}
    if not desk.msp:
        out.pop("metadata", None)
        return out
    empty: Row = {"primary_contact": {}, "email_domains": [], "custom_fields": {}}
    return {**out, "type": "client", "metadata": {**empty, **out.get("metadata", {})}}
