"""Search endpoints: 30 rows a page, ten pages, an index that lags behind (HELPDESK-APIS 2.5, 2.8, 2.9, 2.12)."""

from __future__ import annotations

from datetime import timedelta

from deskloom.sandbox.answers import Answer, Call, allow, invalid
from deskloom.sandbox.clock import stamp
from deskloom.sandbox.freshdesk import shapes, solutions
from deskloom.sandbox.freshdesk.desk import Desk
from deskloom.sandbox.listing import number_of
from deskloom.sandbox.query import Test, query_of
from deskloom.sandbox.rows import Row

SIZE = 30
LAST_PAGE = 10


def _answer(call: Call, rows: list[Row]) -> Answer:
    page = number_of(call, "page") or 1
    if page > LAST_PAGE:
        raise invalid("page", f"It should be less than or equal to {LAST_PAGE}")
    return Answer(body={"total": len(rows), "results": rows[(page - 1) * SIZE : page * SIZE]})


def _query(call: Call, fields: frozenset[str]) -> Test:
    allow(call.query, frozenset({"query", "page"}))
    return query_of(call, fields)


_TICKET = frozenset(
    {"agent_id", "group_id", "priority", "status", "tag", "type", "due_by", "fr_due_by", "created_at", "updated_at"}
)


def search_tickets(desk: Desk, call: Call) -> Answer:
    """Archived, deleted and spam tickets are not found, nor those changed less than the lag ago."""
    test = _query(call, _TICKET)
    visible = stamp(desk.clock.now() - timedelta(seconds=desk.switches.search_lag))
    rows = []
    for at, key in desk.tickets.order("updated", "live"):
        row = desk.tickets.get(key) or {}
        whole = shapes.ticket(desk, row)
        if at <= visible and test({**whole, "agent_id": whole["responder_id"], "tag": whole["tags"]}):
            rows.append(row)
    return _answer(call, [shapes.ticket(desk, row) for row in reversed(rows)])


def search_contacts(desk: Desk, call: Call) -> Answer:
    names = {
        "email",
        "phone",
        "mobile",
        "company_id",
        "language",
        "active",
        "created_at",
        "updated_at",
        "time_zone",
        "tag",
    }
    test = _query(call, frozenset(names))
    rows = [desk.contacts.get(key) or {} for key in desk.contacts.ids("name", "live")]
    shown = (shapes.contact(desk, row, view=True) for row in rows)
    return _answer(call, [row for row in shown if test({**row, "tag": row["tags"]})])


def search_companies(desk: Desk, call: Call) -> Answer:
    names = {field["name"] for field in desk.company_fields} | {"domain", "created_at", "updated_at"}
    test = _query(call, frozenset(names))
    shown = (shapes.company(desk, desk.companies.get(key) or {}) for key in desk.companies.ids("name", "all"))
    return _answer(call, [row for row in shown if test({**row, "domain": row["domains"]})])


def search_solutions(desk: Desk, call: Call) -> Answer:
    """Articles with every word of `term`; without counters, with the folder's visibility."""
    allow(call.query, frozenset({"term", "page"}))
    words = call.query.get("term", "").casefold().split()
    rows = []
    for row in desk.articles:
        shown = solutions.article(desk, row)
        text = f"{shown['title']} {shown['description_text']}".casefold()
        if not words or not all(word in text for word in words):
            continue
        folder = desk.folders.get(row["folder_id"]) or {}
        for name in ("hits", "thumbs_up", "thumbs_down", "feedback_count", "suggested"):
            del shown[name]
        extra = {"folder_visibility": folder.get("visibility"), "folder_name": folder.get("name"), "language_id": 6}
        rows.append({**shown, **extra, "modified_at": shown["updated_at"], "modified_by": shown["agent_id"]})
    return Answer(body=rows)


def autocomplete_companies(desk: Desk, call: Call) -> Answer:
    allow(call.query, frozenset({"name"}))
    start = call.query.get("name", "").casefold()
    rows = [
        {"id": row["id"], "name": row["name"]} for row in desk.companies if row["name"].casefold().startswith(start)
    ]
    return Answer(body={"companies": rows})
