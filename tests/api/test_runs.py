"""Runs over HTTP: starting, listing, cancelling, and following them as they go."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.api.conftest import Served, Shared
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from deskloom.api.events import Pace
from deskloom.api.server import Server

together = pytest.mark.asyncio(loop_scope="session")
UNKNOWN = "00000000-0000-4000-8000-000000000000"


async def start(served: Served, **asked: Any) -> dict[str, Any]:
    answer = await served.client.post("/api/v1/runs", json={"stream": "kb", **asked})
    assert answer.status_code == 201, answer.text
    run: dict[str, Any] = answer.json()[0]
    return run


@together
async def test_a_run_has_every_member_of_the_contract(shared: Shared) -> None:
    """A started run is queued with nothing counted; ended, it has its times and counts."""
    run = await start(shared, mode="full", limit=7, requested_by="cron")
    created = run.pop("created_at")
    assert run == {
        "id": run["id"],
        "source": "freshdesk",
        "stream": "kb",
        "mode": "full",
        "state": "queued",
        "requested_by": "cron",
        "since": None,
        "limit": 7,
        "started_at": None,
        "finished_at": None,
        "progress": {"done": 0, "total": None, "phase": "queued"},
        "counts": dict.fromkeys(run["counts"], 0),
        "errors": [],
        "error_count": 0,
        "takeovers": 0,
        "cancel_requested": False,
        "options": {},
        "report": None,
    }
    assert list(run["counts"]) == [
        "fetched",
        "created",
        "updated",
        "unchanged",
        "deleted",
        "skipped",
        "failed",
        "embedded",
        "indexed",
        "api_calls",
        "api_credits",
        "waited_seconds",
    ]
    ended = await shared.ended(run["id"])
    assert (ended["state"], ended["counts"]["fetched"], created.endswith("Z")) == ("succeeded", 2, True)
    assert created <= ended["started_at"] <= ended["finished_at"]


@together
@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({}, "stream"),
        ({"stream": "agents"}, "stream"),
        ({"stream": "kb", "mode": "sweep"}, "mode"),
        ({"stream": "kb", "limit": 0}, "limit"),
        ({"stream": "kb", "since": "soon"}, "since"),
        ({"stream": "kb", "colour": "red"}, "colour"),
        ({"stream": "kb", "source": "acme"}, "source"),
        ([], "body"),
    ],
)
async def test_a_wrong_body_is_refused_with_its_member_named(shared: Shared, body: Any, parameter: str) -> None:
    """422, unknown members included."""
    answer = await shared.client.post("/api/v1/runs", json=body)
    assert (answer.status_code, answer.json()["parameter"]) == (422, parameter)


@together
async def test_a_body_that_is_no_json_is_refused(shared: Shared) -> None:
    """422 in the one shape, both for broken JSON and for another content type."""
    json_type = {"Content-Type": "application/json"}
    broken = await shared.client.post("/api/v1/runs", content=b'{"stream": ', headers=json_type)
    form = await shared.client.post("/api/v1/runs", content=b"stream=kb", headers={"Content-Type": "text/plain"})
    assert [(answer.status_code, answer.json()["detail"]) for answer in (broken, form)] == [
        (422, "The body is not JSON."),
        (422, "body must be a JSON object, sent as Content-Type: application/json."),
    ]


@together
async def test_runs_are_listed_newest_first_page_by_page(shared: Shared) -> None:
    """The pages, put together, are the whole list; filters hold; a made-up cursor is refused."""
    for _ in range(3):
        await shared.ended((await start(shared))["id"])
    whole = (await shared.client.get("/api/runs", params={"limit": 500})).json()["items"]
    pages: list[Any] = []
    after: str | None = None
    while True:
        page = (await shared.client.get("/api/runs", params={"limit": 2, **({"after": after} if after else {})})).json()
        pages += page["items"]
        after = page["next"]
        if after is None:
            break
    assert pages == whole == sorted(whole, key=lambda run: run["created_at"], reverse=True)
    only = (await shared.client.get("/api/runs", params={"stream": "tickets", "state": "succeeded"})).json()["items"]
    assert only == [run for run in whole if (run["stream"], run["state"]) == ("tickets", "succeeded")]
    refused = await shared.client.get("/api/runs", params={"after": "made-up"})
    assert (refused.status_code, refused.json()["parameter"]) == (422, "after")


@together
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/api/runs/{UNKNOWN}"),
        ("POST", f"/api/runs/{UNKNOWN}/cancel"),
        ("GET", f"/api/runs/{UNKNOWN}/events"),
    ],
)
async def test_a_run_that_does_not_exist_is_not_found(shared: Shared, method: str, path: str) -> None:
    """404 names the run."""
    answer = await shared.client.request(method, path)
    assert (answer.status_code, answer.json()["detail"]) == (404, f"There is no run {UNKNOWN}.")


async def test_a_run_is_followed_by_server_sent_events(served: Served) -> None:
    """The first event is the run as it stands, the last the ended run; then the stream ends."""
    served.hold()
    run = await start(served)
    events = []
    async with served.client.stream("GET", f"/api/runs/{run['id']}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for event in read_events(answer):
            events.append(event)
            served.rig.desk.faults.clear()
    ended = await served.ended(run["id"])
    assert {name for name, _, _ in events} == {"run"}
    assert events[0][2]["state"] in ("queued", "running")
    assert events[-1][1:] == ("end", ended)
    states = [data["state"] for _, _, data in events]
    assert states == sorted(states, key=["queued", "running", "succeeded"].index)
    assert all(one != other for one, other in pairwise(events))


async def read_events(answer: httpx.Response) -> Any:
    """(event, id, data) of each event of a stream."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield fields["event"], fields["id"], json.loads(fields["data"])
            fields = {}


async def test_an_idle_stream_shows_that_it_is_alive(served: Served) -> None:
    """While nothing changes a comment comes now and then, which clients ignore."""
    served.hold()
    run = await start(served)
    server = Server(served.rig.app, pace=Pace(poll=timedelta(milliseconds=5), heartbeat=timedelta(milliseconds=20)))
    server.start()
    path = f"{server.url}/api/runs/{run['id']}/events"
    async with httpx.AsyncClient(trust_env=False) as client, client.stream("GET", path) as answer:
        async for line in answer.aiter_lines():
            if line.startswith(":"):
                break
    await server.stop()


@together
async def test_a_browser_that_saw_the_end_is_told_to_stay_away(shared: Shared) -> None:
    """Coming back with the last event's id is answered 204, at which an EventSource stops reconnecting."""
    run = await start(shared)
    await shared.ended(run["id"])
    answer = await shared.client.get(f"/api/runs/{run['id']}/events", headers={"Last-Event-ID": "end"})
    assert (answer.status_code, answer.content) == (204, b"")


async def test_a_run_is_followed_over_a_websocket_to_its_end(served: Served) -> None:
    """The same messages; a cancelled run is the last of them, and the socket is closed as done."""
    served.hold()
    run = await start(served, stream="tickets")
    address = served.server.url.replace("http", "ws", 1) + f"/api/v1/runs/{run['id']}/events"
    messages = []
    async with connect(address, proxy=None) as socket:
        messages.append(json.loads(await socket.recv()))
        cancelled = await served.client.post(f"/api/v1/runs/{run['id']}/cancel")
        assert (cancelled.status_code, cancelled.json()["cancel_requested"]) == (200, True)
        messages += [json.loads(message) async for message in socket]
    assert socket.close_code == 1000
    assert messages[0]["id"] == run["id"]
    assert messages[-1] == await served.ended(run["id"])
    assert messages[-1]["state"] == "cancelled"


@together
async def test_a_websocket_to_nothing_is_refused_before_it_opens(shared: Shared) -> None:
    """The handshake is answered with problem details: 404 without such a run, 403 for a page of another site."""
    run = await start(shared)
    await shared.ended(run["id"])
    base = shared.server.url.replace("http", "ws", 1)
    answers = []
    for run_id, origin in ((uuid4(), None), (run["id"], "https://evil.example")):
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"{base}/api/runs/{run_id}/events", proxy=None, origin=origin):  # type: ignore[arg-type]
                pass
        response = refused.value.response
        answers.append((response.status_code, response.headers["content-type"], json.loads(response.body)["code"]))
    assert answers == [
        (404, "application/problem+json", "not_found"),
        (403, "application/problem+json", "forbidden"),
    ]
