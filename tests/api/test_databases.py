"""The main walk through the API on each database: sync, status, runs, search, tickets, companies."""

from __future__ import annotations

from tests.api.conftest import TOKEN, Served, serving
from tests.api.desks import ACCOUNT, TEXTS, small_desk
from tests.rig import Install


async def test_the_main_walk_answers_alike(install: Install) -> None:
    """What is synced over HTTP can be read, filtered, paged and found, whichever database holds the record."""
    async with install(small_desk()) as made, serving(made, token=TOKEN) as (server, client):
        served = Served(made, server, client)
        for stream in ("tickets", "kb"):
            (run,) = (await client.post("/api/v1/runs", json={"stream": stream})).json()
            assert (await served.ended(run["id"]))["state"] == "succeeded"

        status = (await client.get("/api/sync/status")).json()
        assert (status["total_tickets"], status["total_kb_articles"]) == (4, 2)
        assert [(stream["stream"], stream["items"]) for stream in status["streams"]] == [
            ("tickets", 4),
            ("kb", 2),
            ("hours", 0),
        ]

        first = (await client.get("/api/runs", params={"limit": 1})).json()
        rest = (await client.get("/api/runs", params={"limit": 1, "after": first["next"]})).json()
        assert [run["stream"] for run in (*first["items"], *rest["items"])] == ["kb", "tickets"]

        hits = (await client.get("/api/search", params={"q": "printer stripes", "in": "tickets"})).json()["hits"]
        assert TEXTS[1][0] in [hit["title"] for hit in hits]

        query = {"status": "Open", "company": ACCOUNT, "priority": "High", "updated_since": "2000-01-01", "limit": 3}
        page = (await client.get("/api/tickets", params=query)).json()
        last = (await client.get("/api/tickets", params={**query, "after": page["next"]})).json()
        listed = [*page["items"], *last["items"]]
        assert sorted(item["subject"] for item in listed) == sorted(subject for subject, _ in TEXTS)
        ticket = next(item for item in listed if item["subject"] == TEXTS[0][0])
        whole = (await client.get(f"/api/tickets/freshdesk/{ticket['id']}")).json()
        assert (len(whole["conversations"]), len(whole["notes"])) == (1, 1)

        company = (await client.get(f"/api/companies/{ACCOUNT}")).json()
        assert company["name"] == "Mill & Sons"
        health = (await client.get("/health/ready")).json()
        assert (health["status"], health["components"]["record"]["kind"]) == ("ok", made.app.record.dialect)
