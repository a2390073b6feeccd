"""How stored rows are sent: which members a list, a view and an include carry (HELPDESK-APIS 2.5-2.12)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from deskloom.sandbox.freshdesk import blanks
from deskloom.sandbox.rows import Row, sent
from deskloom.sandbox.text import plain

__all__ = ["agent", "company", "contact", "conversation", "plain", "requester", "sent", "ticket", "time_entry"]

if TYPE_CHECKING:
    from deskloom.sandbox.freshdesk.desk import Desk

_HIDDEN = frozenset({"description", "description_text", "stats", "attachments"})


def ticket(desk: Desk, row: Row, includes: Iterable[str] = (), *, view: bool = False) -> Row:
    """A ticket. A list row lacks description and attachments unless included; `deleted` only where true."""
    out = {**blanks.TICKET, **{k: v for k, v in row.items() if k[0] != "_" and k not in _HIDDEN}}
    if view or "description" in includes:
        out["description"] = row.get("description")
        out["description_text"] = row["_text"] if "_text" in row else plain(row.get("description"))
    if view:
        out["attachments"] = row.get("attachments", [])
        out["associated_tickets_list"] = row.get("associated_tickets_list", [])
        if row.get("_archived"):
            out["archived"] = True
    if not out.get("deleted"):
        out.pop("deleted", None)
    for include in includes:
        if include == "stats":
            out["stats"] = {**blanks.STATS, **row.get("stats", {})}
        elif include == "requester":
            out["requester"] = requester(desk, row.get("requester_id"))
        elif include == "company":
            company_row = desk.companies.get(row.get("company_id"))
            out["company"] = {"id": company_row["id"], "name": company_row["name"]} if company_row else {}
        elif include == "conversations":
            ids = desk.conversations.ids("ticket", row["id"])[:10]
            out["conversations"] = [conversation(desk.conversations.get(i) or {}) for i in ids]
    return out


def requester(desk: Desk, person_id: int | None) -> Row | None:
    """The short form of a contact or of an agent: they share one number space (HELPDESK-APIS rule 17)."""
    person = desk.contacts.get(person_id)
    if person is None:
        agent_row = desk.agents.get(person_id)
        person = {**agent_row["contact"], "id": agent_row["id"]} if agent_row else None
    if person is None:
        return None
    return {name: person.get(name) for name in ("id", "name", "email", "mobile", "phone")}


def conversation(row: Row) -> Row:
    note = {"category": 2, "bcc_emails": None} if row.get("source") == 2 else {}
    return {**blanks.CONVERSATION, **note, **sent(row), "body_text": plain(row.get("body"))}


def contact(desk: Desk, row: Row, *, view: bool) -> Row:
    out = {**blanks.CONTACT, **sent(row)}
    if not out.get("deleted"):
        out.pop("deleted", None)
    if view:
        return {**blanks.CONTACT_VIEW, **out}
    if desk.switches.other_companies == "ids":
        out["other_companies"] = [other["company_id"] for other in out["other_companies"]]
    for name in blanks.CONTACT_VIEW:
        out.pop(name, None)
    return out


def company(desk: Desk, row: Row) -> Row:
    out = {**blanks.COMPANY, **sent(row)}
    prefix = desk.switches.company_field_prefix
    if prefix:
        out["custom_fields"] = {prefix + name: value for name, value in out["custom_fields"].items()}
    return out


def agent(row: Row, *, view: bool) -> Row:
    out = {**blanks.AGENT, **sent(row)}
    out["contact"] = {**blanks.AGENT_CONTACT, **row["contact"]}
    if not view:
        for name in ("group_ids", "role_ids", "skill_ids"):
            del out[name]
    return out


def time_entry(row: Row) -> Row:
    return {**blanks.TIME_ENTRY, **sent(row)}
