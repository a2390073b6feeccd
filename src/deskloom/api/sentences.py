"""What is wrong with a parameter, as a sentence that names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

SHOWN = 40
"""Characters of a wrong value that are shown back."""

_PHRASES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda facts: "is missing",
    "extra_forbidden": lambda facts: "is not known here",
    "greater_than_equal": lambda facts: f"must be at least {facts['ge']}",
    "less_than_equal": lambda facts: f"must be at most {facts['le']}",
    "int_parsing": lambda facts: "must be a whole number",
    "int_type": lambda facts: "must be a whole number",
    "int_from_float": lambda facts: "must be a whole number",
    "int_parsing_size": lambda facts: "is too large a number",
    "bool_parsing": lambda facts: "must be true or false",
    "bool_type": lambda facts: "must be true or false",
    "string_type": lambda facts: "must be text",
    "string_too_short": lambda facts: f"must have at least {facts['min_length']} characters",
    "string_too_long": lambda facts: f"must have at most {facts['max_length']} characters",
    "list_type": lambda facts: "must be a list",
    "too_long": lambda facts: f"must have at most {facts['max_length']} entries",
    "literal_error": lambda facts: f"must be one of: {_plain(facts['expected'])}",
    "enum": lambda facts: f"must be one of: {_plain(facts['expected'])}",
    "uuid_parsing": lambda facts: "must be a UUID, for example 0b6f5c1e-8b1f-4f5e-9d2a-3c4b5a697887",
    "uuid_type": lambda facts: "must be a UUID, for example 0b6f5c1e-8b1f-4f5e-9d2a-3c4b5a697887",
    "value_error": lambda facts: str(facts["error"]),
    "model_attributes_type": lambda facts: "must be a JSON object, sent as Content-Type: application/json",
    "dict_type": lambda facts: "must be a JSON object, sent as Content-Type: application/json",
}


def sentence_of(error: Mapping[str, Any]) -> tuple[str, str]:
    """The parameter's name and a sentence about it, from one validation error. Body values are not shown back."""
    place = [str(part) for part in error["loc"]]
    if error["type"] == "json_invalid":
        return "body", "The body is not JSON."
    name = ".".join(place[1:]) or "body"
    phrase_of = _PHRASES.get(error["type"])
    phrase = phrase_of(error.get("ctx", {})) if phrase_of else f"is wrong: {error['msg']}"
    given = error.get("input")
    if place[0] in ("query", "path") and isinstance(given, str | int) and error["type"] != "value_error":
        shown = str(given) if len(str(given)) <= SHOWN else f"{str(given)[:SHOWN]}…"
        return name, f'{name} {phrase}; it was "{shown}".'
    return name, f"{name} {phrase}."


def _plain(expected: str) -> str:
    return expected.replace("'", "").replace(" or ", ", ")
