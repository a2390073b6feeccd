"""The account's ticket form fields: `choices` are always a list, and a field may belong to one workspace (3.10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from deskloom.sandbox.rows import Row

GLOBAL = 1
"""The workspace of what all workspaces share."""

STATUSES: Mapping[int, tuple[str, str]] = {
    2: ("Open", "Being Processed"),
    3: ("Pending", "Awaiting your Reply"),
    4: ("Resolved", "This ticket has been Resolved"),
    5: ("Closed", "This ticket has been Closed"),
    8: ("Scheduled", "A visit is planned"),
    9: ("Waiting on Customer", "Awaiting your Reply"),
    10: ("Waiting on Third Party", "Being Processed"),
    13: ("Under Investigation", "Being Processed"),
    15: ("Job Complete - Bill", "This work is complete"),
    16: ("Billing Complete - Close", "This work is complete"),
}
PRIORITIES = {1: "Low", 2: "Medium", 3: "High", 4: "Urgent"}
LEVELS = {1: "Low", 2: "Medium", 3: "High"}
SOURCES = {
    1: "Email", 2: "Portal", 3: "Phone", 4: "Chat", 5: "Feedback widget", 6: "Yammer", 7: "AWS CloudWatch",
    8: "PagerDuty", 9: "Walk-up", 10: "Slack", 11: "Chatbot", 12: "Workplace", 13: "Employee Onboarding",
    14: "Alerts", 15: "MS Teams", 18: "Employee Offboarding", 1001: "Monitoring",
}  # fmt: skip
TYPES = ("Incident", "Service Request", "Major Incident", "Query")
_MADE = "2025-01-06T08:00:00Z"
_FIRST = 81_000_000_000


def ticket_fields(extra: Iterable[tuple[str, Iterable[str] | None, int]] = ()) -> list[Row]:
    """The default fields and `extra` custom ones: name, choices (None: free text), workspace (`GLOBAL`: all)."""
    statuses = [
        {"id": code, "value": value, "requester_display_value": shown} for code, (value, shown) in STATUSES.items()
    ]
    types = [{"id": 200 + number, "value": value} for number, value in enumerate(TYPES)]
    fields = [
        _field(1, "workspace_id", "Workspace", "default_workspace"),
        _field(2, "requester", "Requester", "default_requester"),
        _field(3, "subject", "Subject", "default_subject"),
        _field(4, "source", "Source", "default_source", _choices(SOURCES)),
        _field(5, "ticket_type", "Type", "default_ticket_type", types),
        _field(6, "status", "Status", "default_status", statuses),
        _field(7, "urgency", "Urgency", "default_urgency", _choices(LEVELS)),
        _field(8, "impact", "Impact", "default_impact", _choices(LEVELS)),
        _field(9, "priority", "Priority", "default_priority", _choices(PRIORITIES)),
        _field(10, "group", "Group", "default_group"),
        _field(11, "agent", "Agent", "default_agent"),
        _field(12, "department", "Department", "default_department"),
        _field(13, "category", "Category", "default_category", _named(13, ("Hardware", "Software", "Network"))),
        _field(14, "sub_category", "Sub-Category", "default_sub_category"),
        _field(15, "item_category", "Item", "default_item_category"),
        _field(16, "description", "Description", "default_description"),
    ]
    for number, (name, choices, workspace) in enumerate(extra, start=17):
        kind = "custom_text" if choices is None else "custom_dropdown"
        named = _named(number, choices) if choices is not None else []
        fields.append(_field(number, name, name.replace("_", " ").title(), kind, named, workspace))
    return fields


def choices_of(fields: Iterable[Row], name: str) -> list[Row]:
    return next((list(field["choices"]) for field in fields if field["name"] == name), [])


def _choices(codes: Mapping[int, str]) -> list[Row]:
    return [{"id": code, "value": value} for code, value in codes.items()]


def _named(number: int, names: Iterable[str]) -> list[Row]:
    return [{"id": number * 1000 + place, "value": name, "position": place} for place, name in enumerate(names, 1)]


def _field(number: int, name: str, label: str, kind: str, choices: Any = (), workspace: int = GLOBAL) -> Row:
    return {
        "id": _FIRST + number,
        "workspace_id": workspace,
        "created_at": _MADE,
        "updated_at": _MADE,
        "name": name,
        "label": label,
        "description": f"Ticket {label.lower()}",
        "field_type": kind,
        "required_for_closure": False,
        "required_for_agents": name in ("subject", "status", "priority"),
        "required_for_customers": name in ("subject", "description"),
        "customers_can_edit": name in ("subject", "description"),
        "displayed_to_customers": True,
        "label_for_customers": label,
        "position": number,
        "default_field": kind.startswith("default_"),
        "belongs_to_section": False,
        "choices": list(choices),
        "nested_fields": [],
        "sections": [],
        **({"portal_cc": False, "portalcc_to": "company"} if name == "requester" else {}),
    }
