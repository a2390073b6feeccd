"""Health and metrics."""

from __future__ import annotations

import re

import pytest
from tests.api.conftest import Served, Shared

from deskloom.record import open_record

together = pytest.mark.asyncio(loop_scope="session")


@together
async def test_every_part_is_told(shared: Shared) -> None:
    """Ready and `/sync/health` answer the same, 200 while everything works."""
    ready = await shared.client.get("/health/ready")
    assert ready.status_code == 200
    health = ready.json()
    success = health["components"]["sources"]["freshdesk"].pop("last_success")
    assert success.endswith("Z")
    assert health == {
        "status": "ok",
        "components": {
            "record": {"status": "ok", "detail": None, "kind": "sqlite"},
            "index": {"status": "ok", "detail": None, "points": {"support_tickets": 4, "kb_procedures": 2}},
            "embedder": {"status": "ok", "detail": None, "name": "fake", "dimensions": 32},
            "sources": {"freshdesk": {"status": "ok", "detail": None}},
            "dispatcher": {"status": "ok", "detail": None, "running": 0},
            "events": {"status": "ok", "detail": None, "queued": 0},
            "mirror": None,
        },
    }
    again = (await shared.client.get("/api/v1/sync/health")).json()
    again["components"]["sources"]["freshdesk"].pop("last_success")
    assert again == health
    assert (await shared.client.get("/health/live")).json() == {"status": "ok"}


async def test_a_part_that_is_down_makes_the_whole_down(served: Served) -> None:
    """Without its index the server is down, says why, and is still alive; status and search answer 503 too."""
    await served.rig.app.index.aclose()
    ready = await served.client.get("/health/ready")
    health = ready.json()
    assert (ready.status_code, health["status"], health["components"]["index"]["status"]) == (503, "down", "down")
    assert "closed" in health["components"]["index"]["detail"]
    assert health["components"]["record"]["status"] == "ok"
    assert (await served.client.get("/health/live")).status_code == 200
    for path in ("/api/sync/status", "/api/search?q=printer"):
        answer = await served.client.get(path)
        assert (answer.status_code, answer.json()["component"]) == (503, "index")


async def test_a_record_that_is_gone_is_named(served: Served) -> None:
    """Syncs, lists and status answer 503 with `component` record, and the server is down but alive."""
    good, served.rig.app.record = served.rig.app.record, open_record("sqlite:////nonexistent/place/deskloom.db")
    for method, path in (("POST", "/api/sync/tickets"), ("GET", "/api/sync/status"), ("GET", "/api/tickets")):
        answer = await served.client.request(method, path)
        assert (answer.status_code, answer.json()["component"]) == (503, "record")
    ready = await served.client.get("/health/ready")
    assert (ready.status_code, ready.json()["components"]["record"]["status"]) == (503, "down")
    assert (await served.client.get("/health/live")).status_code == 200
    served.rig.app.record = good


async def test_a_source_that_fails_degrades(served: Served) -> None:
    """A refused key shows as the source's sentence; requests are still served."""
    served.rig.desk.key = "another"
    run = await served.rig.sync("kb")
    assert run.state == "failed"
    ready = await served.client.get("/health/ready")
    source = ready.json()["components"]["sources"]["freshdesk"]
    assert (ready.status_code, ready.json()["status"], source["status"]) == (200, "degraded", "degraded")
    assert source["detail"] == run.errors[-1]


async def test_metrics_count_each_run_once(served: Served) -> None:
    """However often they are read, counters add up to what the runs did, and each app counts for itself."""
    assert "deskloom_runs_total{" not in (await served.client.get("/metrics")).text
    run = await served.rig.sync("tickets")
    await served.client.get("/api/search", params={"q": "printer"})
    for _ in range(2):
        text = (await served.client.get("/metrics")).text
    labels = 'source="freshdesk",stream="tickets"'
    found = dict(values(text))
    assert found['deskloom_runs_total{source="freshdesk",state="succeeded",stream="tickets"}'] == 1
    assert found['deskloom_items_total{outcome="created",source="freshdesk",stream="tickets"}'] == 4
    assert found[f"deskloom_api_calls_total{{{labels}}}"] == run.counts["api_calls"]
    assert found[f"deskloom_embedded_texts_total{{{labels}}}"] == run.counts["embedded"]
    assert found["deskloom_pending_documents"] == 0
    assert found['deskloom_search_seconds_count{mode="hybrid"}'] == 1


async def test_metrics_show_a_run_as_it_goes(served: Served) -> None:
    """An active run is shown as active; ended, it is counted with what it did meanwhile."""
    served.hold()
    run = await served.rig.start("kb")
    active = dict(values((await served.client.get("/metrics")).text))
    assert active['deskloom_runs_active{source="freshdesk",stream="kb"}'] == 1
    await served.ended(str(run.id))
    ended = dict(values((await served.client.get("/metrics")).text))
    assert ended['deskloom_items_total{outcome="created",source="freshdesk",stream="kb"}'] == 2
    assert 'deskloom_runs_active{source="freshdesk",stream="kb"}' not in ended


def values(text: str) -> set[tuple[str, float]]:
    """(series, value) of a text in Prometheus' format."""
    return {(name, float(value)) for name, value in re.findall(r"^(deskloom_\S+) (\S+)$", text, re.MULTILINE)}
