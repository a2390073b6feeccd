"""Writes to an index without end, one numbered step at a time, until it is killed: for `test_edge_crash.py`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from uuid import UUID

import numpy as np

from deskloom.indexes.edge import EdgeIndex
from deskloom.protocols import Point, Schema, Words

NAME = "tickets"
SCHEMA = Schema(
    collection=NAME,
    embedder="model-a",
    dimensions=4,
    vectors=("symptom", "cause"),
    words=("words",),
    weights=("weighed",),
    filters={"status": "keyword", "tags": "keyword", "number": "integer", "updated_at": "datetime"},
)


def points(numbers: range | list[int], step: int) -> list[Point]:
    row = np.eye(4, dtype=np.float32)[step % 4][np.newaxis]
    words = {"words": Words((step,), (1.0,))}
    return [Point(id=UUID(int=n), vectors={"symptom": row}, words=words, payload={"step": step}) for n in numbers]


async def write(root: Path, step: int) -> None:
    index = EdgeIndex(root)
    await index.prepare(SCHEMA)
    while True:
        step += 1
        if step % 17 == 0:
            copy = await index.begin_rebuild(SCHEMA)
            await index.upsert(copy, points(range(50), step))
            await index.swap(NAME, copy)
        elif step % 5 == 0:
            await index.delete(NAME, [UUID(int=step % 50)])
        else:
            await index.upsert(NAME, points([(step * 7 + offset) % 50 for offset in range(10)], step))
        sys.stdout.write(f"{step}\n")
        sys.stdout.flush()


asyncio.run(write(Path(sys.argv[1]), int(sys.argv[2])))
