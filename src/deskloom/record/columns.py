"""The column types of the record: each gives back on SQLite and PostgreSQL exactly what was put in."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, Numeric, String, Text, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import JSON, TypeEngine

_REFUSED = re.compile("[\x00\ud800-\udfff]")
REPLACEMENT = "\ufffd"


def clean(value: Any) -> Any:
    """The value with what a database cannot hold replaced, at any depth: NUL and lone surrogates by U+FFFD.

    PostgreSQL refuses U+0000 in text and JSONB, and neither database can encode half a surrogate pair; both occur in
    bodies of e-mails. NaN and the infinities, which JSON does not know, become null.
    """
    if isinstance(value, str):
        return _REFUSED.sub(REPLACEMENT, value)
    if isinstance(value, dict):
        return {clean(str(key)): clean(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [clean(entry) for entry in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


def to_json(value: Any) -> str:
    """JSON that both databases accept. Used for every JSON column; most values need no cleaning and get none."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(clean(value), ensure_ascii=False, separators=(",", ":"))
    if "\\u0000" in text or _REFUSED.search(text):
        return json.dumps(clean(value), ensure_ascii=False, separators=(",", ":"))
    return text


class CleanText(TypeDecorator[str]):
    """Text of any length, passed through `clean`."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else _REFUSED.sub(REPLACEMENT, value)


class UtcTime(TypeDecorator[datetime]):
    """An aware time in UTC, to the microsecond. On SQLite it is text (`2025-01-31T09:00:00.000000Z`), which sorts."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(27))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        moment = value.astimezone(UTC)
        if dialect.name == "sqlite":
            return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
        return moment

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if isinstance(value, str):
            return datetime.fromisoformat(value[:-1]).replace(tzinfo=UTC)
        moment: datetime = value
        return moment.astimezone(UTC)


class Exact(TypeDecorator[Decimal]):
    """A decimal, digit for digit: NUMERIC on PostgreSQL, text on SQLite, whose numbers would be floats."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else Numeric())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is not None and not isinstance(value, Decimal):
            raise TypeError(f"a decimal is expected, not {type(value).__name__}")
        return str(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


def json_type() -> TypeEngine[Any]:
    """JSON on SQLite, JSONB on PostgreSQL; None is NULL."""
    return JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def serial_type() -> TypeEngine[int]:
    """A 64-bit number the database counts up itself."""
    return BigInteger().with_variant(Integer(), "sqlite")
