"""The real process, killed with -9 at random moments: nothing is lost, nothing is doubled, and it goes on."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.rig import Rig

from deskloom.sandbox.clock import Clock
from deskloom.sandbox.generate import generate
from deskloom.sandbox.server import SandboxServer
from deskloom.sync.publish import BATCH, WORKERS

KILLS = 20


def start(home: Path, url: str, key: str, notes: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.crash.worker", str(home), url, key, str(notes)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.slow
async def test_what_was_acknowledged_survives_kill_9_at_any_moment(tmp_path: Path) -> None:
    """After 20 kills and one undisturbed run the copies agree, and crashes embedded at most a batch of texts again."""
    desk = generate(seed=5, tickets=400, articles=20, clock=Clock())
    notes = tmp_path / "embedded.txt"
    notes.touch()
    home = tmp_path / "home"
    chance = random.Random(11)
    with SandboxServer(desk) as server:
        interrupted = 0
        for _ in range(KILLS):
            worker = start(home, server.url, desk.key, notes)
            assert worker.stdout is not None
            assert worker.stdout.readline() == "open\n"
            try:
                worker.wait(timeout=chance.uniform(0.02, 0.5))
            except subprocess.TimeoutExpired:
                worker.kill()
                interrupted += 1
            worker.communicate()
        worker = start(home, server.url, desk.key, notes)
        output, errors = worker.communicate(timeout=120)
        assert output.splitlines()[-1] == "done", errors
        assert interrupted >= 5

        made = Rig(desk, server.url, home)
        await made.open()
        try:
            assert await made.differences() == []
        finally:
            await made.close()
    embedded = Counter(notes.read_text().split())
    twice = sum(count - 1 for count in embedded.values())
    assert twice <= interrupted * WORKERS * BATCH * 3
