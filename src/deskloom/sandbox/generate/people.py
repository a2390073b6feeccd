"""The people of a generated account: companies, agents, groups and contacts."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from deskloom.sandbox.clock import stamp
from deskloom.sandbox.content import WORDS
from deskloom.sandbox.freshdesk import Desk
from deskloom.sandbox.rows import Row

FIRST_PERSON = 15_000_000_001
FIRST_COMPANY = 15_100_000_001
FIRST_GROUP = 15_300_000_001
_FIRST, _LAST, _NAMES = WORDS["first_names"], WORDS["last_names"], WORDS["companies"]
_FIRST_CONTACT_ORG = 1_848_295_627_395_446_001


def fill_people(desk: Desk, chance: random.Random, now: datetime, contacts: int, companies: int, agents: int) -> None:
    made = stamp(now - timedelta(days=700))
    account = [104_233 + 917 * number for number in range(companies)]
    desk.companies.fill(company(number, account[number], made) for number in range(companies))
    desk.agents.fill(_agent(number, made) for number in range(agents))
    groups = ("First line", "Network team", "Business systems")
    desk.groups.fill(
        {
            "id": FIRST_GROUP + number,
            "name": name,
            "description": f"The {name.lower()}",
            "escalate_to": None,
            "unassigned_for": "30m",
            "business_hour_id": None,
            "auto_ticket_assign": 0,
            "created_at": made,
            "updated_at": made,
            "_offset": "+05:30",
        }
        for number, name in enumerate(groups)
    )
    desk.contacts.fill(_contact(chance, number, companies, agents, now) for number in range(contacts))
    desk.company_fields = [
        _company_field(1, "name", "default_name"),
        _company_field(2, "domains", "default_domains"),
        _company_field(3, "account_number", "custom_text"),
        _company_field(4, "address", "custom_paragraph"),
    ]
    desk.contact_fields = [_company_field(5, "name", "default_name"), _company_field(6, "email", "default_email")]


def company(number: int, account: int, made: str) -> Row:
    """The nth customer; the sixth has no account number."""
    base = _NAMES[number % len(_NAMES)]
    name = base if number < len(_NAMES) else f"{base} {number // len(_NAMES) + 1}"
    row: Row = {
        "id": FIRST_COMPANY + number,
        "name": name,
        "description": f"Customer since 2024: {name}",
        "domains": [] if number == 3 else [f"{name.lower().replace(' ', '-')}.example"],
        "custom_fields": {
            "account_number": None if number == 5 else str(account),
            "address": f"{number + 1} Quay Road",
        },
        "health_score": "Happy" if number % 3 else None,
        "account_tier": "Premium" if number % 2 else "Basic",
        "renewal_date": "2027-12-31T00:00:00Z",
        "created_at": made,
        "updated_at": made,
    }
    return row | ({"_offset": "+05:30"} if number % 4 == 1 else {})


def _agent(number: int, made: str) -> Row:
    name = f"{_FIRST[-1 - number % len(_FIRST)]} {_LAST[-1 - number % len(_LAST)]}"
    email = f"{name.lower().replace(' ', '.')}{number if number >= len(_LAST) else ''}@kestrel.example"
    card = {"name": name, "email": email, "job_title": "Support engineer", "created_at": made, "updated_at": made}
    card["last_login_at"] = "2026-01-05T14:54:46+05:30"
    return {
        "id": FIRST_PERSON + number,
        "contact": card,
        "group_ids": [FIRST_GROUP + number % 3],
        "created_at": made,
        "updated_at": made,
        "_admin": number == 0,
        "signature": f"<p>{name}<br>Kestrel Support</p>",
        "ticket_scope": 1,
        "occasional": number == 4,
        "role_ids": [15_200_000_001 if number == 0 else 15_200_000_004],
    }


def _contact(chance: random.Random, number: int, companies: int, agents: int, now: datetime) -> Row:
    first, last = (
        _FIRST[number % len(_FIRST)],
        _LAST[(number * 7 + number // len(_FIRST)) % len(_LAST)],
    )
    name = f"{first} {last}" if number < 600 else f"{first} {last} {number}"
    at = stamp(now - timedelta(days=chance.randint(210, 690), seconds=chance.randint(0, 80_000)))
    company = number % companies if companies and number % 9 != 8 else None
    domain = f"{_NAMES[(company or 0) % len(_NAMES)].lower().replace(' ', '-')}.example"
    row: Row = {
        "id": FIRST_PERSON + agents + number,
        "name": name,
        "first_name": first,
        "last_name": last,
        "email": None if number == 7 else f"{first}.{last}.{number}@{domain}".lower(),
        "phone": f"+351 21 555 {number:04d}",
        "company_id": FIRST_COMPANY + company if company is not None else None,
        "org_contact_id": _FIRST_CONTACT_ORG + 2 * number,
        "created_at": at,
        "updated_at": at,
    }
    if number == 11:
        row["other_companies"] = [{"company_id": FIRST_COMPANY, "view_all_tickets": False}]
    if number == 37:
        row["deleted"] = True
    return row | ({"_blocked": True} if number == 38 else {})


def _company_field(number: int, name: str, kind: str) -> Row:
    at = "2025-01-06T08:00:00Z"
    return {
        "id": 82_000_000_000 + number,
        "name": name,
        "label": name.replace("_", " ").capitalize(),
        "position": number,
        "type": kind,
        "default": kind.startswith("default_"),
        "required_for_agents": number == 1,
        "agents_can_edit": True,
        "displayed_for_agents": True,
        "quick_add_for_agent": False,
        "unique": kind == "default_name",
        "created_at": at,
        "updated_at": at,
    }
