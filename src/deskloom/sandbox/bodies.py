"""What a write may say: known members and their types; the wrong ones become the documented 400."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deskloom.sandbox.answers import Call, allow, invalid
from deskloom.sandbox.rows import Row

_NAMES: dict[type, str] = {
    int: "Positive Integer",
    str: "String",
    bool: "Boolean",
    list: "Array",
    dict: "key/value pair object",
}


def body_of(call: Call, kinds: Mapping[str, type]) -> Row:
    """The body's members, checked. Raises 400 `invalid_field`, `datatype_mismatch` or `invalid_json`."""
    body = call.body if call.body is not None else {}
    if not isinstance(body, dict):
        raise invalid("body", "The request body should be a JSON object", "invalid_json")
    allow(body, frozenset(kinds))
    for name, value in body.items():
        wanted = kinds[name]
        if value is None:
            continue
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise invalid(
                name,
                f"Value set is of type {type(value).__name__}. It should be a/an {_NAMES[wanted]}",
                "datatype_mismatch",
            )
    return dict(body)


def required(body: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if body.get(name) in (None, "", []):
            raise invalid(name, "It should not be blank as this is a mandatory field", "missing_field")
