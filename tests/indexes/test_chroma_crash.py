"""What the index in Chroma has acknowledged survives kill -9 in both of its halves, at any moment."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from tests.contracts.index import AXES, NAME, SCHEMA, uid
from tests.indexes.test_edge_crash import expected, write_and_kill
from tests.indexes.writer import opened

from deskloom.protocols import VectorIndex, Words


@pytest.mark.parametrize("rounds", [3, pytest.param(6, marks=pytest.mark.slow)])
async def test_acknowledged_writes_survive_kill_9(tmp_path: Path, sqlite_template: Path, rounds: int) -> None:
    """Over many kills of a process that upserts, rewrites, deletes and swaps, no acknowledged step is lost.

    Payload, vectors and words are those of the same step, but for points of the step that was under way: that one is
    repeated by the next process, as a publisher would.
    """
    chance = random.Random(7)
    shutil.copy(sqlite_template, tmp_path / "deskloom.db")
    step = 0
    for _ in range(rounds):
        step = await asyncio.to_thread(write_and_kill, tmp_path, step, chance.randint(1, 40), "chroma")
        async with opened(tmp_path, "chroma") as index:
            assert await index.prepare(SCHEMA) is False
            await _check(index, step)


async def _check(index: VectorIndex, step: int) -> None:
    """The index equals the state after `step`, or after the next one, of which part may be done."""
    there = {id.int: payload["step"] async for batch in index.scroll(NAME, ["step"]) for id, payload in batch}
    before, after = expected(step), expected(step + 1)
    settled = {number for number in before if before[number] == after.get(number)}
    for number in before.keys() | after.keys() | there.keys():
        assert there.get(number) in (before.get(number), after.get(number)), (step, number)
    held = await index.vectors(NAME, [uid(number) for number in settled])
    assert {id.int: _shown(own) for id, own in held.items()} == {
        number: (before[number] % 4, {before[number]: 1.0}) for number in settled
    }
    for written in set(before.values()):
        found = await index.query(NAME, "words", Words((written,), (1.0,)), limit=100)
        alike = {number for number in settled if before[number] == written}
        assert alike <= {hit.id.int for hit in found}
    for axis in range(4):
        found = await index.query(NAME, "symptom", AXES[axis], limit=100)
        near = {hit.id.int for hit in found if hit.score > 0.99}
        assert {number for number in settled if before[number] % 4 == axis} <= near


def _shown(own: Mapping[str, object]) -> tuple[int, dict[int, float]]:
    symptom, words = own["symptom"], own["words"]
    assert isinstance(words, Words)
    return int(np.argmax(np.asarray(symptom))), dict(zip(words.indices, words.weights, strict=True))
