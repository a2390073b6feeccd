"""How stored rows are sent: which members a list, a view and an include carry (HELPDESK-APIS 3.5-3.9)."""

from __future__ import annotations

from collections.abc import Iterable

from deskloom.sandbox.clock import moment
from deskloom.sandbox.freshservice import blanks
from deskloom.sandbox.freshservice.desk import PRIMARY, FreshserviceDesk, full_name
from deskloom.sandbox.rows import Row, sent
from deskloom.sandbox.text import plain

_HIDDEN = frozenset({"stats", "tags", *blanks.TICKET_VIEW})
_NEVER_SENT = frozenset({"last_edited_at", "last_edited_user_id"})


def ticket(
    desk: FreshserviceDesk, row: Row, includes: Iterable[str] = (), *, view: bool = False, only: frozenset[str] | None
) -> Row:
    """A ticket. `only`: the custom fields that are shown; None: all of its workspace."""
    out = {**blanks.TICKET, **{k: v for k, v in row.items() if k[0] != "_" and k not in _HIDDEN}}
    out["description_text"] = row["_text"] if "_text" in row else plain(row.get("description"))
    if row.get("requested_for_id") is None:
        out["requested_for_id"] = row.get("requester_id")
    if only is not None:
        out["custom_fields"] = {name: value for name, value in out["custom_fields"].items() if name in only}
    if view:
        out |= {name: row.get(name, blank) for name, blank in blanks.TICKET_VIEW.items()}
        if row.get("resolution_notes_html") and not row.get("resolution_notes"):
            out["resolution_notes"] = plain(row["resolution_notes_html"])
    for include in includes:
        out[include] = _include(desk, row, include)
    return out


def _include(desk: FreshserviceDesk, row: Row, name: str) -> object:
    if name == "tags":
        return row.get("tags", [])
    if name == "stats":
        return stats(desk, row)
    if name in ("requester", "requested_for"):
        return person(desk, row.get(f"{name}_id") or row.get("requester_id"))
    if name == "conversations":
        ids = desk.conversations.ids("ticket", row["id"])[:10]
        return [conversation(desk.conversations.get(key) or {}) for key in ids]
    if name == "department":
        found = desk.departments.get(row.get("department_id"))
        return {"id": found["id"], "name": found["name"]} if found else None
    return [] if name in ("assets", "changes", "related_tickets") else None


def stats(desk: FreshserviceDesk, row: Row) -> Row:
    """The clocks of a ticket, some worked out from others."""
    known = row.get("stats", {})
    out = {**blanks.STATS, "ticket_id": row["id"], "opened_at": row["created_at"], "created_at": row["created_at"]}
    out |= {"updated_at": row["updated_at"], **{name: value for name, value in known.items() if name in blanks.STATS}}
    kinds = [message for message in map(desk.conversations.get, desk.conversations.ids("ticket", row["id"])) if message]
    out["inbound_count"] = sum(1 for message in kinds if message.get("incoming"))
    out["outbound_count"] = sum(1 for m in kinds if not m.get("incoming") and not m.get("private"))
    for name, since in (("first_resp_time_in_secs", "first_responded_at"), ("resolution_time_in_secs", "resolved_at")):
        if out[since]:
            out[name] = int((moment(out[since]) - moment(row["created_at"])).total_seconds())
    return out


def person(desk: FreshserviceDesk, person_id: int | None) -> Row | None:
    """The short form of a requester or of an agent: they share one number space (HELPDESK-APIS rule 17)."""
    row = desk.requesters.get(person_id) or desk.agents.get(person_id)
    if row is None:
        return None
    return {
        "id": row["id"],
        "name": full_name(row),
        "email": row.get("primary_email") or row.get("email"),
        "mobile": row.get("mobile_phone_number"),
        "phone": row.get("work_phone_number"),
    }


def conversation(row: Row) -> Row:
    shown = {name: value for name, value in sent(row).items() if name not in _NEVER_SENT}
    return {**blanks.CONVERSATION, **shown, "body_text": plain(row.get("body"))}


def time_entry(desk: FreshserviceDesk, row: Row) -> Row:
    """An entry says nothing of its ticket; an MSP's has an end and a kind of work."""
    out = {**blanks.TIME_ENTRY, **sent(row)}
    seconds = out.pop("time_spent_in_seconds", 0)
    for name in ("ticket_id", "end_time", "work_type"):
        out.pop(name, None)
    if desk.switches.time_spent_seconds:
        out["time_spent"] = f"{seconds // 3600:02d}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"
    out["workspace_id"] = (desk.tickets.get(row["ticket_id"]) or {}).get("workspace_id", PRIMARY)
    if desk.msp:
        out |= {"end_time": None if row["timer_running"] else row.get("end_time") or row["updated_at"]}
        out |= {"work_type": row.get("work_type", "Remote support")}
    return out


def requester(desk: FreshserviceDesk, row: Row) -> Row:
    out = {**blanks.REQUESTER, **sent(row)}
    out["department_names"] = [
        found["name"] for key in out["department_ids"] if (found := desk.departments.get(key)) is not None
    ]
    workspace_id = out.pop("workspace_id", PRIMARY)
    return {**out, "belongs_to_workspace_ids": [workspace_id]} if desk.msp else out


def agent(row: Row) -> Row:
    return {**blanks.AGENT, **sent(row)}


def agent_as_requester(desk: FreshserviceDesk, row: Row) -> Row:
    """An agent among the requesters."""
    shown = {name: value for name, value in agent(row).items() if name in blanks.REQUESTER}
    return requester(desk, {**shown, "primary_email": row.get("email"), "is_agent": True})


def group(row: Row) -> Row:
    return {**blanks.GROUP, **sent(row)}


def department(row: Row) -> Row:
    """Some stamps of departments carry milliseconds."""
    out = {**blanks.DEPARTMENT, **sent(row)}
    if row.get("_millis"):
        out |= {name: f"{out[name][:-1]}.{row['_millis']}Z" for name in ("created_at", "updated_at")}
    return out


def requested_item(row: Row) -> Row:
    shown = {**blanks.REQUESTED_ITEM, **sent(row)}
    del shown["ticket_id"]
    return shown
