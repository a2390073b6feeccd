"""The retry queue over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.api.conftest import Served

from deskloom.model import ItemFailure, Kind
from deskloom.record import failures as record_failures
from deskloom.sandbox.faults import Fault

UNKNOWN = "00000000-0000-4000-8000-000000000000"


async def queue(served: Served) -> list[dict[str, Any]]:
    answer = await served.client.get("/api/sync/failures")
    assert answer.status_code == 200
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_a_failed_item_is_listed_retried_and_gone(served: Served) -> None:
    """A ticket whose messages cannot be read waits in the queue; retried once they can be, it leaves it."""
    ticket = min(row["id"] for row in served.rig.desk.tickets)
    served.rig.desk.faults.add(Fault(match=rf"tickets/{ticket}/conversations", kind="403", times=None))
    run = await served.rig.sync("tickets")
    assert (run.state, run.error_count) == ("partial", 1)
    item = (await queue(served))[0]
    assert {name: item[name] for name in ("source", "stream", "kind", "item_id", "attempts")} == {
        "source": "freshdesk",
        "stream": "tickets",
        "kind": "ticket",
        "item_id": str(ticket),
        "attempts": 1,
    }
    status = (await served.client.get("/api/sync/status")).json()
    assert status["streams"][0]["failed"] == 1
    assert status["streams"][0]["last_error"] == run.errors[0]
    served.rig.desk.faults.clear()
    answer = (await served.client.post("/api/sync/failures/retry", json={"ids": [item["id"]]})).json()
    assert (answer["retried"], [run["stream"] for run in answer["runs"]], answer["errors"]) == (1, ["tickets"], [])
    assert (await served.ended(answer["runs"][0]["id"]))["state"] == "succeeded"
    assert await queue(served) == []


async def test_all_failures_are_retried_by_the_streams_concerned(served: Served) -> None:
    """Without ids everything is due; a stream that is being synced is named instead of started twice."""
    now = served.rig.app.clock()
    async with served.rig.app.record.transaction() as tx:
        for stream, kind in (("tickets", Kind.TICKET), ("companies", Kind.COMPANY), ("kb", Kind.ARTICLE)):
            gone = ItemFailure(kind=kind, key="1:en" if stream == "kb" else "1", reason="gone", retry=False)
            await record_failures.add_failures(tx, "freshdesk", stream, [gone], now=now)
    served.hold()
    going = await served.rig.start("kb")
    answer = (await served.client.post("/api/sync/failures/retry")).json()
    assert (answer["retried"], [run["stream"] for run in answer["runs"]]) == (3, ["tickets"])
    assert answer["errors"] == ["freshdesk/kb: KB sync already in progress"]
    for run_id in (str(going.id), answer["runs"][0]["id"]):
        await served.ended(run_id)


async def test_failures_are_listed_page_by_page_and_given_up(served: Served) -> None:
    """Last failed first; a failure that is deleted is gone, and deleting it again finds nothing."""
    now = served.rig.app.clock()
    async with served.rig.app.record.transaction() as tx:
        for number in range(3):
            failure = ItemFailure(kind=Kind.TICKET, key=str(number), reason="it cannot be read")
            later = now + timedelta(seconds=number)
            await record_failures.add_failures(tx, "freshdesk", "tickets", [failure], now=later)
    first = (await served.client.get("/api/sync/failures", params={"limit": 2})).json()
    second = (await served.client.get("/api/sync/failures", params={"limit": 2, "after": first["next"]})).json()
    assert [item["item_id"] for item in first["items"] + second["items"]] == ["2", "1", "0"]
    assert second["next"] is None
    path = f"/api/sync/failures/{first['items'][0]['id']}"
    assert [(await served.client.delete(path)).status_code for _ in range(2)] == [204, 404]
    assert [item["item_id"] for item in await queue(served)] == ["1", "0"]


@pytest.mark.parametrize(
    ("body", "status"), [({"ids": [UNKNOWN]}, 404), ({"ids": ["first"]}, 422), ({"id": UNKNOWN}, 422)]
)
async def test_a_retry_of_what_is_not_there_starts_nothing(served: Served, body: Any, status: int) -> None:
    """404 for an unknown id, 422 for a wrong body."""
    answer = await served.client.post("/api/sync/failures/retry", json=body)
    assert (answer.status_code, (await served.client.get("/api/runs")).json()["items"]) == (status, [])
