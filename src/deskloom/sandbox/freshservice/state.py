"""The whole truth of a Freshservice account."""

from __future__ import annotations

from deskloom.sandbox.freshservice import shapes, solutions, spaces
from deskloom.sandbox.freshservice.desk import FreshserviceDesk
from deskloom.sandbox.rows import Row
from deskloom.sandbox.state import Table, once, whole
from deskloom.sandbox.timers import counted

__all__ = ["tables", "whole"]


def _entry(desk: FreshserviceDesk, row: Row) -> Row:
    """With its ticket and its seconds, which the API does not tell."""
    now = counted(desk, row)
    seconds = now["time_spent_in_seconds"]
    return {**shapes.time_entry(desk, now), "ticket_id": row["ticket_id"], "time_spent_in_seconds": seconds}


def _article(desk: FreshserviceDesk, row: Row) -> Row:
    marks = {"language": row.get("_language", desk.languages[0]), "parent_id": row.get("_parent")}
    return {**solutions.article(desk, row, view=True), **marks}


def tables(desk: FreshserviceDesk) -> dict[str, Table]:
    """Every kind of row; deleted and spam tickets stand in it, marked, and inactive requesters."""
    return {
        "tickets": once(desk.tickets, lambda row: shapes.ticket(desk, row, ("stats", "tags"), view=True, only=None)),
        "conversations": once(desk.conversations, shapes.conversation),
        "time_entries": once(desk.time_entries, lambda row: _entry(desk, row)),
        "requested_items": once(desk.requested_items, shapes.requested_item),
        "requesters": once(desk.requesters, lambda row: shapes.requester(desk, row)),
        "departments": once(desk.departments, shapes.department),
        "agents": once(desk.agents, shapes.agent),
        "groups": once(desk.groups, shapes.group),
        "workspaces": once(desk.workspaces, lambda row: spaces.workspace(desk, row)),
        "categories": once(desk.categories, solutions.category),
        "folders": once(desk.folders, lambda row: solutions.folder(desk, row)),
        "articles": once(desk.articles, lambda row: _article(desk, row)),
    }
