"""What happens to a Freshservice ticket: writes, messages, hours, deletion, and what of it moves `updated_at`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from deskloom.sandbox import FreshserviceDesk

Json = dict[str, Any]


def _ticket(service: FreshserviceDesk, key: int) -> Json:
    return next(row for row in service.state("tickets") if row["id"] == key)


def _moved(service: FreshserviceDesk, key: int, act: Callable[[], Any]) -> bool:
    """Whether doing something later moves a ticket's `updated_at`."""
    before = _ticket(service, key)["updated_at"]
    service.clock.advance(60)
    act()
    return bool(_ticket(service, key)["updated_at"] != before)


def _entry(service: FreshserviceDesk, **members: Any) -> Json:
    return {"time_entry": {"agent_id": service.state("agents")[0]["id"], "time_spent": "01:30", **members}}


# ------------------------------------------------------------------------------------------------------------ tickets


def test_a_ticket_from_first_to_last(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """Created, changed, resolved, deleted and restored: each answer and the state agree."""
    made = fs.post("/tickets", json={"email": "new@example.com", "subject": "Screen", "description": "<p>Dark</p>"})
    row = made.json()["ticket"]
    assert (made.status_code, made.headers["location"].rpartition("/")[2]) == (201, str(row["id"]))
    assert (row["status"], row["priority"], row["workspace_id"], row["tags"]) == (2, 1, 2, [])
    assert row["due_by"] > row["fr_due_by"] > row["created_at"]
    changed = fs.put(f"/tickets/{row['id']}", json={"status": 4, "tags": ["dark"], "resolution_notes": "New screen"})
    assert (changed.json()["ticket"]["resolution_notes"], changed.json()["ticket"]["tags"]) == ("New screen", ["dark"])
    assert _ticket(service, row["id"])["stats"]["resolved_at"] == service.clock.stamp()
    gone = fs.delete(f"/tickets/{row['id']}")
    assert (gone.status_code, gone.content, _ticket(service, row["id"])["deleted"]) == (204, b"", True)
    assert fs.put(f"/tickets/{row['id']}/restore").status_code == 204
    assert not _ticket(service, row["id"])["deleted"]


@pytest.mark.parametrize(
    "body",
    [
        {"status": 7}, {"status": "2"}, {"source": 16}, {"colour": "red"}, {"custom_fields": {"cf_floor": "2"}},
        {"workspace_id": 4}, {"due_by": "2020-01-01T00:00:00Z"}, {},
    ],
)  # fmt: skip
def test_bad_changes(fs: httpx.Client, body: Json) -> None:
    """Unknown codes and members, texts for numbers, a past `due_by`, another workspace: each a 400."""
    assert fs.put("/tickets/9", json=body).status_code == 400


@pytest.mark.parametrize("answer", [405, 404, 200])
def test_writing_to_a_deleted_ticket(fs: httpx.Client, service: FreshserviceDesk, answer: Any) -> None:
    """What a change of a deleted ticket answers is not known."""
    service.switches = replace(service.switches, deleted_write=answer)
    assert fs.put("/tickets/21", json={"priority": 3}).status_code == answer


@pytest.mark.parametrize("answer", [200, 403, 404])
def test_viewing_a_deleted_ticket(fs: httpx.Client, service: FreshserviceDesk, answer: Any) -> None:
    """What a deleted ticket's id leads to is not known; its children go with it."""
    service.switches = replace(service.switches, deleted_view=answer)
    paths = ("/tickets/21", "/tickets/21/conversations", "/tickets/21/time_entries", "/tickets/21/requested_items")
    assert [fs.get(path).status_code for path in paths] == [answer] * 4


def test_moving_to_another_workspace(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """A ticket moves by a path of its own, and then stands in the other workspace's list."""
    answer = fs.put("/tickets/3/move_workspace", json={"workspace_id": 5})
    rows = fs.get("/tickets", params={"workspace_id": 5, "updated_since": "2020-01-01", "per_page": 100}).json()
    assert (answer.status_code, answer.json()["ticket"]["workspace_id"]) == (200, 5)
    assert 3 in {row["id"] for row in rows["tickets"]}


@pytest.mark.parametrize(("follows", "department"), [(True, "new"), (False, "old")])
def test_another_requester(fs: httpx.Client, service: FreshserviceDesk, follows: bool, department: str) -> None:
    """Whether a ticket's department follows its new requester is not known."""
    service.switches = replace(service.switches, requester_moves_department=follows)
    old = _ticket(service, 9)["department_id"]
    other = next(r for r in service.state("requesters") if r["department_ids"] and r["department_ids"] != [old])
    row = fs.put("/tickets/9", json={"requester_id": other["id"]}).json()["ticket"]
    assert row["department_id"] == {"new": other["department_ids"][0], "old": old}[department]


# ----------------------------------------------------------------------------------------------------------- messages


def test_notes_and_replies(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """A note is private unless said otherwise; a reply goes to the requester; each answer lacks some members."""
    note = fs.post("/tickets/9/notes", json={"body": "<p>Hm.</p>"})
    reply = fs.post("/tickets/9/reply", json={"body": "<p>Done.</p>"})
    one, other = note.json()["conversation"], reply.json()["conversation"]
    assert (note.status_code, reply.status_code, one["private"], one["incoming"]) == (201, 201, True, False)
    assert not {"private", "incoming"} & other.keys()
    rows = {row["id"]: row for row in fs.get("/tickets/9/conversations").json()["conversations"]}
    assert (rows[one["id"]]["source"], rows[other["id"]]["source"]) == (2, 0)
    assert fs.put(f"/conversations/{other['id']}", json={"body": "x"}).status_code == 405
    assert fs.put(f"/conversations/{one['id']}", json={"body": "x"}).json()["conversation"]["body"] == "x"
    assert fs.delete(f"/conversations/{one['id']}").status_code == 204
    assert one["id"] not in {row["id"] for row in service.state("conversations")}


def test_rows_that_say_nothing(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """Threads hold changes of status (3) and of properties (4) without an author, one without any text."""
    odd = [row for row in service.state("conversations") if row["source"] in (3, 4)]
    listed = fs.get(f"/tickets/{odd[0]['ticket_id']}/conversations").json()["conversations"]
    assert {(row["source"], row["user_id"], row["body"] is None) for row in odd} == {(3, None, False), (4, None, True)}
    assert odd[0] in listed


# ------------------------------------------------------------------------------------------------------- time entries


def test_an_entry_from_first_to_last(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """Bodies are wrapped, the timer rests, `billable` is true; deleting answers 200 and is final."""
    made = fs.post("/tickets/9/time_entries", json=_entry(service, note="On site"))
    row = made.json()["time_entry"]
    assert (made.status_code, row["time_spent"], row["billable"], row["timer_running"]) == (201, "01:30", True, False)
    assert "ticket_id" not in row
    assert row in fs.get("/tickets/9/time_entries").json()["time_entries"]
    path = f"/tickets/9/time_entries/{row['id']}"
    assert fs.put(path, json={"time_entry": {"time_spent": "00:20"}}).json()["time_entry"]["time_spent"] == "00:20"
    assert fs.get(f"/tickets/10/time_entries/{row['id']}").status_code == 404
    assert (fs.delete(path).status_code, fs.get(path).status_code) == (200, 404)


@pytest.mark.parametrize(
    "members",
    [
        {"time_spent": None}, {"time_spent": "90"}, {"agent_id": None}, {"agent_id": 1}, {"timer_running": True},
        {"executed_at": "2030-01-01T00:00:00Z"}, {"ticket_id": 9},
    ],
)  # fmt: skip
def test_bad_entries(fs: httpx.Client, service: FreshserviceDesk, members: Json) -> None:
    """Time is mandatory and `hh:mm`, not for a running timer; the agent exists; work is not in the future."""
    assert fs.post("/tickets/9/time_entries", json=_entry(service, **members)).status_code == 400
    assert fs.post("/tickets/9/time_entries", json=_entry(service)["time_entry"]).status_code == 400


def test_a_running_timer(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """Its time grows until it is stopped, and another of the same agent stops it."""
    body = _entry(service, timer_running=True)
    del body["time_entry"]["time_spent"]
    (first,) = (fs.post("/tickets/9/time_entries", json=body).json()["time_entry"]["id"],)
    service.clock.advance(3_660)
    path = f"/tickets/9/time_entries/{first}"
    assert fs.get(path).json()["time_entry"]["time_spent"] == "01:01"
    assert fs.post("/tickets/10/time_entries", json=body).status_code == 201
    service.clock.advance(600)
    row = fs.get(path).json()["time_entry"]
    assert (row["timer_running"], row["time_spent"]) == (False, "01:01")


def test_time_with_seconds(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """Some accounts may write the seconds too, which the shorter form cuts off."""
    row = next(row for row in service.state("time_entries") if row["time_spent_in_seconds"] % 60)
    path = f"/tickets/{row['ticket_id']}/time_entries/{row['id']}"
    short = fs.get(path).json()["time_entry"]["time_spent"]
    service.switches = replace(service.switches, time_spent_seconds=True)
    assert (short, fs.get(path).json()["time_entry"]["time_spent"]) == ("00:01", "00:01:43")


def test_more_entries_than_a_page(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """A ticket's entries come in pages of thirty."""
    counts: dict[int, int] = {}
    for row in service.state("time_entries"):
        counts[row["ticket_id"]] = counts.get(row["ticket_id"], 0) + 1
    most = max(counts, key=lambda key: counts[key])
    pages = [fs.get(f"/tickets/{most}/time_entries", params={"page": page}) for page in (1, 2)]
    assert [len(page.json()["time_entries"]) for page in pages] == [30, counts[most] - 30]
    assert ["link" in page.headers for page in pages] == [True, False]


# --------------------------------------------------------------------------------------------- what moves `updated_at`


def _spend(fs: httpx.Client, service: FreshserviceDesk) -> None:
    assert fs.post("/tickets/9/time_entries", json=_entry(service)).status_code == 201


def _correct(fs: httpx.Client, service: FreshserviceDesk) -> None:
    body = {"time_entry": {"time_spent": "00:10"}}
    assert fs.put(f"/tickets/9/time_entries/{_spent(service)}", json=body).status_code == 200


def _drop_entry(fs: httpx.Client, service: FreshserviceDesk) -> None:
    assert fs.delete(f"/tickets/9/time_entries/{_spent(service)}").status_code == 200


def _spent(service: FreshserviceDesk) -> int:
    return next(int(row["id"]) for row in service.state("time_entries") if row["ticket_id"] == 9)


def _edit_note(fs: httpx.Client, service: FreshserviceDesk) -> None:
    note = next(r for r in service.state("conversations") if r["ticket_id"] == 9 and r["source"] == 2)
    fs.put(f"/conversations/{note['id']}", json={"body": "changed"})


def _drop_note(fs: httpx.Client, service: FreshserviceDesk) -> None:
    note = next(r for r in service.state("conversations") if r["ticket_id"] == 9)
    fs.delete(f"/conversations/{note['id']}")


def _delete(fs: httpx.Client, service: FreshserviceDesk) -> None:
    fs.delete("/tickets/9")


def _rename(fs: httpx.Client, service: FreshserviceDesk) -> None:
    fs.put(f"/requesters/{_ticket(service, 9)['requester_id']}", json={"first_name": "Ada"})


def _late(fs: httpx.Client, service: FreshserviceDesk) -> None:
    service.tickets.change(9, status=2, fr_escalated=False, is_escalated=False)
    service.clock.advance(90 * 86_400)
    assert 9 in service.run_sla()


@pytest.mark.parametrize(
    ("switch", "act"),
    [
        ("time_entry_bumps", _spend), ("time_entry_bumps", _correct), ("time_entry_bumps", _drop_entry),
        ("note_edit_bumps", _edit_note), ("note_delete_bumps", _drop_note),
        ("delete_bumps", _delete), ("customer_edit_bumps", _rename), ("sla_bumps", _late),
    ],
)  # fmt: skip
def test_what_moves_a_ticket(fs: httpx.Client, service: FreshserviceDesk, switch: str, act: Any) -> None:
    """What is not confirmed to move `updated_at` does so, or not, by its switch."""
    fs.post("/tickets/9/notes", json={"body": "first"})
    for _ in range(2):
        _spend(fs, service)
    for value in (True, False):
        service.switches = replace(service.switches, **{switch: value})
        assert _moved(service, 9, lambda: act(fs, service)) is value
        fs.put("/tickets/9/restore")
        fs.post("/tickets/9/notes", json={"body": "again"})


def test_what_moves_unless_said_otherwise(service: FreshserviceDesk) -> None:
    """As seen: neither time entries nor an SLA pass move a ticket; deleting and notes do."""
    switches = service.switches
    assert (switches.time_entry_bumps, switches.sla_bumps) == (False, False)
    assert (switches.delete_bumps, switches.note_edit_bumps, switches.restore_bumps) == (True, True, True)


def test_restoring(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """Restoring moves a ticket, or not, by its switch."""
    for value in (True, False):
        service.switches = replace(service.switches, restore_bumps=value)
        fs.delete("/tickets/9")
        assert _moved(service, 9, lambda: fs.put("/tickets/9/restore")) is value
