"""Which embedder serves a collection: what the record says, and what a server must still be."""

from __future__ import annotations

from tests.rig import Install

from deskloom import documents
from deskloom.sandbox.clock import Clock
from deskloom.sandbox.generate import generate


async def test_another_setting_changes_nothing_until_a_reindex(install: Install) -> None:
    """The collection stays with the model it was made with, syncs and searches go on, and health says so."""
    async with install(generate(seed=3, tickets=12, articles=2, clock=Clock())) as made:
        await made.sync("tickets")
        made.settings.embedder = "bge-m3"
        await made.reopen()
        assert (await made.app.models.of(documents.TICKETS)).name == "fake"
        assert await made.app.models.differing(documents.TICKETS) == (
            'Collection "support_tickets" is indexed with minilm, but DESKLOOM_EMBEDDER says bge-m3. '
            "Everything goes on with minilm. Set DESKLOOM_EMBEDDER=minilm to keep it; to change over: deskloom reindex"
        )
        assert (await made.sync("tickets")).counts["indexed"] == 0
