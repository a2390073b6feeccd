"""After any mix of edits, faults, limits and interruptions the copies agree, and one more run changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test
from tests.properties.machine import AGES, INDEX, WORDS, Agreement

from deskloom.sandbox.clock import Clock, stamp
from deskloom.sandbox.freshdesk import Desk
from deskloom.sandbox.freshservice import FreshserviceDesk, Switches
from deskloom.sandbox.generate import generate, generate_freshservice
from deskloom.sandbox.rows import Row


class OfFreshdesk(Agreement):
    """What only Freshdesk has: merges, contacts, one list of all time entries, languages of an article."""

    desk: Desk
    places = (*Agreement.places, "contacts")

    def account(self, clock: Clock, draw: Callable[..., Any]) -> Desk:
        return generate(seed=3, tickets=6, articles=4, clock=clock)

    @rule(index=INDEX, other=INDEX)
    def merge_tickets(self, index: int, other: int) -> None:
        first, second = self.pick(index), self.pick(other)
        if first is not None and second is not None and first != second:
            self.write("PUT", "/tickets/merge", {"primary_id": first, "ticket_ids": [second]})

    @rule(index=INDEX, words=WORDS)
    def rename_contact(self, index: int, words: list[str]) -> None:
        if (row := self._contact(index)) is not None:
            self.write("PUT", f"/contacts/{row['id']}", {"name": " ".join(words)})

    @rule(index=INDEX, company=INDEX)
    def employ_contact(self, index: int, company: int) -> None:
        """They change to another company, or leave; tickets that name none go with them."""
        there = [None, *(row["id"] for row in self.desk.companies)]
        if (row := self._contact(index)) is not None:
            self.write("PUT", f"/contacts/{row['id']}", {"company_id": there[company % len(there)]})

    def _contact(self, index: int) -> Row | None:
        asked = {row.get("requester_id") for row in self.desk.tickets}
        known = [row for row in self.desk.contacts if not row.get("deleted") and not row.get("_blocked")]
        known = [row for row in known if row["id"] in asked] or known
        return known[index % len(known)] if known else None

    @rule(index=INDEX, words=WORDS)
    def rename_company(self, index: int, words: list[str]) -> None:
        """One that has tickets, whose documents name it."""
        id = self.desk.tickets.get(self.pick(index, live=False))["company_id"]
        if id is not None:
            self.write("PUT", f"/companies/{id}", {"name": self.name(words)})

    @rule(index=INDEX)
    def disown_ticket(self, index: int) -> None:
        if (id := self.pick(index)) is not None:
            self.write("PUT", f"/tickets/{id}", {"company_id": None})

    @rule(index=INDEX, minutes=st.integers(0, 300), age=AGES, billable=st.booleans())
    def log_time(self, index: int, minutes: int, age: int, billable: bool) -> None:
        """Lately, long ago, or in time to come; it touches no ticket."""
        if (id := self.pick(index)) is not None:
            spent = {"time_spent": f"{minutes // 60:02}:{minutes % 60:02}", "billable": billable}
            self.write("POST", f"/tickets/{id}/time_entries", {**spent, "executed_at": self.day(age)})

    @rule(index=INDEX)
    def start_timer(self, index: int) -> None:
        if (id := self.pick(index)) is not None:
            self.write("POST", f"/tickets/{id}/time_entries", {"timer_running": True})

    @rule(index=INDEX)
    def toggle_timer(self, index: int) -> None:
        if (row := self.one_of(self.desk.time_entries, index)) is not None:
            self.write("PUT", f"/time_entries/{row['id']}/toggle_timer")

    @rule(index=INDEX, words=WORDS, age=st.none() | AGES)
    def edit_time(self, index: int, words: list[str], age: int | None) -> None:
        """Another note, and perhaps another work date."""
        if (row := self.one_of(self.desk.time_entries, index)) is not None:
            moved = {} if age is None else {"executed_at": self.day(age)}
            self.write("PUT", f"/time_entries/{row['id']}", {"note": " ".join(words), **moved})

    @rule(index=INDEX)
    def delete_time(self, index: int) -> None:
        if (row := self.one_of(self.desk.time_entries, index)) is not None:
            self.write("DELETE", f"/time_entries/{row['id']}")

    @rule(words=WORDS, index=INDEX)
    def write_article(self, words: list[str], index: int) -> None:
        text, folder = " ".join(words), self.one_of(self.desk.folders, index)
        self.write("POST", f"/solutions/folders/{folder['id']}/articles",
                   {"title": text, "description": f"<p>{text}</p>", "type": 1, "status": 2})  # fmt: skip

    @rule(index=INDEX, words=WORDS, language=st.sampled_from(["de", "ko"]))
    def translate_article(self, index: int, words: list[str], language: str) -> None:
        text, row = " ".join(words), self.one_of(self.desk.articles, index)
        self.write("POST", f"/solutions/articles/{row['id']}/{language}",
                   {"title": text, "description": f"<p>{text}</p>", "status": 2})  # fmt: skip


SWITCHES = st.builds(
    Switches,
    updated_since_inclusive=st.booleans(),
    sort_column=st.sampled_from(["created_at", "updated_at", "id"]),
    order_by=st.sampled_from(["refused", "ignored", "honoured"]),
    delete_bumps=st.booleans(),
    restore_bumps=st.sampled_from([True, True, False]),
    note_edit_bumps=st.sampled_from([True, True, False]),
    note_delete_bumps=st.sampled_from([True, True, False]),
    customer_edit_bumps=st.booleans(),
    time_entry_bumps=st.booleans(),
    deleted_window=st.booleans(),
    deleted_view=st.sampled_from([200, 403, 404]),
    list_tags=st.booleans(),
    view_conversations_credits=st.sampled_from([1, 2, 3]),
    time_spent_seconds=st.booleans(),
    deactivated_listed=st.booleans(),
    solutions_paged=st.booleans(),
    folders_nested=st.booleans(),
    article_language=st.sampled_from(["never", "view", "always"]),
    author_member=st.sampled_from(["agent_id", "user_id"]),
    docs_wrappers=st.booleans(),
    requester_moves_department=st.booleans(),
)
"""What nobody has confirmed of the product: drawn for each history."""


class OfFreshservice(Agreement):
    """What only Freshservice has: workspaces or clients, departments, requests, hours by ticket, open questions."""

    desk: FreshserviceDesk
    statuses = (2, 3, 4, 5, 9, 15)
    places = (*Agreement.places, "requesters", "departments", "workspaces", "requested_items")

    def account(self, clock: Clock, draw: Callable[..., Any]) -> FreshserviceDesk:
        switches, msp = draw(SWITCHES), draw(st.booleans())
        self.quiet = not (switches.restore_bumps and switches.note_edit_bumps and switches.note_delete_bumps)
        self.refusing = switches.deleted_view == 403
        return generate_freshservice(
            seed=3, tickets=6, articles=4, contacts=8, companies=4, msp=msp, switches=switches, clock=clock
        )

    def place(self, index: int) -> Row:
        homes = [row["id"] for row in self.desk.workspaces]
        return {"workspace_id": homes[index % len(homes)]}

    @rule(words=WORDS, index=INDEX)
    def request_item(self, words: list[str], index: int) -> None:
        """A service request, whose text is what was filled in."""
        body = {"email": "bo@example.com", "subject": " ".join(words), "type": "Service Request", **self.place(index)}
        self.write("POST", "/tickets", body)
        with self.desk.lock:
            ticket, at = self.desk.tickets.newest_id(), self.desk.stamp()
            row = {"id": 900_000 + ticket, "ticket_id": ticket, "service_item_id": 12, "remarks": " ".join(words)}
            self.desk.requested_items.put({**row, "quantity": 1, "created_at": at, "updated_at": at})

    @rule(index=INDEX, place=INDEX)
    def move_ticket(self, index: int, place: int) -> None:
        if (id := self.pick(index)) is not None:
            self.write("PUT", f"/tickets/{id}/move_workspace", self.place(place))

    @rule(words=WORDS)
    def open_workspace(self, words: list[str]) -> None:
        if len(self.desk.workspaces) < 8:
            self.write("POST", "/workspace", {"name": self.name(words)})

    @rule(index=INDEX, department=INDEX)
    def assign_ticket(self, index: int, department: int) -> None:
        """To a department, or to none."""
        there = [None, *(row["id"] for row in self.desk.departments)]
        if (id := self.pick(index)) is not None:
            self.write("PUT", f"/tickets/{id}", {"department_id": there[department % len(there)]})

    @rule(index=INDEX, person=INDEX)
    def ask_for_another(self, index: int, person: int) -> None:
        if (id := self.pick(index)) is not None:
            self.write("PUT", f"/tickets/{id}", {"requester_id": self.one_of(self.desk.requesters, person)["id"]})

    @rule(index=INDEX, words=WORDS)
    def rename_requester(self, index: int, words: list[str]) -> None:
        self.write("PUT", self._requester(index), {"first_name": " ".join(words)})

    @rule(index=INDEX, places=st.lists(INDEX, max_size=2, unique=True))
    def employ_requester(self, index: int, places: list[int]) -> None:
        """In one department, in two, or in none; tickets that name none go with them."""
        there = [row["id"] for row in self.desk.departments]
        ids = list(dict.fromkeys(there[place % len(there)] for place in places))
        self.write("PUT", self._requester(index), {"department_ids": ids})

    @rule(index=INDEX)
    def deactivate_requester(self, index: int) -> None:
        self.write("DELETE", self._requester(index))

    @rule(index=INDEX)
    def reactivate_requester(self, index: int) -> None:
        self.write("PUT", f"{self._requester(index)}/reactivate")

    def _requester(self, index: int) -> str:
        return f"/requesters/{self.one_of(self.desk.requesters, index)['id']}"

    @rule(index=INDEX, words=WORDS, number=st.none() | st.integers(1, 3))
    def edit_department(self, index: int, words: list[str], number: int | None) -> None:
        body: Row = {"name": self.name(words), "custom_fields": {"account_number": number}}
        self.write("PUT", f"/departments/{self.one_of(self.desk.departments, index)['id']}", body)

    @rule(index=INDEX, minutes=st.integers(0, 300), age=AGES, billable=st.booleans())
    def log_time(self, index: int, minutes: int, age: int, billable: bool) -> None:
        """Lately or long ago."""
        spent = {"time_spent": f"{minutes // 60:02}:{minutes % 60:02}", "billable": billable}
        self._enter(index, {**spent, "executed_at": self.day(max(age, 0))})

    @rule(index=INDEX)
    def start_timer(self, index: int) -> None:
        self._enter(index, {"timer_running": True})

    def _enter(self, index: int, body: Row) -> None:
        if (id := self.pick(index)) is not None:
            agent = next(iter(self.desk.agents))["id"]
            self.write("POST", f"/tickets/{id}/time_entries", {"time_entry": {"agent_id": agent, **body}})

    @rule(index=INDEX)
    def toggle_timer(self, index: int) -> None:
        if (row := self.one_of(self.desk.time_entries, index)) is not None:
            self.write("PUT", _entry(row), {"time_entry": {"timer_running": not row["timer_running"]}})

    @rule(index=INDEX, words=WORDS, age=st.none() | AGES)
    def edit_time(self, index: int, words: list[str], age: int | None) -> None:
        """Another note, and perhaps another work date."""
        if (row := self.one_of(self.desk.time_entries, index)) is not None:
            moved = {} if age is None else {"executed_at": self.day(age)}
            self.write("PUT", _entry(row), {"time_entry": {"note": " ".join(words), **moved}})

    @rule(index=INDEX)
    def delete_time(self, index: int) -> None:
        if (row := self.one_of(self.desk.time_entries, index)) is not None:
            self.write("DELETE", _entry(row))

    @rule(words=WORDS, index=INDEX, parent=st.none() | INDEX)
    def write_article(self, words: list[str], index: int, parent: int | None) -> None:
        """A translation is an article of its own."""
        text, folder = " ".join(words), self.one_of(self.desk.folders, index)
        body: Row = {"title": text, "description": f"<p>{text}</p>", "status": 2, "folder_id": folder["id"]}
        if parent is not None:
            body |= {"parent_id": self.one_of(self.desk.articles, parent)["id"], "language": "de"}
        self.write("POST", "/solutions/articles", body)

    @rule(index=INDEX, folder=INDEX)
    def move_article(self, index: int, folder: int) -> None:
        row = self.one_of(self.desk.articles, index)
        self.write("PUT", f"/solutions/articles/{row['id']}",
                   {"folder_id": self.one_of(self.desk.folders, folder)["id"]})  # fmt: skip

    @rule(words=WORDS, index=INDEX)
    def open_folder(self, words: list[str], index: int) -> None:
        """Below another one."""
        above = self.one_of(self.desk.folders, index)
        body = {
            "name": self.name(words),
            "category_id": above["category_id"],
            "parent_id": above["id"],
            "visibility": 1,
        }
        self.write("POST", "/solutions/folders", body)


class OfManyTickets(OfFreshservice):
    """More than a page holds, one of which leaves the list while it is read for the first time."""

    def account(self, clock: Clock, draw: Callable[..., Any]) -> FreshserviceDesk:
        desk = super().account(clock, draw)
        at = stamp(clock.now() - timedelta(days=400))  # older than the others: who begins at the newest meets none
        for key in range(105):
            desk.tickets.put(
                {"id": 5000 + key, "subject": "Old", "created_at": at, "updated_at": at, "workspace_id": 2}
            )
        self.left = draw(st.sampled_from(["DELETE", "spam"])), draw(st.integers(10, 90))
        return desk

    def first(self) -> None:
        self.desk.faults.before(r"tickets\?(?!.*filter).*page=2", lambda: self.move(*self.left))
        self.sync("tickets", None, full=False)
        self.desk.faults.hooks.clear()


EXAMPLES = {
    "sqlite": {OfFreshdesk: 25, OfFreshservice: 18, OfManyTickets: 2},
    "postgresql": {OfFreshdesk: 8, OfFreshservice: 6, OfManyTickets: 1},
}


def _entry(row: Row) -> str:
    return f"/tickets/{row['ticket_id']}/time_entries/{row['id']}"


@pytest.mark.slow
@pytest.mark.parametrize("machine", [OfFreshdesk, OfFreshservice, OfManyTickets])
def test_the_copies_agree(machine: type[Agreement], dialect: str, request: pytest.FixtureRequest) -> None:
    """Whatever happened, the runs after the last fault bring agreement, and another changes nothing."""
    server = request.getfixturevalue("postgres_server") if dialect == "postgresql" else None
    run_state_machine_as_test(
        lambda: machine(server),
        settings=settings(
            max_examples=EXAMPLES[dialect][machine],
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
