"""The whole truth of a Freshdesk account: an article is a row per language."""

from __future__ import annotations

from collections.abc import Iterator

from deskloom.sandbox.freshdesk import shapes, solutions
from deskloom.sandbox.freshdesk.desk import Desk
from deskloom.sandbox.rows import Row
from deskloom.sandbox.state import Table, once, whole

__all__ = ["tables", "whole"]


def _ticket(desk: Desk, row: Row) -> Row:
    marks = {"deleted": bool(row.get("deleted")), "spam": bool(row.get("spam")), "archived": bool(row.get("_archived"))}
    return {**shapes.ticket(desk, row, ("stats",), view=True), **marks}


def _contact(desk: Desk, row: Row) -> Row:
    return {**shapes.contact(desk, row, view=True), "deleted": bool(row.get("deleted"))}


def tables(desk: Desk) -> dict[str, Table]:
    """Every kind of row; deleted, spam and archived tickets stand in it, marked."""
    return {
        "tickets": once(desk.tickets, lambda row: _ticket(desk, row)),
        "conversations": once(desk.conversations, shapes.conversation),
        "contacts": once(desk.contacts, lambda row: _contact(desk, row)),
        "companies": once(desk.companies, lambda row: shapes.company(desk, row)),
        "agents": once(desk.agents, lambda row: shapes.agent(row, view=True)),
        "groups": once(desk.groups, shapes.sent),
        "categories": once(desk.categories, solutions.category),
        "folders": once(desk.folders, lambda row: solutions.folder(desk, row, None, with_category=True)),
        "articles": Table(desk.articles, lambda row: _languages(desk, row)),
        "time_entries": once(desk.time_entries, shapes.time_entry),
    }


def _languages(desk: Desk, row: Row) -> Iterator[Row]:
    for language in (desk.languages[0], *row.get("_translations", {})):
        shown = solutions.translated(desk, row, language)
        if shown is not None:
            yield {**solutions.article(desk, shown, language), "language": language}
