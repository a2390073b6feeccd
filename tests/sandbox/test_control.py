"""The control API: state for comparison, clock, edits, calls, switches; and the server itself."""

from __future__ import annotations

import socket
import threading
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from deskloom.sandbox import Clock, Desk, Fault, SandboxServer, Switches, generate, main

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def test_summary(control: httpx.Client) -> None:
    """The summary counts every kind."""
    row = control.get("").json()
    assert (row["product"], row["now"], row["frozen"]) == ("freshdesk", "2026-11-20T09:00:00Z", True)
    assert (row["counts"]["tickets"], row["counts"]["articles"], row["counts"]["companies"]) == (60, 24, 12)


@pytest.mark.parametrize("kind", ["tickets", "conversations", "contacts", "companies", "agents", "folders", "articles"])
def test_state_in_pages(desk: Desk, control: httpx.Client, kind: str) -> None:
    """The whole truth can be read page by page, nothing twice."""
    rows, after = [], 0
    while after is not None:
        page = control.get(f"state/{kind}", params={"after": after, "limit": 7}).json()
        rows, after = rows + page["rows"], page["next"]
    assert rows == desk.state(kind)


def test_state_has_what_lists_hide(desk: Desk, control: httpx.Client) -> None:
    """Deleted, spam and archived tickets are in the state, marked."""
    desk.archive(ids=[30])
    rows = control.get("state/tickets").json()["rows"]
    hidden = {name: [row["id"] for row in rows if row[name]] for name in ("deleted", "spam", "archived")}
    assert hidden == {"deleted": [21, 22], "spam": [23, 24], "archived": [30]}


def test_clock(desk: Desk, api: httpx.Client, control: httpx.Client) -> None:
    """The clock can be advanced, set, frozen and run, ahead of or behind real time."""
    assert control.post("clock", json={"advance": 3600}).json()["now"] == "2026-11-20T10:00:00Z"
    assert control.post("clock", json={"freeze": "2030-01-01"}).json() == {
        "now": "2030-01-01T00:00:00Z",
        "frozen": True,
    }
    assert api.get("agents/me").headers["date"] == "Tue, 01 Jan 2030 00:00:00 GMT"
    assert control.post("clock", json={"run": "2020-01-01"}).json()["frozen"] is False
    assert desk.clock.now() < datetime(2020, 1, 1, 1, tzinfo=UTC)
    assert control.post("clock", json={"freeze": "noon"}).status_code == 400


def test_random_edits_are_seeded() -> None:
    """The same seed on the same account makes the same edits."""
    desks = [generate(seed=3, tickets=40, articles=12, clock=Clock(NOW)) for _ in range(2)]
    done = []
    for desk in desks:
        desk.clock.advance(60)
        done.append(desk.edit(seed=5, count=200))
    kinds = ("tickets", "conversations", "contacts", "companies", "articles", "folders")
    assert done[0] == done[1]
    assert [desks[0].state(kind) for kind in kinds] == [desks[1].state(kind) for kind in kinds]


def test_edits_by_the_control_api(desk: Desk, api: httpx.Client, control: httpx.Client) -> None:
    """Steps and random edits can be asked for; a step that is refused says why."""
    steps = [{"spam": 30}, {"method": "PUT", "path": "/api/v2/tickets/31", "body": {"status": 4}}, {"advance": 60}]
    assert control.post("edit", json={"do": steps}).status_code == 200
    assert (api.get("tickets/30").json()["spam"], api.get("tickets/31").json()["status"]) == (True, 4)
    assert len(control.post("edit", json={"seed": 1, "count": 10}).json()["done"]) == 10
    refused = control.post("edit", json={"do": [{"method": "PUT", "path": "tickets/21", "body": {"status": 4}}]})
    assert (refused.status_code, "405" in refused.json()["error"]) == (400, True)


def test_calls_are_counted(api: httpx.Client, control: httpx.Client) -> None:
    """Calls are counted by endpoint and outcome, with credits, and the log shows the lines asked for."""
    control.post("calls")
    api.get("tickets?include=stats")
    api.get("tickets/1/conversations")
    api.get("tickets/2/conversations")
    api.get("nothing")
    row = control.get("calls", params={"log": "true"}).json()
    log = [line["request"] for line in row.pop("log")]
    assert row == {
        "total": 4,
        "credits": 6,
        "by_endpoint": {"GET /nothing": 1, "GET /tickets": 1, "GET /tickets/[id]/conversations": 2},
        "by_outcome": {"200": 3, "404": 1},
    }
    assert log[0] == "GET /api/v2/tickets?include=stats"
    control.post("calls")
    assert control.get("calls").json()["total"] == 0


def test_switches_over_http(desk: Desk, control: httpx.Client) -> None:
    """Switches can be read and set; names and values are checked."""
    assert control.post("switches", json={"deleted_view": 403, "archive_after_days": 120}).status_code == 200
    assert desk.switches == Switches(deleted_view=403, archive_after_days=120)
    wrong = [{"deleted_view": 500}, {"no_such": 1}, {"link_space": "yes"}, {"archive_after_days": "x"}]
    assert [control.post("switches", json=body).status_code for body in wrong] == [400] * 4


def test_plan_over_http(api: httpx.Client, control: httpx.Client) -> None:
    """The rate plan can be changed while the sandbox runs."""
    assert control.post("plan", json={"plan": "growth"}).status_code == 200
    assert api.get("agents/me").headers["x-ratelimit-total"] == "200"
    assert control.post("plan", json={"plan": "gold"}).status_code == 400


def test_unknown_control_path(control: httpx.Client) -> None:
    """What there is not is answered with what there is."""
    assert "GET /_sandbox/calls" in control.get("weather").json()["error"]


def test_hourly_window() -> None:
    """An account with hourly windows names the hour's total and waits for its end."""
    desk = generate(tickets=1, articles=0, clock=Clock(NOW), plan="hourly")
    headers, wait = desk.limits.charge("GET /x", 3000, parts_in="requests", total_of="account")
    desk.clock.advance(timedelta(minutes=20))
    assert (headers["x-ratelimit-remaining"], wait) == ("0", None)
    assert desk.limits.charge("GET /x", 1, parts_in="requests", total_of="account")[1] == 2400


def test_port_taken() -> None:
    """A port that is taken is named."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port}"):
            SandboxServer(Desk(), port=port).start()


def test_stop_frees_hanging_requests(desk: Desk) -> None:
    """Stopping does not wait for a request that hangs on purpose."""
    arrived, ended = threading.Event(), []
    desk.faults.before("agents", arrived.set)
    desk.faults.add(Fault(match="agents", kind="hang"))
    server = SandboxServer(desk).start()

    def ask() -> None:
        try:
            httpx.get(f"{server.url}/api/v2/agents/me", timeout=30)
        except httpx.TransportError as error:
            ended.append(type(error))

    asking = threading.Thread(target=ask)
    asking.start()
    assert arrived.wait(10)
    server.stop()
    asking.join(10)
    assert ended in ([httpx.ReadError], [httpx.RemoteProtocolError])
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url)


def test_main_refuses(tmp_path: object) -> None:
    """A product, plan or folder there is not ends with what to do."""
    with pytest.raises(ValueError, match="choose one of freshdesk"):
        main(product="zendesk")
    with pytest.raises(ValueError, match="choose one of none"):
        main(plan="gold")
    with pytest.raises(FileNotFoundError, match="lacks tickets"):
        main(from_folder=str(tmp_path))
