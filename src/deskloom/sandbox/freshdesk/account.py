"""The account itself: settings, languages, fields, products and other short lists (HELPDESK-APIS 2.10-2.13)."""

from __future__ import annotations

from deskloom.sandbox.answers import Answer, Call, allow
from deskloom.sandbox.freshdesk import shapes
from deskloom.sandbox.freshdesk.desk import Desk
from deskloom.sandbox.listing import choice_of, paged
from deskloom.sandbox.paging import PAGING
from deskloom.sandbox.rows import Row


def view_account(desk: Desk, call: Call) -> Answer:
    allow(call.query, frozenset())
    row = {
        "organisation_id": 1_848_295_627_395_445_801,
        "organisation_name": desk.name,
        "account_id": 3_900_117,
        "account_name": desk.name,
        "account_domain": f"{desk.name.lower()}.freshdesk.com",
        "bundle_id": None,
        "hipaa_compliant": False,
        "total_agents": {"full_time": len(desk.agents), "occasional": 0, "field_service": 0, "collaborators": 0},
        "timezone": "UTC",
        "data_center": "EUC",
        "tier_type": {"none": "Enterprise", "hourly": "Estate"}.get(desk.limits.name, desk.limits.name.title()),
        "address": {"street": None, "city": None, "state": None, "country": None, "postalcode": None},
        "contact_person": {"firstname": "Sandbox", "lastname": "Owner", "email": "owner@sandbox.example"},
    }
    return Answer(body=row)


def view_settings(desk: Desk, call: Call) -> Answer:
    allow(call.query, frozenset())
    row = {
        "primary_language": desk.languages[0],
        "supported_languages": desk.languages[1:],
        "portal_languages": desk.languages[1:],
        "help_widget_languages": desk.languages,
    }
    return Answer(body=row)


def list_ticket_fields(desk: Desk, call: Call) -> Answer:
    allow(call.query, PAGING | {"type"})
    kinds = sorted({field["type"] for field in desk.ticket_fields})
    kind = choice_of(call, "type", kinds)
    filled = {
        "group": {row["name"]: row["id"] for row in desk.groups},
        "agent": {row["contact"]["name"]: row["id"] for row in desk.agents},
        "product": {row["name"]: row["id"] for row in desk.products},
    }
    rows = [
        {**field, "choices": filled[field["name"]]} if field["name"] in filled else field
        for field in desk.ticket_fields
    ]
    return Answer(body=[row for row in rows if kind is None or row["type"] == kind])


def list_company_fields(desk: Desk, call: Call) -> Answer:
    allow(call.query, PAGING)
    prefix = desk.switches.company_field_prefix
    rows = [{**row, "name": row["name"] if row["default"] else prefix + row["name"]} for row in desk.company_fields]
    return paged(desk, call, rows, shapes.sent)


def list_contact_fields(desk: Desk, call: Call) -> Answer:
    allow(call.query, PAGING)
    return paged(desk, call, desk.contact_fields, shapes.sent)


def list_products(desk: Desk, call: Call) -> Answer:
    allow(call.query, PAGING)
    return paged(desk, call, list(desk.products), shapes.sent)


def list_roles(desk: Desk, call: Call) -> Answer:
    allow(call.query, PAGING)
    made = "2025-01-06T08:00:00Z"
    names = ("Account Administrator", "Administrator", "Supervisor", "Agent")
    rows: list[Row] = [
        {
            "id": 15_200_000_001 + n,
            "name": name,
            "description": f"{name} of this account",
            "default": True,
            "created_at": made,
            "updated_at": made,
        }
        for n, name in enumerate(names)
    ]
    return paged(desk, call, rows, shapes.sent)
