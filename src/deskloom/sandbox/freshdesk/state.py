"""The whole truth of a desk, row by row, for comparison with a copy of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from deskloom.sandbox.freshdesk import shapes, solutions
from deskloom.sandbox.freshdesk.desk import Desk
from deskloom.sandbox.rows import Row, Rows


def _ticket(desk: Desk, row: Row) -> Row:
    marks = {"deleted": bool(row.get("deleted")), "spam": bool(row.get("spam")), "archived": bool(row.get("_archived"))}
    return {**shapes.ticket(desk, row, ("stats",), view=True), **marks}


def _contact(desk: Desk, row: Row) -> Row:
    return {**shapes.contact(desk, row, view=True), "deleted": bool(row.get("deleted"))}


def _tables(desk: Desk) -> dict[str, tuple[Rows, Callable[[Row], Row]]]:
    return {
        "tickets": (desk.tickets, lambda row: _ticket(desk, row)),
        "conversations": (desk.conversations, shapes.conversation),
        "contacts": (desk.contacts, lambda row: _contact(desk, row)),
        "companies": (desk.companies, lambda row: shapes.company(desk, row)),
        "agents": (desk.agents, lambda row: shapes.agent(row, view=True)),
        "groups": (desk.groups, shapes.sent),
        "categories": (desk.categories, solutions.category),
        "folders": (desk.folders, lambda row: solutions.folder(desk, row, None, with_category=True)),
        "articles": (desk.articles, lambda row: solutions.article(desk, row)),
        "time_entries": (desk.time_entries, shapes.time_entry),
    }


def kinds(desk: Desk) -> tuple[str, ...]:
    return tuple(_tables(desk))


def counts(desk: Desk) -> dict[str, int]:
    return {kind: len(rows) for kind, (rows, _) in _tables(desk).items()}


def page(desk: Desk, kind: str, after: int, limit: int) -> tuple[list[Row], int | None]:
    """Up to `limit` rows with ids above `after` and the id to go on from; an article is a row per language."""
    rows, shape = _tables(desk)[kind]
    part = rows.after(after, limit)
    shown = [view for row in part for view in (_languages(desk, row) if kind == "articles" else [shape(row)])]
    return shown, part[-1]["id"] if len(part) == limit else None


def _languages(desk: Desk, row: Row) -> Iterator[Row]:
    for language in (desk.languages[0], *row.get("_translations", {})):
        shown = solutions.translated(desk, row, language)
        if shown is not None:
            yield {**solutions.article(desk, shown, language), "language": language}


def whole(desk: Desk, kind: str) -> list[Row]:
    """All rows of a kind, in order of id."""
    return page(desk, kind, 0, 1 << 62)[0]
