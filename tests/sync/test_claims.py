"""What a publisher that was taken over had already written to the index is not believed any more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import update
from tests.rig import Rig

from deskloom.indexes.edge import EdgeIndex
from deskloom.record import tables
from deskloom.sandbox.clock import Clock
from deskloom.sandbox.generate import generate
from deskloom.sandbox.server import SandboxServer


class Robbed:
    """An index during whose first write another worker takes the run over and publishes the same documents."""

    def __init__(self, folder: Path) -> None:
        self.inner = EdgeIndex(folder)
        self.rig: Rig | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def upsert(self, collection: str, points: Any) -> None:
        if self.rig is not None:
            async with self.rig.app.record.transaction() as tx:
                await tx.execute(update(tables.runs).values(fence=tables.runs.c.fence + 1))
                keys = [str(point.payload["ticket_id"]) for point in points]
                theirs = update(tables.documents).where(tables.documents.c.item_id.in_(keys))
                await tx.execute(theirs.values(claimed_by=None, state="ready"))
            self.rig = None
        await self.inner.upsert(collection, points)


async def test_a_late_write_to_the_index_makes_its_documents_stale(tmp_path: Path, database_url: str | None) -> None:
    """The point may be older than what the new worker wrote, so it is written again; nothing else is touched."""
    desk = generate(seed=4, tickets=30, articles=0, clock=Clock())
    index = Robbed(tmp_path / "index")
    with SandboxServer(desk) as server:
        made = Rig(desk, server.url, tmp_path / "home", database_url=database_url, publish_batch=8)
        made.index = index  # type: ignore[assignment]
        await made.open()
        try:
            index.rig = made
            run = await made.start()
            await made.app.dispatcher.wait(run.id)
            late = [row for row in await made.rows(tables.documents) if row["state"] == "stale" and row["version"] > 1]
            assert len(late) >= 8
            assert [row["published"] for row in late] == [{}] * len(late)
            await made.close()
            made.index = EdgeIndex(tmp_path / "index")
            await made.reopen()
            assert await made.differences() == []
        finally:
            await made.close()
