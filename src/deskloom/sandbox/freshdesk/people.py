"""Contacts, companies, agents and groups (HELPDESK-APIS 2.8-2.10)."""

from __future__ import annotations

from deskloom.sandbox.answers import Answer, Call, Refused, allow, invalid, unexpected
from deskloom.sandbox.bodies import body_of, required
from deskloom.sandbox.freshdesk import shapes
from deskloom.sandbox.freshdesk.desk import Desk
from deskloom.sandbox.life import purge_ticket, touch_customer
from deskloom.sandbox.listing import changed, choice_of, number_of, paged, since_of
from deskloom.sandbox.paging import PAGING
from deskloom.sandbox.rows import Row

_CONTACT_LIST = PAGING | {"email", "mobile", "phone", "company_id", "state", "contact_type", "unique_external_id"}
_CONTACT: dict[str, type] = {
    "name": str, "email": str, "phone": str, "mobile": str, "twitter_id": str, "unique_external_id": str,
    "other_emails": list, "company_id": int, "view_all_tickets": bool, "other_companies": list, "address": str,
    "custom_fields": dict, "description": str, "job_title": str, "language": str, "tags": list, "time_zone": str,
}  # fmt: skip
_COMPANY: dict[str, type] = {
    "name": str, "description": str, "note": str, "domains": list, "custom_fields": dict, "health_score": str,
    "account_tier": str, "renewal_date": str, "industry": str,
}  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- contacts


def list_contacts(desk: Desk, call: Call) -> Answer:
    """Alphabetical; blocked and deleted ones only by `state`."""
    spelling = desk.switches.contacts_filter
    spellings = {"updated_since", "_updated_since"} if spelling == "both" else {spelling}
    allow(call.query, _CONTACT_LIST | spellings)
    state = choice_of(call, "state", ("blocked", "deleted", "unverified", "verified"))
    shelf = state if state in ("blocked", "deleted") else "live"
    ids = desk.contacts.ids("name", shelf)
    for name in spellings:
        since = since_of(call, name)
        if since is not None:
            ids = changed(desk, desk.contacts, shelf, since)
    equal: Row = {
        name: call.query[name]
        for name in ("email", "mobile", "phone", "contact_type", "unique_external_id")
        if name in call.query
    }
    if "company_id" in call.query:
        equal["company_id"] = number_of(call, "company_id")
    if state in ("verified", "unverified"):
        equal["active"] = state == "verified"
    if equal:
        rows = (desk.contacts.get(key) or {} for key in ids)
        defaults = {"active": True, "contact_type": "contact"}
        ids = [
            row["id"] for row in rows if all({**defaults, **row}.get(name) == value for name, value in equal.items())
        ]
    return paged(desk, call, ids, lambda key: shapes.contact(desk, desk.contacts.get(key) or {}, view=False))


def view_contact(desk: Desk, call: Call) -> Answer:
    allow(call.query, frozenset())
    return Answer(body=shapes.contact(desk, _contact(desk, call.id), view=True))


def create_contact(desk: Desk, call: Call) -> Answer:
    body = body_of(call, _CONTACT)
    required(body, "name")
    if not any(body.get(name) for name in ("email", "phone", "mobile", "twitter_id", "unique_external_id")):
        raise invalid(
            "email",
            "Please fill at least 1 of email, mobile, phone, twitter_id, unique_external_id fields",
            "missing_field",
        )
    _unique_email(desk, body, None)
    now = desk.stamp()
    row = desk.contacts.put({**body, "id": desk.new_person_id(), "created_at": now, "updated_at": now})
    return Answer(201, shapes.contact(desk, row, view=True), {"location": f"{call.base}/api/v2/contacts/{row['id']}"})


def update_contact(desk: Desk, call: Call) -> Answer:
    row = _contact(desk, call.id)
    if row.get("deleted") or row.get("_blocked"):
        raise Refused(405)
    body = body_of(call, _CONTACT)
    _unique_email(desk, body, row["id"])
    return Answer(body=shapes.contact(desk, change_contact(desk, row, body), view=True))


def change_contact(desk: Desk, row: Row, body: Row) -> Row:
    members = {**body, "updated_at": desk.stamp()}
    if body.get("custom_fields"):
        members["custom_fields"] = {**row.get("custom_fields", {}), **body["custom_fields"]}
    desk.contacts.change(row["id"], **members)
    touch_customer(desk, requester_id=row["id"])
    return row


def delete_contact(desk: Desk, call: Call) -> Answer:
    row = _contact(desk, call.id)
    if row.get("deleted"):
        raise Refused(405)
    desk.contacts.change(row["id"], deleted=True, updated_at=desk.stamp())
    return Answer(204)


def restore_contact(desk: Desk, call: Call) -> Answer:
    desk.contacts.change(_contact(desk, call.id)["id"], deleted=False, updated_at=desk.stamp())
    return Answer(204)


def hard_delete_contact(desk: Desk, call: Call) -> Answer:
    """For good, and their tickets with them."""
    allow(call.query, frozenset({"force"}))
    row = _contact(desk, call.id)
    if not row.get("deleted") and call.query.get("force") != "true":
        raise invalid("id", "The contact has to be soft deleted first", "inconsistent_state")
    desk.contacts.drop(row["id"])
    for ticket in desk.tickets:
        if ticket.get("requester_id") == row["id"]:
            purge_ticket(desk, ticket["id"])
    return Answer(204)


def merge_contacts(desk: Desk, call: Call) -> Answer:
    """The secondary contacts disappear; tickets keep their ids, which then dangle."""
    body = body_of(call, {"primary_contact_id": int, "secondary_contact_ids": list, "contact": dict})
    required(body, "primary_contact_id", "secondary_contact_ids")
    primary = _contact(desk, body["primary_contact_id"])
    for key in body["secondary_contact_ids"]:
        desk.contacts.drop(_contact(desk, key)["id"])
    desk.contacts.change(primary["id"], updated_at=desk.stamp())
    return Answer(204)


def _contact(desk: Desk, key: int) -> Row:
    row = desk.contacts.get(key)
    if row is None:
        raise Refused(404)
    return row


def _unique_email(desk: Desk, body: Row, own: int | None) -> None:
    email = body.get("email")
    if not email:
        return
    for other in (*desk.contacts, *desk.agents):
        if other.get("contact", other).get("email") == email and other["id"] != own:
            error = {
                "field": "email",
                "message": "It should be a unique value",
                "code": "duplicate_value",
                "additional_info": {"user_id": other["id"]},
            }
            raise Refused(409, {"description": "Validation failed", "errors": [error]})


# --------------------------------------------------------------------------------------------------------- companies


def list_companies(desk: Desk, call: Call) -> Answer:
    allow(call.query, PAGING | {"updated_since"})
    since = since_of(call)
    ids = desk.companies.ids("name", "all") if since is None else changed(desk, desk.companies, "all", since)
    return paged(desk, call, ids, lambda key: shapes.company(desk, desk.companies.get(key) or {}))


def view_company(desk: Desk, call: Call) -> Answer:
    allow(call.query, frozenset())
    return Answer(body=shapes.company(desk, _company(desk, call.id)))


def create_company(desk: Desk, call: Call) -> Answer:
    body = body_of(call, _COMPANY)
    required(body, "name")
    _unique_name(desk, body, None)
    now = desk.stamp()
    row = {
        **_without_prefix(desk, body),
        "id": desk.new_id("company", desk.companies, 15_100_000_001),
        "created_at": now,
        "updated_at": now,
    }
    desk.companies.put(row)
    return Answer(201, shapes.company(desk, row), {"location": f"{call.base}/api/v2/companies/{row['id']}"})


def update_company(desk: Desk, call: Call) -> Answer:
    row = _company(desk, call.id)
    body = body_of(call, _COMPANY)
    _unique_name(desk, body, row["id"])
    return Answer(body=shapes.company(desk, change_company(desk, row, _without_prefix(desk, body))))


def change_company(desk: Desk, row: Row, body: Row) -> Row:
    members = {**body, "updated_at": desk.stamp()}
    if body.get("custom_fields"):
        members["custom_fields"] = {**row.get("custom_fields", {}), **body["custom_fields"]}
    desk.companies.change(row["id"], **members)
    touch_customer(desk, company_id=row["id"])
    return row


def delete_company(desk: Desk, call: Call) -> Answer:
    """For good; contacts stay without it."""
    row = _company(desk, call.id)
    desk.companies.drop(row["id"])
    for contact in desk.contacts:
        if contact.get("company_id") == row["id"]:
            desk.contacts.change(contact["id"], company_id=None)
    return Answer(204)


def _company(desk: Desk, key: int) -> Row:
    row = desk.companies.get(key)
    if row is None:
        raise Refused(404)
    return row


def _without_prefix(desk: Desk, body: Row) -> Row:
    prefix = desk.switches.company_field_prefix
    if not prefix or not body.get("custom_fields"):
        return body
    if any(not name.startswith(prefix) for name in body["custom_fields"]):
        raise unexpected("custom_fields")
    return {
        **body,
        "custom_fields": {name.removeprefix(prefix): value for name, value in body["custom_fields"].items()},
    }


def _unique_name(desk: Desk, body: Row, own: int | None) -> None:
    if any(other["name"] == body.get("name") and other["id"] != own for other in desk.companies):
        error = {"field": "name", "message": "It should be a unique value", "code": "duplicate_value"}
        raise Refused(409, {"description": "Validation failed", "errors": [error]})


# ------------------------------------------------------------------------------------------------- agents and groups


def list_agents(desk: Desk, call: Call) -> Answer:
    """Alphabetical; list rows lack groups, roles and skills."""
    allow(call.query, PAGING | {"email", "mobile", "phone", "state"})
    state = choice_of(call, "state", ("fulltime", "occasional"))
    wanted = {name: call.query[name] for name in ("email", "mobile", "phone") if name in call.query}
    rows = [desk.agents.get(key) or {} for key in desk.agents.ids("name", "all")]
    rows = [row for row in rows if all(row["contact"].get(name) == value for name, value in wanted.items())]
    if state:
        rows = [row for row in rows if bool(row.get("occasional")) == (state == "occasional")]
    return paged(desk, call, rows, lambda row: shapes.agent(row, view=False))


def view_agent(desk: Desk, call: Call) -> Answer:
    row = desk.agents.get(call.id)
    if row is None:
        raise Refused(404)
    return Answer(body=shapes.agent(row, view=True))


def own_agent(desk: Desk, call: Call) -> Answer:
    return Answer(body=shapes.agent(call.agent, view=True))


def list_groups(desk: Desk, call: Call) -> Answer:
    allow(call.query, PAGING)
    rows = [desk.groups.get(key) or {} for key in desk.groups.ids("name", "all")]
    return paged(desk, call, rows, shapes.sent)


def view_group(desk: Desk, call: Call) -> Answer:
    row = desk.groups.get(call.id)
    if row is None:
        raise Refused(404)
    return Answer(body=shapes.sent(row))
