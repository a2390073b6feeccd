"""Starting helpdesk syncs over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.api.conftest import Served, Shared, serving
from tests.api.desks import small_desk
from tests.rig import rig

from deskloom.sandbox import SandboxServer, make

together = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("prefix", ["/api", "/api/v1"])
async def test_a_sync_answers_at_once_and_goes_on_in_the_background(served: Served, prefix: str) -> None:
    """The body is the contract's, and the run it names ends with everything synced."""
    answer = await served.client.post(f"{prefix}/sync/tickets")
    body = answer.json()
    run_id = body["run_id"]
    assert (answer.status_code, body) == (
        200,
        {
            "success": True,
            "items_synced": 0,
            "last_sync_time": None,
            "errors": [],
            "run_id": run_id,
            "status_url": f"/api/v1/runs/{run_id}",
            "runs": [{"run_id": run_id, "source": "freshdesk", "status_url": f"/api/v1/runs/{run_id}"}],
        },
    )
    run = await served.ended(run_id)
    assert (run["state"], run["limit"], run["mode"], run["counts"]["created"]) == ("succeeded", 100, "incremental", 4)
    again = (await served.client.post(f"{prefix}/sync/tickets")).json()
    assert again["last_sync_time"] == run["finished_at"]
    await served.ended(again["run_id"])


@pytest.mark.parametrize(
    ("path", "detail"),
    [("sync/tickets", "Ticket sync already in progress"), ("sync/kb", "KB sync already in progress")],
)
async def test_a_second_sync_is_refused_with_the_run_in_progress(served: Served, path: str, detail: str) -> None:
    """409 in the contract's words, as problem details; also for `POST /runs`."""
    served.hold()
    first = (await served.client.post(f"/api/{path}")).json()["run_id"]
    refused = await served.client.post(f"/api/{path}")
    assert (refused.status_code, refused.headers["content-type"]) == (409, "application/problem+json")
    assert refused.json() == {
        "type": "/errors/already_running",
        "title": "Already running",
        "status": 409,
        "code": "already_running",
        "detail": detail,
        "run_id": first,
        "stream": path.removeprefix("sync/"),
    }
    runs = await served.client.post("/api/v1/runs", json={"stream": path.removeprefix("sync/")})
    assert (runs.status_code, runs.json()["run_id"]) == (409, first)
    await served.client.post(f"/api/runs/{first}/cancel")
    assert (await served.ended(first))["state"] == "cancelled"


@together
@pytest.mark.parametrize(
    ("query", "parameter", "detail"),
    [
        ({"since": "yesterday"}, "since", "since is not a time. Write it like 2025-01-31T09:00:00Z."),
        ({"since": "2025-13-01"}, "since", "since is not a time. Write it like 2025-01-31T09:00:00Z."),
        ({"since": ""}, "since", "since is not a time. Write it like 2025-01-31T09:00:00Z."),
        ({"since": "0001-01-01T00:00:00+14:00"}, "since", "since is not a time. Write it like 2025-01-31T09:00:00Z."),
        ({"since": "2999-01-01"}, "since", "since lies in the future: nothing can have changed after it."),
        ({"limit": "0"}, "limit", 'limit must be at least 1; it was "0".'),
        ({"limit": "501"}, "limit", 'limit must be at most 500; it was "501".'),
        ({"limit": "many"}, "limit", 'limit must be a whole number; it was "many".'),
        ({"full": "perhaps"}, "full", 'full must be true or false; it was "perhaps".'),
        ({"source": "acme"}, "source", 'There is no source "acme". Configured: freshdesk'),
        ({"source": "freshservice"}, "source", 'There is no source "freshservice". Configured: freshdesk'),
    ],
)
async def test_a_wrong_parameter_is_named(shared: Shared, query: dict[str, str], parameter: str, detail: str) -> None:
    """422 says which parameter and what to do, and starts nothing."""
    before = (await shared.client.get("/api/runs")).json()
    answer = await shared.client.post("/api/sync/kb", params=query)
    body = answer.json()
    assert (answer.status_code, body["parameter"], body["detail"]) == (422, parameter, detail)
    assert (await shared.client.get("/api/runs")).json() == before


@together
@pytest.mark.parametrize(
    ("since", "meant"),
    [
        ("2025-01-31T09:00:00Z", "2025-01-31T09:00:00Z"),
        ("2025-01-31T09:00:00%2B05:30", "2025-01-31T03:30:00Z"),
        ("2025-01-31T09:00:00+05:30", "2025-01-31T03:30:00Z"),
        ("2025-01-31T09:00", "2025-01-31T09:00:00Z"),
        ("2025-01-31", "2025-01-31T00:00:00Z"),
    ],
)
async def test_a_time_may_carry_any_offset_or_none(shared: Shared, since: str, meant: str) -> None:
    """Without an offset it is UTC; a `+` that was not encoded is understood."""
    answer = await shared.client.post(f"/api/sync/kb?since={since}&full=true&limit=3")
    run = await shared.ended(answer.json()["run_id"])
    assert (run["since"], run["mode"], run["limit"]) == (meant, "full", 3)


@together
async def test_the_older_spelling_means_freshservice(shared: Shared) -> None:
    """`POST /codex/sync/tickets` says clearly that no Freshservice is configured."""
    answer = await shared.client.post("/codex/sync/tickets", params={"limit": 5})
    assert (answer.status_code, answer.json()["detail"]) == (
        422,
        'There is no source "freshservice". Configured: freshdesk',
    )


async def test_an_index_that_is_gone_refuses_a_sync(served: Served) -> None:
    """503 names the part that is down, and no run is left behind."""
    await served.rig.app.index.aclose()
    answer = await served.client.post("/api/sync/tickets")
    assert (answer.status_code, answer.json()["component"]) == (503, "index")
    assert (await served.client.get("/api/runs")).json()["items"] == []


async def test_the_older_spelling_syncs_a_configured_freshservice(tmp_path: Path) -> None:
    """Both spellings start a run of the Freshservice source alone, which brings its tickets with their customers."""
    service = make(product="freshservice", seed=1, tickets=6, articles=0)
    with SandboxServer(service) as address:
        settings = {"freshservice_domain": address.url, "freshservice_api_key": service.key}
        async with rig(small_desk(), tmp_path / "home", **settings) as made, serving(made) as (server, client):
            served = Served(made, server, client)
            for path in ("/codex/sync/tickets", "/api/sync/tickets?source=freshservice"):
                answer = await client.post(path)
                assert (answer.status_code, [run["source"] for run in answer.json()["runs"]]) == (200, ["freshservice"])
                run = await served.ended(answer.json()["run_id"])
                assert (run["source"], run["stream"], run["state"]) == ("freshservice", "tickets", "succeeded"), run
            found = (await client.get("/api/tickets", params={"limit": 100})).json()["items"]
            assert {ticket["source"] for ticket in found} == {"freshservice"}
