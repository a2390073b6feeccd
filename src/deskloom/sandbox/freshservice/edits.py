"""The random edits of a Freshservice account, with those only it has: time entries, moves, translations as articles."""

from __future__ import annotations

from deskloom.sandbox.edits import Editor as _Editor
from deskloom.sandbox.edits import Move
from deskloom.sandbox.freshservice import departments, people, tickets
from deskloom.sandbox.freshservice.desk import FreshserviceDesk
from deskloom.sandbox.rows import Row
from deskloom.sandbox.timers import add_entry, change_entry, drop_entry, span, stop

__all__ = ["Editor"]


class Editor(_Editor[FreshserviceDesk]):
    """Makes random edits; the same seed on the same desk makes the same edits."""

    statuses = (2, 3, 4, 5, 9, 15)

    def moves(self) -> list[Move]:
        return [
            self.status, self.status, self.tags, self.reply, self.reply, self.note, self.note, self.create,
            self.delete, self.restore, self.spam, self.edit_note, self.drop_message, self.rename_requester,
            self.change_department, self.deactivate, self.article, self.publish, self.translate, self.drop_article,
            self.visibility, self.move, self.spend, self.spend, self.correct, self.drop_entry, self.stop_timer,
        ]  # fmt: skip

    def create(self) -> str:
        row = {**self.opening(), "workspace_id": self._workspace()}
        return f"new ticket {tickets.add_ticket(self.desk, row)['id']}"

    def _workspace(self) -> int:
        ids = [row["id"] for row in self.desk.workspaces]
        return int(self.chance.choice(ids)) if ids else 2

    def move(self) -> str | None:
        ticket = self.ticket()
        if ticket is None:
            return None
        self.desk.bump(ticket["id"], workspace_id=self._workspace())
        return f"moved ticket {ticket['id']} to another workspace"

    def rename_requester(self) -> str | None:
        row = self.any_of(self.desk.requesters)
        if row is None:
            return None
        people.change_requester(self.desk, row, {"first_name": f"{row['first_name']} {self.chance.choice('ABCDEF')}."})
        return f"renamed requester {row['id']}"

    def deactivate(self) -> str | None:
        row = self.any_of(self.desk.requesters)
        if row is None:
            return None
        self.desk.requesters.change(row["id"], active=not row.get("active", True), updated_at=self.desk.stamp())
        return f"deactivated or reactivated requester {row['id']}"

    def change_department(self) -> str | None:
        row = self.any_of(self.desk.departments)
        if row is None:
            return None
        said = {"description": f"Contract reviewed {self.chance.randint(1, 99)}"}
        departments.change_department(self.desk, row, said)
        return f"changed department {row['id']}"

    def translate(self) -> str | None:
        row = self.any_of(self.desk.articles)
        if row is None or len(self.desk.languages) < 2:
            return None
        language = self.chance.choice(self.desk.languages[1:])
        now = self.desk.stamp()
        key = self.desk.new_id("solution", self.desk.articles, 60_000_000_001)
        members = {"title": f"{row['title']} ({language})", "_language": language, "_parent": row["id"], "status": 2}
        self.desk.articles.put({**row, **members, "id": key, "created_at": now, "updated_at": now})
        return f"article {key} in {language} for article {row['id']}"

    def drop_article(self) -> str | None:
        row = self.any_of(self.desk.articles)
        if row is None:
            return None
        self.desk.articles.drop(row["id"])
        return f"deleted article {row['id']}"

    # ------------------------------------------------------------------------------------------------ time entries

    def spend(self) -> str | None:
        """Also on tickets closed long ago: a late entry."""
        ticket = self.ticket()
        if ticket is None:
            return None
        runs = self.chance.random() < 0.2
        seconds = 0 if runs else 60 * self.chance.choice((1, 15, 30, 90))
        now = self.desk.stamp()
        members: Row = {"agent_id": self.agent(), "billable": self.chance.random() < 0.8, "note": "", **span(seconds)}
        add_entry(self.desk, ticket, {**members, "timer_running": runs, "start_time": now, "executed_at": now})
        return f"time on ticket {ticket['id']}"

    def correct(self) -> str | None:
        row = self._entry(running=False)
        if row is None:
            return None
        change_entry(self.desk, row, **span(60 * self.chance.choice((5, 20, 45))), billable=not row["billable"])
        return f"corrected time entry {row['id']} of ticket {row['ticket_id']}"

    def drop_entry(self) -> str | None:
        row = self._entry(running=False)
        if row is None:
            return None
        drop_entry(self.desk, row)
        return f"deleted time entry {row['id']} of ticket {row['ticket_id']}"

    def stop_timer(self) -> str | None:
        row = self._entry(running=True)
        if row is None:
            return None
        stop(self.desk, row)
        return f"stopped the timer of time entry {row['id']}"

    def _entry(self, *, running: bool) -> Row | None:
        rows = [row for row in self.desk.time_entries if row["timer_running"] == running]
        return self.chance.choice(rows) if rows else None
