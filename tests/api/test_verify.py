"""`POST /sync/verify`: starts a run whose report compares the copies."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.conftest import Served

from deskloom.documents import TICKETS, point_id


@pytest.mark.parametrize("prefix", ["/api", "/api/v1"])
async def test_a_run_reports_what_differs_and_mends_it(served: Served, prefix: str) -> None:
    """A lost point is named in the report of the run; with `repair` the run brings it back and succeeds."""
    await served.rig.sync("tickets")
    lost = min(row["id"] for row in served.rig.desk.tickets)
    id = point_id(TICKETS, "freshdesk", str(lost), "")
    await served.rig.app.index.delete(TICKETS, [id])
    answer = await served.client.post(f"{prefix}/sync/verify")
    assert answer.status_code == 201
    started = answer.json()
    assert {name: started[name] for name in ("source", "stream", "mode", "requested_by", "options")} == {
        "source": "*",
        "stream": "verify",
        "mode": "verify",
        "requested_by": "local",
        "options": {"repair": False, "collection": None, "source_check": False, "deep": False},
    }
    looked = await served.ended(started["id"])
    assert (looked["state"], looked["report"]["agree"]) == ("partial", False)
    assert looked["report"]["collections"][TICKETS]["items"] == [
        {
            "what": "missing",
            "id": str(id),
            "source": "freshdesk",
            "item_id": str(lost),
            "language": "",
            "why": f"ticket {lost} was published, and the index has no point for it",
        }
    ]
    body = {"repair": True, "source": "freshdesk", "collection": TICKETS, "deep": True, "requested_by": "cron"}
    started = (await served.client.post(f"{prefix}/sync/verify", json=body)).json()
    mended = await served.ended(started["id"])
    assert (mended["state"], mended["report"]["agree"], mended["counts"]["indexed"]) == ("succeeded", True, 1)
    assert (mended["source"], mended["requested_by"]) == ("freshdesk", "cron")


async def test_only_one_at_a_time(served: Served) -> None:
    """While a verify is in progress another one answers 409 with its id; a sync may run beside it."""
    served.hold()
    first = (await served.client.post("/api/sync/verify", json={"source_check": True})).json()
    second = await served.client.post("/api/sync/verify")
    assert (second.status_code, second.json()["run_id"]) == (409, first["id"])
    assert second.json()["detail"] == "Verify already in progress"
    assert (await served.ended(first["id"]))["state"] in ("succeeded", "partial")


@pytest.mark.parametrize(
    ("body", "parameter"),
    [({"source": "nowhere"}, "source"), ({"collection": "nothing"}, "collection"), ({"fix": True}, "fix")],
)
async def test_what_does_not_exist_is_refused(served: Served, body: Any, parameter: str) -> None:
    """422 names the member of the body, and nothing is started."""
    answer = await served.client.post("/api/sync/verify", json=body)
    assert (answer.status_code, answer.json()["parameter"]) == (422, parameter)
    assert (await served.client.get("/api/runs")).json()["items"] == []
