"""Promise 5: damage behind our back does not survive the next run that meets it."""

from __future__ import annotations

import shutil

from tests.rig import Install

from deskloom import documents
from deskloom.sandbox.generate import generate


async def test_a_lost_index_is_filled_again_without_the_model(install: Install) -> None:
    """The folder of the index is gone: the next run writes every point again, from cached vectors."""
    desk = generate(seed=1, tickets=20, articles=6)
    desk.clock.advance(3600)
    async with install(desk) as made:
        for stream in ("tickets", "kb"):
            await made.sync(stream)
        await made.close()
        shutil.rmtree(made.settings.home / "index")
        await made.open()
        before = made.embedder.texts
        for stream in ("tickets", "kb"):
            assert (await made.sync(stream)).state == "succeeded"
        assert await made.differences() == []
        assert made.embedder.texts == before


async def test_a_point_lost_behind_our_back_is_written_again_when_its_ticket_changes(install: Install) -> None:
    """A payload update finds that the point is not there and writes it whole."""
    desk = generate(seed=1, tickets=20, articles=1)
    desk.clock.advance(3600)
    async with install(desk) as made:
        for stream in ("tickets", "kb"):
            await made.sync(stream)
        ticket = next(row for row in desk.tickets if not row.get("deleted") and not row.get("spam"))
        await made.app.index.delete(
            documents.TICKETS, [documents.point_id(documents.TICKETS, "freshdesk", str(ticket["id"]), "")]
        )
        desk.clock.advance(60)
        desk.bump(ticket["id"], status=3)
        desk.clock.advance(60)
        assert (await made.sync()).state == "succeeded"
        assert await made.differences() == []
