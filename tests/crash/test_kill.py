"""The real process, killed with -9 at random moments: nothing is lost, nothing is doubled, and it goes on."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.crash.worker import PUBLISH_BATCH
from tests.rig import Rig

from deskloom.record import tables
from deskloom.sandbox.clock import Clock
from deskloom.sandbox.freshdesk import Desk
from deskloom.sandbox.generate import generate
from deskloom.sandbox.server import SandboxServer

KILLS = {"sqlite": 20, "postgresql": 8}
TEXTS = 3
"""The most texts a document has: symptom, cause and resolution."""
REPEATED = PUBLISH_BATCH * TEXTS
"""The most texts a crash may make be embedded again: those of the batch that the model works on."""


class Workers:
    """Starts the process again and again over one home, and keeps which texts each one embedded."""

    def __init__(self, folder: Path, desk: Desk, url: str, database_url: str | None) -> None:
        self.home, self.notes = folder / "home", folder / "embedded.txt"
        self.notes.touch()
        self.arguments = [str(self.home), url, desk.key, str(self.notes), *([database_url] if database_url else [])]
        self.embedded: list[set[str]] = []
        self._noted = 0

    def start(self) -> subprocess.Popen[str]:
        worker = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.worker", *self.arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert worker.stdout is not None
        assert worker.stdout.readline() == "open\n"
        return worker

    def kill(self, *, seconds: float, texts: int) -> bool:
        """Start one and kill it after so long, or once it embedded so many texts; False if it was done before."""
        worker = self.start()
        end = time.monotonic() + seconds
        while worker.poll() is None and time.monotonic() < end and len(self._new()) < texts:
            time.sleep(0.005)
        worker.kill()
        worker.communicate()
        self._note()
        return worker.returncode != 0

    def finish(self) -> None:
        """Start one and let it end by itself."""
        output, errors = self.start().communicate(timeout=120)
        assert output.splitlines()[-1] == "done", errors
        self._note()

    def repeated(self) -> list[int]:
        """For each worker how many of the texts it embedded were embedded again by a later one."""
        return [len(texts & set().union(*self.embedded[number + 1 :])) for number, texts in enumerate(self.embedded)]

    def _new(self) -> list[str]:
        return self.notes.read_text().split()[self._noted :]

    def _note(self) -> None:
        self.embedded.append(set(self._new()))
        self._noted += len(self._new())


@pytest.mark.slow
async def test_what_was_acknowledged_survives_kill_9_at_any_moment(
    tmp_path: Path, dialect: str, database_url: str | None
) -> None:
    """After many kills and one undisturbed run the copies agree, and each kill cost at most the batches under way."""
    desk = generate(seed=5, tickets=400, articles=20, clock=Clock())
    chance = random.Random(11)
    with SandboxServer(desk) as server:
        workers = Workers(tmp_path, desk, server.url, database_url)
        interrupted = 0
        for number in range(KILLS[dialect]):
            early = number % 2 == 0  # every other one dies while it reads, the others in the midst of publishing
            seconds, texts = (chance.uniform(0.02, 0.5), 10_000) if early else (20, chance.randint(1, 2 * REPEATED))
            interrupted += workers.kill(seconds=seconds, texts=texts)
        workers.finish()
        assert interrupted >= 5

        made = Rig(desk, server.url, workers.home, database_url=database_url)
        await made.open()
        try:
            assert await made.differences() == []
            for table, truth in ((tables.tickets, desk.tickets), (tables.messages, _readable(desk))):
                assert sorted(row["external_id"] for row in await made.rows(table)) == sorted(
                    row["id"] for row in truth
                )
        finally:
            await made.close()
    embedded = set().union(*workers.embedded)
    assert len(embedded) > 10 * REPEATED, "too few texts to tell"
    assert max(workers.repeated()) <= REPEATED


def _readable(desk: Desk) -> list[dict[str, object]]:
    """The messages that are read: those of tickets that are neither deleted nor spam."""
    kept = {row["id"] for row in desk.tickets if not row.get("deleted") and not row.get("spam")}
    return [row for row in desk.conversations if row["ticket_id"] in kept]
