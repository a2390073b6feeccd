"""Promise 2: what did not change is neither embedded nor written again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest
from tests.rig import Install, Rig

from deskloom.sandbox.clock import Clock
from deskloom.sandbox.generate import generate

QUIET = {"created": 0, "updated": 0, "deleted": 0, "embedded": 0, "indexed": 0, "failed": 0}


@pytest.fixture
async def synced(install: Install) -> AsyncIterator[Rig]:
    """A rig over a generated help desk, synced once and at rest."""
    desk = generate(seed=1, tickets=30, articles=8, clock=Clock(datetime(2026, 3, 1, 9, 0, tzinfo=UTC)))
    desk.clock.advance(3600)
    async with install(desk) as made:
        for stream in ("tickets", "kb"):
            run = await made.sync(stream)
            assert run.state == "succeeded", run.errors
        desk.clock.advance(3600)
        yield made


def api(made: Rig) -> httpx.Client:
    return httpx.Client(base_url=f"{made.settings.freshdesk_domain}/api/v2", auth=(made.desk.key, "X"))


def changed(counts: dict[str, float]) -> dict[str, float]:
    return {name: counts[name] for name in QUIET}


async def test_a_second_sync_writes_and_embeds_nothing(synced: Rig) -> None:
    """A run over an unchanged account makes a few list calls and nothing else."""
    tickets, kb = await synced.sync("tickets"), await synced.sync("kb")
    assert (changed(tickets.counts), changed(kb.counts)) == (QUIET, QUIET)
    assert tickets.counts["api_calls"] <= 7


async def test_a_changed_status_updates_the_payload_and_embeds_nothing(synced: Rig) -> None:
    """One status change is one updated ticket, one index write, no text for the model."""
    id = next(row["id"] for row in synced.desk.tickets if not row.get("deleted") and row["status"] == 2)
    with api(synced) as web:
        web.put(f"/tickets/{id}", json={"status": 3}).raise_for_status()
    synced.desk.clock.advance(10)
    run = await synced.sync()
    assert changed(run.counts) == QUIET | {"updated": 1, "indexed": 1}
    assert await synced.differences() == []


async def test_one_new_note_embeds_one_section(synced: Rig) -> None:
    """A private note changes the cause and nothing else."""
    id = next(row["id"] for row in synced.desk.tickets if not row.get("deleted"))
    with api(synced) as web:
        web.post(
            f"/tickets/{id}/notes", json={"body": "<p>The switch in rack 4 had a loose cable.</p>"}
        ).raise_for_status()
    synced.desk.clock.advance(10)
    run = await synced.sync()
    assert changed(run.counts) == QUIET | {"updated": 1, "indexed": 1, "embedded": 1}


async def test_sla_noise_embeds_nothing(synced: Rig) -> None:
    """An SLA pass moves `updated_at` of many tickets; no text changed, so nothing is embedded."""
    synced.desk.clock.advance(60 * 60 * 24 * 90)
    moved = synced.desk.run_sla()
    assert moved
    synced.desk.clock.advance(10)
    run = await synced.sync()
    assert (run.counts["fetched"], run.counts["embedded"]) == (len(moved), 0)


async def test_a_full_sync_reads_everything_and_embeds_nothing(synced: Rig) -> None:
    """`--full` ignores the checkpoint, not what is known to be the same."""
    run = await synced.sync("tickets", mode="full")
    assert run.counts["fetched"] == len(list(synced.desk.tickets))
    assert changed(run.counts) == QUIET


async def test_a_company_that_becomes_known_late_is_shown_on_its_tickets(synced: Rig) -> None:
    """A ticket may name a company that is first listed by a later run: then its payload is written again."""
    company = next(row for row in synced.desk.companies)
    ticket = next(row for row in synced.desk.tickets if not row.get("deleted") and not row.get("spam"))
    late = {**company, "id": company["id"] + 900, "name": "Late Ltd"}
    synced.desk.bump(ticket["id"], company_id=late["id"])
    synced.desk.clock.advance(10)
    await synced.sync()
    synced.desk.companies.put({**late, "updated_at": synced.desk.stamp()})
    synced.desk.clock.advance(10)
    run = await synced.sync()
    assert changed(run.counts) == QUIET | {"indexed": 1}
    assert await synced.differences() == []
