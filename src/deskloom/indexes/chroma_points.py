"""Points and filters in the words of Chroma.

Chroma knows no times, no null, and merges metadata; a list matches by `$contains`. So each filter field of the schema
is written every time: texts as a list, a number as it is, a time as microseconds since 1970, and None takes one away.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np

from deskloom.errors import InvalidRequest
from deskloom.indexes.checks import lower_bound
from deskloom.model import Json
from deskloom.protocols import Schema, Vectors, Where

PAYLOAD = "_payload"
"""The metadata key under which the whole payload stands, as one JSON text."""
Facts = dict[str, Sequence[str | int]]
"""What a point is filtered by: each field's values; a field without any is left out."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def facts_of(schema: Schema, payload: Mapping[str, Any]) -> Facts:
    """The filter fields of a payload; what is not of the field's type cannot be found by it."""
    made: Facts = {}
    for name, kind in schema.filters.items():
        value = payload.get(name)
        given = value if isinstance(value, list) else [value]
        if values := [one for one in (_fact(kind, value) for value in given) if one is not None]:
            made[name] = values
    return made


def to_metadata(schema: Schema, facts: Facts) -> dict[str, Any]:
    """The filter fields as metadata. Of several numbers in one field the first counts."""
    return {
        name: None if name not in facts else list(facts[name]) if kind == "keyword" else facts[name][0]
        for name, kind in schema.filters.items()
    }


def to_text(payload: Json) -> str:
    """A payload as stored. Half a surrogate pair, which UTF-8 cannot hold, is escaped."""
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(payload, separators=(",", ":"))
    return text


def from_metadata(metadata: Mapping[str, Any] | None) -> Json:
    """The payload of an entry; nothing if something else wrote it."""
    text = (metadata or {}).get(PAYLOAD)
    try:
        payload = json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        return {}
    return payload if isinstance(payload, dict) else {}


def position(id: UUID) -> Vectors:
    """The vector of an entry that holds a payload alone: Chroma wants one. Points lie on a circle, by their ids."""
    angle = 2 * math.pi * (id.int % 4_294_967_291) / 4_294_967_291
    return np.array([math.cos(angle), math.sin(angle)], np.float32)


def narrowed(schema: Schema, where: Where | None) -> Where:
    """A filter in the values that are stored: bounds are whole numbers, and a value of another type is left out.

    Raises `InvalidRequest` for a field that the schema does not filter by, and for a bound of another kind.
    """
    where = where or Where()
    return Where(
        equals={name: _values(schema, name, values) for name, values in where.equals.items()},
        at_least={name: _bound(schema, name, least) for name, least in where.at_least.items()},
        exclude={name: _values(schema, name, values) for name, values in where.exclude.items()},
    )


def matches_nothing(where: Where) -> bool:
    """Whether a narrowed filter asks for any of no values."""
    return not all(where.equals.values())


def to_where(where: Where) -> dict[str, Any] | None:
    """A narrowed filter that may match something, as Chroma takes it; None: it has no condition."""
    parts = [_any_of(name, values) for name, values in where.equals.items()]
    parts += [{name: {"$gte": least}} for name, least in where.at_least.items()]
    parts += [part for name, values in where.exclude.items() if values for part in _none_of(name, values)]
    return {"$and": parts} if len(parts) > 1 else parts[0] if parts else None


def _any_of(name: str, values: Sequence[str | int]) -> dict[str, Any]:
    if isinstance(values[0], int):
        return {name: {"$in": list(values)}}
    parts = [{name: {"$contains": value}} for value in values]
    return {"$or": parts} if len(parts) > 1 else parts[0]


def _none_of(name: str, values: Sequence[str | int]) -> list[dict[str, Any]]:
    if isinstance(values[0], int):
        return [{name: {"$nin": list(values)}}]
    return [{name: {"$not_contains": value}} for value in values]


def _fact(kind: str, value: Any) -> str | int | None:
    if kind == "keyword":
        return _text(value) if isinstance(value, str) else None
    if kind == "integer":
        return value if isinstance(value, int) and not isinstance(value, bool) else None
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return _microseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _values(schema: Schema, name: str, values: Sequence[str | int]) -> list[str | int]:
    kind = _kind(schema, name)
    return [fact for value in values if (fact := _fact(kind, value)) is not None]


def _bound(schema: Schema, name: str, least: Any) -> int:
    kind, bound = _kind(schema, name), lower_bound(name, least)
    if isinstance(bound, datetime) and kind == "datetime":
        return _microseconds(bound)
    if not isinstance(bound, datetime) and kind == "integer":
        return math.ceil(bound)
    raise InvalidRequest(f'"{name}" holds {kind} values and cannot be at least {least!r}.', parameter=name)


def _kind(schema: Schema, name: str) -> str:
    if (kind := schema.filters.get(name)) is None:
        known = ", ".join(schema.filters) or "none"
        raise InvalidRequest(f'"{name}" cannot be filtered by. Fields that can: {known}', parameter=name)
    return kind


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _text(value: str) -> str:
    return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
