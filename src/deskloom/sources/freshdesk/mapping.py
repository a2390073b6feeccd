"""Freshdesk rows made into records: every member may be null or missing, and nothing is made up (T28, T29, T50)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deskloom.model import Agent, Article, Codes, Company, Contact, Json, Message, Ticket, TicketState, Visibility
from deskloom.sources.freshworks.tickets import ticket_members
from deskloom.sources.freshworks.values import (
    account_number,
    code_table,
    fingerprint,
    instant,
    integer,
    object_of,
    text,
    texts,
    whole_stamp,
)

MESSAGE_KINDS = {
    0: "reply", 2: "note", 5: "tweet", 6: "survey", 7: "facebook", 8: "forward", 9: "phone", 10: "mobihelp",
    11: "ecommerce",
}  # fmt: skip
"""Freshdesk's `source` of a conversation (HELPDESK-APIS 2.6)."""

VISIBILITIES = {
    1: Visibility.PUBLIC,
    2: Visibility.CUSTOMERS,
    3: Visibility.INTERNAL,
    4: Visibility.RESTRICTED,
    5: Visibility.INTERNAL,
    6: Visibility.RESTRICTED,
    7: Visibility.RESTRICTED,
}
"""A folder's visibility; bots (5) are nobody's eyes, and an unknown number is nobody's business (2.12, T32)."""

FIXED_CODES: Mapping[str, Mapping[int, str]] = {
    "status": {2: "Open", 3: "Pending", 4: "Resolved", 5: "Closed"},
    "priority": {1: "Low", 2: "Medium", 3: "High", 4: "Urgent"},
    "channel": {1: "Email", 2: "Portal", 3: "Phone", 7: "Chat", 9: "Feedback Widget", 10: "Outbound Email"},
}
"""What every account has (2.5): used only where the key may not read the account's own."""

CODE_FIELDS = {"status": "status", "priority": "priority", "source": "channel"}
"""The ticket fields that are code tables, and what we call them."""

# ------------------------------------------------------------------------------------------------------------- tickets


def to_ticket(row: Json, *, state: TicketState, stamp: str | None, messages: tuple[Message, ...] | None) -> Ticket:
    """A list row with includes, or a view."""
    company_id = integer(row.get("company_id"))
    return Ticket(stamp=stamp, state=state, company_id=company_id, messages=messages, **ticket_members(row))


# -------------------------------------------------------------------------------------------------------------- people


_CONTACT = ("name", "email", "phone", "mobile", "company_id", "job_title", "language", "deleted")
_COMPANY = ("name", "description", "note", "domains", "custom_fields")


def to_contact(row: Json) -> Contact:
    """A contact; `other_companies` comes as ids or as objects (2.8)."""
    others = row.get("other_companies")
    ids = (integer(one.get("company_id") if isinstance(one, dict) else one) for one in others or ())
    return Contact(
        external_id=int(row["id"]),
        stamp=whole_stamp(row, _CONTACT),
        name=text(row.get("name")),
        email=text(row.get("email")),
        other_emails=texts(row.get("other_emails")) or (),
        phone=text(row.get("phone")),
        mobile=text(row.get("mobile")),
        company_id=integer(row.get("company_id")),
        other_company_ids=tuple(one for one in ids if one is not None) if isinstance(others, list) else (),
        language=text(row.get("language")),
        job_title=text(row.get("job_title")),
        deleted=row.get("deleted") is True,
        custom_fields=object_of(row.get("custom_fields")),
        created_at=instant(row.get("created_at")),
        updated_at=instant(row.get("updated_at")),
        raw=row,
    )


def to_company(row: Json, account_field: str) -> Company:
    fields = object_of(row.get("custom_fields"))
    return Company(
        external_id=int(row["id"]),
        stamp=whole_stamp(row, _COMPANY),
        name=text(row.get("name")),
        description=text(row.get("description")),
        account_number=account_number(fields, account_field),
        domains=texts(row.get("domains")) or (),
        custom_fields=fields,
        created_at=instant(row.get("created_at")),
        updated_at=instant(row.get("updated_at")),
        raw=row,
    )


def to_agent(row: Json) -> Agent:
    """An agent; name and e-mail stand inside `contact` (2.10)."""
    person = object_of(row.get("contact"))
    agent = Agent(
        external_id=int(row["id"]),
        stamp=None,
        name=text(person.get("name")),
        email=text(person.get("email")),
        active=row.get("deactivated") is not True,
        created_at=instant(row.get("created_at")),
        updated_at=instant(row.get("updated_at")),
        raw=row,
    )
    mark = fingerprint(agent.name, agent.email, agent.active, row.get("updated_at"), person.get("updated_at"))
    return Agent(**{name: getattr(agent, name) for name in agent.__dataclass_fields__} | {"stamp": mark})


# --------------------------------------------------------------------------------------------------------------- codes


def to_codes(fields: list[Any]) -> list[Codes]:
    """The code tables among the ticket fields, in the account's own words; a table that is missing is the fixed one."""
    found = {
        CODE_FIELDS[field["name"]]: labels
        for field in fields
        if isinstance(field, dict)
        and field.get("name") in CODE_FIELDS
        and (labels := choice_labels(field.get("choices")))
    }
    return [code_table(name, found.get(name, fixed)) for name, fixed in FIXED_CODES.items()]


def choice_labels(choices: Any) -> dict[int, str]:
    """Code → label from any of the five shapes of `choices` (2.11): label → code, or code → [agent label, …].

    Lists of texts, nested trees and nothing at all hold no codes.
    """
    labels: dict[int, str] = {}
    for name, value in object_of(choices).items():
        if (code := integer(value)) is not None:
            labels[code] = str(name)
        elif (code := integer(name)) is not None:
            label = value[0] if isinstance(value, list) and value else value
            if isinstance(label, str):
                labels[code] = label
    return labels


# ----------------------------------------------------------------------------------------------------------- solutions


def to_article(row: Json, *, language: str, folder: Json, category: Json) -> Article:
    """An article in one language, with its folder's visibility (T32). The stamp leaves counters and links out.

    The names of folder and category are those in the article's language, where its `hierarchy` tells them.
    """
    names = _names(row.get("hierarchy"))
    seo = object_of(row.get("seo_data"))
    values: dict[str, Any] = {
        "title": text(row.get("title")),
        "body_html": text(row.get("description")),
        "body_text": text(row.get("description_text")),
        "summary": text(seo.get("meta_description")) or None,
        "published": integer(row.get("status")) == 2,
        "visibility": VISIBILITIES.get(integer(folder.get("visibility")) or 0, Visibility.INTERNAL),
        "folder_id": integer(folder.get("id")),
        "folder_name": names.get(("folder", folder.get("id")), text(folder.get("name"))),
        "category_id": integer(category.get("id")),
        "category_name": names.get(("category", category.get("id")), text(category.get("name"))),
        "author_id": integer(row.get("agent_id")),
        "tags": texts(row.get("tags")) or (),
    }
    return Article(
        external_id=int(row["id"]),
        language=language,
        stamp=fingerprint(values, row.get("created_at"), row.get("updated_at")),
        created_at=instant(row.get("created_at")),
        updated_at=instant(row.get("updated_at")),
        raw=row,
        **values,
    )


def _names(hierarchy: Any) -> dict[tuple[Any, Any], str]:
    """(category or folder, id) → name, from an article's own place in the tree."""
    levels = [level for level in hierarchy if isinstance(level, dict)] if isinstance(hierarchy, list) else []
    places = ((level.get("type"), object_of(level.get("data"))) for level in levels)
    return {(kind, place.get("id")): name for kind, place in places if (name := text(place.get("name")))}
