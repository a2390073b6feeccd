"""The labelled retrieval sets: real questions, the articles or earlier questions a helper pointed to, and the scores.

Labels sit in replies, so the replies of a ticket that is used as a query are not indexed; articles that are answers to
almost everything (`generic_article`) are left out, and a ticket never counts as similar to itself.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from deskloom.model import Article, Message, Ticket
from deskloom.text.html import html_to_text

SOURCE = "support"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSet:
    """Questions with what should be found in one collection. `floor`: MRR@10 and Recall@10 of plain BM25.

    `wanted`: question id → ids (as in the payload) that count; `skipped`: an id that does not count for its question.
    """

    name: str
    collection: str
    floor: tuple[float, float]
    questions: Mapping[int, str]
    wanted: Mapping[int, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Scores:
    """Means over the questions of a set, each at 10."""

    mrr: float
    recall: float
    ndcg: float
    questions: int


def load(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[LabelledSet]]:
    """Rows of articles and of tickets, and the labelled sets over them."""
    articles = list(_rows(folder / "kb_articles.jsonl.gz"))
    tickets = [row for name in ("tickets", "tickets_without_replies") for row in _rows(folder / f"{name}.jsonl.gz")]
    by_id = {row["id"]: row for row in tickets}
    slugs = {row["slug"]: str(row["id"]) for row in articles}
    kb: dict[int, set[str]] = defaultdict(set)
    for label in _labels(folder / "qrels_kb.tsv"):
        if label["generic_article"] == "0":
            kb[int(label["question_id"])].add(slugs[label["kb_slug"]])
    similar: dict[int, set[str]] = defaultdict(set)
    for label in _labels(folder / "qrels_similar.tsv"):
        if label["question_id"] != label["linked_question_id"]:
            similar[int(label["question_id"])].add(label["linked_question_id"])

    def chosen(name: str, where: str, floor: tuple[float, float], wanted: Any, english: bool) -> LabelledSet:
        ids = sorted(id for id in wanted if by_id[id]["locale"].startswith("en") == english)
        return LabelledSet(
            name=name,
            collection=where,
            floor=floor,
            questions={id: question(by_id[id]) for id in ids},
            wanted={id: frozenset(wanted[id]) for id in ids},
        )

    sets = [
        chosen("KB, English", "kb", (0.236, 0.412), kb, True),
        chosen("KB, other languages", "kb", (0.163, 0.317), kb, False),
        chosen("similar ticket, English", "tickets", (0.217, 0.299), similar, True),
    ]
    return articles, tickets, sets


def question(row: Mapping[str, Any]) -> str:
    """What a person would paste into the search: title and body."""
    return f"{row['title']}\n\n{html_to_text(row['content_html'])}"


def article(row: Mapping[str, Any]) -> Article:
    return Article(
        external_id=row["id"],
        language="en",
        stamp=None,
        title=row["title"],
        summary=row["summary"],
        body_html=row["html"],
    )


def ticket(row: Mapping[str, Any], *, replies: bool) -> Ticket:
    return Ticket(
        external_id=row["id"],
        stamp=None,
        subject=row["title"],
        description_html=row["content_html"],
        tags=tuple(row["tags"]),
        created_at=_moment(row["created"]),
        updated_at=_moment(row["updated"]),
        resolved_at=_moment(row["updated"]) if row.get("is_solved") else None,
        messages=tuple(map(_message, row.get("answers", ()))) if replies else (),
    )


def score(found: Mapping[int, Sequence[str]], wanted: Mapping[int, Collection[str]]) -> Scores:
    """MRR, Recall and nDCG of the first ten ids found for each question."""
    mrr = recall = ndcg = 0.0
    for id, ids in found.items():
        right = [place for place, hit in enumerate(ids[:10]) if hit in wanted[id]]
        mrr += 1 / (right[0] + 1) if right else 0
        recall += len(right) / len(wanted[id])
        best = sum(1 / math.log2(place + 2) for place in range(min(10, len(wanted[id]))))
        ndcg += sum(1 / math.log2(place + 2) for place in right) / best
    return Scores(mrr / len(found), recall / len(found), ndcg / len(found), len(found))


def _message(row: Mapping[str, Any]) -> Message:
    return Message(
        external_id=row["id"],
        private=False,
        incoming=row["role"] == "requester",
        kind="reply",
        body_html=row["content_html"],
        created_at=_moment(row["created"]),
        updated_at=_moment(row["updated"]),
    )


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S %z")


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _labels(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))
