"""Paging by key: a list goes on after the last row seen, whatever was added or removed meanwhile."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, tuple_

from deskloom.errors import InvalidRequest


def encode_place(values: Sequence[datetime | UUID | str | int]) -> str:
    """The cursor of a row: its sort columns, as opaque text that is safe in a URL."""
    plain = [
        value.astimezone(UTC).isoformat()
        if isinstance(value, datetime)
        else str(value)
        if isinstance(value, UUID)
        else value
        for value in values
    ]
    return base64.urlsafe_b64encode(json.dumps(plain, separators=(",", ":")).encode()).decode().rstrip("=")


def decode_place(cursor: str, types: Sequence[type], *, parameter: str = "after") -> tuple[Any, ...]:
    """The sort columns of a cursor; `InvalidRequest`, naming the parameter, if it is not one of ours."""
    try:
        plain = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        if not isinstance(plain, list) or len(plain) != len(types):
            raise ValueError("another shape")
        return tuple(_parse(value, kind) for value, kind in zip(plain, types, strict=True))
    except (ValueError, binascii.Error, RecursionError):
        raise InvalidRequest(
            "This paging cursor is not one that was handed out. Start again without it.", parameter=parameter
        ) from None


def beyond(columns: Sequence[ColumnElement[Any]], cursor: str, types: Sequence[type]) -> ColumnElement[bool]:
    """Whether a row comes after a cursor, in a list sorted by these columns, all descending."""
    # Typed: a bare tuple would bind times in another form than the one they are stored in.
    place = tuple_(*decode_place(cursor, types), types=[column.type for column in columns])
    return tuple_(*columns) < place


def _parse(value: Any, kind: type) -> Any:
    if kind is datetime and isinstance(value, str):
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError("a time without a zone")
        return moment
    if kind is UUID and isinstance(value, str):
        return UUID(value)
    if kind is int and isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return value
    if kind is str and isinstance(value, str):
        return value
    raise ValueError("another type")
