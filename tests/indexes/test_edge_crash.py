"""What the index has acknowledged survives kill -9, at any moment."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.contracts.index import NAME, SCHEMA, uid

from deskloom.indexes.edge import EdgeIndex

WRITER = Path(__file__).parent / "writer.py"


@pytest.mark.parametrize("rounds", [3, pytest.param(25, marks=pytest.mark.slow)])
async def test_acknowledged_writes_survive_kill_9(tmp_path: Path, rounds: int) -> None:
    """Over many kills of a process that upserts, rewrites, deletes and swaps, no acknowledged step is lost.

    The writer prints a step's number once it is acknowledged; the step that was under way may be there or not.
    """
    chance = random.Random(7)
    step = 0
    for _ in range(rounds):
        step = await asyncio.to_thread(write_and_kill, tmp_path / "index", step, chance.randint(1, 60))
        await _check(tmp_path / "index", step)


def write_and_kill(root: Path, step: int, steps: int, *kind: str) -> int:
    """Let a writer go on after `step` for some steps and a little more; returns the last step it acknowledged."""
    command = [sys.executable, str(WRITER), str(root), str(step), *kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(steps):
            step = int(writer.stdout.readline())
        writer.kill()
        # A line cut by the kill was not acknowledged.
        return max([step, *(int(line) for line in writer.stdout.read().split("\n")[:-1])])


async def _check(root: Path, step: int) -> None:
    """The index equals the state after `step`, or after the next one, of which part may be done."""
    index = EdgeIndex(root)
    assert await index.prepare(SCHEMA) is False
    there = {id.int: payload["step"] async for batch in index.scroll(NAME, ["step"]) for id, payload in batch}
    before, after = expected(step), expected(step + 1)
    for number in before.keys() | after.keys() | there.keys():
        assert there.get(number) in (before.get(number), after.get(number)), (step, number)
    for number in list(there)[:5]:
        vector = np.eye(4, dtype=np.float32)[there[number] % 4]
        assert uid(number) in {hit.id for hit in await index.query(NAME, "symptom", vector, limit=200)}
    await index.aclose()


def expected(step: int) -> dict[int, int]:
    """Point → the step that wrote it last, once `step` is done; the rules are those of `writer.py`."""
    state: dict[int, int] = {}
    for done in range(1, step + 1):
        if done % 17 == 0:
            state = dict.fromkeys(range(50), done)
        elif done % 5 == 0:
            state.pop(done % 50, None)
        else:
            state |= {(done * 7 + offset) % 50: done for offset in range(10)}
    return state
