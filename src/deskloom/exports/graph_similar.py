"""Which tickets and which articles are alike, by the vectors the index holds of what everyone may read of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np

from deskloom import documents
from deskloom.exports.graph_nodes import Relation, node_id
from deskloom.model import Json, Kind
from deskloom.protocols import Hit, VectorIndex, Vectors, Where
from deskloom.record.snapshot import Snapshot

AT_LEAST = 0.7
AT_ONCE = 8
"""Questions to the index at the same time."""


@dataclass(frozen=True, slots=True)
class Alike:
    """Where to look, how many of the nearest count, and from which cosine on."""

    index: VectorIndex
    most: int
    at_least: float = AT_LEAST


_COLLECTIONS = {
    # Never a vector made of private notes: an arrow would tell of them.
    Kind.TICKET: (documents.TICKETS, "symptom_vec"),
    Kind.ARTICLE: (documents.ARTICLES, "procedure_vec"),
}


async def similar_relations(
    snapshot: Snapshot, alike: Alike, source: str, kind: Kind, keys: Sequence[str]
) -> list[Relation]:
    """From each of these objects of a kind to those like it that the snapshot has, best first.

    Articles are compared within their language. Raises `IndexUnavailable`.
    """
    index = alike.index
    collection, vector = _COLLECTIONS[kind]
    points = {_point(collection, source, key): key for key in keys}
    stored = await index.vectors(collection, list(points))
    asking = {id: held[vector] for id, held in stored.items() if isinstance(held.get(vector), np.ndarray)}
    turn = asyncio.Semaphore(AT_ONCE)

    async def ask(id: UUID) -> list[Hit]:
        async with turn:
            where = None
            if kind is Kind.ARTICLE:
                where = Where(equals={"language": [points[id].partition(":")[2]]})
            return await index.query(collection, vector, asking[id], where=where, limit=alike.most + 1)

    answers = dict(zip(asking, await asyncio.gather(*map(ask, asking)), strict=True))
    others = sorted({hit.id for hits in answers.values() for hit in hits}, key=str)
    payloads = await index.retrieve(collection, others)
    theirs = await index.vectors(collection, others)
    nodes = await _nodes(snapshot, kind, payloads)
    made: list[Relation] = []
    for id, hits in sorted(answers.items(), key=lambda answer: keys.index(points[answer[0]])):
        start = node_id(source, kind, points[id])
        scored = {
            nodes[hit.id]: _cosine(asking[id], theirs[hit.id].get(vector))
            for hit in hits
            if hit.id in nodes and hit.id in theirs and nodes[hit.id] != start
        }
        best = sorted((-score, end) for end, score in scored.items() if score >= alike.at_least)
        made += [Relation("SIMILAR_TO", start, end, {"score": -score}) for score, end in best[: alike.most]]
    return made


def _point(collection: str, source: str, key: str) -> UUID:
    item, _, language = key.partition(":")
    return documents.point_id(collection, source, item, language)


def _cosine(one: object, other: object) -> float:
    """To four digits, whichever store computes it."""
    if not isinstance(one, np.ndarray) or not isinstance(other, np.ndarray):
        return -1.0
    first: Vectors = one
    return round(float(first @ other), 4)


async def _nodes(snapshot: Snapshot, kind: Kind, payloads: Mapping[UUID, Json]) -> dict[UUID, str]:
    """Point → its node, for what the snapshot has: the index may lag behind it, or hold other customers."""
    name = "ticket_id" if kind is Kind.TICKET else "article_id"
    found: dict[UUID, str] = {}
    for source in sorted({str(payload["source"]) for payload in payloads.values()}):
        mine = {id: payload for id, payload in payloads.items() if payload["source"] == source}
        numbers = [int(payload[name]) for payload in mine.values()]
        if kind is Kind.TICKET:
            present = await snapshot.present(kind, source, numbers)
            there = {id: int(payload[name]) for id, payload in mine.items() if int(payload[name]) in present}
            found |= {id: node_id(source, kind, number) for id, number in there.items()}
        else:
            spoken = await snapshot.languages(source, numbers)
            found |= {
                id: node_id(source, kind, f"{payload[name]}:{payload['language']}")
                for id, payload in mine.items()
                if payload["language"] in spoken.get(int(payload[name]), ())
            }
    return found
