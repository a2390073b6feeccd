"""Time entries over HTTP: syncing them, and reading them with their ticket."""

from __future__ import annotations

from tests.api.conftest import Roles, Served, serving


async def test_hours_are_synced_and_shown_with_their_ticket(served: Served) -> None:
    """`POST /sync/hours` starts a run; then a ticket has its entries, and its hours are what they add up to."""
    desk = served.rig.desk
    first = min(row["id"] for row in desk.tickets)
    for spent, billable in (("01:30", True), ("00:20", False)):
        body = {"time_spent": spent, "billable": billable, "executed_at": "2026-01-05", "note": "Heron 7 on site"}
        desk.perform({"method": "POST", "path": f"tickets/{first}/time_entries", "body": body})
    await served.rig.sync("tickets")
    started = await served.client.post("/api/sync/hours")
    assert started.status_code == 200
    run = await served.ended(started.json()["run_id"])
    assert (run["stream"], run["state"], run["counts"]["created"]) == ("hours", "succeeded", 2)
    path = f"/api/tickets/freshdesk/{first}"
    whole = (await served.client.get(path)).json()
    assert whole["total_hours_spent"] == 1.8333
    entry, other = whole["time_entries"]
    assert entry == {
        "id": entry["id"],
        "agent_id": entry["agent_id"],
        "agent_name": next(row["contact"]["name"] for row in desk.agents if row["id"] == entry["agent_id"]),
        "hours": 1.5,
        "seconds": 5400,
        "billable": True,
        "worked_at": "2026-01-05T00:00:00Z",
        "note": "Heron 7 on site",
    }
    assert (other["hours"], other["seconds"], other["billable"]) == (0.3333, 1200, False)
    status = (await served.client.get("/api/sync/status")).json()
    hours = next(stream for stream in status["streams"] if stream["stream"] == "hours")
    assert (hours["items"], hours["failed"], hours["pending_index"], hours["last_error"]) == (2, 0, 0, None)
    async with serving(served.rig, authority=Roles()) as (_, keyed):
        answer = await keyed.get(path, headers={"Authorization": "Bearer viewer"})
    assert "time_entries" not in answer.json()
    assert ("Heron" in answer.text, answer.json()["total_hours_spent"]) == (False, 1.8333)


async def test_a_second_sync_of_hours_is_refused(served: Served) -> None:
    """409 in the words of the other streams, with the run in progress."""
    served.hold()
    first = (await served.client.post("/api/sync/hours")).json()["run_id"]
    refused = await served.client.post("/api/v1/runs", json={"stream": "hours"})
    assert (refused.status_code, refused.json()["detail"]) == (409, "Hours sync already in progress")
    assert refused.json()["run_id"] == first
    await served.ended(first)
