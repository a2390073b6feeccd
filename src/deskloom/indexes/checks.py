"""What every index checks before it stores or asks: names, widths, unit length; engines accept NaN (VECTORS §1.6)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np

from deskloom.errors import IndexMismatch, InvalidRequest, Unreadable
from deskloom.protocols import Point, Schema, Vectors, Words

UNIT_TOLERANCE = 1e-3
REBUILD = "Rebuild it beside the old one: deskloom reindex"


def checked_vectors(schema: Schema, point: Point) -> dict[str, Vectors | Words]:
    """The vectors of a point as stored: one row each, of shape (width,). One without rows or entries is left out.

    Raises `IndexMismatch` for a name or width that the schema does not have, `Unreadable` for broken values.
    """
    checked: dict[str, Vectors | Words] = {}
    for name, rows in point.vectors.items():
        _known(name, schema.vectors, schema, point.id)
        if len(rows):
            checked[name] = pooled(_unit_rows(schema, name, rows, point.id))
    for name, words in point.words.items():
        _known(name, (*schema.words, *schema.weights), schema, point.id)
        if words.indices:
            checked[name] = _finite(name, words, point.id)
    return checked


def checked_query(schema: Schema, vector: str, value: Vectors | Words) -> Vectors | Words:
    """The value to ask one named vector for: dense of shape (width,), or words. Raises like `checked_vectors`."""
    if isinstance(value, Words):
        _known(vector, (*schema.words, *schema.weights), schema, None)
        return _finite(vector, value, None)
    _known(vector, schema.vectors, schema, None)
    row: Vectors = _unit_rows(schema, vector, value[np.newaxis], None)[0]
    return row


def pooled(rows: Vectors) -> Vectors:
    """The one vector of a long text: the mean of its parts, of unit length; its first part if they cancel out.

    Measured against the best part and against several points, and better (docs/decisions/0004).
    """
    total = rows.sum(axis=0)
    norm = float(np.linalg.norm(total))
    return np.asarray(total / norm if norm > UNIT_TOLERANCE else rows[0], np.float32)


def by_type(values: Sequence[str | int]) -> tuple[list[str], list[int]]:
    """Filter values, texts and numbers apart: engines want values of one type in a match."""
    texts = [value for value in values if isinstance(value, str)]
    return texts, [value for value in values if not isinstance(value, str)]


def lower_bound(field: str, least: Any) -> float | datetime:
    """A number, or an aware time. Raises `InvalidRequest` for anything else."""
    if isinstance(least, int | float):
        return least
    try:
        moment = least if isinstance(least, datetime) else datetime.fromisoformat(least)
    except (TypeError, ValueError):
        raise InvalidRequest(
            f'"{field}" must be at least a number or a time such as 2026-01-31T00:00:00Z.', parameter=field
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def require_same(stored: Schema, wanted: Schema) -> None:
    """Raise `IndexMismatch` unless vectors made for `wanted` can live beside those that are stored."""
    facts = {"collection": wanted.collection, "stored": stored.embedder, "wanted": wanted.embedder}
    if stored.dimensions != wanted.dimensions:
        raise IndexMismatch(
            f'Index "{wanted.collection}" holds vectors of width {stored.dimensions}; embedder "{wanted.embedder}" '
            f"makes {wanted.dimensions}. {REBUILD}",
            **facts,
        )
    if stored.embedder != wanted.embedder:
        raise IndexMismatch(
            f'Index "{wanted.collection}" holds vectors of embedder "{stored.embedder}", not of "{wanted.embedder}". '
            f"{REBUILD}",
            **facts,
        )
    if any(set(has) != set(wants) for has, wants in zip(_names(stored), _names(wanted), strict=True)):
        raise IndexMismatch(
            f'Index "{wanted.collection}" holds the vectors {", ".join(sum(_names(stored), ()))}, not '
            f"{', '.join(sum(_names(wanted), ()))}. {REBUILD}",
            **facts,
        )


def schema_text(schema: Schema) -> str:
    """A schema as JSON."""
    return json.dumps(asdict(replace(schema, filters=dict(schema.filters))), indent=1)


def read_schema(text: str) -> Schema:
    """A schema from its JSON, whose older forms lack `weights`. Raises `ValueError` or `TypeError` if it is none."""
    facts: dict[str, Any] = json.loads(text)
    tuples: dict[str, Any] = {name: tuple(value) for name, value in facts.items() if isinstance(value, list)}
    return Schema(**(facts | tuples))


def _names(schema: Schema) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    return schema.vectors, schema.words, schema.weights


def _known(name: str, names: Sequence[str], schema: Schema, point: UUID | None) -> None:
    if name not in names:
        raise IndexMismatch(
            f'Index "{schema.collection}" has no vector "{name}", only {", ".join(names) or "none of its kind"}.',
            collection=schema.collection,
            vector=name,
            point=point,
        )


def _unit_rows(schema: Schema, name: str, rows: Vectors, point: UUID | None) -> Vectors:
    if rows.ndim != 2 or rows.shape[1] != schema.dimensions:
        raise IndexMismatch(
            f'Index "{schema.collection}" holds vectors of width {schema.dimensions}; "{name}" came with shape '
            f"{rows.shape}. {REBUILD}",
            collection=schema.collection,
            vector=name,
            point=point,
        )
    norms = np.linalg.norm(rows, axis=1)
    if not np.all(np.abs(norms - 1) <= UNIT_TOLERANCE):  # written so that NaN fails too
        raise Unreadable(
            f'Vector "{name}" of {point or "a query"} is not of unit length: the embedder is broken. Run: '
            "deskloom doctor",
            vector=name,
            point=point,
        )
    return np.ascontiguousarray(rows, np.float32)


def _finite(name: str, words: Words, point: UUID | None) -> Words:
    if len(set(words.indices)) != len(words.weights) or not np.all(np.isfinite(words.weights)):
        raise Unreadable(
            f'Word vector "{name}" of {point or "a query"} has repeated words or weights that are no numbers.',
            vector=name,
            point=point,
        )
    return words
