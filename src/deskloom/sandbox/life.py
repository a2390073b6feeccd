"""What happens to a ticket: status changes, messages, deletion and return, in the same way at every product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deskloom.sandbox.answers import Refused, denied
from deskloom.sandbox.rows import Row

if TYPE_CHECKING:
    from deskloom.sandbox.desk import HelpDesk

    Desk = HelpDesk[Any]

FIRST_MESSAGE = 15_000_000_000
_WHO = ("email", "phone", "name", "unique_external_id", "twitter_id", "facebook_id")
# ----------------------------------------------------------------------------------------------------------- tickets


def ticket_state(row: Row) -> str:
    """Which list a ticket stands in: archived, deleted, spam or live."""
    if row.get("_archived"):
        return "archived"
    if row.get("deleted"):
        return "deleted"
    return "spam" if row.get("spam") else "live"


def visible(desk: Desk, key: int) -> Row:
    """A ticket that may be looked at by its id. Raises 404 where there is none, and what a deleted one answers."""
    row = desk.tickets.get(key)
    if row is None:
        raise Refused(404)
    if ticket_state(row) == "deleted" and desk.switches.deleted_view != 200:
        raise Refused(404) if desk.switches.deleted_view == 404 else denied()
    return row


def open_ticket(desk: Desk, members: Row) -> Row:
    """A new ticket of these members, which name its requester by id."""
    now = desk.stamp()
    row = {name: value for name, value in members.items() if name not in _WHO}
    row |= {"id": desk.new_id("ticket", desk.tickets, 1), "created_at": now, "updated_at": now}
    return desk.tickets.put({**row, "stats": {"status_updated_at": now}})


def change_ticket(desk: Desk, row: Row, body: Row) -> Row:
    """Apply members to a ticket as an agent's edit would: the clock of each status is kept in `stats`."""
    members = {name: value for name, value in body.items() if name not in ("email", "phone", "name", "custom_fields")}
    if body.get("custom_fields"):
        members["custom_fields"] = {**row.get("custom_fields", {}), **body["custom_fields"]}
    if "status" in body and body["status"] != row.get("status", 2):
        members["stats"] = status_stats(row, body["status"], desk.stamp())
    return desk.bump(row["id"], **members)


def status_stats(row: Row, status: int, now: str) -> Row:
    """The `stats` of a ticket once it has this status."""
    stats = {**row.get("stats", {}), "status_updated_at": now}
    if status == 4:
        stats["resolved_at"] = now
    elif status == 5:
        stats |= {"closed_at": now, "resolved_at": stats.get("resolved_at") or now}
    else:
        if row.get("status") in (4, 5):
            stats["reopened_at"] = now
        stats |= {"resolved_at": None, "closed_at": None}
        stats["pending_since"] = now if status == 3 else None
    return stats


def hide_ticket(desk: Desk, row: Row, **mark: bool) -> None:
    """Delete a ticket or mark it as spam."""
    moved = {"updated_at": desk.stamp()} if desk.switches.delete_bumps else {}
    desk.tickets.change(row["id"], **mark, **moved)


def show_ticket(desk: Desk, row: Row) -> None:
    """Undo a deletion or a spam mark."""
    moved = {"updated_at": desk.stamp()} if desk.switches.restore_bumps else {}
    desk.tickets.change(row["id"], deleted=False, spam=False, **moved)


def purge_ticket(desk: Desk, key: int) -> None:
    """Remove a ticket for good, and what was said and spent on it: no list and no id leads to it any more."""
    desk.tickets.drop(key)
    for rows in desk.children:
        for child in rows.ids("ticket", key):
            rows.drop(child)


def touch(desk: Desk, ticket_id: int, bump: bool) -> None:
    """Something of a ticket changed: move its `updated_at` if that is what such a change does."""
    if bump and ticket_id in desk.tickets:
        desk.bump(ticket_id)


def touch_customer(desk: Desk, **member: Any) -> None:
    """Move the tickets of a changed customer, where such a change does that: `requester_id=7`, `company_id=3`."""
    if desk.switches.customer_edit_bumps:
        for ticket in desk.tickets:
            if all(ticket.get(name) == value for name, value in member.items()):
                desk.bump(ticket["id"])


# ---------------------------------------------------------------------------------------------------------- messages


def add_message(desk: Desk, ticket: Row, body: str, *, source: int, bump: bool = True, **members: Any) -> Row:
    """Put a reply (source 0) or note (source 2) under a ticket. An agent's public message counts as a response."""
    now = desk.stamp()
    key = desk.new_id("conversation", desk.conversations, FIRST_MESSAGE)
    row: Row = {"id": key, "ticket_id": ticket["id"], "body": body, "source": source, "created_at": now}
    row = desk.conversations.put({**row, "updated_at": now, **members})
    stats = dict(ticket.get("stats", {}))
    if row.get("incoming"):
        stats["requester_responded_at"] = now
    elif not row.get("private"):
        stats |= {"agent_responded_at": now, "first_responded_at": stats.get("first_responded_at") or now}
    if bump:
        desk.bump(ticket["id"], stats=stats)
    else:
        desk.tickets.change(ticket["id"], stats=stats)
    return row


def edit_note(desk: Desk, row: Row, body: str, agent_id: int | None) -> Row:
    now = desk.stamp()
    edited = {"last_edited_at": now, "last_edited_user_id": agent_id}
    changed = desk.conversations.change(row["id"], body=body, updated_at=now, **edited)
    touch(desk, row["ticket_id"], desk.switches.note_edit_bumps)
    return changed


def drop_message(desk: Desk, row: Row) -> None:
    desk.conversations.drop(row["id"])
    touch(desk, row["ticket_id"], desk.switches.note_delete_bumps)


# ---------------------------------------------------------------------------------------------------------- articles


def change_article(desk: Desk, row: Row, **members: Any) -> Row:
    return desk.articles.change(row["id"], **members, updated_at=desk.stamp())
