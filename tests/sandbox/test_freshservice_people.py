"""Departments, requesters, agents, groups, fields and workspaces, plain and of an MSP (HELPDESK-APIS 3.8 to 3.10)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from deskloom.sandbox import Clock, FreshserviceDesk, generate_freshservice

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def _numbers(desk: FreshserviceDesk) -> list[Any]:
    return [row["custom_fields"]["account_number"] for row in desk.state("departments")]


# -------------------------------------------------------------------------------------------------------- departments


def test_account_numbers() -> None:
    """Integers in one account and texts in another, missing or blank in some, doubled where that is wanted."""
    whole = _numbers(generate_freshservice(clock=Clock(NOW)))
    texts = _numbers(generate_freshservice(clock=Clock(NOW), account_numbers="text"))
    twice = _numbers(generate_freshservice(clock=Clock(NOW), duplicate_account=True))
    assert ({type(n) for n in whole}, {type(n) for n in texts}) == ({int, type(None)}, {str, type(None)})
    assert (whole[0], whole[5], whole[8], texts[0], texts[8]) == (104_233, None, 0, "104233", " ")
    assert (len(whole) - len(set(whole)), twice[2]) == (0, twice[0])


def test_departments_by_name(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """The list is alphabetical; the query knows the name alone."""
    rows = fs.get("/departments").json()["departments"]
    found = fs.get("/departments", params={"query": f"\"name:'{rows[3]['name']}'\""}).json()["departments"]
    assert [row["name"] for row in rows] == sorted(row["name"] for row in service.state("departments"))
    assert found == [rows[3]]
    assert fs.get("/departments", params={"query": '"account_number:104233"'}).status_code == 400
    assert fs.get("/departments", params={"updated_since": "2020-01-01"}).status_code == 400


def test_a_department_from_first_to_last(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """Made, changed and deleted; a partial change of fields keeps the others, or not, by its switch."""
    made = fs.post("/departments", json={"name": "North", "custom_fields": {"account_number": 7, "address": "Pier"}})
    path = f"/departments/{made.json()['department']['id']}"
    assert made.status_code == 201
    assert fs.post("/departments", json={"name": "North"}).status_code == 409
    kept = fs.put(path, json={"custom_fields": {"account_number": 8}}).json()["department"]["custom_fields"]
    service.switches = replace(service.switches, department_fields_merge=False)
    lost = fs.put(path, json={"custom_fields": {"account_number": 9}}).json()["department"]["custom_fields"]
    assert (kept, lost) == ({"account_number": 8, "address": "Pier"}, {"account_number": 9, "address": None})
    assert (fs.delete(path).status_code, fs.get(path).status_code) == (204, 404)


def test_deleting_a_department_leaves_its_tickets(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """People and tickets stay, without it."""
    key = next(row["department_id"] for row in service.state("tickets") if row["department_id"])
    fs.delete(f"/departments/{key}")
    assert key not in {row["department_id"] for row in service.state("tickets")}
    assert all(key not in row["department_ids"] for row in service.state("requesters"))
    assert len(service.state("tickets")) == 60


def test_stamps_in_four_forms(fs: httpx.Client) -> None:
    """Milliseconds on departments, no zone on their fields, an offset on groups, plain elsewhere."""
    departments = {row["created_at"][19:] for row in fs.get("/departments").json()["departments"]}
    fields = {row["created_at"] for row in fs.get("/department_fields").json()["department_fields"]}
    groups = {row["created_at"][-6:] for row in fs.get("/groups").json()["groups"]}
    assert (departments, fields, groups) == ({"Z", ".983Z"}, {"2025-01-06 08:00:00"}, {"+05:30"})


def test_department_fields(fs: httpx.Client) -> None:
    """Names without types; the domains have another name than in the object."""
    rows = fs.get("/department_fields").json()["department_fields"]
    assert {"account_number", "domain_names"} <= {row["name"] for row in rows}
    assert set(rows[0]) == {"name", "label", "mandatory", "is_default_field", "created_at", "updated_at"}


# --------------------------------------------------------------------------------------------------------- requesters


def test_requesters(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """Alphabetical, without agents, the deactivated among them; last names may be null, ids beyond 2^53."""
    first, second = (fs.get("/requesters", params={"page": page}).json()["requesters"] for page in (1, 2))
    rows = [*first, *second]
    names = [" ".join(filter(None, (row["first_name"], row["last_name"]))).casefold() for row in rows]
    assert (len(first), names) == (30, sorted(names))
    assert sorted(row["id"] for row in rows) == [row["id"] for row in service.state("requesters")]
    assert any(row["last_name"] is None for row in rows)
    assert any((row["location_id"] or 0) > 2**53 for row in rows)
    assert sum(not row["active"] for row in rows) == 2
    service.switches = replace(service.switches, deactivated_listed=False)
    assert all(row["active"] for row in fs.get("/requesters?per_page=100").json()["requesters"])


def test_agents_among_the_requesters(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """Agents are added only when asked for; by id they are no requesters."""
    rows = fs.get("/requesters?include_agents=true&per_page=100").json()["requesters"]
    agents = {row["id"] for row in service.state("agents")}
    assert {row["id"] for row in rows if row["is_agent"]} == agents
    assert fs.get(f"/requesters/{min(agents)}").status_code == 404


def test_pages_of_ten(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """Freshworks' own description gives ten as the size of a page of people, where none is asked for."""
    service.switches = replace(service.switches, people_per_page=10)
    sizes = [len(next(iter(fs.get(path).json().values()))) for path in ("/requesters", "/departments", "/tickets")]
    assert (sizes[:2], sizes[2] > 10, len(fs.get("/requesters?per_page=40").json()["requesters"])) == ([10, 10], 0, 40)


def test_searching_requesters(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """Thirty a page, at most forty pages, no sizes."""
    row = service.state("requesters")[3]
    found = fs.get("/requesters", params={"query": f"\"primary_email:'{row['primary_email']}'\""}).json()
    assert found == {"requesters": [row]}
    assert fs.get("/requesters", params={"query": "\"first_name:'Ada'\"", "page": 41}).status_code == 400
    assert fs.get("/requesters", params={"query": "\"first_name:'Ada'\"", "per_page": 100}).status_code == 400


def test_deactivating_and_forgetting(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """Deleting deactivates; forgetting erases the person and their tickets with all that belongs to them."""
    key = next(row["requester_id"] for row in service.state("tickets") if row["id"] == 14)
    assert fs.delete(f"/requesters/{key}").status_code == 204
    assert not fs.get(f"/requesters/{key}").json()["requester"]["active"]
    assert fs.put(f"/requesters/{key}/reactivate").json()["requester"]["active"]
    gone = {row["id"] for row in service.state("tickets") if row["requester_id"] == key}
    assert fs.delete(f"/requesters/{key}/forget").status_code == 204
    left = {row["ticket_id"] for kind in ("conversations", "time_entries") for row in service.state(kind)}
    codes = [fs.get(path).status_code for path in (f"/requesters/{key}", "/tickets/14")]
    assert (codes, gone & left) == ([404, 404], set())


def test_a_change_resets_what_a_requester_sees(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """A right that a change does not name is lost."""
    key = service.state("requesters")[0]["id"]
    name = "can_see_all_tickets_from_associated_departments"
    given = fs.put(f"/requesters/{key}", json={name: True}).json()["requester"][name]
    assert (given, fs.put(f"/requesters/{key}", json={"job_title": "Nurse"}).json()["requester"][name]) == (True, False)


def test_merging_leaves_ids_that_lead_nowhere(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """The second of two merged requesters is gone; their tickets still name them."""
    one, other = (row["id"] for row in service.state("requesters")[:2])
    assert fs.put(f"/requesters/{one}/merge", params={"secondary_requesters": other}).status_code == 200
    assert fs.get(f"/requesters/{other}").status_code == 404


# ---------------------------------------------------------------------------------- agents, groups, fields, workspaces


def test_agents_are_flat(fs: httpx.Client) -> None:
    """Names and addresses stand in the agent itself, groups under `member_of`."""
    row = fs.get("/agents").json()["agents"][0]
    assert {"first_name", "last_name", "email", "member_of", "workspace_ids"} <= row.keys()
    assert not {"contact", "group_ids", "role_ids"} & row.keys()


def test_groups_of_one_workspace(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """Groups come per workspace, never of all."""
    parts = [fs.get("/groups", params={"workspace_id": key}).json()["groups"] for key in (2, 4, 5)]
    assert sorted(row["id"] for part in parts for row in part) == [row["id"] for row in service.state("groups")]
    assert fs.get("/groups").json()["groups"] == parts[0]
    assert fs.get("/groups?workspace_id=0").status_code == 400


def test_fields_of_one_workspace(fs: httpx.Client) -> None:
    """Choices are lists everywhere; custom fields are those of all workspaces and of the one asked for."""
    fields = {row["name"]: row for row in fs.get("/ticket_form_fields").json()["ticket_fields"]}
    other = {row["name"] for row in fs.get("/ticket_form_fields?workspace_id=5").json()["ticket_fields"]}
    status = {choice["id"]: choice["value"] for choice in fields["status"]["choices"]}
    assert (status[2], status[15], "product_area" in fields, "floor" in fields) == (
        "Open", "Job Complete - Bill", True, False,
    )  # fmt: skip
    assert ("product_area" in other, "floor" in other, "reference_number" in other) == (False, True, True)
    assert all(isinstance(field["choices"], list) for field in fields.values())
    assert all("requester_display_value" in choice for choice in fields["status"]["choices"])


def test_workspaces(fs: httpx.Client) -> None:
    """One is the primary; plain accounts have no metadata."""
    rows = fs.get("/workspaces").json()["workspaces"]
    assert [(row["id"], row["primary"], row["type"]) for row in rows] == [
        (2, True, "workspace"), (4, False, "workspace"), (5, False, "workspace"),
    ]  # fmt: skip
    assert all("metadata" not in row for row in rows)


def test_odd_wrappers(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """Bodies as the docs' samples for MSPs have them: other names around them, an id as a text."""
    service.switches = replace(service.switches, docs_wrappers=True)
    key, category = service.state("departments")[0]["id"], service.state("categories")[0]["id"]
    assert fs.get(f"/departments/{key}").json()["departments"]["id"] == str(key)
    assert list(fs.get("/requesters").json()) == ["requester"]
    assert list(fs.get(f"/solutions/folders?category_id={category}").json()) == ["folder"]


# ---------------------------------------------------------------------------------------------------------------- MSP


def test_clients(fs_msp: httpx.Client, msp: FreshserviceDesk) -> None:
    """An MSP's workspaces are clients, with an account number among their metadata."""
    rows = fs_msp.get("/workspaces").json()["workspaces"]
    assert [row["id"] for row in rows] == [2, 3, 4, 5, 6, 7]
    assert {row["type"] for row in rows} == {"client"}
    assert rows[2]["metadata"]["custom_fields"] == {"account_number": "104233"}


@pytest.mark.parametrize(
    ("path", "member"), [("departments", "workspace_id"), ("requesters", "belongs_to_workspace_ids")]
)
def test_people_of_a_client(fs_msp: httpx.Client, msp: FreshserviceDesk, path: str, member: str) -> None:
    """Without a client these lists are of the default one."""
    everyone = [row["id"] for row in msp.state(path)]
    by_client = {
        key: [row["id"] for row in fs_msp.get(f"/{path}", params={member: key, "per_page": 100}).json()[path]]
        for key in (2, 3, 4, 5, 6, 7)
    }
    plain = [row["id"] for row in fs_msp.get(f"/{path}", params={"per_page": 100}).json()[path]]
    assert sorted(key for part in by_client.values() for key in part) == everyone
    assert plain == by_client[2]
    assert len(plain) < len(everyone)


def test_entries_of_an_msp(fs_msp: httpx.Client, msp: FreshserviceDesk) -> None:
    """An MSP's time entries have an end, unless they run, and a kind of work."""
    rows = [
        row
        for key in {row["ticket_id"] for row in msp.state("time_entries")}
        for row in fs_msp.get(f"/tickets/{key}/time_entries?per_page=100").json()["time_entries"]
    ]
    assert {(row["timer_running"], row["end_time"] is None) for row in rows} == {(True, True), (False, False)}
    assert all(row["work_type"] for row in rows)


def test_solutions_of_an_msp(fs_msp: httpx.Client) -> None:
    """An MSP's solutions stand in the MSP's own workspace."""
    rows = fs_msp.get("/solutions/categories").json()["categories"]
    assert {row["workspace_id"] for row in rows} == {3}
    assert rows == fs_msp.get("/solutions/categories?workspace_id=0").json()["categories"]
