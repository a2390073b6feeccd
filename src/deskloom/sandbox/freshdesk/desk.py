"""The state of one Freshdesk account: its rows, its rules about time and change, and what was asked of it."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from datetime import timedelta
from typing import Any

from deskloom.sandbox.calls import Calls
from deskloom.sandbox.clock import Clock, moment, stamp
from deskloom.sandbox.faults import Faults
from deskloom.sandbox.freshdesk import sla
from deskloom.sandbox.freshdesk.fields import ticket_fields
from deskloom.sandbox.freshdesk.switches import Switches
from deskloom.sandbox.limits import Limits
from deskloom.sandbox.rows import Row, Rows

EPOCH = "1970-01-01T00:00:00Z"


def ticket_state(row: Row) -> str:
    """Which list a ticket stands in: archived, deleted, spam or live."""
    if row.get("_archived"):
        return "archived"
    if row.get("deleted"):
        return "deleted"
    return "spam" if row.get("spam") else "live"


def contact_state(row: Row) -> str:
    return "deleted" if row.get("deleted") else "blocked" if row.get("_blocked") else "live"


def _updated(row: Row) -> tuple[Hashable, str]:
    return "all", row["updated_at"]


def _solution_parent(row: Row) -> tuple[Hashable, str]:
    return row.get("folder_id") or row.get("parent_folder_id") or ("category", row.get("category_id")), row[
        "created_at"
    ]


class Desk:
    """One account. Requests are answered one at a time; another thread that edits rows holds `lock`.

    `key` is an administrator's API key; `<key>-agent` belongs to an agent without admin rights.
    """

    def __init__(
        self, *, clock: Clock | None = None, switches: Switches | None = None, plan: str = "none", key: str = "sandbox",
        name: str = "Sandbox",
    ) -> None:  # fmt: skip
        self.clock = clock or Clock()
        self.switches = switches or Switches()
        self.limits = Limits(plan, self.clock)
        self.faults = Faults()
        self.calls = Calls()
        self.lock = threading.RLock()
        self.name = name
        self.key = key
        self.languages: list[str] = ["en"]
        self.tickets = Rows(
            updated=lambda row: (ticket_state(row), row["updated_at"]),
            created=lambda row: (ticket_state(row), row["created_at"]),
        )
        self.conversations = Rows(ticket=lambda row: (row["ticket_id"], row["created_at"]))
        self.contacts = Rows(
            name=lambda row: (contact_state(row), (row.get("name") or "").casefold()),
            updated=lambda row: (contact_state(row), row["updated_at"]),
        )
        self.companies = Rows(name=lambda row: ("all", row["name"].casefold()), updated=_updated)
        self.agents = Rows(name=lambda row: ("all", (row["contact"]["name"] or "").casefold()))
        self.groups = Rows(name=lambda row: ("all", row["name"].casefold()))
        self.products = Rows(name=lambda row: ("all", row["name"].casefold()))
        self.categories = Rows(all=lambda row: ("all", row["created_at"]))
        self.folders = Rows(parent=_solution_parent)
        self.articles = Rows(folder=_solution_parent)
        self.time_entries = Rows(ticket=lambda row: (row["ticket_id"], row["created_at"]), updated=_updated)
        self.ticket_fields: list[Row] = ticket_fields()
        self.company_fields: list[Row] = []
        self.contact_fields: list[Row] = []
        self._due: list[tuple[str, int]] = []
        self._ids: dict[str, int] = {}
        self._archived: tuple[str, int] | None = None
        self._sla_ran = ""

    # ------------------------------------------------------------------------------------------------ who calls

    def agent_of(self, key: str) -> Row | None:
        """The agent who owns a key, or None. The first administrator owns the desk's key."""
        if key not in (self.key, f"{self.key}-agent"):
            return None
        admin = key == self.key
        for row in self.agents:
            if bool(row.get("_admin")) == admin:
                return row
        return None

    # -------------------------------------------------------------------------------------------- ids and stamps

    def new_id(self, kind: str, rows: Rows, first: int) -> int:
        """The next id. Ids are never used again, not even those of rows that are gone."""
        key = self._ids.get(kind) or max(rows.newest_id(), first - 1)
        while (key := key + 1) in rows:
            pass
        self._ids[kind] = key
        return key

    def new_person_id(self) -> int:
        """Contacts and agents share one number space (HELPDESK-APIS rule 17)."""
        key = self._ids.get("person") or max(self.contacts.newest_id(), self.agents.newest_id(), 15_000_000_000)
        while (key := key + 1) in self.contacts or key in self.agents:
            pass
        self._ids["person"] = key
        return key

    def stamp(self) -> str:
        return self.clock.stamp()

    def bump(self, ticket_id: int, **members: Any) -> Row:
        """Change a ticket and move its `updated_at`."""
        if self.switches.due_again:
            self.plan_due(ticket_id)
        return self.tickets.change(ticket_id, **members, updated_at=self.stamp())

    # --------------------------------------------------------------------------------------- what time brings

    def plan_due(self, ticket_id: int, after: float = 3) -> None:
        """`due_by` and `fr_due_by` are filled in some seconds later (HELPDESK-APIS 2.4)."""
        self._due.append((stamp(self.clock.now() + timedelta(seconds=after)), ticket_id))

    def settle(self) -> None:
        """Let what is due happen; called before every request. The SLA pass looks once a
        minute of the clock, archiving once an hour."""
        if self._due:
            now = self.stamp()
            ripe = [ticket_id for at, ticket_id in self._due if at <= now]
            self._due = [(at, ticket_id) for at, ticket_id in self._due if at > now]
            for ticket_id in ripe:
                self._fill_due(ticket_id)
        if self.switches.sla_on_clock and self.stamp()[:16] != self._sla_ran:
            self._sla_ran = self.stamp()[:16]
            self.run_sla()
        days, hour = self.switches.archive_after_days, self.stamp()[:13]
        if days is not None and (hour, days) != self._archived:
            self._archived = hour, days
            self.archive(older_than=timedelta(days=days))

    def _fill_due(self, ticket_id: int) -> None:
        row = self.tickets.get(ticket_id)
        if row is None:
            return
        first, whole = sla.spans(row.get("priority", 1))
        start = moment(row["updated_at"] if row.get("due_by") else row["created_at"])
        bumped = {"updated_at": self.stamp()} if self.switches.due_fill_bumps else {}
        self.tickets.change(ticket_id, due_by=stamp(start + whole), fr_due_by=stamp(start + first), **bumped)

    def archive(self, *, older_than: timedelta | None = None, ids: list[int] | None = None) -> list[int]:
        """Archive the given tickets, or those closed and untouched for so long. Returns their ids."""
        if ids is None:
            limit = stamp(self.clock.now() - (older_than or timedelta()))
            live = self.tickets.order("updated", "live")
            old = (self.tickets.get(key) for at, key in live[: self.tickets.since("updated", "live", limit)])
            ids = [row["id"] for row in old if row is not None and row.get("status") == 5]
        for key in ids:
            self.tickets.change(key, _archived=True)
        return ids

    def run_sla(self) -> list[int]:
        """One SLA pass: overdue tickets become escalated, and that moves `updated_at` (HELPDESK-APIS 2.4)."""
        return sla.run(self)
