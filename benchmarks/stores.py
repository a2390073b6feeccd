"""How Chroma does beside Edge: writes and question by question, the same points in the same run; only ratios mean much.

Counts first (points, entries, words, bytes on disk), then points written a second and the middle time of a question:
by meaning, with a filter that one point in twenty passes, by word, and all vectors and words as a search asks them.

Use: python -m benchmarks.stores [points]
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

import numpy as np

from deskloom.documents import TICKETS
from deskloom.indexes import open_index
from deskloom.protocols import Point, Schema, VectorIndex, Vectors, Where, Words
from deskloom.record import open_record, upgrade
from deskloom.record.words import RecordWords
from deskloom.settings import Settings

WIDTH = 384
BATCH = 128
QUESTIONS = 60
VOCABULARY = 30_000
NAMES = ("symptom_vec", "cause_vec", "resolution_vec")
SCHEMA = Schema(
    collection=TICKETS,
    embedder="random",
    dimensions=WIDTH,
    vectors=NAMES,
    words=("words",),
    filters={"status": "keyword", "tags": "keyword", "updated_at": "datetime", "source": "keyword"},
)
FEW = Where(equals={"status": ["waiting"]})


def _unit(chance: np.random.Generator, centres: Vectors, count: int) -> Vectors:
    """Vectors in clusters, as those of texts are; random ones have no neighbours to find."""
    rows = centres[chance.integers(0, len(centres), count)] + 0.7 * chance.normal(size=(count, WIDTH))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _words(chance: np.random.Generator, count: int) -> Words:
    """Words as frequent as those of texts (Zipf)."""
    tokens = sorted(set((chance.zipf(1.2, count) % VOCABULARY).tolist()))
    return Words(tuple(tokens), tuple(chance.uniform(0.5, 4, len(tokens)).tolist()))


def make_points(count: int) -> tuple[list[Point], list[tuple[Vectors, Words]]]:
    """Points of the size of real tickets: two in three lack a cause, one in three a resolution; and questions."""
    chance = np.random.default_rng(11)
    centres: Any = chance.normal(size=(300, WIDTH))
    rows = {name: _unit(chance, centres, count) for name in NAMES}
    made = []
    for n in range(count):
        having = [name for name, has in zip(NAMES, (True, n % 3 == 0, n % 3 > 0), strict=True) if has]
        payload = {
            "source": "freshdesk",
            "status": "waiting" if chance.random() < 0.05 else "closed",
            "tags": [f"tag{n % 7}", f"tag{n % 11}"],
            "updated_at": f"2026-01-{n % 28 + 1:02}T08:00:00Z",
            "subject": f"Ticket {n}",
            "content": "The printer on the third floor does not answer. " * 30,
            "hash": f"{n:064x}",
        }
        made.append(
            Point(
                id=uuid5(NAMESPACE_DNS, f"{n}.deskloom"),
                vectors={name: rows[name][n : n + 1] for name in having},
                words={"words": _words(chance, 160)},
                payload=payload,
            )
        )
    asked = [(row, _words(chance, 8)) for row in _unit(chance, centres, QUESTIONS)]
    return made, asked


@asynccontextmanager
async def opened(kind: str, home: Path) -> AsyncIterator[VectorIndex]:
    record = open_record(f"sqlite:///{home / 'deskloom.db'}")
    await upgrade(record)
    index = await open_index(Settings(_env_file=None, home=home, index=kind), RecordWords(record))
    yield index
    await index.aclose()
    await record.aclose()


async def timed(ask: Callable[[Any], Awaitable[Any]], questions: Sequence[Any]) -> float:
    """Milliseconds of the question in the middle."""
    taken = []
    for question in questions:
        start = time.perf_counter()
        await ask(question)
        taken.append((time.perf_counter() - start) * 1000)
    return median(taken)


async def measure(kind: str, points: Sequence[Point], asked: Sequence[tuple[Vectors, Words]]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        async with opened(kind, Path(name)) as index:
            await index.prepare(SCHEMA)
            start = time.perf_counter()
            for at in range(0, len(points), BATCH):
                await index.upsert(TICKETS, points[at : at + BATCH])
            written = len(points) / (time.perf_counter() - start)

            async def together(one: tuple[Vectors, Words]) -> None:
                branches: list[tuple[str, Any]] = [*((name, one[0]) for name in NAMES), ("words", one[1])]
                await asyncio.gather(
                    *(index.query(TICKETS, name, value, where=Where(), limit=100) for name, value in branches)
                )

            figures = {
                "points/s written": written,
                "ms by meaning": await timed(lambda one: index.query(TICKETS, "symptom_vec", one[0]), asked),
                "ms by meaning, 5 %": await timed(
                    lambda one: index.query(TICKETS, "symptom_vec", one[0], where=FEW), asked
                ),
                "ms by word": await timed(lambda one: index.query(TICKETS, "words", one[1]), asked),
                "ms by word, 5 %": await timed(lambda one: index.query(TICKETS, "words", one[1], where=FEW), asked),
                "ms all four, 100 each": await timed(together, asked),
            }
            start = time.perf_counter()
            seen = 0
            async for batch in index.scroll(TICKETS, ("hash",)):
                seen += len(batch)
            assert seen == len(points)
            figures["points/s scrolled"] = seen / (time.perf_counter() - start)
        return {"MB on disk": await asyncio.to_thread(_size, Path(name)), **figures}


def _size(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


async def main(count: int) -> None:
    points, asked = make_points(count)
    entries = sum(1 + len(point.vectors) for point in points)
    words = sum(len(point.words["words"].indices) for point in points)
    print(f"{count:,} points, {entries:,} entries in Chroma, {words:,} words, {len(asked)} questions\n")
    edge, chroma = [await measure(kind, points, asked) for kind in ("edge", "chroma")]
    print(f"{'':24}{'edge':>10}{'chroma':>10}{'chroma / edge':>16}")
    for name in edge:
        print(f"{name:24}{edge[name]:>10.1f}{chroma[name]:>10.1f}{chroma[name] / edge[name]:>16.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("points", nargs="?", type=int, default=20_000)
    asyncio.run(main(parser.parse_args().points))
