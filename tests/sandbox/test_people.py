"""Contacts, companies, agents, groups, fields and settings (HELPDESK-APIS 2.8 to 2.11)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from deskloom.sandbox import Desk


@pytest.mark.parametrize(
    ("spelling", "codes"),
    [("updated_since", [200, 400]), ("_updated_since", [400, 200]), ("both", [200, 200])],
)
def test_spelling_of_the_contact_filter(desk: Desk, api: httpx.Client, spelling: Any, codes: list[int]) -> None:
    """The update filter of contacts has one spelling, or both; the other is unknown."""
    desk.switches = replace(desk.switches, contacts_filter=spelling)
    asked = [api.get("contacts", params={name: "2026-01-01T00:00:00Z"}) for name in ("updated_since", "_updated_since")]
    assert [answer.status_code for answer in asked] == codes
    for answer in asked:
        if answer.status_code == 200:
            expected = {row["id"] for row in desk.state("contacts") if row["updated_at"] >= "2026-01-01T00:00:00Z"}
            assert {row["id"] for row in answer.json()} == expected - {15_000_000_043, 15_000_000_044}


def test_contact_lists(desk: Desk, api: httpx.Client) -> None:
    """Alphabetical, without blocked and deleted ones, without the members only a view has."""
    rows = api.get("contacts", params={"per_page": "100"}).json()
    names = [row["name"].casefold() for row in rows]
    assert (names, len(rows)) == (sorted(names), 38)
    assert not {"tags", "other_emails", "avatar", "view_all_tickets"} & set(rows[0])
    assert {"tags", "other_emails", "avatar"} <= set(api.get(f"contacts/{rows[0]['id']}").json())
    states = {state: len(api.get("contacts", params={"state": state}).json()) for state in ("deleted", "blocked")}
    assert states == {"deleted": 1, "blocked": 1}


def test_other_companies_in_two_shapes(desk: Desk, api: httpx.Client) -> None:
    """Ids in the list, objects in the view; by switch objects in both."""
    view = api.get("contacts/15000000017").json()["other_companies"]
    listed = [row["other_companies"] for row in api.get("contacts?per_page=100").json() if row["id"] == 15_000_000_017]
    assert (view, listed) == ([{"company_id": 15_100_000_001, "view_all_tickets": False}], [[15_100_000_001]])
    desk.switches = replace(desk.switches, other_companies="objects")
    listed = [row["other_companies"] for row in api.get("contacts?per_page=100").json() if row["id"] == 15_000_000_017]
    assert listed == [view]


def test_contact_life(desk: Desk, api: httpx.Client) -> None:
    """Create, refuse a duplicate, rename, delete softly, restore."""
    made = api.post("contacts", json={"name": "New Person", "email": "np@example.com"})
    key = made.json()["id"]
    again = api.post("contacts", json={"name": "Other", "email": "np@example.com"})
    assert (made.status_code, again.status_code, again.json()["errors"][0]["code"]) == (201, 409, "duplicate_value")
    assert key not in {row["id"] for row in desk.state("agents")}
    desk.clock.advance(60)
    assert api.put(f"contacts/{key}", json={"name": "Renamed"}).json()["updated_at"] == desk.clock.stamp()
    assert api.delete(f"contacts/{key}").status_code == 204
    assert api.get(f"contacts/{key}").json()["deleted"] is True
    assert api.put(f"contacts/{key}", json={"name": "x"}).status_code == 405
    assert api.put(f"contacts/{key}/restore").status_code == 204


def test_hard_delete_takes_the_tickets(desk: Desk, api: httpx.Client) -> None:
    """Deleting a contact for good deletes their tickets, and needs force unless deleted before (T23)."""
    person = next(row["requester_id"] for row in desk.state("tickets") if row["id"] == 30)
    assert api.delete(f"contacts/{person}/hard_delete").status_code == 400
    assert api.delete(f"contacts/{person}/hard_delete?force=true").status_code == 204
    assert [row["id"] for row in desk.state("tickets") if row["requester_id"] == person] == []
    assert api.get("tickets/30").status_code == 404


def test_merged_contacts_dangle(desk: Desk, api: httpx.Client) -> None:
    """After a merge the secondary contact is gone and tickets still name it."""
    body = {"primary_contact_id": 15_000_000_006, "secondary_contact_ids": [15_000_000_007]}
    assert api.post("contacts/merge", json=body).status_code == 204
    assert api.get("contacts/15000000007").status_code == 404
    assert any(row["requester_id"] == 15_000_000_007 for row in desk.state("tickets"))


@pytest.mark.parametrize("bumps", [True, False])
def test_customer_edits(desk: Desk, api: httpx.Client, bumps: bool) -> None:
    """Whether renaming a contact or company moves their tickets is a switch."""
    desk.switches = replace(desk.switches, customer_edit_bumps=bumps)
    ticket = api.get("tickets/30").json()
    for path in (f"contacts/{ticket['requester_id']}", f"companies/{ticket['company_id']}"):
        desk.clock.advance(60)
        api.put(path, json={"name": f"Renamed at {desk.clock.stamp()}"})
        moved = api.get("tickets/30").json()["updated_at"] == desk.clock.stamp()
        assert moved == bumps


@pytest.mark.parametrize("prefix", ["", "cf_"])
def test_account_numbers(desk: Desk, api: httpx.Client, prefix: Any) -> None:
    """The account number is a custom field of the company; its key has a prefix by switch."""
    desk.switches = replace(desk.switches, company_field_prefix=prefix)
    row = api.get("companies/15100000001").json()
    assert row["custom_fields"][f"{prefix}account_number"] == "104233"
    assert f"{prefix}account_number" in [field["name"] for field in api.get("company_fields").json()]


def test_companies(desk: Desk, api: httpx.Client) -> None:
    """Alphabetical, by update, with offsets in some stamps; a deleted company leaves its contacts."""
    rows = api.get("companies").json()
    assert [row["name"] for row in rows] == sorted(row["name"] for row in rows)
    assert {row["created_at"][-6:] for row in rows} >= {"+05:30"}
    assert api.get("companies", params={"updated_since": desk.clock.stamp()}).json() == []
    made = api.post(
        "companies", json={"name": "Mill Lane Bakers", "custom_fields": {"account_number": "900001"}}
    ).json()
    assert [r["id"] for r in api.get("companies", params={"updated_since": desk.clock.stamp()}).json()] == [made["id"]]
    assert api.post("companies", json={"name": "Mill Lane Bakers"}).status_code == 409
    assert api.delete("companies/15100000001").status_code == 204
    assert all(row["company_id"] != 15_100_000_001 for row in desk.state("contacts"))


def test_agents(api: httpx.Client) -> None:
    """Names are inside `contact`; list rows lack groups, roles and skills."""
    rows = api.get("agents").json()
    view = api.get(f"agents/{rows[0]['id']}").json()
    names = [row["contact"]["name"] for row in rows]
    assert names == sorted(names, key=str.casefold)
    assert set(view) - set(rows[0]) == {"group_ids", "role_ids", "skill_ids"}
    assert rows[0]["contact"]["last_login_at"].endswith("+05:30")


def test_agent_as_requester(desk: Desk, api: httpx.Client) -> None:
    """An agent can be the requester: the contact look-up fails, the include does not (T48)."""
    row = api.get("tickets/7", params={"include": "requester"}).json()
    agents = {agent["id"]: agent["contact"]["name"] for agent in desk.state("agents")}
    assert row["requester"]["name"] == agents[row["requester_id"]]
    assert api.get(f"contacts/{row['requester_id']}").status_code == 404


def test_dangling_requester(api: httpx.Client) -> None:
    """A requester that was merged away leaves a null include."""
    assert api.get("tickets/8", params={"include": "requester"}).json()["requester"] is None


def test_choices_in_five_shapes(api: httpx.Client) -> None:
    """Choices are a list, a map by name, a map by code, a tree, or absent; statuses above five are custom."""
    fields = {row["name"]: row.get("choices") for row in api.get("ticket_fields").json()}
    assert fields["ticket_type"][0] == "Question"
    assert fields["priority"] == {"Low": 1, "Medium": 2, "High": 3, "Urgent": 4}
    assert fields["status"]["6"] == ["Waiting on Customer", "Awaiting your Reply"]
    assert fields["cf_location"] == {"Europe": {"Portugal": ["Lisbon", "Porto"]}, "Asia": {"Korea": ["Incheon"]}}
    assert fields["subject"] is None
    assert [row["name"] for row in api.get("ticket_fields?type=default_status").json()] == ["status"]


def test_settings(api: httpx.Client) -> None:
    """Languages come from the settings; the account has an id beyond 2^53 (T47)."""
    settings = api.get("settings/helpdesk").json()
    assert (settings["primary_language"], settings["supported_languages"]) == ("en", ["de", "ko", "ja", "ar"])
    assert api.get("account").json()["organisation_id"] == 1_848_295_627_395_445_801
