"""Faults on demand and edits between requests: what a connector has to survive."""

from __future__ import annotations

import json

import httpx
import pytest

from deskloom.sandbox import Desk, Fault

ASCENDING = {"updated_since": "2020-01-01T00:00:00Z", "order_by": "updated_at", "order_type": "asc"}


def test_403_once(desk: Desk, api: httpx.Client) -> None:
    """A passing 403 passes (T40)."""
    desk.faults.add(Fault(match="GET /api/v2/tickets", kind="403"))
    answers = [api.get("tickets") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [403, 200]
    assert answers[0].json()["code"] == "access_denied"


def test_403_for_good(desk: Desk, api: httpx.Client) -> None:
    """A permanent one stays, with the code of a missing plan feature (T39)."""
    desk.faults.add(Fault(match="/solutions/", kind="403", times=None, code="require_feature"))
    answers = [api.get("solutions/categories") for _ in range(3)]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(403, "require_feature")}
    assert api.get("agents/me").status_code == 200


@pytest.mark.parametrize("kind", ["500", "502", "503", "504"])
def test_gateway_pages(desk: Desk, api: httpx.Client, kind: str) -> None:
    """Gateway errors are HTML (T41)."""
    desk.faults.add(Fault(match="agents", kind=kind, times=2))  # type: ignore[arg-type]
    answers = [api.get("agents/me") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [int(kind), int(kind), 200]
    assert answers[0].headers["content-type"].startswith("text/html")


def test_404_is_empty(desk: Desk, api: httpx.Client) -> None:
    """A 404 by fault has no body and no content type."""
    desk.faults.add(Fault(match="tickets/1$", kind="404"))
    answer = api.get("tickets/1")
    assert (answer.status_code, answer.content, "content-type" in answer.headers) == (404, b"", False)


def test_429_bursts(desk: Desk, api: httpx.Client) -> None:
    """Bursts come with Retry-After or without (T36)."""
    desk.faults.add(Fault(match="contacts", kind="429", times=2, retry_after=7))
    desk.faults.add(Fault(match="contacts", kind="429"))
    answers = [api.get("contacts") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 429, 429, 200]
    assert [answer.headers.get("retry-after") for answer in answers] == ["7", "7", None, None]


def test_truncated_json(desk: Desk, api: httpx.Client) -> None:
    """A truncated answer is a well-formed 200 whose JSON breaks off."""
    desk.faults.add(Fault(match="agents/me", kind="truncate"))
    answer = api.get("agents/me")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json; charset=utf-8")
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_html_instead_of_json(desk: Desk, api: httpx.Client) -> None:
    """A sign-in page can come with status 200."""
    desk.faults.add(Fault(match="agents/me", kind="html"))
    answer = api.get("agents/me")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")


def test_connection_ends_in_mid_body(desk: Desk, api: httpx.Client) -> None:
    """A cut answer announces more than it sends."""
    desk.faults.add(Fault(match="agents/me", kind="cut"))
    with pytest.raises(httpx.RemoteProtocolError):
        api.get("agents/me")
    assert api.get("agents/me").status_code == 200


def test_reset(desk: Desk, api: httpx.Client) -> None:
    """A reset breaks the connection without an answer."""
    desk.faults.add(Fault(match="agents/me", kind="reset"))
    with pytest.raises(httpx.ReadError):
        api.get("agents/me")
    assert api.get("agents/me").status_code == 200


def test_hang(desk: Desk, api: httpx.Client) -> None:
    """A hanging request ends by the client's own time-out."""
    desk.faults.add(Fault(match="agents/me", kind="hang"))
    with pytest.raises(httpx.ReadTimeout):
        api.get("agents/me", timeout=0.05)
    assert api.get("agents/me").status_code == 200


def test_slow(desk: Desk, api: httpx.Client) -> None:
    """A slow answer is the right one."""
    desk.faults.add(Fault(match="agents/me", kind="slow", seconds=0.01))
    assert api.get("agents/me").status_code == 200


def test_skip(desk: Desk, api: httpx.Client) -> None:
    """A rule may let some requests pass first, so that page 3 fails and not page 1."""
    desk.faults.add(Fault(match="GET /api/v2/tickets", kind="500", skip=2))
    assert [api.get("tickets").status_code for _ in range(4)] == [200, 200, 500, 200]


def test_a_row_changes_between_two_pages(desk: Desk, api: httpx.Client) -> None:
    """A row that is updated between pages leaves its place, and another slips over the page border (T5)."""
    whole = [row["id"] for row in api.get("tickets", params={**ASCENDING, "per_page": "100"}).json()]
    desk.faults.before(
        "page=2", lambda: desk.perform({"method": "PUT", "path": f"tickets/{whole[0]}", "body": {"priority": 4}})
    )
    first = [row["id"] for row in api.get("tickets", params={**ASCENDING, "per_page": "10", "page": "1"}).json()]
    desk.clock.advance(60)
    second = [row["id"] for row in api.get("tickets", params={**ASCENDING, "per_page": "10", "page": "2"}).json()]
    assert (first, second) == (whole[:10], whole[11:21])


def test_a_row_is_deleted_between_list_and_view(desk: Desk, api: httpx.Client, control: httpx.Client) -> None:
    """A hook by the control API deletes a ticket just before its conversations are asked for (T20)."""
    step = {"method": "DELETE", "path": "tickets/30"}
    control.post("hooks", json={"match": "tickets/30/conversations", "nth": 2, "do": [step]})
    api.get("tickets/30/conversations")
    before = api.get("tickets/30").json().get("deleted", False)
    api.get("tickets/30/conversations")
    assert (before, api.get("tickets/30").json()["deleted"]) == (False, True)


def test_faults_by_the_control_api(api: httpx.Client, control: httpx.Client) -> None:
    """Rules can be added, seen and cleared over HTTP; a wrong kind is refused with the choices."""
    rules = [{"match": "agents", "kind": "503", "times": None}, {"match": "groups", "kind": "404"}]
    assert len(control.post("faults", json={"faults": rules}).json()["faults"]) == 2
    assert api.get("agents/me").status_code == 503
    assert control.delete("faults").json() == {"faults": [], "hooks": 0}
    assert api.get("agents/me").status_code == 200
    answer = control.post("faults", json={"match": "x", "kind": "lightning"})
    assert (answer.status_code, "choose one of" in answer.json()["error"]) == (400, True)
