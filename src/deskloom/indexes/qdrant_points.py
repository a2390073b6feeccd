"""Points, filters and collections in the words of `qdrant-client`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from uuid import UUID

import numpy as np
from qdrant_client import models

from deskloom.indexes.checks import by_type, checked_query, checked_vectors, lower_bound, schema_text
from deskloom.model import Json
from deskloom.protocols import Point, Schema, Vectors, Where, Words

T = TypeVar("T")
METADATA = "deskloom"
"""The key of the collection's metadata under which our schema stands, as one JSON text."""
_NUMBER = 20
"""Bytes of a number in JSON, at most: a float32 written as a double."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How new collections are laid out on a server; those that exist stay as they are. None: the server's default."""

    quantization: Literal["none", "scalar", "binary"] = "none"
    on_disk: bool = False
    shards: int | None = None
    replicas: int | None = None
    write_consistency: int | None = None

    @property
    def replicated(self) -> bool:
        return (self.replicas or 1) > 1

    def acknowledged_by(self) -> int | None:
        """Replicas that must have a write before it counts: what was set, else a majority."""
        if self.write_consistency is None and self.replicas is not None:
            return self.replicas // 2 + 1
        return self.write_consistency


def collection_options(schema: Schema, layout: Layout) -> dict[str, Any]:
    """The arguments of `create_collection`."""
    dense = models.VectorParams(
        size=schema.dimensions, distance=models.Distance.COSINE, on_disk=True if layout.on_disk else None
    )
    index = models.SparseIndexParams(on_disk=True) if layout.on_disk else None
    options: dict[str, Any] = {
        "vectors_config": dict.fromkeys(schema.vectors, dense),
        "sparse_vectors_config": {
            **{name: models.SparseVectorParams(index=index, modifier=models.Modifier.IDF) for name in schema.words},
            **{name: models.SparseVectorParams(index=index) for name in schema.weights},
        },
        "quantization_config": _quantization(layout),
        "on_disk_payload": True if layout.on_disk else None,
        "shard_number": layout.shards,
        "replication_factor": layout.replicas,
        "write_consistency_factor": layout.acknowledged_by(),
        "metadata": {METADATA: schema_text(schema)},
    }
    return {name: value for name, value in options.items() if value is not None}


def field_types(schema: Schema) -> dict[str, models.PayloadSchemaType]:
    """The payload indexes of the filter fields."""
    return {field: models.PayloadSchemaType(kind) for field, kind in schema.filters.items()}


def to_point(schema: Schema, point: Point) -> models.PointStruct:
    """A point as sent. A vector without rows, or words without entries, counts as absent."""
    vectors = {name: to_value(value) for name, value in checked_vectors(schema, point).items()}
    return models.PointStruct(id=str(point.id), vector=vectors, payload=dict(point.payload))


def to_query(schema: Schema, vector: str, value: Vectors | Words) -> Any:
    return to_value(checked_query(schema, vector, value))


def to_value(value: Vectors | Words) -> Any:
    if isinstance(value, Words):
        return models.SparseVector(indices=list(value.indices), values=list(value.weights))
    return value.tolist()


def from_record(record: models.Record) -> dict[str, Vectors | Words]:
    """The vectors of a record as we know them: dense ones of shape (width,), and words."""
    found: Any = record.vector or {}
    return {
        name: Words(tuple(value.indices), tuple(value.values))
        if isinstance(value, models.SparseVector)
        else np.asarray(value, np.float32)
        for name, value in found.items()
    }


def to_filter(where: Where | None) -> models.Filter | None:
    """A field that holds a list matches if any of its values does."""
    if where is None:
        return None
    must: list[Any] = [_any_of(field, values) for field, values in where.equals.items()]
    must += [_at_least(field, least) for field, least in where.at_least.items()]
    return models.Filter(must=must, must_not=[_any_of(field, values) for field, values in where.exclude.items()])


def selector(ids: Sequence[UUID]) -> models.PointIdsList:
    return models.PointIdsList(points=[str(id) for id in ids])


def overwrite(id: UUID, payload: Json) -> models.OverwritePayloadOperation:
    return models.OverwritePayloadOperation(
        overwrite_payload=models.SetPayload(payload=dict(payload), points=[str(id)])
    )


def point_of(item: Any) -> Any:
    """The id of what a write changes: a point, or a payload."""
    return item.id if isinstance(item, models.PointStruct) else item.overwrite_payload.points[0]


def point_bytes(point: models.PointStruct) -> int:
    """About how long a point is in a request."""
    vectors: Any = point.vector
    numbers = sum(
        2 * len(value.indices) if isinstance(value, models.SparseVector) else len(value) for value in vectors.values()
    )
    return numbers * _NUMBER + payload_bytes(point.payload or {})


def payload_bytes(payload: Mapping[str, Any]) -> int:
    return len(json.dumps(payload, default=str)) + 200


def by_size(items: Sequence[tuple[T, int]], limit: int) -> Iterator[list[T]]:
    """Items in groups of at most `limit` bytes, in order; one that is larger stands alone."""
    group: list[T] = []
    total = 0
    for item, size in items:
        if group and total + size > limit:
            yield group
            group, total = [], 0
        group.append(item)
        total += size
    if group:
        yield group


def _any_of(field: str, values: Sequence[str | int]) -> models.Filter:
    texts, numbers = by_type(values)
    # No values at all match nothing.
    matches = [models.MatchAny(any=texts)] + ([models.MatchAny(any=numbers)] if numbers else [])
    return models.Filter(should=[models.FieldCondition(key=field, match=match) for match in matches])


def _at_least(field: str, least: Any) -> models.FieldCondition:
    bound = lower_bound(field, least)
    if isinstance(bound, int | float):
        return models.FieldCondition(key=field, range=models.Range(gte=bound))
    return models.FieldCondition(key=field, range=models.DatetimeRange(gte=bound))


def _quantization(layout: Layout) -> models.QuantizationConfig | None:
    """Quantized vectors stay in memory, so that the originals may live on disk and are read to rescore alone."""
    if layout.quantization == "scalar":
        scalar = models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.99, always_ram=True)
        return models.ScalarQuantization(scalar=scalar)
    if layout.quantization == "binary":
        return models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=True))
    return None
