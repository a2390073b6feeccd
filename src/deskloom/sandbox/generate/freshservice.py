"""A Freshservice account made of the content of a Freshdesk one: generated or real, told once, laid over either.

Companies become departments, contacts requesters; tickets are spread over workspaces (or an MSP's clients) and get
what only Freshservice has: kinds, urgency, requested items, time entries, translations as articles of their own.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping

from deskloom.sandbox.freshdesk import Desk
from deskloom.sandbox.freshservice import FreshserviceDesk
from deskloom.sandbox.freshservice.desk import MSP, PRIMARY
from deskloom.sandbox.freshservice.fields import GLOBAL, ticket_fields
from deskloom.sandbox.generate.hours import time_entries
from deskloom.sandbox.rows import Row

_MADE = "2025-01-06T08:00:00Z"
_STATUSES = {6: 9, 7: 10}
"""Codes of the story's statuses that mean something else here."""
_SOURCES = {7: 4, 9: 5, 6: 1, 10: 1}
_SPACES = ((PRIMARY, "IT", "it"), (4, "Human Resources", "hr"), (5, "Facilities", "facilities"))
_CLIENTS = ((PRIMARY, "Default client", None), (MSP, "The MSP itself", None))


def lay_over(
    source: Desk,
    desk: FreshserviceDesk,
    chance: random.Random,
    *,
    account_numbers: str = "integer",
    duplicate_account: bool = False,
) -> FreshserviceDesk:
    """Fill an empty account with the content of another. Returns it.

    `account_numbers`: "integer" or "text", as the account's field is; `duplicate_account`: two departments share one.
    """
    desk.languages = list(source.languages)
    _workspaces(desk, source)
    _people(desk, source, account_numbers, duplicate=duplicate_account)
    _fields(desk, source)
    _tickets(desk, source, chance)
    _solutions(desk, source)
    return desk


# -------------------------------------------------------------------------------------------------------- workspaces


def _workspaces(desk: FreshserviceDesk, source: Desk) -> None:
    if not desk.msp:
        desk.workspaces.fill(
            {"id": key, "name": name, "description": f"The workspace of {name}", "primary": key == PRIMARY,
             "template_name": template, "created_at": _MADE, "updated_at": _MADE}
            for key, name, template in _SPACES
        )  # fmt: skip
        return
    clients = [(4 + number, row["name"], row) for number, row in enumerate(source.companies)][:4]
    desk.workspaces.fill(
        {"id": key, "name": name, "description": None, "primary": key == PRIMARY, "template_name": None,
         "metadata": _metadata(row), "created_at": _MADE, "updated_at": _MADE}
        for key, name, row in (*_CLIENTS, *clients)
    )  # fmt: skip


def _metadata(company: Row | None) -> Row:
    if company is None:
        return {}
    number = company.get("custom_fields", {}).get("account_number")
    domains = company.get("domains", [])
    return {
        "primary_contact": {"first_name": "Front", "last_name": "Desk", "email": f"desk@{(*domains, 'x.example')[0]}"},
        "email_domains": domains,
        "custom_fields": {"account_number": number},
    }


def _space_of(desk: FreshserviceDesk, place: int) -> int:
    """Most rows stand in the primary workspace (or default client), the others in turn."""
    others = [row["id"] for row in desk.workspaces if row["id"] not in (PRIMARY, MSP)]
    return others[place // 3 % len(others)] if others and place % 3 == 0 else PRIMARY


# ------------------------------------------------------------------------------------------------------------ people


def _people(desk: FreshserviceDesk, source: Desk, kind: str, *, duplicate: bool) -> None:
    numbers = [row.get("custom_fields", {}).get("account_number") for row in source.companies]
    if duplicate and len(numbers) > 2:
        numbers[2] = numbers[0]
    written = [int(number) if number and kind == "integer" else number for number in numbers]
    if len(written) > 8:
        written[8] = 0 if kind == "integer" else " "
    desk.departments.fill(
        _department(row, number, place, _space_of(desk, place))
        for place, (row, number) in enumerate(zip(source.companies, written, strict=True), start=1)
    )
    spaces = [row["id"] for row in desk.workspaces]
    desk.agents.fill(_agent(row, spaces) for row in source.agents)
    homes = {row["id"]: row["workspace_id"] for row in desk.departments}
    desk.requesters.fill(_requester(row, homes) for row in source.contacts)
    desk.groups.fill(
        {
            **{name: row[name] for name in ("id", "name", "description", "escalate_to", "created_at", "updated_at")},
            "members": [agent["id"] for agent in source.agents if row["id"] in agent.get("group_ids", [])],
            "workspace_id": _space_of(desk, place * 3) if place == 2 else PRIMARY,
            "_offset": row.get("_offset"),
        }
        for place, row in enumerate(source.groups)
    )


def _department(row: Row, number: str | int | None, place: int, workspace: int) -> Row:
    """The account number is an integer in one account and a text in another; a department may lack it, or be blank."""
    fields = row.get("custom_fields", {})
    return {
        "id": row["id"],
        "name": row["name"],
        "description": row.get("description"),
        "domains": row.get("domains", []),
        "custom_fields": {
            "account_number": number,
            "plan_selected": row.get("account_tier"),
            "address": fields.get("address"),
        },
        "workspace_id": workspace,
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        **({"_millis": "983"} if place % 4 == 2 else {}),
    }


def _names(name: str | None) -> tuple[str | None, str | None]:
    first, _, last = (name or "").partition(" ")
    return first or None, last or None


def _agent(row: Row, spaces: list[int]) -> Row:
    card = row["contact"]
    first, last = _names(card["name"])
    admin = bool(row.get("_admin"))
    return {
        "id": row["id"], "first_name": first, "last_name": last, "email": card["email"],
        "job_title": card.get("job_title"), "occasional": bool(row.get("occasional")),
        "member_of": row.get("group_ids", []), "signature": row.get("signature"),
        "workspace_ids": spaces if admin else [PRIMARY],
        "roles": [{"role_id": 1 if admin else 4, "assignment_scope": "entire_helpdesk", "groups": []}],
        "last_login_at": card.get("last_login_at"), "created_at": row["created_at"], "updated_at": row["updated_at"],
        "_admin": admin,
    }  # fmt: skip


def _requester(row: Row, homes: Mapping[int, int]) -> Row:
    """Deleted and blocked contacts are deactivated here."""
    first, last = row.get("first_name"), row.get("last_name")
    if first is None:
        first, last = _names(row.get("name"))
    company = row.get("company_id")
    others = [other["company_id"] for other in row.get("other_companies", [])]
    return {
        "id": row["id"], "first_name": first, "last_name": None if row["id"] % 7 == 3 else last,
        "primary_email": row.get("email"), "work_phone_number": row.get("phone"),
        "location_id": 2**53 + row["id"] % 1000 if row["id"] % 5 == 1 else None,
        "department_ids": [key for key in (company, *others) if key is not None],
        "active": not (row.get("deleted") or row.get("_blocked")), "has_logged_in": row["id"] % 2 == 0,
        "custom_fields": {"user_number": None}, "workspace_id": homes.get(company or 0, PRIMARY),
        "created_at": row["created_at"], "updated_at": row["updated_at"],
    }  # fmt: skip


def _fields(desk: FreshserviceDesk, source: Desk) -> None:
    extra: list[tuple[str, Iterable[str] | None, int]] = []
    own = [field for field in source.ticket_fields if not field["default"]]
    for place, field in enumerate(own):  # every second one is the primary workspace's own
        choices = field.get("choices")
        workspace = PRIMARY if place % 2 else GLOBAL
        extra.append((field["name"].removeprefix("cf_"), choices and [str(one) for one in choices], workspace))
    desk.ticket_fields = ticket_fields([*extra, ("floor", None, PRIMARY if desk.msp else 5)])
    at = "2025-01-06 08:00:00"
    names = ("name", "description", "domain_names", "account_number", "plan_selected", "address")
    desk.department_fields = [
        {
            "name": name, "label": name.replace("_", " ").title(), "mandatory": name == "name",
            "is_default_field": name in names[:3], "created_at": at, "updated_at": at,
        }
        for name in names
    ]  # fmt: skip
    desk.requester_fields = [
        {
            "name": name, "label": name.replace("_", " ").title(), "mandatory": name == "first_name",
            "is_default_field": name != "user_number", "created_at": at, "updated_at": at,
        }
        for name in ("first_name", "last_name", "primary_email", "user_number")
    ]  # fmt: skip


# ----------------------------------------------------------------------------------------------------------- tickets


def _tickets(desk: FreshserviceDesk, source: Desk, chance: random.Random) -> None:
    fields = {field["name"]: field["workspace_id"] for field in desk.ticket_fields if not field["default_field"]}
    rows = [_ticket(desk, row, place, fields) for place, row in enumerate(source.tickets)]
    requests = rows[30::20]
    for row in requests:
        row |= {"type": "Service Request", "description": "" if row["id"] % 2 else None, "_text": None}
    desk.tickets.fill(rows)
    desk.requested_items.fill(_item(row, place) for place, row in enumerate(requests, start=1))
    desk.conversations.fill(map(_message, source.conversations))
    _status_rows(desk, rows)
    desk.time_entries.fill(time_entries(desk, list(source.time_entries), chance))
    for row in rows:
        if row.get("deleted"):
            note: Row = {"actor": None, "content": "deleted this ticket", "created_at": row["updated_at"]}
            desk.activities[row["id"]] = [note]


def _ticket(desk: FreshserviceDesk, row: Row, place: int, spaces: Mapping[str, int]) -> Row:
    """The same story under Freshservice's members and codes; `spaces`: the workspace of each custom field."""
    dropped = ("company_id", "product_id", "support_email", "association_type", "structured_description")
    out = {name: value for name, value in row.items() if name not in dropped}
    status = row.get("status", 2)
    workspace = _space_of(desk, place)
    told = {name.removeprefix("cf_"): value for name, value in row.get("custom_fields", {}).items()}
    fields = {name: told.get(name) for name, space in spaces.items() if space in (GLOBAL, workspace)}
    out |= {
        "status": _STATUSES.get(status, status),
        "source": _SOURCES.get(row.get("source", 2), row.get("source", 2)),
        "type": "Incident",
        "category": "Software" if place % 4 else None,
        "urgency": place % 3 + 1,
        "impact": place % 2 + 1,
        "department_id": None if place % 11 == 5 else row.get("company_id"),
        "custom_fields": fields,
        "workspace_id": workspace,
    }
    if status == 5 and place % 6 == 1:
        out["status"] = 15
    if status in (4, 5) and place % 5 == 2:
        out["resolution_notes_html"] = f"<div>Solved for {row.get('subject') or 'the customer'}.</div>"
    if place % 13 == 4:
        out["source"] = 1001
    if place % 3 == 0 and row.get("description") and "_text" not in row and len(row["description"]) < 2000:
        out["description"] = f"&nbsp;{row['description']}"
    return out


def _item(row: Row, place: int) -> Row:
    return {
        "id": 70_000 + place, "ticket_id": row["id"], "service_item_id": 12, "quantity": 1 + place % 2,
        "remarks": f"Please deliver for: {row.get('subject') or 'the new colleague'}", "created_at": row["created_at"],
        "custom_fields": {"model": "Laptop 14 inch", "needed_by": row["created_at"][:10]},
        "updated_at": row["created_at"],
    }  # fmt: skip


def _message(row: Row) -> Row:
    dropped = ("has_quoted_text", "auto_response", "category")
    return {name: value for name, value in row.items() if name not in dropped}


def _status_rows(desk: FreshserviceDesk, rows: list[Row]) -> None:
    """Some threads hold rows that say nothing: a change of status (3) and of properties (4), without an author."""
    key = desk.conversations.newest_id()
    for row in rows[12::25]:
        for source, body in ((3, "Status changed to Pending"), (4, None)):
            key += 1
            desk.conversations.put(
                {"id": key, "ticket_id": row["id"], "source": source, "body": body, "user_id": None, "private": True,
                 "created_at": row["created_at"], "updated_at": row["created_at"]}
            )  # fmt: skip


# --------------------------------------------------------------------------------------------------------- solutions


def _solutions(desk: FreshserviceDesk, source: Desk) -> None:
    """One category in three stands in another workspace; an MSP's all stand in its own."""
    spaces = {
        row["id"]: MSP if desk.msp else _space_of(desk, place) for place, row in enumerate(source.categories, start=1)
    }
    desk.categories.fill(
        {**_plain(row), "workspace_id": spaces[row["id"]], "position": place}
        for place, row in enumerate(source.categories, start=1)
    )
    desk.folders.fill(_folder(row) for row in source.folders)
    desk.articles.fill(_articles(source))


def _plain(row: Row) -> Row:
    return {name: row.get(name) for name in ("id", "name", "description", "created_at", "updated_at")}


def _folder(row: Row) -> Row:
    visible = {"visibility": row.get("visibility", 1)}
    if row.get("company_ids"):
        visible["department_ids"] = row["company_ids"]
    return {
        **_plain(row),
        "category_id": row["category_id"],
        "parent_folder_id": row.get("parent_folder_id"),
        **visible,
    }


def _articles(source: Desk) -> Iterator[Row]:
    """Every translation is an article with an id of its own; one in twelve is a link to somewhere else."""
    newest = source.articles.newest_id()
    for place, row in enumerate(source.articles):
        seo = row.get("seo_data") or {}
        shared = {"folder_id": row["folder_id"], "agent_id": row.get("agent_id"), "tags": row.get("tags", [])}
        shared["keywords"] = [word for word in (seo.get("meta_keywords") or "").split(",") if word]
        one = {
            **shared, "id": row["id"], "title": row["title"], "description": row["description"],
            "status": row["status"], "thumbs_up": row.get("thumbs_up", 0), "views": row.get("hits", 0),
            "created_at": row["created_at"], "updated_at": row["updated_at"], "modified_at": row["updated_at"],
        }  # fmt: skip
        if place % 12 == 11:
            one |= {"description": None, "url": f"https://docs.kestrel.example/{row['id']}"}
        yield one
        for language, other in row.get("_translations", {}).items():
            newest += 1
            yield {
                **shared, "id": newest, "title": other["title"], "description": other["description"],
                "status": other["status"], "created_at": other["created_at"], "updated_at": other["updated_at"],
                "modified_at": other["updated_at"], "_language": language, "_parent": row["id"],
            }  # fmt: skip
