"""Points and filters in the words of Qdrant's engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import qdrant_edge as engine

from deskloom.indexes.checks import by_type, checked_query, checked_vectors, lower_bound
from deskloom.protocols import Point, Schema, Vectors, Where, Words


def engine_point(schema: Schema, point: Point) -> engine.Point:
    """A point as stored. A vector without rows, or words without entries, counts as absent."""
    vectors: Any = {name: _engine_value(value) for name, value in checked_vectors(schema, point).items()}
    return engine.Point(point.id, vectors, dict(point.payload))


def stored_vectors(record: engine.Record) -> dict[str, Vectors | Words]:
    """The vectors of a record as we know them: dense ones of shape (width,), and words."""
    found: Any = record.vector or {}
    return {
        name: Words(tuple(value.indices), tuple(value.values))
        if isinstance(value, engine.SparseVector)
        else np.asarray(value, np.float32)
        for name, value in found.items()
    }


def engine_query(schema: Schema, vector: str, value: Vectors | Words) -> engine.Query:
    """The query by one named vector; a dense value has shape (width,)."""
    return engine.Query.Nearest(_engine_value(checked_query(schema, vector, value)), using=vector)


def engine_filter(where: Where | None) -> engine.Filter | None:
    """The engine's filter. A field that holds a list matches if any of its values does."""
    if where is None:
        return None
    must: list[Any] = [_any_of(field, values) for field, values in where.equals.items()]
    must += [_at_least(field, least) for field, least in where.at_least.items()]
    return engine.Filter(must=must, must_not=[_any_of(field, values) for field, values in where.exclude.items()])


def _any_of(field: str, values: Sequence[str | int]) -> engine.Filter:
    texts, numbers = by_type(values)
    # No values at all match nothing.
    matches = [engine.MatchAny(texts)] + ([engine.MatchAny(numbers)] if numbers else [])
    return engine.Filter(should=[engine.FieldCondition(key=field, match=match) for match in matches])


def _at_least(field: str, least: Any) -> engine.FieldCondition:
    bound = lower_bound(field, least)
    if isinstance(bound, int | float):
        return engine.FieldCondition(key=field, range=engine.RangeFloat(gte=bound))
    return engine.FieldCondition(key=field, range=engine.RangeDateTime(gte=bound.isoformat()))


def _engine_value(value: Vectors | Words) -> Any:  # the engine's stub knows lists only; it takes arrays
    return engine.SparseVector(list(value.indices), list(value.weights)) if isinstance(value, Words) else value


def payload_schema(kinds: Mapping[str, str]) -> dict[str, engine.PayloadSchemaType]:
    """The engine's index types of the filter fields."""
    types = {
        "keyword": engine.PayloadSchemaType.Keyword,
        "integer": engine.PayloadSchemaType.Integer,
        "datetime": engine.PayloadSchemaType.Datetime,
    }
    return {field: types[kind] for field, kind in kinds.items()}
