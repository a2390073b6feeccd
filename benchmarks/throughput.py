"""Texts per second of publishing, beside the bare embedder on the same texts in the same run (aim: 0.95 of it).

Run: python -m benchmarks.throughput [--tickets 600] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.rigs import sandbox, table, thunderbird
from sqlalchemy import delete

from deskloom import documents
from deskloom.embedders import open_embedder
from deskloom.home import own_home
from deskloom.models import always
from deskloom.protocols import Embedder, Purpose, Vectors
from deskloom.record import documents as record_documents
from deskloom.record import runs as record_runs
from deskloom.record import tables
from deskloom.settings import Settings
from deskloom.wiring import App, open_app


class Noting:
    """The real embedder, keeping the texts it was given."""

    def __init__(self, inner: Embedder) -> None:
        self.inner = inner
        self.name, self.dimensions, self.max_tokens = inner.name, inner.dimensions, inner.max_tokens
        self.languages = inner.languages
        self.texts: list[str] = []

    async def embed(self, texts: Sequence[str], purpose: Purpose = "document") -> Vectors:
        self.texts += texts
        return await self.inner.embed(texts, purpose)

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        return self.inner.offsets(text)

    async def aclose(self) -> None:
        await self.inner.aclose()


async def run(app: App) -> tuple[float, dict[str, float]]:
    """One run of the tickets: its seconds and its counts."""
    began = time.perf_counter()
    started = await app.dispatcher.submit(source="freshdesk", stream="tickets", requested_by="benchmark")
    await app.dispatcher.wait(started.id)
    seconds = time.perf_counter() - began
    async with app.record.reading() as tx:
        ended = await record_runs.get_run(tx, started.id)
    assert ended.state in ("succeeded", "partial"), ended.errors
    return seconds, ended.counts


async def measure(url: str, home: Path, rounds: int) -> None:
    settings = Settings(_env_file=None, home=home, freshdesk_domain=url, freshdesk_api_key="sandbox", rate_share=1.0)  # type: ignore[call-arg, arg-type]
    own_home(home, "benchmark")
    embedder = Noting(await open_embedder(settings))
    async with open_app(settings, opener=always(embedder)) as app:
        seconds, counts = await run(app)
        texts = list(embedder.texts)
        rows = [["round", "texts", "bare texts/s", "publish texts/s", "publish ÷ bare"]]
        ratios = []
        for number in range(rounds):
            bare = await bare_seconds(embedder.inner, texts)
            async with app.record.transaction() as tx:
                await record_documents.unpublish(tx, documents.TICKETS)
                await tx.execute(delete(tables.embeddings))
            again, published = await run(app)
            assert published["embedded"] == len(texts)
            ratios.append(bare / again)
            rows.append([number + 1, len(texts), len(texts) / bare, len(texts) / again, f"{bare / again:.3f}"])
        table("Publishing beside the bare embedder", rows)
        print(f"  median ratio {statistics.median(ratios):.3f}")
        print(f"  the first sync (pull and publish together): {counts['fetched']:.0f} tickets, {len(texts)} texts, "
              f"{len(texts) / seconds:.1f} texts/s")  # fmt: skip


async def bare_seconds(embedder: Embedder, texts: Sequence[str]) -> float:
    """Seconds to embed all texts at once, sorted by length as the embedder likes it: the floor."""
    began = time.perf_counter()
    await embedder.embed(texts)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tickets", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = thunderbird(Path(folder) / "data", options.tickets)
        with sandbox(data) as url:
            asyncio.run(measure(url, Path(folder) / "home", options.rounds))


if __name__ == "__main__":
    main()
