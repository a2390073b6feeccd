"""How well search finds what helpers pointed to: keyword, semantic and hybrid, beside plain BM25 on the same questions.

The real documents, embedder, index and search are used; vectors are kept on disk between runs (10 minutes of two
cores without them). `--tune` compares weights of the branches on half of the questions and checks them on the others.

Run: python -m benchmarks.retrieval [--every 1] [--replies] [--tune] [--cache FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from benchmarks.cached import CachedEmbedder
from benchmarks.labels import SOURCE, LabelledSet, Scores, article, load, score, ticket
from benchmarks.rigs import DATA, table

from deskloom import documents, search
from deskloom.documents import Document, TicketFacts
from deskloom.embedders import open_embedder
from deskloom.errors import EmptyContent
from deskloom.indexes.edge import EdgeIndex
from deskloom.protocols import Embedder, Point, VectorIndex
from deskloom.settings import Settings
from deskloom.text.language import language_of
from deskloom.words import query_words

MODES: Sequence[search.Mode] = ("keyword", "semantic", "hybrid")
BATCH = 500


def built(articles: Sequence[Any], tickets: Sequence[Any], hidden: set[int], *, replies: bool) -> Iterator[Document]:
    """The documents of all rows; of tickets in `hidden` only the question is known."""
    for row in articles:
        yield documents.article_document(SOURCE, article(row))
    for row in tickets:
        try:
            told = ticket(row, replies=replies and row["id"] not in hidden)
            yield documents.ticket_document(SOURCE, told, TicketFacts())
        except EmptyContent:
            continue


async def fill(index: VectorIndex, embedder: Embedder, found: Iterator[Document]) -> int:
    """Put documents into the index as publishing does; returns how many parts of texts were embedded."""
    total = 0
    while batch := list(itertools.islice(found, BATCH)):
        parts = [
            (document.id, name, part)
            for document in batch
            for name, text in document.sections.items()
            for part in documents.split(text, embedder)
        ]
        vectors = await embedder.embed([part for _, _, part in parts])
        rows: defaultdict[tuple[UUID, str], list[Any]] = defaultdict(list)
        for (id, name, _), vector in zip(parts, vectors, strict=True):
            rows[id, name].append(vector)
        points: defaultdict[str, list[Point]] = defaultdict(list)
        for document in batch:
            dense = {name: np.array(rows[document.id, name]) for name in document.sections}
            words = documents.sparse(document)
            points[document.collection].append(
                Point(id=document.id, vectors=dense, words=words, payload=document.payload)
            )
        for collection, some in points.items():
            await index.upsert(collection, some)
        total += len(parts)
        print(f"\r{total} parts", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return total


async def measure(one: LabelledSet, finder: search.Search, mode: search.Mode, every: int) -> tuple[Scores, float]:
    """Scores of a mode, and seconds a question."""
    began = time.perf_counter()
    found: dict[int, list[str]] = {}
    for id in list(one.questions)[::every]:
        asked = search.Query(text=one.questions[id], collections=(one.collection,), mode=mode, limit=11, internal=False)
        found[id] = [hit.id for hit in await finder.search(asked) if hit.id != str(id) or one.collection != "tickets"]
    return score(found, one.wanted), (time.perf_counter() - began) / len(found)


async def branches(
    one: LabelledSet, index: VectorIndex, embedder: Embedder, every: int
) -> Mapping[int, Mapping[str, list[str]]]:
    """For each question, what each public branch finds, best first."""
    schema = documents.schema(search.COLLECTIONS[one.collection], embedder)
    ids = {
        id: str(payload.get("article_id") or payload["ticket_id"])
        async for batch in index.scroll(schema.collection, ["article_id", "ticket_id"])
        for id, payload in batch
    }
    names = [name for name in (*schema.vectors, *schema.words) if name not in documents.INTERNAL_NAMES]
    answers = {}
    for question, text in list(one.questions.items())[::every]:
        vector = (await embedder.embed([documents.split(text, embedder)[0]], "query"))[0]
        words = query_words(text)
        answers[question] = {
            name: [
                ids[hit.id]
                for hit in await index.query(
                    schema.collection, name, words if name in schema.words else vector, limit=search.CANDIDATES
                )
                if one.collection != "tickets" or ids[hit.id] != str(question)
            ]
            for name in names
        }
    return answers


def fuse(found: Mapping[str, list[str]], weights: Mapping[str, float], constant: float) -> list[str]:
    """Reciprocal rank fusion, as in `search`."""
    scores: defaultdict[str, float] = defaultdict(float)
    for name, ids in found.items():
        if weight := weights.get(name, 1.0):
            for rank, id in enumerate(ids, start=1):
                scores[id] += weight / (constant + rank)
    return sorted(scores, key=lambda id: -scores[id])[:10]


def tune(one: LabelledSet, answers: Mapping[int, Mapping[str, list[str]]]) -> list[list[Any]]:
    """The best combinations on even question ids, with their scores on odd ones; and each branch by itself."""
    names = list(next(iter(answers.values())))
    halves = [[id for id in answers if id % 2 == half] for half in (0, 1)]

    def scores(weights: Mapping[str, float], constant: float) -> list[Scores]:
        return [score({id: fuse(answers[id], weights, constant) for id in half}, one.wanted) for half in halves]

    rows: list[list[Any]] = []
    for name in names:
        alone = scores({other: float(other == name) for other in names}, 60)
        rows.append([f"{name} alone", *(f"{value:.3f}" for half in alone for value in (half.mrr, half.recall))])
    # The first branch is the yardstick; the words may matter more than it in languages that the model does not know.
    others = [(0.0, 0.1, 0.2, 0.3, 0.5, 1.0) if name != "words" else (0.3, 0.5, 0.7, 1.0, 2.0, 3.0) for name in names]
    main = "symptom_vec" if "symptom_vec" in names else "procedure_vec"
    grid = []
    for constant in (5, 10, 20, 60):
        for values in itertools.product(
            *((1.0,) if name == main else some for name, some in zip(names, others, strict=True))
        ):
            weights = dict(zip(names, values, strict=True))
            grid.append((scores(weights, constant), weights, constant))
    grid.sort(key=lambda tried: -tried[0][0].mrr)
    for both, weights, constant in grid[:6]:
        label = f"k={constant} " + " ".join(f"{name}={weight:g}" for name, weight in weights.items())
        rows.append([label, *(f"{value:.3f}" for half in both for value in (half.mrr, half.recall))])
    return rows


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="ask only every n-th question")
    parser.add_argument("--replies", action="store_true", help="index the replies of tickets that are no questions")
    parser.add_argument("--tune", action="store_true", help="compare weights instead of measuring search")
    parser.add_argument("--kb", action="store_true", help="leave the tickets out")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "deskloom-bench" / "vectors.db")
    options = parser.parse_args()
    articles, tickets, sets = load(DATA / "sumo-thunderbird")
    if options.kb:
        tickets, sets = [], sets[:2]
    hidden = {id for one in sets for id in one.questions}
    embedder = CachedEmbedder(await open_embedder(Settings()), options.cache)

    async def embedder_of(collection: str) -> Embedder:
        return embedder

    with tempfile.TemporaryDirectory() as folder:
        index = EdgeIndex(Path(folder))
        for collection in search.COLLECTIONS.values():
            await index.prepare(documents.schema(collection, embedder))
        parts = await fill(index, embedder, built(articles, tickets, hidden, replies=options.replies))
        print(f"{len(articles)} articles, {len(tickets)} tickets, {parts} parts of texts embedded")
        for one in sets:
            if options.tune:
                answers = await branches(one, index, embedder, options.every)
                foreign = sum(language_of(one.questions[id]) not in ("en", "und") for id in answers)
                head = [f"{len(answers)} questions, {foreign} not English", "MRR even", "Recall even", "odd", "odd"]
                table(one.name, [head, *tune(one, answers)])
                continue
            rows: list[list[Any]] = [["", "MRR@10", "Recall@10", "nDCG@10", "ms a question"]]
            rows.append(["plain BM25", *(f"{value:.3f}" for value in one.floor), "-", "-"])
            for mode in MODES:
                asked = search.Search(index, embedder_of, lambda *_: None)
                got, seconds = await measure(one, asked, mode, options.every)
                rows.append([mode, *(f"{value:.3f}" for value in (got.mrr, got.recall, got.ndcg)), seconds * 1000])
            table(f"{one.name}: {got.questions} questions", rows)
        await index.aclose()
    await embedder.aclose()


if __name__ == "__main__":
    asyncio.run(main())
