"""The floor of every throughput figure: the bare embedder, given texts it need not wait for.

Run: python -m benchmarks.floor [--texts 500]
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import time
from collections.abc import Sequence
from itertools import islice

from benchmarks.labels import question
from benchmarks.rigs import DATA, table

from deskloom import documents
from deskloom.embedders import open_embedder
from deskloom.protocols import Embedder
from deskloom.settings import Settings


async def bare_embedder_rate(texts: Sequence[str], embedder: Embedder | None = None) -> float:
    """Texts per second of one `embed` call over all texts, each within the model's limit; best of two runs.

    Without an embedder the default one is opened for the purpose. One text is embedded beforehand, to warm up.
    """
    chosen = embedder or await open_embedder(Settings())
    await chosen.embed(texts[:1])
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        await chosen.embed(texts)
        seconds.append(time.perf_counter() - began)
    if embedder is None:
        await chosen.aclose()
    return len(texts) / min(seconds)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=500, help="how many parts of real tickets to embed")
    count = parser.parse_args().texts
    embedder = await open_embedder(Settings())
    with gzip.open(DATA / "sumo-thunderbird" / "tickets.jsonl.gz", "rt", encoding="utf-8") as lines:
        questions = [question(json.loads(line)) for line in islice(lines, count)]
    texts = [part for text in questions for part in documents.split(text, embedder)][:count]
    tokens = sum(len(embedder.offsets(text)) + 2 for text in texts)
    rate = await bare_embedder_rate(texts, embedder)
    await embedder.aclose()
    table(
        f"Bare embedder {embedder.name}",
        [["texts", "tokens a text", "texts/s", "tokens/s"], [count, tokens / count, rate, rate * tokens / count]],
    )


if __name__ == "__main__":
    asyncio.run(main())
