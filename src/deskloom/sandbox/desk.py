"""What every product's account is: its clock, limits, faults and calls, its tickets, and the API over them.

A product derives its account from this: the mechanics of time, ids and change are one thing, and the rules that differ
are the members it overrides, its switches, and its `product`.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from deskloom.sandbox import control, edits, gate, sla, state
from deskloom.sandbox.answers import Answer
from deskloom.sandbox.calls import Calls
from deskloom.sandbox.clock import Clock, moment, stamp
from deskloom.sandbox.faults import Faults
from deskloom.sandbox.life import ticket_state
from deskloom.sandbox.limits import Limits, Plan
from deskloom.sandbox.rows import Row, Rows
from deskloom.sandbox.switches import SharedSwitches

if TYPE_CHECKING:
    from deskloom.sandbox.product import Product

EPOCH = "1970-01-01T00:00:00Z"
FIRST_PERSON = 15_000_000_000

S = TypeVar("S", bound=SharedSwitches)


def _solution_parent(row: Row) -> tuple[Hashable, str]:
    parent = row.get("folder_id") or row.get("parent_folder_id") or ("category", row.get("category_id"))
    return parent, row["created_at"]


class HelpDesk(Generic[S]):
    """One account. Requests are answered one at a time; another thread that edits rows holds `lock`.

    `key` is an administrator's API key; `<key>-agent` belongs to an agent without admin rights.
    """

    product: ClassVar[Product[Any]]
    """The API over the account: set by each product."""

    people: tuple[Rows, ...]
    """The tables that share one number space: customers and agents (HELPDESK-APIS rule 17)."""

    children: tuple[Rows, ...]
    """The tables of what belongs to a ticket."""

    def __init__(
        self, plans: Mapping[str, Plan], switches: S, *, clock: Clock | None, plan: str, key: str, name: str
    ) -> None:
        self.clock = clock or Clock()
        self.switches = switches
        self.limits = Limits(plan, self.clock, plans)
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
        self.time_entries = Rows(
            ticket=lambda row: (row["ticket_id"], row["created_at"]), updated=lambda row: ("all", row["updated_at"])
        )
        self.children = (self.conversations, self.time_entries)
        self.agents = Rows(name=lambda row: ("all", self.name_of(row).casefold()))
        self.groups = Rows(name=lambda row: ("all", row["name"].casefold()))
        self.categories = Rows(all=lambda row: ("all", row["created_at"]))
        self.folders = Rows(parent=_solution_parent)
        self.articles = Rows(folder=_solution_parent)
        self.ticket_fields: list[Row] = []
        self._due: list[tuple[str, int]] = []
        self._ids: dict[str, int] = {}
        self._sla_ran = ""

    # --------------------------------------------------------------------------------------------------- the API

    def answer(
        self, verb: str, path: str, query: str, headers: Mapping[str, str], body: bytes, base: str
    ) -> tuple[Answer, str, int]:
        return gate.answer(self, verb, path, query, headers, body, base)

    def control(self, verb: str, path: str, query: str, body: bytes) -> Answer:
        return control.control(self, verb, path, query, body)

    def state(self, kind: str) -> list[Row]:
        """Every row of a kind as it truly is, in order of id."""
        with self.lock:
            return state.whole(self, kind)

    def perform(self, step: Row) -> Any:
        """One step of the control API's `do`, for tests that hold the desk itself."""
        with self.lock:
            return edits.perform(self, step)

    def edit(self, seed: int, count: int = 1) -> list[str]:
        """Random edits by seed; returns what was done."""
        with self.lock:
            editor = self.product.editor(self, seed)
            return [editor.edit() for _ in range(count)]

    # ------------------------------------------------------------------------------------------------ who is who

    def name_of(self, agent: Row) -> str:
        """An agent's name."""
        raise NotImplementedError

    def email_of(self, person_id: int | None) -> str | None:
        """The address of a customer or agent, if they have one."""
        raise NotImplementedError

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
        key = self._ids.get("person") or max(FIRST_PERSON, *(rows.newest_id() for rows in self.people))
        while any((key := key + 1) in rows for rows in self.people):
            pass
        self._ids["person"] = key
        return key

    def stamp(self) -> str:
        return self.clock.stamp()

    def bump(self, ticket_id: int, **members: Any) -> Row:
        """Change a ticket and move its `updated_at`."""
        return self.tickets.change(ticket_id, **members, updated_at=self.stamp())

    # --------------------------------------------------------------------------------------- what time brings

    def plan_due(self, ticket_id: int, after: float = 3) -> None:
        """`due_by` and `fr_due_by` are filled in some seconds later (HELPDESK-APIS 2.4)."""
        self._due.append((stamp(self.clock.now() + timedelta(seconds=after)), ticket_id))

    def settle(self) -> None:
        """Let what is due happen; called before every request. The SLA pass looks once a minute of the clock."""
        if self._due:
            now = self.stamp()
            ripe = [ticket_id for at, ticket_id in self._due if at <= now]
            self._due = [(at, ticket_id) for at, ticket_id in self._due if at > now]
            for ticket_id in ripe:
                self.fill_due(ticket_id)
        if self.switches.sla_on_clock and self.stamp()[:16] != self._sla_ran:
            self._sla_ran = self.stamp()[:16]
            self.run_sla()

    def fill_due(self, ticket_id: int, **members: Any) -> None:
        """Set when a ticket is due: from its creation, later from its last change."""
        row = self.tickets.get(ticket_id)
        if row is None:
            return
        first, whole = sla.spans(row.get("priority", 1))
        start = moment(row["updated_at"] if row.get("due_by") else row["created_at"])
        self.tickets.change(ticket_id, due_by=stamp(start + whole), fr_due_by=stamp(start + first), **members)

    def run_sla(self) -> list[int]:
        """One SLA pass: overdue tickets become escalated. Returns the ids of those that changed."""
        return sla.run(self)
