"""Edits that only Freshdesk has: archiving, merging, translations in the article; and which random ones are made."""

from __future__ import annotations

from deskloom.sandbox.edits import Editor as _Editor
from deskloom.sandbox.edits import Move, perform, ticket_of
from deskloom.sandbox.freshdesk import people, solutions, tickets
from deskloom.sandbox.freshdesk.desk import Desk
from deskloom.sandbox.rows import Row

__all__ = ["STEPS", "Editor", "perform"]


def _archive(desk: Desk, step: Row) -> int:
    desk.archive(ids=[ticket_of(desk, step, "archive")["id"]])
    return int(step["archive"])


def _untranslate(desk: Desk, step: Row) -> int:
    """By hand only: the API has no call for it."""
    row = desk.articles.get(step["untranslate"])
    if row is None:
        raise ValueError(f"There is no article {step['untranslate']}")
    return solutions.drop_translation(desk, row, step["language"])


STEPS = {"archive": _archive, "untranslate": _untranslate}


class Editor(_Editor[Desk]):
    """Makes random edits; the same seed on the same desk makes the same edits."""

    def moves(self) -> list[Move]:
        return [
            self.status, self.status, self.tags, self.reply, self.reply, self.note, self.note, self.create,
            self.delete, self.restore, self.spam, self.edit_note, self.drop_message, self.rename_contact,
            self.change_company, self.article, self.publish, self.translate, self.visibility, self.merge,
        ]  # fmt: skip

    def create(self) -> str:
        return f"new ticket {tickets.open_ticket(self.desk, self.opening())['id']}"

    def merge(self) -> str | None:
        primary, other = self.ticket(), self.ticket()
        if primary is None or other is None or primary is other:
            return None
        tickets.merge(self.desk, self.agent(), primary, [other], {})
        return f"merged ticket {other['id']} into {primary['id']}"

    def rename_contact(self) -> str | None:
        ids = self.desk.contacts.ids("name", "live")
        if not ids:
            return None
        row = self.desk.contacts.get(self.chance.choice(ids)) or {}
        people.change_contact(self.desk, row, {"name": f"{row['name']} {self.chance.choice('ABCDEF')}."})
        return f"renamed contact {row['id']}"

    def change_company(self) -> str | None:
        ids = self.desk.companies.ids("name", "all")
        if not ids:
            return None
        row = self.desk.companies.get(self.chance.choice(ids)) or {}
        people.change_company(self.desk, row, {"note": f"Contract reviewed {self.chance.randint(1, 99)}"})
        return f"changed company {row['id']}"

    def translate(self) -> str | None:
        row = self.any_of(self.desk.articles)
        if row is None or len(self.desk.languages) < 2:
            return None
        language = self.chance.choice(self.desk.languages[1:])
        members = {"title": f"{row['title']} ({language})", "description": row["description"], "status": 2}
        solutions.set_translation(self.desk, row, language, members)
        return f"translated article {row['id']} into {language}"
