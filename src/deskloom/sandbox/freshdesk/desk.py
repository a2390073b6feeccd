"""The state of one Freshdesk account: its customers and solutions, and its rules about time and change."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import timedelta
from typing import Any

from deskloom.sandbox.clock import Clock, stamp
from deskloom.sandbox.desk import HelpDesk
from deskloom.sandbox.freshdesk.fields import ticket_fields
from deskloom.sandbox.freshdesk.plans import PLANS
from deskloom.sandbox.freshdesk.switches import Switches
from deskloom.sandbox.rows import Row, Rows


def contact_state(row: Row) -> str:
    return "deleted" if row.get("deleted") else "blocked" if row.get("_blocked") else "live"


def _updated(row: Row) -> tuple[Hashable, str]:
    return "all", row["updated_at"]


class Desk(HelpDesk[Switches]):
    """One account: tickets that may be archived, contacts, companies, and what only Freshdesk has."""

    def __init__(
        self, *, clock: Clock | None = None, switches: Switches | None = None, plan: str = "none", key: str = "sandbox",
        name: str = "Sandbox",
    ) -> None:  # fmt: skip
        super().__init__(PLANS, switches or Switches(), clock=clock, plan=plan, key=key, name=name)
        self.contacts = Rows(
            name=lambda row: (contact_state(row), (row.get("name") or "").casefold()),
            updated=lambda row: (contact_state(row), row["updated_at"]),
        )
        self.companies = Rows(name=lambda row: ("all", row["name"].casefold()), updated=_updated)
        self.products = Rows(name=lambda row: ("all", row["name"].casefold()))
        self.people = (self.contacts, self.agents)
        self.ticket_fields = ticket_fields()
        self.company_fields: list[Row] = []
        self.contact_fields: list[Row] = []
        self._archived: tuple[str, int] | None = None

    def name_of(self, agent: Row) -> str:
        return agent["contact"]["name"] or ""

    def email_of(self, person_id: int | None) -> str | None:
        person = self.contacts.get(person_id) or (self.agents.get(person_id) or {}).get("contact") or {}
        return person.get("email")

    def bump(self, ticket_id: int, **members: Any) -> Row:
        if self.switches.due_again:
            self.plan_due(ticket_id)
        return super().bump(ticket_id, **members)

    def settle(self) -> None:
        """Archiving looks once an hour of the clock."""
        super().settle()
        days, hour = self.switches.archive_after_days, self.stamp()[:13]
        if days is not None and (hour, days) != self._archived:
            self._archived = hour, days
            self.archive(older_than=timedelta(days=days))

    def fill_due(self, ticket_id: int, **members: Any) -> None:
        super().fill_due(ticket_id, **({"updated_at": self.stamp()} if self.switches.due_fill_bumps else {}))

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
