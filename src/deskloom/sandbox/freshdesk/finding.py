"""Search endpoints: 30 rows a page, ten pages, an index that lags behind (HELPDESK-APIS 2.5, 2.8, 2.9, 2.12)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

from deskloom.sandbox.answers import Answer, Call, allow, invalid
from deskloom.sandbox.clock import stamp
from deskloom.sandbox.freshdesk import shapes, solutions
from deskloom.sandbox.freshdesk.desk import Desk
from deskloom.sandbox.freshdesk.listing import number_of
from deskloom.sandbox.rows import Row

SIZE = 30
LAST_PAGE = 10
_TERM = re.compile(r"\s*(\(|\)|AND\b|OR\b|(\w+)\s*:\s*([<>]?)\s*('[^']*'|[^\s()]+))")
Test = Callable[[Row], bool]


def parse_query(text: str, fields: frozenset[str]) -> Test:
    """A test from `field:value`, `:>` (at least), `:<` (at most), AND, OR and parentheses."""
    tokens, position = [], 0
    while text[position:].strip():
        found = _TERM.match(text, position)
        if not found:
            raise invalid("query", "The query is not valid")
        tokens.append(found)
        position = found.end()
    test, rest = _any(tokens, fields)
    if rest:
        raise invalid("query", "The query is not valid")
    return test


def _any(tokens: list[re.Match[str]], fields: frozenset[str]) -> tuple[Test, list[re.Match[str]]]:
    left, tokens = _all(tokens, fields)
    while tokens and tokens[0][1] == "OR":
        right, tokens = _all(tokens[1:], fields)
        left = _either(left, right)
    return left, tokens


def _all(tokens: list[re.Match[str]], fields: frozenset[str]) -> tuple[Test, list[re.Match[str]]]:
    left, tokens = _atom(tokens, fields)
    while tokens and tokens[0][1] == "AND":
        right, tokens = _atom(tokens[1:], fields)
        left = _both(left, right)
    return left, tokens


def _either(left: Test, right: Test) -> Test:
    return lambda row: left(row) or right(row)


def _both(left: Test, right: Test) -> Test:
    return lambda row: left(row) and right(row)


def _atom(tokens: list[re.Match[str]], fields: frozenset[str]) -> tuple[Test, list[re.Match[str]]]:
    if not tokens:
        raise invalid("query", "The query is not valid")
    head, rest = tokens[0], tokens[1:]
    if head[1] == "(":
        inner, rest = _any(rest, fields)
        if not rest or rest[0][1] != ")":
            raise invalid("query", "The query is not valid")
        return inner, rest[1:]
    name = head[2]
    if name is None:
        raise invalid("query", "The query is not valid")
    if name not in fields and not name.startswith("cf_"):
        raise invalid(name, "Unexpected/invalid field in request", "invalid_field")
    return _comparison(name, head[3], head[4].strip("'")), rest


def _comparison(name: str, sign: str, wanted: str) -> Test:
    def test(row: Row) -> bool:
        value = row.get(name, (row.get("custom_fields") or {}).get(name))
        if wanted == "null" or value is None:
            return value is None and wanted == "null"
        if isinstance(value, list):
            return wanted in value
        if sign:
            left = value[: len(wanted)] if isinstance(value, str) else value
            right = type(left)(wanted)
            return bool(left >= right if sign == ">" else left <= right)
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return text.startswith(wanted) if name.endswith("_at") else text == wanted

    return test


def _answer(call: Call, rows: list[Row]) -> Answer:
    page = number_of(call, "page") or 1
    if page > LAST_PAGE:
        raise invalid("page", f"It should be less than or equal to {LAST_PAGE}")
    return Answer(body={"total": len(rows), "results": rows[(page - 1) * SIZE : page * SIZE]})


def _query(call: Call, fields: frozenset[str]) -> Test:
    allow(call.query, frozenset({"query", "page"}))
    text = call.query.get("query", "")
    if len(text) > 512 or not (len(text) > 1 and text[0] == text[-1] == '"'):
        raise invalid("query", "It should be in double quotes and at most 512 characters")
    return parse_query(text[1:-1], fields)


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
