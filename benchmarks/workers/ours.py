"""One sync of Deskloom over a home: python -m benchmarks.workers.ours HOME URL [options].

Interrupted runs are taken up first. With `--items` the sections of all documents are written to a file, as the items
that peers are given; with `--check` the index is compared with such a file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from benchmarks.fixed import FixedEmbedder, vector_of
from benchmarks.peers import Item, as_json, from_json
from benchmarks.workers import say
from sqlalchemy import delete, select

from deskloom import documents
from deskloom.documents import TICKETS, Document
from deskloom.embedders import open_embedder
from deskloom.home import own_home
from deskloom.models import always
from deskloom.protocols import Embedder, VectorIndex
from deskloom.record import documents as record_documents
from deskloom.record import runs as record_runs
from deskloom.record import tables
from deskloom.record.documents import Claim
from deskloom.settings import Settings
from deskloom.sync.build import build
from deskloom.wiring import App, open_app

SHOWN = ("subject", "status", "priority", "type", "tags", "company", "language", "created_at", "updated_at")
"""What of a document's payload is the metadata of its items."""
SOURCE = "freshdesk"
PAGE = 500


async def perform(app: App) -> dict[str, float]:
    """Interrupted runs, then one of the tickets; the counts of all of them."""
    runs = await app.dispatcher.recover()
    for run in runs:
        await app.dispatcher.wait(run.id)
    run = await app.dispatcher.submit(source=SOURCE, stream="tickets", requested_by="benchmark")
    await app.dispatcher.wait(run.id)
    counts: dict[str, float] = {}
    for one in (*runs, run):
        async with app.record.reading() as tx:
            ended = await record_runs.get_run(tx, one.id)
        # One that was killed too often is given up; the run after it goes on from there.
        assert one.id != run.id or ended.state in ("succeeded", "partial"), ended.errors
        for name, value in ended.counts.items():
            counts[name] = counts.get(name, 0) + value
    return counts


async def forget(app: App) -> None:
    """As if nothing had been published or embedded yet; the record stays."""
    async with app.record.transaction() as tx:
        await record_documents.unpublish(tx, TICKETS)
        await tx.execute(delete(tables.embeddings))


async def all_documents(app: App) -> list[Document]:
    """Every document of the tickets, made anew from the record."""
    async with app.record.reading() as tx:
        found = select(tables.documents.c.item_id).where(tables.documents.c.collection == TICKETS)
        ids = sorted((await tx.execute(found)).scalars(), key=int)
    made: list[Document] = []
    for begin in range(0, len(ids), PAGE):
        claims = [
            Claim(
                collection=TICKETS, source=SOURCE, item_id=id, language="", version=0, gone=False, published={},
                payload_hash=None, embedder=None, rules=None, attempts=0, owner="benchmark",
            )
            for id in ids[begin : begin + PAGE]
        ]  # fmt: skip
        made += [document for _, document in (await build(app.record, claims)).documents]
    return made


def items_of(made: Sequence[Document]) -> list[Item]:
    """A peer's items: one for each section of a document."""
    return [
        Item(
            f"{document.item_id}:{section}",
            text,
            {"section": section, **{name: document.payload[name] for name in SHOWN}},
        )
        for document in made
        for section, text in document.sections.items()
    ]


async def differing(app: App, items: Sequence[Item]) -> dict[str, int]:
    """Points that are missing, hold another text or other metadata than the items say, or belong to no item.

    Vectors are compared with those of the items' texts.
    """
    wanted: dict[UUID, list[Item]] = {}
    for item in items:
        ticket = item.id.partition(":")[0]
        wanted.setdefault(documents.point_id(TICKETS, SOURCE, ticket, ""), []).append(item)
    held: dict[UUID, Any] = {}
    async for batch in app.index.scroll(TICKETS, SHOWN):
        held |= dict(batch)
    stale, ids = 0, [id for id in wanted if id in held]
    for begin in range(0, len(ids), PAGE):
        part = ids[begin : begin + PAGE]
        for id, vectors in (await app.index.vectors(TICKETS, part)).items():
            dense = {name: row for name, row in vectors.items() if isinstance(row, np.ndarray)}
            texts = {item.metadata["section"]: item.text for item in wanted[id]}
            shown = {name: value for name, value in wanted[id][0].metadata.items() if name != "section"}
            right = held[id] == shown and dense.keys() == texts.keys()
            stale += not (right and all(np.allclose(dense[n], vector_of(texts[n]), atol=1e-3) for n in texts))
    missing, extra = len(wanted.keys() - held.keys()), len(held.keys() - wanted.keys())
    return {"missing": missing, "stale": stale, "extra": extra}


def local_engine(home: Path, in_memory: bool) -> VectorIndex:
    """The engine that the peers have: qdrant-client's own."""
    from qdrant_client import AsyncQdrantClient  # an extra, and slow to import

    from deskloom.indexes.qdrant import QdrantIndex

    client = AsyncQdrantClient(":memory:") if in_memory else AsyncQdrantClient(path=str(home / "local"))
    return QdrantIndex(client)


async def work(options: argparse.Namespace) -> None:
    owned = own_home(options.home, "benchmark")
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        home=options.home,
        freshdesk_domain=options.url,
        freshdesk_api_key="sandbox",  # type: ignore[arg-type]
        rate_share=1.0,
    )
    embedder: Any = FixedEmbedder(cost=options.cost, notes=options.notes)
    if options.model == "real":
        embedder = Counted(await open_embedder(settings))
        await embedder.inner.embed(["one text to warm up"])
    index = local_engine(options.home, options.in_memory) if options.index == "local" else None
    async with open_app(settings, home=owned.id, opener=always(embedder), index=index) as app:
        if options.again:
            await perform(app)
            await forget(app)
        texts, began = embedder.texts, time.perf_counter()
        counts = await perform(app)
        answer = {"seconds": time.perf_counter() - began, "texts": embedder.texts - texts, "counts": counts}
        answer["writes"] = int(counts["indexed"])
        if options.items:
            options.items.write_text(json.dumps(as_json(items_of(await all_documents(app)))), "utf-8")
        if options.check:
            answer |= await differing(app, from_json(json.loads(options.check.read_text("utf-8"))))
        say(answer, options.answer)


class Counted:
    """The real embedder, counting its texts."""

    def __init__(self, inner: Embedder) -> None:
        self.inner, self.texts = inner, 0
        self.name, self.dimensions, self.max_tokens = inner.name, inner.dimensions, inner.max_tokens
        self.languages, self.offsets, self.aclose = inner.languages, inner.offsets, inner.aclose

    async def embed(self, texts: Sequence[str], purpose: Any = "document") -> Any:
        self.texts += len(texts)
        return await self.inner.embed(texts, purpose)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("url")
    parser.add_argument("--cost", type=float, default=0.0)
    parser.add_argument("--notes", type=Path)
    parser.add_argument("--model", choices=["fixed", "real"], default="fixed")
    parser.add_argument("--index", choices=["edge", "local"], default="edge")
    parser.add_argument("--in-memory", action="store_true", help="with the local engine: points live in memory alone")
    parser.add_argument("--again", action="store_true", help="measure publishing everything once more")
    parser.add_argument("--items", type=Path)
    parser.add_argument("--check", type=Path)
    parser.add_argument("--answer", type=Path, help="the file to answer in; else standard output")
    options = parser.parse_args(words)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    asyncio.run(work(options))


if __name__ == "__main__":
    main()
