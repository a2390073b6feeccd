"""A real `deskloom worker`, over an index and a model of the test's: to be killed, frozen and stopped.

Run as: python -m tests.crash.worker_process DATABASE_URL DESK_URL KEY INDEX_URL NOTES LEASE CONCURRENCY SLOWNESS POISON
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.crash.worker import PUBLISH_BATCH, NotedEmbedder
from tests.served_index import ServedIndex

from deskloom.cli import exits
from deskloom.cli.running import run
from deskloom.cli.worker import work
from deskloom.logs import set_up_logs
from deskloom.models import always
from deskloom.protocols import Purpose, Vectors
from deskloom.settings import Settings


class DeadlyEmbedder(NotedEmbedder):
    """Takes its time, and kills its process when it meets a certain word."""

    def __init__(self, notes: Path, slowness: float, poison: str) -> None:
        super().__init__(notes)
        self.slowness = slowness
        self.deadly = poison

    async def embed(self, texts: Sequence[str], purpose: Purpose = "document") -> Vectors:
        if self.deadly and any(self.deadly in text for text in texts):
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(self.slowness)
        return await super().embed(texts, purpose)


def main(database: str, desk: str, key: str, index: str, notes: str, lease: str, *rest: str) -> None:
    concurrency, slowness, poison = rest
    set_up_logs(verbose=True)
    settings = Settings(
        _env_file=None,
        home=Path("/nonexistent"),
        database_url=database,
        freshdesk_domain=desk,
        freshdesk_api_key=key,
        dispatch="procrastinate",
        lease_seconds=float(lease),
        rate_share=1.0,
        retries=1,
        publish_batch=PUBLISH_BATCH,
        max_delete_share=1.0,
    )
    opener = always(DeadlyEmbedder(Path(notes), float(slowness), poison))
    try:
        run(work(settings, int(concurrency), opener=opener, index=ServedIndex(index)))
    except exits.Stopped:
        sys.stdout.write("stopped\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
