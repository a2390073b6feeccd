"""What points hold, compared whole with what they should hold: the deep half of a comparison."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal
from uuid import UUID

import numpy as np

from deskloom import documents
from deskloom.documents import RULES, Document
from deskloom.errors import NotFound
from deskloom.model import Json
from deskloom.protocols import VectorIndex, Vectors, Words
from deskloom.record import embeddings
from deskloom.record.documents import Claim
from deskloom.record.engine import Record
from deskloom.record.published import Standing
from deskloom.sync.build import build
from deskloom.sync.vectors import text_hash

Wrong = tuple[Literal["missing", "stale", "payload"], str]
SAME = 0.9999
"""Least cosine of a stored vector and the mean of its cached parts. Stores round; the mean of a text's parts does not
move by more than 1e-4 for it."""
_WEIGHT = 1e-3


@dataclass(slots=True)
class Truth:
    """What the record and its cache say about one document; `document` None: its content cannot be made now."""

    standing: Standing
    document: Document | None = None
    vectors: Mapping[str, Vectors] = field(default_factory=dict)
    weights: Mapping[str, Words] = field(default_factory=dict)


async def examine(
    record: Record, index: VectorIndex, collection: str, rows: Mapping[UUID, Standing]
) -> dict[UUID, Wrong]:
    """Which of these points, whose hashes are right, hold something else, and what.

    Vectors whose texts are not cached are not compared. Where the rules have changed since, words are not either.
    """
    truths = await _truths(record, rows)
    try:
        payloads = await index.retrieve(collection, list(rows))
        vectors = await index.vectors(collection, list(rows))
    except NotFound:
        return {}

    def judge() -> dict[UUID, Wrong]:
        judged = {
            id: _judge(truths[id], payloads[id], vectors.get(id, {})) for id in rows if id in payloads and id in truths
        }
        return {id: wrong for id, wrong in judged.items() if wrong is not None}

    return await asyncio.to_thread(judge)


async def _truths(record: Record, rows: Mapping[UUID, Standing]) -> dict[UUID, Truth]:
    truths = {id: Truth(row) for id, row in rows.items()}
    ids = {row.item: id for id, row in rows.items()}
    current = [row for row in rows.values() if row.rules == RULES]
    for _, group in groupby(sorted(current, key=lambda row: row.item), key=lambda row: row.source):
        built = await build(record, [_claim(row) for row in group])
        for claim, document in built.documents:
            truths[ids[claim.source, claim.item_id, claim.language]].document = document
    models: dict[str, set[str]] = {}
    for row in rows.values():
        models.setdefault(row.embedder or "", set()).update(row.published.values())
    async with record.reading() as tx:
        cached = {model: await embeddings.load_vectors(tx, model, hashes) for model, hashes in models.items()}
        weighed = {model: await embeddings.load_weights(tx, model, hashes) for model, hashes in models.items()}
    for truth in truths.values():
        model = truth.standing.embedder or ""
        truth.vectors, truth.weights = cached[model], weighed[model]
    return truths


def _claim(row: Standing) -> Claim:
    """A row as `build` wants it; nothing is claimed by it."""
    return Claim(
        collection=row.collection,
        source=row.source,
        item_id=row.item_id,
        language=row.language,
        version=row.version,
        gone=False,
        published=row.published,
        payload_hash=row.payload_hash,
        embedder=row.embedder,
        rules=row.rules,
        attempts=0,
        owner="",
    )


def _judge(truth: Truth, payload: Json, stored: Mapping[str, Vectors | Words]) -> Wrong | None:
    row, document = truth.standing, truth.document
    whose = f"the point of {documents.kind_of(row.collection)} {_key(row)}"
    content = {name: value for name, value in payload.items() if name != "hash"}
    if document is not None:
        if (document.section_hashes(), document.payload_hash()) != (dict(row.published), row.payload_hash):
            return "stale", f"{whose} was made of other content than the record holds now"
        if content != document.payload:
            fields = sorted(
                name for name in content.keys() | document.payload.keys() if _differ(name, content, document.payload)
            )
            return "payload", f"{whose} has another {', '.join(fields)} than its hash says"
    elif _payload_hash(content) != row.payload_hash:
        return "payload", f"the payload of {whose} is not the one its hash was made of"
    problem = _dense(truth, stored) or (_sparse(truth, document, stored) if document is not None else None)
    return ("payload", f"{whose} {problem}") if problem else None


def _differ(name: str, one: Json, other: Json) -> bool:
    return (name in one) != (name in other) or one.get(name) != other.get(name)


def _payload_hash(content: Json) -> str:
    """As `Document.payload_hash` makes it."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _dense(truth: Truth, stored: Mapping[str, Vectors | Words]) -> str | None:
    """What is wrong with the dense vectors: absent, superfluous, or not the mean of the cached parts."""
    published = truth.standing.published
    words = documents.word_names(truth.standing.collection)
    wanted = {name: key for name, key in published.items() if name not in words}
    held = {name: value for name, value in stored.items() if isinstance(value, np.ndarray)}
    if problem := _other_names(wanted, held):
        return problem
    for name, key in wanted.items():
        if key in truth.vectors and not _same_direction(truth.vectors[key], held[name]):
            return f"has another {name} than its text gives"
    return None


def _same_direction(parts: Vectors, stored: Vectors) -> bool:
    total = parts.sum(axis=0)
    if float(np.linalg.norm(total)) <= SAME * 1e-3:  # parts that cancel out: the store keeps the first
        total = parts[0]
    if stored.shape != total.shape:
        return False
    scale = float(np.linalg.norm(total) * np.linalg.norm(stored))
    return scale > 0 and float(total @ stored) / scale >= SAME  # NaN fails too


def _sparse(truth: Truth, document: Document, stored: Mapping[str, Vectors | Words]) -> str | None:
    """What is wrong with the word vectors, and with the words that the model weighed where they are cached."""
    wanted = dict(documents.sparse(document))
    held = {name: value for name, value in stored.items() if isinstance(value, Words)}
    keys = {name: text_hash(text) for name, text in document.sections.items()}
    if truth.weights and all(key in truth.weights for key in keys.values()):
        wanted |= documents.weighed(document, {name: truth.weights[key] for name, key in keys.items()})
    else:
        known = documents.word_names(document.collection)
        held = {name: value for name, value in held.items() if name in known}
    wanted = {name: value for name, value in wanted.items() if value.indices}
    if problem := _other_names(wanted, held):
        return problem
    for name, value in wanted.items():
        if not _same_words(value, held[name]):
            return f"has other {name} than its text gives"
    return None


def _same_words(one: Words, other: Words) -> bool:
    mine = dict(zip(one.indices, one.weights, strict=True))
    theirs = dict(zip(other.indices, other.weights, strict=True))
    return mine.keys() == theirs.keys() and all(
        abs(weight - theirs[index]) <= _WEIGHT * max(1.0, abs(weight)) for index, weight in mine.items()
    )


def _other_names(wanted: Mapping[str, object], held: Mapping[str, object]) -> str | None:
    if lacking := sorted(wanted.keys() - held.keys()):
        return f"lacks {', '.join(lacking)}"
    if extra := sorted(held.keys() - wanted.keys()):
        return f"has {', '.join(extra)}, for which there is no text"
    return None


def _key(row: Standing) -> str:
    return f"{row.item_id}:{row.language}" if row.language else row.item_id
