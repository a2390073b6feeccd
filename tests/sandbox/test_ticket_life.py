"""Tickets and their messages through their life: create, talk, change, delete, merge, escalate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from deskloom.sandbox import Desk


def updated(api: httpx.Client, number: int) -> str:
    return str(api.get(f"tickets/{number}").json()["updated_at"])


def open_ticket(desk: Desk) -> int:
    """An open, live ticket."""
    return next(
        row["id"] for row in desk.state("tickets") if row["status"] == 2 and not (row["deleted"] or row["spam"])
    )


def test_view_includes(api: httpx.Client) -> None:
    """A view carries at most ten conversations, the oldest (T24)."""
    row = api.get("tickets/14", params={"include": "conversations,requester,company,stats"}).json()
    first = api.get("tickets/14/conversations", params={"per_page": "10"}).json()
    assert row["conversations"] == first
    assert {"description", "description_text", "attachments", "requester", "company", "stats"} <= set(row)


def test_conversations_are_paged(desk: Desk, api: httpx.Client) -> None:
    """Thirty by default, a hundred at most, oldest first (T25)."""
    default = api.get("tickets/14/conversations")
    whole = api.get("tickets/14/conversations", params={"per_page": "100"}).json()
    truth = [row["id"] for row in desk.state("conversations") if row["ticket_id"] == 14]
    assert (len(default.json()), "next" in default.links) == (30, True)
    assert [row["id"] for row in whole] == truth
    assert [row["created_at"] for row in whole] == sorted(row["created_at"] for row in whole)


def test_create(desk: Desk, api: httpx.Client) -> None:
    """A new ticket has the documented defaults, a Location, and an unknown requester becomes a contact."""
    answer = api.post(
        "tickets", json={"email": "new.person@example.com", "subject": "Help", "description": "<p>Hi</p>"}
    )
    row = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"{api.base_url}tickets/{row['id']}")
    assert (row["id"], row["status"], row["priority"], row["source"]) == (61, 2, 1, 2)
    assert (row["created_at"], row["updated_at"], row["description_text"]) == (desk.clock.stamp(),) * 2 + ("Hi",)
    assert api.get(f"contacts/{row['requester_id']}").json()["email"] == "new.person@example.com"


def test_due_by_comes_later(desk: Desk, api: httpx.Client) -> None:
    """due_by and fr_due_by are null at creation and filled seconds later."""
    number = api.post("tickets", json={"email": "a@example.com", "priority": 4}).json()["id"]
    before = api.get(f"tickets/{number}").json()
    desk.clock.advance(5)
    after = api.get(f"tickets/{number}").json()
    assert (before["due_by"], before["fr_due_by"]) == (None, None)
    assert (after["due_by"], after["fr_due_by"]) == ("2026-11-20T17:00:00Z", "2026-11-20T10:00:00Z")
    assert after["updated_at"] == before["updated_at"]


def test_create_needs_a_requester_and_known_codes(api: httpx.Client) -> None:
    """Missing requester, unknown status and unknown custom fields are refused by name."""
    bodies: list[dict[str, Any]] = [
        {"subject": "x"},
        {"email": "a@example.com", "status": 99},
        {"email": "a@example.com", "custom_fields": {"cf_no": 1}},
    ]
    fields = [api.post("tickets", json=body).json()["errors"][0]["field"] for body in bodies]
    assert fields == ["requester_id", "status", "custom_fields.cf_no"]


def test_update_moves_the_stamp_and_keeps_times(desk: Desk, api: httpx.Client) -> None:
    """Closing a ticket sets its times; reopening clears them and says when (T50)."""
    number = open_ticket(desk)
    desk.clock.advance(60)
    closed = api.put(f"tickets/{number}", json={"status": 5})
    stats = api.get(f"tickets/{number}", params={"include": "stats"}).json()["stats"]
    now = desk.clock.stamp()
    assert (closed.status_code, closed.json()["updated_at"]) == (200, now)
    assert (stats["closed_at"], stats["resolved_at"], stats["status_updated_at"]) == (now, now, now)
    api.put(f"tickets/{number}", json={"status": 2})
    stats = api.get(f"tickets/{number}", params={"include": "stats"}).json()["stats"]
    assert (stats["closed_at"], stats["resolved_at"], stats["reopened_at"]) == (None, None, now)


def test_reply_and_note(desk: Desk, api: httpx.Client) -> None:
    """A reply is public with source 0, a note private with source 2 unless said otherwise, and both bump the ticket."""
    number = open_ticket(desk)
    desk.clock.advance(60)
    answers = [
        api.post(f"tickets/{number}/reply", json={"body": "<p>Try this</p>"}),
        api.post(f"tickets/{number}/notes", json={"body": "<p>cause</p>"}),
        api.post(f"tickets/{number}/notes", json={"body": "<p>open note</p>", "private": False}),
    ]
    rows = api.get(f"tickets/{number}/conversations", params={"per_page": "100"}).json()[-3:]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert [(row["source"], row["private"], row["incoming"]) for row in rows] == [
        (0, False, False),
        (2, True, False),
        (2, False, False),
    ]
    assert [row["bcc_emails"] for row in rows] == [[], None, None]
    assert updated(api, number) == desk.clock.stamp()


@pytest.mark.parametrize("bumps", [True, False])
def test_note_edit_and_delete(desk: Desk, api: httpx.Client, bumps: bool) -> None:
    """Notes can be edited and deleted; whether the ticket moves is a switch."""
    desk.switches = replace(desk.switches, note_edit_bumps=bumps, note_delete_bumps=bumps)
    before = updated(api, 14)
    note = api.get("tickets/14/conversations", params={"per_page": "100"}).json()[-1]
    desk.clock.advance(60)
    edited = api.put(f"conversations/{note['id']}", json={"body": "<p>other</p>"}).json()
    assert (edited["body_text"], edited["last_edited_at"]) == ("other", desk.clock.stamp())
    assert updated(api, 14) == (desk.clock.stamp() if bumps else before)
    assert api.delete(f"conversations/{note['id']}").status_code == 204
    assert note["id"] not in [row["id"] for row in desk.state("conversations")]
    assert updated(api, 14) == (desk.clock.stamp() if bumps else before)


def test_a_reply_cannot_be_edited(desk: Desk, api: httpx.Client) -> None:
    """Only notes can be edited."""
    reply = next(row for row in desk.state("conversations") if row["source"] == 0)
    assert api.put(f"conversations/{reply['id']}", json={"body": "x"}).status_code == 405


@pytest.mark.parametrize("bumps", [True, False])
def test_delete_and_restore(desk: Desk, api: httpx.Client, bumps: bool) -> None:
    """Deletion is soft; a deleted ticket refuses changes with 405 until it is restored."""
    desk.switches = replace(desk.switches, delete_bumps=bumps, restore_bumps=bumps)
    before = updated(api, 30)
    desk.clock.advance(60)
    assert api.delete("tickets/30").status_code == 204
    row = api.get("tickets/30").json()
    assert (row["deleted"], row["updated_at"]) == (True, desk.clock.stamp() if bumps else before)
    refused = [
        api.put("tickets/30", json={"status": 2}),
        api.delete("tickets/30"),
        api.post("tickets/30/notes", json={"body": "x"}),
    ]
    assert [answer.status_code for answer in refused] == [405, 405, 405]
    assert api.put("tickets/30/restore").status_code == 204
    assert "deleted" not in api.get("tickets/30").json()


@pytest.mark.parametrize("status", [200, 403, 404])
def test_view_of_deleted(desk: Desk, api: httpx.Client, status: int) -> None:
    """What a deleted ticket's own path answers is a switch (T20)."""
    desk.switches = replace(desk.switches, deleted_view=status)  # type: ignore[arg-type]
    assert [api.get(path).status_code for path in ("tickets/21", "tickets/21/conversations")] == [status, status]


def test_merge(desk: Desk, api: httpx.Client) -> None:
    """A merge closes the secondary tickets with a note."""
    desk.clock.advance(60)
    answer = api.put("tickets/merge", json={"primary_id": 30, "ticket_ids": [31, 32]})
    notes = [api.get(f"tickets/{n}/conversations", params={"per_page": "100"}).json()[-1] for n in (30, 31, 32)]
    assert (answer.status_code, answer.content) == (204, b"")
    assert [api.get(f"tickets/{n}").json()["status"] for n in (31, 32)] == [5, 5]
    assert [(note["private"], note["source"]) for note in notes] == [(True, 2)] * 3
    assert {updated(api, n) for n in (30, 31, 32)} == {desk.clock.stamp()}


def test_sla_pass(desk: Desk, api: httpx.Client, control: httpx.Client) -> None:
    """An SLA pass escalates what is overdue and moves updated_at although nobody said anything."""
    desk.clock.advance(30 * 86_400)
    changed = control.post("sla").json()["escalated"]
    rows = [api.get(f"tickets/{number}").json() for number in changed]
    assert changed
    assert {row["updated_at"] for row in rows} == {desk.clock.stamp()}
    assert all(row["is_escalated"] or row["fr_escalated"] for row in rows)
    assert control.post("sla").json()["escalated"] == []


def test_sla_by_the_clock(desk: Desk, api: httpx.Client) -> None:
    """With the switch the SLA pass runs by itself as time goes on."""
    desk.switches = replace(desk.switches, sla_on_clock=True)
    number = api.post("tickets", json={"email": "a@example.com", "priority": 4}).json()["id"]
    desk.clock.advance(5)
    assert api.get(f"tickets/{number}").json()["fr_escalated"] is False
    desk.clock.advance(3 * 3600)
    row = api.get(f"tickets/{number}").json()
    assert (row["fr_escalated"], row["is_escalated"], row["updated_at"]) == (True, False, desk.clock.stamp())


def test_time_entries(desk: Desk, api: httpx.Client) -> None:
    """Time entries have the documented defaults and never move the ticket (T35)."""
    before = updated(api, 30)
    desk.clock.advance(60)
    fixed = api.post("tickets/30/time_entries", json={"time_spent": "01:30", "note": "on site"}).json()
    running = api.post("tickets/30/time_entries", json={}).json()
    assert (fixed["timer_running"], fixed["time_spent"], fixed["time_spent_in_seconds"], fixed["billable"]) == (
        False,
        "01:30",
        5400,
        True,
    )
    assert (running["timer_running"], running["time_spent"]) == (True, "00:00")
    desk.clock.advance(103)
    stopped = api.put(f"time_entries/{running['id']}/toggle_timer").json()
    assert (stopped["timer_running"], stopped["time_spent"], stopped["time_spent_in_seconds"]) == (False, "00:01", 103)
    assert api.delete(f"time_entries/{fixed['id']}").status_code == 204
    assert updated(api, 30) == before


def test_search(desk: Desk, api: httpx.Client) -> None:
    """Search answers thirty rows a page, ten pages, and lags behind by the switch (T14)."""
    answer = api.get("search/tickets", params={"query": '"status:5 AND (priority:1 OR priority:2)"'}).json()
    live = [r for r in desk.state("tickets") if not (r["deleted"] or r["spam"])]
    assert answer["total"] == len([r for r in live if r["status"] == 5 and r["priority"] in (1, 2)])
    assert len(api.get("search/tickets", params={"query": '"priority:>1"'}).json()["results"]) == 30
    assert api.get("search/tickets", params={"query": '"priority:1"', "page": "11"}).status_code == 400
    desk.switches = replace(desk.switches, search_lag=180)
    number = api.post("tickets", json={"email": "late@example.com", "priority": 4, "tags": ["fresh"]}).json()["id"]
    query = {"query": "\"tag:'fresh'\""}
    early = api.get("search/tickets", params=query).json()["results"]
    desk.clock.advance(181)
    assert (early, [r["id"] for r in api.get("search/tickets", params=query).json()["results"]]) == ([], [number])


def test_whether_time_moves_a_ticket(api: httpx.Client, desk: Desk) -> None:
    """A time entry leaves `updated_at`, as was seen; an account may be set to move it."""
    for value in (False, True):
        desk.switches = replace(desk.switches, time_entry_bumps=value)
        before = api.get("/tickets/9").json()["updated_at"]
        desk.clock.advance(60)
        assert api.post("/tickets/9/time_entries", json={"time_spent": "00:10"}).status_code == 201
        assert (api.get("/tickets/9").json()["updated_at"] != before) is value
