"""One update of a peer over a folder: python -m benchmarks.workers.peer NAME FOLDER ITEMS [options]."""

from __future__ import annotations

import argparse
import asyncio
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

from benchmarks.fixed import FixedEmbedder, vector_of
from benchmarks.peers import compare, from_json, open_peer
from benchmarks.workers import say

from deskloom.embedders import open_embedder
from deskloom.protocols import Embedder
from deskloom.settings import Settings


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("folder", type=Path)
    parser.add_argument("items", type=Path)
    parser.add_argument("--cost", type=float, default=0.0)
    parser.add_argument("--notes", type=Path)
    parser.add_argument("--model", choices=["fixed", "real"], default="fixed")
    parser.add_argument("--in-memory", action="store_true")
    parser.add_argument("--check", action="store_true", help="compare the store with the items afterwards")
    parser.add_argument("--answer", type=Path, help="the file to answer in; else standard output")
    options = parser.parse_args(words)
    warnings.simplefilter("ignore")
    items = from_json(json.loads(options.items.read_text("utf-8")))
    embedder: Embedder = FixedEmbedder(cost=options.cost, notes=options.notes)
    if options.model == "real":
        embedder = asyncio.run(open_embedder(Settings(_env_file=None)))  # type: ignore[call-arg]
        asyncio.run(embedder.embed([items[0].text[:100]]))
    options.folder.mkdir(exist_ok=True)
    peer = open_peer(options.name, options.folder, embedder, in_memory=options.in_memory)
    counts = peer.sync(items)
    answer = {"texts": counts.texts, "writes": counts.writes, "seconds": counts.seconds}
    if options.check:
        wrong = compare(peer.points(), items, vector_of)
        answer |= {"missing": wrong.missing, "stale": wrong.stale, "extra": wrong.extra}
    say(answer, options.answer)
    peer.close()


if __name__ == "__main__":
    main()
