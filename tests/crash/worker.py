"""A process to be killed: opens the home it is given, goes on with interrupted runs, then syncs both streams in full.

Every text embedded is noted in a file before it is embedded, so that the test can count what a crash made twice.
Run as: python -m tests.crash.worker HOME URL KEY NOTES [DATABASE_URL]
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.fakes import FakeEmbedder

from deskloom.home import own_home
from deskloom.models import always
from deskloom.protocols import Purpose, Vectors
from deskloom.settings import Settings
from deskloom.wiring import open_app

PUBLISH_BATCH = 8
"""Documents published at a time: small, so that a crash may repeat little."""


class NotedEmbedder(FakeEmbedder):
    """Writes a line for each text; slow enough that a kill often meets it at work. Takes every text in one part."""

    def __init__(self, notes: Path) -> None:
        super().__init__(max_tokens=100_000)
        self.notes = notes

    def note(self, texts: Sequence[str]) -> None:
        with open(self.notes, "a", encoding="utf-8") as file:
            file.writelines(f"{hashlib.sha256(text.encode()).hexdigest()}\n" for text in texts)
            file.flush()
            os.fsync(file.fileno())

    async def embed(self, texts: Sequence[str], purpose: Purpose = "document") -> Vectors:
        self.note(texts)
        await asyncio.sleep(0.01)
        return await super().embed(texts, purpose)


async def work(home: Path, url: str, key: str, notes: Path, database_url: str | None) -> None:
    owned = own_home(home, "crash test")
    settings = Settings(
        _env_file=None,
        home=home,
        database_url=database_url,
        freshdesk_domain=url,
        freshdesk_api_key=key,
        rate_share=1.0,
        publish_batch=PUBLISH_BATCH,
    )
    async with open_app(settings, home=owned.id, opener=always(NotedEmbedder(notes))) as app:
        sys.stdout.write("open\n")
        sys.stdout.flush()
        for run in await app.dispatcher.recover():
            await app.dispatcher.wait(run.id)
        for stream in ("tickets", "kb"):
            run = await app.dispatcher.submit(source="freshdesk", stream=stream, requested_by="crash test")
            await app.dispatcher.wait(run.id)
    sys.stdout.write("done\n")


if __name__ == "__main__":
    _, home, url, key, notes, *database = sys.argv
    asyncio.run(work(Path(home), url, key, Path(notes), database[0] if database else None))
