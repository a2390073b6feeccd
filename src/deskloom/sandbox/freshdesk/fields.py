"""The account's ticket fields, with the five shapes their `choices` take (HELPDESK-APIS 2.11)."""

from __future__ import annotations

from typing import Any

from deskloom.sandbox.rows import Row

STATUSES: dict[int, tuple[str, str]] = {
    2: ("Open", "Being Processed"),
    3: ("Pending", "Awaiting your Reply"),
    4: ("Resolved", "This ticket has been Resolved"),
    5: ("Closed", "This ticket has been Closed"),
    6: ("Waiting on Customer", "Awaiting your Reply"),
    7: ("Waiting on Third Party", "Being Processed"),
    8: ("Scheduled Visit", "A visit is planned"),
}
PRIORITIES = {"Low": 1, "Medium": 2, "High": 3, "Urgent": 4}
SOURCES = {
    "Email": 1, "Portal": 2, "Phone": 3, "Forum": 4, "Twitter": 5, "Facebook": 6, "Chat": 7, "MobiHelp": 8,
    "Feedback Widget": 9, "Outbound Email": 10, "Ecommerce": 11, "Bot": 12, "Whatsapp": 13,
}  # fmt: skip
TYPES = ["Question", "Incident", "Problem", "Feature Request", "Refund"]
_MADE = "2025-01-06T08:00:00Z"


def ticket_fields(extra: dict[str, Any] | None = None) -> list[Row]:
    """The default fields and `extra` custom ones (name → choices or None)."""
    fields = [
        _field(1, "requester", "Search a requester", "default_requester"),
        _field(2, "subject", "Subject", "default_subject"),
        _field(3, "source", "Source", "default_source", SOURCES),
        _field(4, "ticket_type", "Type", "default_ticket_type", TYPES),
        _field(5, "status", "Status", "default_status", {str(c): list(labels) for c, labels in STATUSES.items()}),
        _field(6, "priority", "Priority", "default_priority", PRIORITIES),
        _field(7, "group", "Group", "default_group", {}),
        _field(8, "agent", "Agent", "default_agent", {}),
        _field(9, "product", "Product", "default_product", {}),
        _field(10, "description", "Description", "default_description"),
        _field(11, "company", "Company", "default_company"),
    ]
    for number, (name, choices) in enumerate((extra or {}).items(), start=12):
        kind = "custom_text" if choices is None else "nested_field" if isinstance(choices, dict) else "custom_dropdown"
        fields.append(_field(number, name, name.removeprefix("cf_").replace("_", " ").title(), kind, choices))
    return fields


def _field(number: int, name: str, label: str, kind: str, choices: Any = None) -> Row:
    row: Row = {
        "id": 81_000_000_000 + number,
        "name": name,
        "label": label,
        "description": f"Ticket {label.lower()}",
        "position": number,
        "required_for_closure": False,
        "required_for_agents": name in ("subject", "status", "priority"),
        "type": kind,
        "default": not kind.startswith(("custom_", "nested_")),
        "customers_can_edit": name in ("subject", "description"),
        "customers_can_filter": name == "status",
        "label_for_customers": label,
        "required_for_customers": name in ("subject", "description"),
        "displayed_to_customers": True,
        "created_at": _MADE,
        "updated_at": _MADE,
    }
    if choices is not None:
        row["choices"] = choices
    if kind == "nested_field":
        row["nested_ticket_fields"] = [
            {
                "id": row["id"] + 500,
                "name": f"{name}_2",
                "label": f"{label} detail",
                "level": 2,
                "ticket_field_id": row["id"],
            }
        ]
    return row
