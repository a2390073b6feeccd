"""Listing tickets: windows, order, paging, includes, filters (HELPDESK-APIS 2.4 and 2.5)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from deskloom.sandbox import Clock, Desk, SandboxServer
from deskloom.sandbox.clock import stamp

ASCENDING = {"updated_since": "2020-01-01T00:00:00Z", "order_by": "updated_at", "order_type": "asc"}


def ids(answer: httpx.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [row["id"] for row in answer.json()]


def walk(api: httpx.Client, path: str, params: dict[str, str]) -> list[dict[str, Any]]:
    """All rows by following the Link header."""
    rows, answer = [], api.get(path, params=params)
    while True:
        rows += answer.json()
        if "next" not in answer.links:
            return rows
        answer = api.get(answer.links["next"]["url"].strip())


def live(desk: Desk) -> list[dict[str, Any]]:
    return [row for row in desk.state("tickets") if not (row["deleted"] or row["spam"])]


def test_default_window_is_thirty_days(desk: Desk, api: httpx.Client) -> None:
    """Without updated_since only tickets created in the last 30 days come, newest first (T1, T5)."""
    limit = stamp(desk.clock.now() - timedelta(days=30))
    recent = [row for row in live(desk) if row["created_at"] >= limit]
    expected = [row["id"] for row in sorted(recent, key=lambda row: (row["created_at"], row["id"]), reverse=True)]
    assert ids(api.get("tickets", params={"per_page": "100"})) == expected
    assert 0 < len(expected) < len(live(desk))


def test_ascending_walk_sees_everything_once(desk: Desk, api: httpx.Client) -> None:
    """Ascending updated_at with updated_since walks all live tickets through the Link header."""
    expected = [row["id"] for row in sorted(live(desk), key=lambda row: (row["updated_at"], row["id"]))]
    assert [row["id"] for row in walk(api, "tickets", {**ASCENDING, "per_page": "7"})] == expected


@pytest.mark.parametrize("inclusive", [True, False])
def test_updated_since_edge(desk: Desk, api: httpx.Client, inclusive: bool) -> None:
    """By switch the row at exactly updated_since is in or out."""
    desk.switches = replace(desk.switches, updated_since_inclusive=inclusive)
    rows = sorted(live(desk), key=lambda row: (row["updated_at"], row["id"]))
    edge = rows[5]["updated_at"]
    found = ids(api.get("tickets", params={**ASCENDING, "updated_since": edge, "per_page": "100"}))
    assert found == [r["id"] for r in rows if r["updated_at"] > edge or (inclusive and r["updated_at"] == edge)]


@pytest.mark.parametrize(
    "text", ["2026-11-01", "2026-11-01T00:00", "2026-11-01T00:00:00Z", "2026-11-01T05:30:00+05:30"]
)
def test_timestamps_in(api: httpx.Client, text: str) -> None:
    """Every documented way to write a time means the same instant."""
    plain = ids(api.get("tickets", params={**ASCENDING, "updated_since": "2026-11-01T00:00:00Z"}))
    assert ids(api.get("tickets", params={**ASCENDING, "updated_since": text})) == plain


def test_unencoded_plus(server: SandboxServer) -> None:
    """A plus that is not URL-encoded arrives as a space and is refused (T45)."""
    url = f"{server.url}/api/v2/tickets?updated_since=2026-11-01T00:00:00+05:30"
    assert httpx.get(url, auth=("sandbox", "X")).status_code == 400


@pytest.mark.parametrize("params", [{"per_page": "101"}, {"per_page": "0"}, {"page": "0"}, {"page": "x"}])
def test_numbers_out_of_range(api: httpx.Client, params: dict[str, str]) -> None:
    """Pages start at one and hold one to a hundred rows."""
    answer = api.get("tickets", params=params)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, next(iter(params)))


def test_page_301(api: httpx.Client) -> None:
    """Page 301 of the ticket list answers the exact 400 (T2)."""
    message = "You cannot access tickets beyond the 300th page. Please provide a smaller page number."
    error = {"field": "page", "message": message, "code": "invalid_value"}
    answer = api.get("tickets", params={**ASCENDING, "page": "301"})
    assert (answer.status_code, answer.json()) == (400, {"description": "Validation failed", "errors": [error]})
    assert api.get("tickets", params={**ASCENDING, "page": "300"}).json() == []


def test_more_than_thirty_thousand(server: SandboxServer) -> None:
    """Page 300 of a larger account still has a next page, and that one is refused (T2)."""
    desk = Desk(clock=Clock(server.desk.clock.now()))
    desk.agents.put(
        {"id": 1, "_admin": True, "contact": {"name": "A"}, "created_at": "2026-01-01T00:00:00Z", "updated_at": ""}
    )
    at = "2026-11-19T00:00:00Z"
    desk.tickets.fill({"id": n, "created_at": at, "updated_at": at, "requester_id": 1} for n in range(1, 30_102))
    with SandboxServer(desk) as big, httpx.Client(base_url=f"{big.url}/api/v2", auth=("sandbox", "X")) as api:
        answer = api.get("tickets", params={**ASCENDING, "per_page": "100", "page": "300"})
        assert ids(answer) == list(range(29_901, 30_001))
        assert api.get(answer.links["next"]["url"].strip()).status_code == 400


def test_link_only_when_more(desk: Desk, api: httpx.Client) -> None:
    """A last page that is exactly full has no Link header (T8)."""
    count = len(live(desk))
    full = api.get("tickets", params={**ASCENDING, "per_page": str(count)})
    short = api.get("tickets", params={**ASCENDING, "per_page": str(count - 1)})
    assert ("link" in full.headers, "link" in short.headers) == (False, True)
    assert short.headers["link"].startswith("< http")
    desk.switches = replace(desk.switches, link_space=False)
    assert api.get("tickets", params={**ASCENDING, "per_page": "1"}).headers["link"].startswith("<http")


def test_includes(api: httpx.Client) -> None:
    """Description, requester and stats come only when asked for; attachments and conversations never in a list."""
    plain = api.get("tickets", params={**ASCENDING, "per_page": "1"}).json()[0]
    whole = api.get("tickets", params={**ASCENDING, "per_page": "1", "include": "description,requester,stats"}).json()[
        0
    ]
    assert set(whole) - set(plain) == {"description", "description_text", "requester", "stats"}
    assert {"attachments", "conversations", "deleted"} & set(whole) == set()
    assert whole["requester"].keys() == {"id", "name", "email", "mobile", "phone"}
    assert len(whole["stats"]) == 8


@pytest.mark.parametrize("include", ["conversations", "company", "everything"])
def test_includes_a_list_does_not_know(api: httpx.Client, include: str) -> None:
    """Lists know three includes."""
    assert api.get("tickets", params={"include": include}).status_code == 400


@pytest.mark.parametrize("state", ["deleted", "spam"])
def test_hidden_tickets(desk: Desk, api: httpx.Client, state: str) -> None:
    """Deleted and spam tickets are in no list but their own (T16)."""
    hidden = {row["id"] for row in desk.state("tickets") if row[state]}
    rows = api.get("tickets", params={**ASCENDING, "filter": state}).json()
    assert {row["id"] for row in rows} == hidden
    assert all(row[state] is True for row in rows)
    assert hidden.isdisjoint(ids(api.get("tickets", params={**ASCENDING, "per_page": "100"})))


@pytest.mark.parametrize("window", [False, True])
def test_window_of_deleted(desk: Desk, api: httpx.Client, window: bool) -> None:
    """By switch the 30-day window applies to deleted tickets too."""
    desk.switches = replace(desk.switches, deleted_window=window)
    assert ids(api.get("tickets", params={"filter": "deleted"})) == ([] if window else [22, 21])


def test_other_filters(desk: Desk, api: httpx.Client) -> None:
    """Requester, company and e-mail narrow the list."""
    row = next(row for row in live(desk) if row["id"] == 30)
    person = next(person for person in desk.state("contacts") if person["id"] == row["requester_id"])
    asked = [r["id"] for r in live(desk) if r["requester_id"] == row["requester_id"]]
    for params in ({"requester_id": str(person["id"])}, {"email": person["email"]}):
        assert sorted(ids(api.get("tickets", params={**ASCENDING, **params}))) == asked
    of_company = [r["id"] for r in live(desk) if r["company_id"] == row["company_id"]]
    assert sorted(ids(api.get("tickets", params={**ASCENDING, "company_id": str(row["company_id"])}))) == of_company


@pytest.mark.parametrize("order", ["created_at", "due_by", "status"])
def test_other_orders(desk: Desk, api: httpx.Client, order: str) -> None:
    """The other columns sort too, and descending is the exact reverse."""
    params = {**ASCENDING, "order_by": order, "per_page": "100"}
    up = ids(api.get("tickets", params=params))
    key = {row["id"]: str(row[order] or "") for row in live(desk)}
    assert up == sorted(key, key=lambda number: (key[number], number))
    assert ids(api.get("tickets", params={**params, "order_type": "desc"})) == up[::-1]


def test_archive(desk: Desk, api: httpx.Client) -> None:
    """Archived tickets leave the list and the normal path; their own path has them (T21)."""
    desk.archive(ids=[30])
    paths = ("tickets/30", "tickets/30/conversations", "tickets/archived/30", "tickets/archived/30/conversations")
    assert [api.get(path).status_code for path in paths] == [404, 404, 200, 200]
    assert api.get("tickets/archived/30").json()["archived"] is True
    assert 30 not in ids(api.get("tickets", params={**ASCENDING, "per_page": "100"}))
    desk.switches = replace(desk.switches, archived_listed=True, archived_view=200)
    assert 30 in ids(api.get("tickets", params={**ASCENDING, "per_page": "100"}))
    assert api.get("tickets/30").status_code == 200


def test_archive_by_age(desk: Desk, api: httpx.Client) -> None:
    """With the switch, closed tickets untouched for 120 days are archived as time goes on."""
    desk.switches = replace(desk.switches, archive_after_days=120)
    limit = stamp(desk.clock.now() - timedelta(days=120))
    expected = {row["id"] for row in live(desk) if row["status"] == 5 and row["updated_at"] < limit}
    api.get("tickets")
    assert {row["id"] for row in desk.state("tickets") if row["archived"]} == expected
    assert expected
