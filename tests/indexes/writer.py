"""Writes to an index without end, one numbered step at a time, until it is killed: for the tests of crashes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import UUID

import numpy as np

from deskloom.indexes.edge import EdgeIndex
from deskloom.protocols import Point, Schema, VectorIndex, Words
from deskloom.settings import Settings

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


@asynccontextmanager
async def opened(root: Path, kind: str) -> AsyncIterator[VectorIndex]:
    """The index that is written to: Edge, or Chroma with its words in a record of the same folder."""
    async with AsyncExitStack() as stack:
        if kind == "edge":
            index: VectorIndex = EdgeIndex(root)
        else:
            from deskloom.indexes.chroma_open import open_chroma
            from deskloom.record import open_record
            from deskloom.record.words import RecordWords

            record = open_record(f"sqlite:///{root / 'deskloom.db'}")
            stack.push_async_callback(record.aclose)
            index = open_chroma(Settings(_env_file=None, home=root, index="chroma"), RecordWords(record))
        stack.push_async_callback(index.aclose)
        yield index


async def write(root: Path, step: int, kind: str = "edge") -> None:
    async with opened(root, kind) as index:
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


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]))
