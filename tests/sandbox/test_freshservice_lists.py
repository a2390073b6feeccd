"""Freshservice's ticket lists and views: windows, orders, members, includes, limits (HELPDESK-APIS 3.1 to 3.5)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from deskloom.sandbox import FreshserviceDesk
from deskloom.sandbox.clock import moment, stamp

Rows = list[dict[str, Any]]
ALL = {"updated_since": "2020-01-01T00:00:00Z", "workspace_id": 0, "per_page": 100}


def _rows(fs: httpx.Client, path: str, **query: Any) -> Rows:
    """Every row of a list, page by page as the Link header says."""
    found: Rows = []
    page = 1
    while True:
        answer = fs.get(path, params={**query, "page": page})
        assert answer.status_code == 200, answer.text
        (rows,) = (value for value in answer.json().values() if isinstance(value, list))
        found += rows
        if "link" not in answer.headers:
            return found
        page += 1


def _ids(fs: httpx.Client, **query: Any) -> list[int]:
    return [row["id"] for row in _rows(fs, "/tickets", **{**ALL, **query})]


def _live(service: FreshserviceDesk) -> list[dict[str, Any]]:
    return [row for row in service.state("tickets") if not row["deleted"] and not row["spam"]]


def test_without_a_window_only_the_last_month_of_the_primary_workspace(
    fs: httpx.Client, service: FreshserviceDesk
) -> None:
    """The plain list is of tickets created in 30 days, in the primary workspace, the newest first."""
    month = stamp(service.clock.now() - timedelta(days=30))
    new = [row for row in _live(service) if row["created_at"] >= month and row["workspace_id"] == 2]
    newest = [row["id"] for row in sorted(new, key=lambda row: row["created_at"], reverse=True)]
    assert [row["id"] for row in _rows(fs, "/tickets")] == newest
    assert 0 < len(newest) < len(_live(service))


def test_zero_is_every_workspace_but_global_fields_only(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """`workspace_id=0` lists all workspaces, without the custom fields that are of one workspace alone."""
    truth = {row["id"]: row for row in _live(service)}
    assert sorted(_ids(fs)) == sorted(truth)
    shown = {frozenset(row["custom_fields"]) for row in _rows(fs, "/tickets", **ALL)}
    own = {frozenset(row["custom_fields"]) for row in _rows(fs, "/tickets", **{**ALL, "workspace_id": 2})}
    assert shown == {frozenset({"reference_number", "location"})}
    assert own == {frozenset({"reference_number", "product_area", "location"})}


def test_each_workspace_lists_its_own(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """The workspaces' lists together are the list of all, and no ticket stands in two."""
    parts = [_ids(fs, workspace_id=row["id"]) for row in service.state("workspaces")]
    assert sorted(key for part in parts for key in part) == sorted(row["id"] for row in _live(service))


def test_an_unknown_workspace(fs: httpx.Client) -> None:
    """A workspace that is not there is a 400; one the agent is not in a 403."""
    assert fs.get("/tickets", params={"workspace_id": 99}).status_code == 400
    assert fs.get("/tickets", params={"workspace_id": 4}, auth=("sandbox-agent", "X")).status_code == 403


def test_the_list_lacks_what_only_the_view_has(fs: httpx.Client) -> None:
    """List rows carry the description, and neither tags, urgency, impact, resolution notes nor attachments."""
    row = _rows(fs, "/tickets", **ALL)[0]
    view = fs.get(f"/tickets/{row['id']}").json()["ticket"]
    only_view = {"urgency", "impact", "resolution_notes", "resolution_notes_html", "attachments", "sla_policy_id"}
    assert only_view <= view.keys()
    assert not (only_view | {"tags", "stats"}) & row.keys()
    assert {"description", "description_text", "deleted", "workspace_id"} <= row.keys()
    assert "tags" not in view
    assert isinstance(fs.get(f"/tickets/{row['id']}?include=tags").json()["ticket"]["tags"], list)


@pytest.mark.parametrize(
    ("path", "cost"),
    [
        ("/tickets", 1), ("/tickets?include=stats", 3), ("/tickets?include=stats,requester", 5), ("/tickets/9", 1),
        ("/tickets/9?include=stats,tags", 3), ("/tickets/9?include=conversations", 2),
        ("/tickets/9/conversations", 1), ("/tickets/9/time_entries", 1),
    ],
)  # fmt: skip
def test_credits(fs: httpx.Client, path: str, cost: int) -> None:
    """Includes cost two each on lists and one each on views; conversations make a view two."""
    assert fs.get(path).headers["x-ratelimit-used-currentrequest"] == str(cost)


def test_conversations_may_cost_three(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """The docs can be read so that a view with conversations costs three."""
    service.switches = replace(service.switches, view_conversations_credits=3)
    assert fs.get("/tickets/9?include=conversations").headers["x-ratelimit-used-currentrequest"] == "3"


def test_the_view_shows_the_ten_oldest_messages(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """An include is cut at ten; the list of conversations is whole, in pages of thirty, and counts itself."""
    truth = [row["id"] for row in service.state("conversations") if row["ticket_id"] == 14]
    view = fs.get("/tickets/14?include=conversations").json()["ticket"]["conversations"]
    first = fs.get("/tickets/14/conversations").json()
    assert [row["id"] for row in view] == truth[:10]
    assert ([row["id"] for row in first["conversations"]], first["meta"]) == (truth[:30], {"count": len(truth)})
    assert [row["id"] for row in _rows(fs, "/tickets/14/conversations")] == truth


@pytest.mark.parametrize("inclusive", [True, False])
def test_updated_since(fs: httpx.Client, service: FreshserviceDesk, inclusive: bool) -> None:
    """The window starts at the stamp, or after it."""
    service.switches = replace(service.switches, updated_since_inclusive=inclusive)
    at = sorted(row["updated_at"] for row in _live(service))[20]
    expected = {
        row["id"] for row in _live(service) if row["updated_at"] > at or (inclusive and row["updated_at"] == at)
    }
    assert set(_ids(fs, updated_since=at)) == expected


@pytest.mark.parametrize("column", ["created_at", "updated_at", "id"])
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_the_column_of_the_order(fs: httpx.Client, service: FreshserviceDesk, column: Any, direction: str) -> None:
    """Which column a list is sorted by is the account's matter, its direction the caller's."""
    service.switches = replace(service.switches, sort_column=column)
    rows = sorted(_live(service), key=lambda row: (row[column], row["id"]), reverse=direction == "desc")
    assert _ids(fs, order_type=direction) == [row["id"] for row in rows]


@pytest.mark.parametrize("mode", ["refused", "ignored", "honoured"])
def test_order_by(fs: httpx.Client, service: FreshserviceDesk, mode: Any) -> None:
    """`order_by`, which is not documented, is refused, ignored or honoured."""
    service.switches = replace(service.switches, order_by=mode)
    answer = fs.get("/tickets", params={**ALL, "order_by": "updated_at", "order_type": "asc"})
    if mode == "refused":
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "invalid_field")
        return
    column = "updated_at" if mode == "honoured" else "created_at"
    rows = sorted(_live(service), key=lambda row: (row[column], row["id"]))
    assert [row["id"] for row in answer.json()["tickets"]] == [row["id"] for row in rows]


@pytest.mark.parametrize("state", ["deleted", "spam"])
def test_hidden_tickets(fs: httpx.Client, service: FreshserviceDesk, state: str) -> None:
    """Deleted and spam tickets are in no list but that of their filter, whatever their age."""
    truth = {row["id"] for row in service.state("tickets") if row[state]}
    found = {row["id"] for row in _rows(fs, "/tickets", filter=state, workspace_id=0)}
    assert (found, truth & set(_ids(fs))) == (truth, set())
    assert truth
    service.switches = replace(service.switches, deleted_window=True)
    assert _rows(fs, "/tickets", filter=state, workspace_id=0) == []


@pytest.mark.parametrize(
    "query",
    [
        {"created_since": "2020-01-01"}, {"per_page": 101}, {"per_page": 0}, {"page": 0}, {"include": "tags"},
        {"include": "description"}, {"updated_since": "2020-01-01T00:00:00 00:00"}, {"order_type": "up"},
        {"filter": "all_tickets"},
    ],
)  # fmt: skip
def test_bad_questions(fs: httpx.Client, query: dict[str, Any]) -> None:
    """Unknown members and values out of range are a 400 in the documented shape."""
    answer = fs.get("/tickets", params=query)
    assert (answer.status_code, answer.json()["description"]) == (400, "Validation failed")


def test_tags_may_be_included_in_lists(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """One connector asks lists for tags: some accounts may answer."""
    service.switches = replace(service.switches, list_tags=True)
    truth = {row["id"]: row["tags"] for row in _live(service)}
    assert {row["id"]: row["tags"] for row in _rows(fs, "/tickets", **ALL, include="tags")} == truth


def test_stats(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """A ticket's clocks come with `include=stats`, in lists and views, and are its own."""
    closed = next(row for row in _live(service) if row["stats"]["closed_at"])
    stats = fs.get(f"/tickets/{closed['id']}?include=stats").json()["ticket"]["stats"]
    took = (moment(stats["resolved_at"]) - moment(closed["created_at"])).total_seconds()
    listed = {row["id"]: row["stats"] for row in _rows(fs, "/tickets", **ALL, include="stats")}
    assert stats == closed["stats"] == listed[closed["id"]]
    assert (stats["ticket_id"], stats["resolution_time_in_secs"]) == (closed["id"], took)


def test_requesters_in_lists_are_short(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """The included requester is a few members; an agent stands there as well, and none for who was merged away."""
    rows = {row["id"]: row for row in _rows(fs, "/tickets", **ALL, include="requester")}
    agent = next(row for row in service.state("agents") if row["id"] == rows[7]["requester_id"])
    assert rows[7]["requester"]["email"] == agent["email"]
    assert set(rows[9]["requester"]) == {"id", "name", "email", "mobile", "phone"}
    assert rows[8]["requester"] is None


def test_filter_answers_thirty_and_a_total(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """`/tickets/filter` has pages of thirty whatever is asked, and says how many there are."""
    truth = [row["id"] for row in _live(service) if row["workspace_id"] == 2 and row["priority"] <= 2]
    query = {"query": '"priority:1 OR priority:2"', "per_page": 100}
    first, second = (fs.get("/tickets/filter", params={**query, "page": page}).json() for page in (1, 2))
    assert (first["total"], len(first["tickets"])) == (len(truth), min(30, len(truth)))
    assert sorted(row["id"] for row in [*first["tickets"], *second["tickets"]]) == truth
    service.switches = replace(service.switches, filter_per_page="refused")
    assert fs.get("/tickets/filter", params=query).status_code == 400
    service.switches = replace(service.switches, filter_per_page="honoured")
    assert len(fs.get("/tickets/filter", params={**query, "per_page": 3}).json()["tickets"]) == 3


def test_the_filter_lags_behind(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """What changed within the lag is not found yet."""
    service.switches = replace(service.switches, search_lag=120)
    query = {"query": '"tag:fresh"', "workspace_id": 0}
    fs.put("/tickets/9", json={"tags": ["fresh"]})
    before = fs.get("/tickets/filter", params=query).json()["total"]
    service.clock.advance(121)
    assert (before, fs.get("/tickets/filter", params=query).json()["total"]) == (0, 1)


def test_service_requests_say_what_they_want_in_their_items(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """A service request's description is empty or null; its items tell."""
    requests = [row for row in _live(service) if row["type"] == "Service Request"]
    items = {row["id"]: _rows(fs, f"/tickets/{row['id']}/requested_items") for row in requests}
    assert {row["description"] for row in requests} <= {"", None}
    assert requests
    assert all(item["custom_fields"]["model"] and "ticket_id" not in item for row in items.values() for item in row)


def test_activities(fs: httpx.Client) -> None:
    """What happened to a ticket, twenty at a time, the newest first, in words."""
    fs.delete("/tickets/14")
    fs.put("/tickets/14/restore")
    first = fs.get("/tickets/14/activities").json()
    token = httpx.URL(first["next_page_url"]).params["start_token"]
    second = fs.get("/tickets/14/activities", params={"start_token": token}).json()
    words = [row["content"].strip() for row in first["activities"]]
    assert (len(words), set(words[:2])) == (20, {"restored this ticket from trash", "deleted this ticket"})
    assert first["activities"][0].keys() == {"actor", "content", "sub_contents", "created_at"}
    assert first["activities"][-1]["created_at"] >= second["activities"][0]["created_at"]
