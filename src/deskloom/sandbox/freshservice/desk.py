"""The state of one Freshservice account: workspaces (or an MSP's clients), departments, requesters, and its rules."""

from __future__ import annotations

from datetime import timedelta

from deskloom.sandbox.clock import Clock, stamp
from deskloom.sandbox.desk import HelpDesk
from deskloom.sandbox.freshservice.fields import GLOBAL, ticket_fields
from deskloom.sandbox.freshservice.plans import PLANS
from deskloom.sandbox.freshservice.switches import Switches
from deskloom.sandbox.rows import Row, Rows

PRIMARY = 2
"""The primary workspace; on an MSP's account the default client."""
MSP = 3
"""The workspace of the MSP itself, where its solutions live."""


class FreshserviceDesk(HelpDesk[Switches]):
    """One account. `msp`: its workspaces are clients, and departments and requesters belong to one."""

    def __init__(
        self, *, clock: Clock | None = None, switches: Switches | None = None, plan: str = "none", key: str = "sandbox",
        name: str = "Sandbox", msp: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(PLANS, switches or Switches(), clock=clock, plan=plan, key=key, name=name)
        self.msp = msp
        self.workspaces = Rows(all=lambda row: ("all", row["created_at"]))
        self.departments = Rows(
            name=lambda row: ("all", row["name"].casefold()), created=lambda row: ("all", row["created_at"])
        )
        self.requesters = Rows(
            name=lambda row: ("all", full_name(row).casefold()), created=lambda row: ("all", row["created_at"])
        )
        self.requested_items = Rows(ticket=lambda row: (row["ticket_id"], row["created_at"]))
        self.children = (*self.children, self.requested_items)
        self.activities: dict[int, list[Row]] = {}
        """What happened to a ticket beside its messages, by ticket id, oldest first."""
        self.people = (self.requesters, self.agents)
        self.ticket_fields = ticket_fields()
        self.department_fields: list[Row] = []
        self.requester_fields: list[Row] = []

    def name_of(self, agent: Row) -> str:
        return full_name(agent)

    def email_of(self, person_id: int | None) -> str | None:
        person = self.requesters.get(person_id) or {}
        return person.get("primary_email") or (self.agents.get(person_id) or {}).get("email")

    def workspace_of(self, workspace_id: int) -> Row | None:
        """A workspace; an account that has none listed is one workspace, the primary."""
        return self.workspaces.get(workspace_id) or ({"id": PRIMARY} if workspace_id == PRIMARY else None)

    def global_fields(self) -> frozenset[str]:
        """The custom ticket fields of all workspaces."""
        return frozenset(field["name"] for field in self.ticket_fields if field["workspace_id"] == GLOBAL)

    def searchable(self) -> str:
        """Rows changed until then are in the index of the searches."""
        return stamp(self.clock.now() - timedelta(seconds=self.switches.search_lag))


def full_name(person: Row) -> str:
    return " ".join(part for part in (person.get("first_name"), person.get("last_name")) if part)
