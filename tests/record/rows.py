"""A row for any table, with a value in every column, made from the column's type alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Table
from sqlalchemy.types import JSON, Boolean, Date, DateTime, LargeBinary, Numeric, String, Uuid

MOMENT = datetime(2025, 3, 14, 9, 26, 53, tzinfo=UTC)


def some_row(table: Table) -> dict[str, Any]:
    """Column → value; equal in every table, so that references hold."""
    return {column.name: _value(column.type) for column in table.c}


def _value(kind: Any) -> Any:
    if isinstance(kind, JSON):
        return {"a": [1]}
    if isinstance(kind, Boolean):
        return True
    if isinstance(kind, DateTime):
        return MOMENT
    if isinstance(kind, Date):
        return MOMENT.date()
    if isinstance(kind, LargeBinary):
        return b"\0\0\0\0"
    if isinstance(kind, Uuid):
        return UUID(int=7)
    if isinstance(kind, Numeric):
        return 1
    if isinstance(kind, String):
        # On SQLite times are text of 27 characters and ids text of 32; here, text must do for either.
        return "2025-03-14T09:26:53.000000Z" if kind.length == 27 else "7"
    return 1
