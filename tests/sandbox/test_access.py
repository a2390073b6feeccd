"""Credentials, errors, verbs and limits, as HELPDESK-APIS sections 2.1 to 2.3 describe them."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from deskloom.sandbox import Desk, SandboxServer

OPEN = {"updated_since": "2020-01-01T00:00:00Z"}


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer sandbox"}, {"authorization": "Basic c2FuZA=="}])
def test_wrong_credentials(server: SandboxServer, headers: dict[str, str]) -> None:
    """Without the account's key every path answers the documented 401."""
    answer = httpx.get(f"{server.url}/api/v2/tickets", headers=headers)
    expected = {"code": "invalid_credentials", "message": "You have to be logged in to perform this action."}
    assert (answer.status_code, answer.json()) == (401, expected)


def test_any_password(server: SandboxServer) -> None:
    """The password beside the key is not looked at."""
    codes = [
        httpx.get(f"{server.url}/api/v2/agents/me", auth=("sandbox", word)).status_code for word in ("X", "", "long")
    ]
    assert codes == [200, 200, 200]


def test_agents_need_an_administrator(server: SandboxServer) -> None:
    """An agent without admin rights may ask for itself, not for the list."""
    auth = ("sandbox-agent", "X")
    answer = httpx.get(f"{server.url}/api/v2/agents", auth=auth)
    assert (answer.status_code, answer.json()["code"]) == (403, "access_denied")
    assert httpx.get(f"{server.url}/api/v2/agents/me", auth=auth).status_code == 200


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("tickets?created_since=x", "created_since"),
        ("contacts?_updated_since=2026-01-01", "_updated_since"),
        ("companies?foo=1", "foo"),
    ],
)
def test_unknown_query_member(api: httpx.Client, path: str, field: str) -> None:
    """An unknown query member is a 400 with code invalid_field (T43)."""
    error = {"field": field, "message": "Unexpected/invalid field in request", "code": "invalid_field"}
    answer = api.get(path)
    assert (answer.status_code, answer.json()) == (400, {"description": "Validation failed", "errors": [error]})


def test_doubled_slash(server: SandboxServer) -> None:
    """A doubled slash in the path is a 400, not a 404 (T42)."""
    answer = httpx.get(f"{server.url}//api/v2/tickets", auth=("sandbox", "X"))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "invalid_field")


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [("GET", "nothing", 404), ("GET", "tickets/999999", 404), ("PUT", "tickets", 405), ("PATCH", "tickets/1", 405)],
)
def test_not_there_and_not_allowed(api: httpx.Client, verb: str, path: str, status: int) -> None:
    """404 and 405 have empty bodies by default."""
    answer = api.request(verb, path, json={})
    assert (answer.status_code, answer.content) == (status, b"")


def test_body_rules(api: httpx.Client) -> None:
    """Bodies must be JSON, members known, ids numbers (T44)."""
    bad_json = api.post("tickets", content=b"{", headers={"content-type": "application/json"})
    xml = api.post("tickets", content=b"<a/>", headers={"content-type": "application/xml"})
    unknown = api.post("tickets", json={"email": "a@b.example", "colour": "red"})
    text_id = api.post("tickets", json={"requester_id": "15000000006"})
    seen = [answer.json()["errors"][0]["code"] for answer in (bad_json, unknown, text_id)]
    assert (seen, xml.status_code) == (["invalid_json", "invalid_field", "datatype_mismatch"], 415)
    assert api.get("tickets", headers={"accept": "text/xml"}).status_code == 406


def test_limits_of_growth(desk: Desk, api: httpx.Client) -> None:
    """The 21st ticket list within a minute is refused with the seconds to wait, and passes after them (T36)."""
    desk.limits = desk.limits.on("growth")
    answers = [api.get("tickets", params=OPEN) for _ in range(21)]
    last = answers[-1]
    assert [answer.status_code for answer in answers] == [200] * 20 + [429]
    assert (answers[0].headers["x-ratelimit-total"], answers[0].headers["x-ratelimit-remaining"]) == ("200", "199")
    assert (last.headers["retry-after"], last.headers["x-ratelimit-remaining"]) == ("60", "0")
    assert "retry-after" not in answers[0].headers
    desk.clock.advance(60)
    assert api.get("tickets", params=OPEN).status_code == 200


def test_account_limit_counts_invalid_requests(desk: Desk, api: httpx.Client) -> None:
    """On the trial plan 50 requests a minute pass, wrong ones included."""
    desk.limits = desk.limits.on("trial")
    codes = [api.get("nothing").status_code for _ in range(49)] + [api.get("agents/me").status_code for _ in range(2)]
    assert codes == [404] * 49 + [200, 429]


def test_total_of_the_endpoint(desk: Desk, api: httpx.Client) -> None:
    """By switch the headers tell the endpoint's window, so one counter is not enough (rule 8)."""
    desk.limits, desk.switches = desk.limits.on("pro"), replace(desk.switches, rate_total="endpoint")
    totals = [api.get(path).headers["x-ratelimit-total"] for path in ("tickets", "contacts", "companies")]
    assert totals == ["100", "100", "400"]


@pytest.mark.parametrize(
    ("path", "credits"),
    [
        ("tickets", 1), ("tickets?include=description", 3), ("tickets?include=description,requester,stats", 7),
        ("tickets/1", 1), ("tickets/1?include=requester,company", 3), ("tickets/1?include=conversations", 2),
    ],
)  # fmt: skip
def test_credits(api: httpx.Client, path: str, credits: int) -> None:
    """Includes cost two each on lists, one each on views (T37)."""
    assert api.get(path).headers["x-ratelimit-used-currentrequest"] == str(credits)


def test_version_and_date_on_every_answer(api: httpx.Client) -> None:
    """The version header is always there, and Date tells the sandbox's time."""
    answers = [api.get("agents/me"), api.get("nothing"), api.get("tickets?x=1")]
    heads = {(a.headers["x-freshdesk-api-version"], a.headers["date"]) for a in answers}
    assert heads == {("latest=v2; requested=v2", "Fri, 20 Nov 2026 09:00:00 GMT")}


def test_suspended_account(desk: Desk, api: httpx.Client) -> None:
    """A suspended account can be read and not written."""
    desk.switches = replace(desk.switches, suspended=True)
    answer = api.put("tickets/1", json={"status": 2})
    assert (answer.status_code, answer.json()["code"]) == (403, "account_suspended")
    assert api.get("tickets/1").status_code == 200


def test_plan_gates(api: httpx.Client, desk: Desk) -> None:
    """An endpoint that the plan lacks answers 403 `require_feature`, whatever is asked of it; the others answer."""
    desk.switches = replace(desk.switches, gated=("tickets/[id]/time_entries",))
    answer = api.get("/tickets/9/time_entries")
    assert (answer.status_code, answer.json()["code"]) == (403, "require_feature")
    codes = (api.post("/tickets/9/time_entries", json={}).status_code, api.get("/time_entries").status_code)
    assert codes == (403, 200)
