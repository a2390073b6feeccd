"""Schedules over HTTP: made, changed, started and removed while everything runs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.api.conftest import Served, Shared

together = pytest.mark.asyncio(loop_scope="session")
UNKNOWN = "00000000-0000-4000-8000-000000000000"


async def make(served: Served, **asked: Any) -> dict[str, Any]:
    answer = await served.client.post("/api/v1/schedules", json={"stream": "kb", "cron": "*/10 * * * *", **asked})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def listed(served: Served) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await served.client.get("/api/schedules")).json()["items"]
    return items


async def test_a_schedule_is_made_changed_and_removed(served: Served) -> None:
    """Each answer is the schedule as it then stands; the list shows it; removed, it is gone."""
    now = served.rig.app.clock()
    made = await make(served, timezone="Europe/Berlin", jitter_seconds=0)
    upcoming = datetime.fromisoformat(made["next_at"])
    assert (upcoming > now, upcoming - now <= timedelta(minutes=10), upcoming.minute % 10) == (True, True, 0)
    assert made | {"id": "", "created_at": "", "next_at": ""} == {
        "id": "",
        "source": "freshdesk",
        "stream": "kb",
        "mode": "incremental",
        "cron": "*/10 * * * *",
        "timezone": "Europe/Berlin",
        "jitter_seconds": 0,
        "enabled": True,
        "options": {},
        "created_at": "",
        "next_at": "",
        "last_at": None,
        "last_run_id": None,
        "last_error": None,
    }
    assert await listed(served) == [made]
    path = f"/api/schedules/{made['id']}"
    disabled = (await served.client.patch(path, json={"enabled": False})).json()
    assert disabled == made | {"enabled": False, "next_at": None}
    changed = (await served.client.patch(path, json={"enabled": True, "cron": "0  4 * * *"})).json()
    at = datetime.fromisoformat(changed["next_at"])
    assert changed == made | {"cron": "0 4 * * *", "next_at": changed["next_at"]}
    assert (at.minute, at > now) == (0, True)
    assert [(await served.client.delete(path)).status_code for _ in range(2)] == [204, 404]
    assert await listed(served) == []


async def test_a_schedule_is_started_by_the_clock_and_by_hand(served: Served) -> None:
    """The run it starts syncs the stream, and the schedule names it."""
    made = await make(served, stream="tickets", mode="full")
    served.rig.desk.clock.advance(600)
    await served.rig.app.scheduler.tick()
    first = (await listed(served))[0]
    ended = await served.ended(first["last_run_id"])
    assert (ended["state"], ended["mode"], ended["requested_by"]) == ("succeeded", "full", f"schedule {made['id']}")
    assert ended["counts"]["fetched"] == 4
    answer = await served.client.post(f"/api/schedules/{made['id']}/run")
    assert (answer.status_code, answer.json()["requested_by"]) == (201, "local")
    assert (await served.ended(answer.json()["id"]))["state"] == "succeeded"
    assert (await listed(served))[0]["last_run_id"] == answer.json()["id"]


async def test_a_busy_stream_is_answered_with_the_run_in_progress(served: Served) -> None:
    """409, as for any other way to start a run."""
    made = await make(served)
    served.hold()
    going = await served.rig.start("kb")
    answer = await served.client.post(f"/api/schedules/{made['id']}/run")
    assert (answer.status_code, answer.json()["code"], answer.json()["run_id"]) == (
        409,
        "already_running",
        str(going.id),
    )
    await served.ended(str(going.id))


async def test_one_schedule_for_each_mode_of_a_stream(served: Served) -> None:
    """A second one is refused with the id of the first; another mode has its own."""
    made = await make(served)
    again = await served.client.post("/api/schedules", json={"stream": "kb", "cron": "0 1 * * *"})
    assert (again.status_code, again.json()["code"], again.json()["schedule_id"]) == (409, "already_there", made["id"])
    await make(served, mode="sweep")
    await make(served, stream="verify", repair=True)
    assert [(item["source"], item["stream"], item["mode"], item["options"]) for item in await listed(served)] == [
        ("*", "verify", "verify", {"repair": True}),
        ("freshdesk", "kb", "incremental", {}),
        ("freshdesk", "kb", "sweep", {}),
    ]


@together
@pytest.mark.parametrize(
    ("body", "parameter", "hint"),
    [
        ({}, "stream", "is missing"),
        ({"stream": "kb"}, "cron", "is missing"),
        ({"stream": "agents"}, "stream", "for example tickets"),
        ({"mode": "verify"}, "mode", "for example incremental"),
        ({"stream": "verify", "mode": "full"}, "mode", "for example verify"),
        ({"cron": "every day"}, "cron", 'for example "*/10 * * * *"'),
        ({"cron": 7}, "cron", "must be text"),
        ({"cron": "* " * 60}, "cron", "at most 100"),
        ({"timezone": "Mars/Olympus"}, "timezone", 'for example "Europe/Berlin"'),
        ({"jitter_seconds": -1}, "jitter_seconds", "at least 0"),
        ({"source": "acme"}, "source", "freshdesk"),
        ({"source": "*"}, "source", "freshdesk"),
        ({"repair": True}, "repair", "verify only"),
        ({"colour": "red"}, "colour", "not known"),
    ],
)
async def test_a_wrong_schedule_is_refused_with_its_member_named(
    shared: Shared, body: dict[str, Any], parameter: str, hint: str
) -> None:
    """422 says which member, and how to write it; nothing is made."""
    whole = {"stream": "kb", "cron": "*/10 * * * *"} | body if "is missing" not in hint else body
    answer = await shared.client.post("/api/schedules", json=whole)
    problem = answer.json()
    assert (answer.status_code, problem["parameter"], hint in problem["detail"]) == (422, parameter, True), problem
    assert await listed(shared) == []


async def test_a_wrong_change_leaves_the_schedule_as_it_was(served: Served) -> None:
    """422 for what cannot be, 404 for what is not there."""
    made = await make(served)
    for body in ({"cron": "x"}, {"timezone": "x"}, {"repair": True}, {"stream": "tickets"}):
        assert (await served.client.patch(f"/api/schedules/{made['id']}", json=body)).status_code == 422
    assert await listed(served) == [made]
    for method, path in (("PATCH", UNKNOWN), ("DELETE", UNKNOWN), ("POST", f"{UNKNOWN}/run")):
        answer = await served.client.request(method, f"/api/schedules/{path}", json={} if method == "PATCH" else None)
        assert answer.status_code == 404
    assert UUID(made["id"])


@together
async def test_schedules_need_an_operator(shared: Shared) -> None:
    """Who may not start runs may not see when they are started either."""
    assert [(await shared.get("/api/schedules", role)).status_code for role in ("agent", "operator")] == [403, 200]
