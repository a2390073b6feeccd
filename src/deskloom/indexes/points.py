"""Points and filters in the words of Qdrant's engine, checked on the way: the engine accepts NaN (VECTORS §1.6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np
import qdrant_edge as engine

from deskloom.errors import IndexMismatch, InvalidRequest, Unreadable
from deskloom.protocols import Point, Schema, Vectors, Where, Words

_UNIT_TOLERANCE = 1e-3


def engine_point(schema: Schema, point: Point) -> engine.Point:
    """A point as stored. A vector without rows, or words without entries, counts as absent."""
    vectors: dict[str, Any] = {}
    for name, rows in point.vectors.items():
        _known(name, schema.vectors, schema, point.id)
        if len(rows):
            vectors[name] = pooled(_checked(schema, name, rows, point.id))
    for name, words in point.words.items():
        _known(name, schema.words, schema, point.id)
        if words.indices:
            vectors[name] = _sparse(name, words, point.id)
    return engine.Point(point.id, vectors, dict(point.payload))


def pooled(rows: Vectors) -> Vectors:
    """The one vector of a long text: the mean of its parts, of unit length; its first part if they cancel out.

    Measured against the best part and against several points, and better (docs/decisions/0004).
    """
    total = rows.sum(axis=0)
    norm = float(np.linalg.norm(total))
    return np.asarray(total / norm if norm > _UNIT_TOLERANCE else rows[0], np.float32)


def engine_query(schema: Schema, vector: str, value: Vectors | Words) -> engine.Query:
    """The query by one named vector; a dense value has shape (width,)."""
    if isinstance(value, Words):
        _known(vector, schema.words, schema, None)
        return engine.Query.Nearest(_sparse(vector, value, None), using=vector)
    _known(vector, schema.vectors, schema, None)
    row: Any = _checked(schema, vector, value[np.newaxis], None)[0]  # the engine's stub knows lists only
    return engine.Query.Nearest(row, using=vector)


def engine_filter(where: Where | None) -> engine.Filter | None:
    """The engine's filter. A field that holds a list matches if any of its values does."""
    if where is None:
        return None
    must: list[Any] = [_any_of(field, values) for field, values in where.equals.items()]
    must += [_at_least(field, least) for field, least in where.at_least.items()]
    return engine.Filter(must=must, must_not=[_any_of(field, values) for field, values in where.exclude.items()])


def _any_of(field: str, values: Sequence[str | int]) -> engine.Filter:
    texts = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if not isinstance(value, str)]
    # The engine wants values of one type in a match; no values at all match nothing.
    matches = [engine.MatchAny(texts)] + ([engine.MatchAny(numbers)] if numbers else [])
    return engine.Filter(should=[engine.FieldCondition(key=field, match=match) for match in matches])


def _at_least(field: str, least: Any) -> engine.FieldCondition:
    if isinstance(least, int | float):
        return engine.FieldCondition(key=field, range=engine.RangeFloat(gte=least))
    try:
        moment = least if isinstance(least, datetime) else datetime.fromisoformat(least)
    except (TypeError, ValueError):
        raise InvalidRequest(
            f'"{field}" must be at least a number or a time such as 2026-01-31T00:00:00Z.', parameter=field
        ) from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return engine.FieldCondition(key=field, range=engine.RangeDateTime(gte=aware.isoformat()))


def _known(name: str, names: Sequence[str], schema: Schema, point: UUID | None) -> None:
    if name not in names:
        raise IndexMismatch(
            f'Index "{schema.collection}" has no vector "{name}", only {", ".join(names) or "none of its kind"}.',
            collection=schema.collection,
            vector=name,
            point=point,
        )


def _checked(schema: Schema, name: str, rows: Vectors, point: UUID | None) -> Vectors:
    if rows.ndim != 2 or rows.shape[1] != schema.dimensions:
        raise IndexMismatch(
            f'Index "{schema.collection}" holds vectors of width {schema.dimensions}; "{name}" came with shape '
            f"{rows.shape}. Rebuild it beside the old one: deskloom reindex",
            collection=schema.collection,
            vector=name,
            point=point,
        )
    norms = np.linalg.norm(rows, axis=1)
    if not np.all(np.abs(norms - 1) <= _UNIT_TOLERANCE):  # written so that NaN fails too
        raise Unreadable(
            f'Vector "{name}" of {point or "a query"} is not of unit length: the embedder is broken. Run: '
            "deskloom doctor",
            vector=name,
            point=point,
        )
    return np.ascontiguousarray(rows, np.float32)


def _sparse(name: str, words: Words, point: UUID | None) -> engine.SparseVector:
    if len(set(words.indices)) != len(words.weights) or not np.all(np.isfinite(words.weights)):
        raise Unreadable(
            f'Word vector "{name}" of {point or "a query"} has repeated words or weights that are no numbers.',
            vector=name,
            point=point,
        )
    return engine.SparseVector(list(words.indices), list(words.weights))


def payload_schema(kinds: Mapping[str, str]) -> dict[str, engine.PayloadSchemaType]:
    """The engine's index types of the filter fields."""
    types = {
        "keyword": engine.PayloadSchemaType.Keyword,
        "integer": engine.PayloadSchemaType.Integer,
        "datetime": engine.PayloadSchemaType.Datetime,
    }
    return {field: types[kind] for field, kind in kinds.items()}
