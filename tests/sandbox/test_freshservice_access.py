"""Freshservice's credentials, headers, limits and plan gates (HELPDESK-APIS 3.1 to 3.3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from deskloom.sandbox import Fault, FreshserviceDesk, SandboxServer


def test_keys_only(fs: httpx.Client) -> None:
    """A wrong key is a 401, and a name with a password a 401 of its own kind."""
    wrong = fs.get("/agents/me", auth=("other", "X"))
    password = fs.get("/agents/me", auth=("ada@example.com", "secret"))
    assert (wrong.status_code, wrong.json()["code"]) == (401, "invalid_credentials")
    assert (password.status_code, password.json()["code"]) == (401, "unsupported_authentication_type")


def test_headers(fs: httpx.Client) -> None:
    """Every answer names the product's version, none Freshdesk's."""
    headers = fs.get("/tickets").headers
    assert headers["x-freshservice-api-version"] == "latest=v2; requested=v2"
    assert "x-freshdesk-api-version" not in headers


@pytest.mark.parametrize(
    ("plan", "total", "lists", "one"),
    [("starter", 100, 40, 50), ("growth", 200, 70, 80), ("pro", 400, 120, 140), ("enterprise", 500, 140, 160)],
)
def test_the_total_is_the_endpoints(
    fs: httpx.Client, service: FreshserviceDesk, plan: str, total: int, lists: int, one: int
) -> None:
    """`X-RateLimit-Total` tells the endpoint's limit where it has one, each with a counter of its own."""
    service.limits = service.limits.on(plan)
    paths = ("/tickets", "/agents", "/requesters", "/tickets/9", "/groups", "/groups")
    answers = [fs.get(path).headers for path in paths]
    shown = [(int(a["x-ratelimit-total"]), int(a["x-ratelimit-remaining"])) for a in answers]
    own = [(lists, lists - 1)] * 3 + [(one, one - 1)]
    assert shown == [*own, (total, total - 5), (total, total - 6)]


def test_a_sublimit_refuses_before_the_account_does(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """The 41st list of a Starter's minute is a 429 that says when to come back; other endpoints go on."""
    service.limits = service.limits.on("starter")
    codes = [fs.get("/tickets").status_code for _ in range(40)]
    refused = fs.get("/tickets")
    assert set(codes) == {200}
    assert (refused.status_code, refused.headers["retry-after"], list(refused.json())) == (429, "60", ["message"])
    assert fs.get("/groups").status_code == 200
    service.clock.advance(60)
    assert fs.get("/tickets").status_code == 200


def test_the_account_as_a_switch(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """The total may as well be the account's."""
    service.limits = service.limits.on("pro")
    service.switches = replace(service.switches, rate_total="account")
    assert fs.get("/tickets").headers["x-ratelimit-total"] == "400"


@pytest.mark.parametrize("path", ["tickets/9/time_entries", "departments", "solutions/categories"])
def test_plan_gates(fs: httpx.Client, service: FreshserviceDesk, path: str) -> None:
    """An endpoint the plan lacks answers 403 `require_feature`; the others answer."""
    template = path.replace("9", "[id]")
    service.switches = replace(service.switches, gated=(template,))
    answer = fs.get(f"/{path}")
    assert (answer.status_code, answer.json()["code"]) == (403, "require_feature")
    assert fs.get("/tickets").status_code == 200


def test_switches_by_the_control_api(running: SandboxServer, fs: httpx.Client, service: FreshserviceDesk) -> None:
    """Switches are set by name; lists of names and fixed choices are checked."""
    control = f"{running.url}/_sandbox"
    good: dict[str, Any] = {"gated": ["departments"], "order_by": "ignored", "time_spent_seconds": True}
    assert httpx.post(f"{control}/switches", json=good).status_code == 200
    assert (service.switches.gated, service.switches.order_by) == (("departments",), "ignored")
    bad = [{"gated": "departments"}, {"gated": [1]}, {"order_by": "up"}, {"archived_view": 404}]
    assert [httpx.post(f"{control}/switches", json=row).status_code for row in bad] == [400] * 4
    summary = httpx.get(control).json()
    assert (summary["product"], summary["counts"]["tickets"]) == ("freshservice", 60)


def test_agents_need_an_administrator(fs: httpx.Client) -> None:
    """A plain agent may neither list agents nor mix them into the requesters."""
    auth = ("sandbox-agent", "X")
    paths = ("/agents", "/requesters?include_agents=true", "/agents/me", "/requesters", "/tickets")
    assert [fs.get(path, auth=auth).status_code for path in paths] == [403, 403, 200, 200, 200]


def test_a_plain_agent_sees_its_workspaces(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """The lists of an agent without rights are shorter, and tickets elsewhere are not found."""
    auth = ("sandbox-agent", "X")
    everything = {"updated_since": "2020-01-01", "workspace_id": 0, "per_page": 100}
    rows = fs.get("/tickets", params=everything, auth=auth).json()["tickets"]
    elsewhere = next(row["id"] for row in service.state("tickets") if row["workspace_id"] != 2)
    assert {row["workspace_id"] for row in rows} == {2}
    assert fs.get(f"/tickets/{elsewhere}", auth=auth).status_code == 404


@pytest.mark.parametrize(
    ("kind", "status"), [("403", 403), ("404", 404), ("429", 429), ("500", 500), ("502", 502), ("503", 503)]
)
def test_faults(fs: httpx.Client, service: FreshserviceDesk, kind: Any, status: int) -> None:
    """Faults spoil this product's answers as they do the other's, and then it answers again."""
    service.faults.add(Fault(match="/tickets/9/conversations", kind=kind))
    assert [fs.get("/tickets/9/conversations").status_code for _ in range(2)] == [status, 200]


def test_calls_are_counted_by_endpoint(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """What was asked is counted under the endpoint's name, with its credits."""
    fs.get("/tickets?include=stats")
    fs.get("/tickets/9/time_entries")
    expected = {"GET /tickets": 1, "GET /tickets/[id]/time_entries": 1}
    row = service.calls.as_row()
    assert (row["by_endpoint"], row["credits"]) == (expected, 4)
