"""The query language of the search endpoints: `field:value`, `:>` (at least), `:<` (at most), AND, OR, parentheses."""

from __future__ import annotations

import re
from collections.abc import Callable

from deskloom.sandbox.answers import Call, invalid
from deskloom.sandbox.rows import Row

_TERM = re.compile(r"\s*(\(|\)|AND\b|OR\b|(\w+)\s*:\s*([<>]?)\s*('[^']*'|[^\s()]+))")
Test = Callable[[Row], bool]


def parse_query(text: str, fields: frozenset[str]) -> Test:
    """A test from a query; custom fields may be named by anything that `fields` says or that starts with `cf_`."""
    tokens, position = [], 0
    while text[position:].strip():
        found = _TERM.match(text, position)
        if not found:
            raise invalid("query", "The query is not valid")
        tokens.append(found)
        position = found.end()
    test, rest = _any(tokens, fields)
    if rest:
        raise invalid("query", "The query is not valid")
    return test


def _any(tokens: list[re.Match[str]], fields: frozenset[str]) -> tuple[Test, list[re.Match[str]]]:
    left, tokens = _all(tokens, fields)
    while tokens and tokens[0][1] == "OR":
        right, tokens = _all(tokens[1:], fields)
        left = _either(left, right)
    return left, tokens


def _all(tokens: list[re.Match[str]], fields: frozenset[str]) -> tuple[Test, list[re.Match[str]]]:
    left, tokens = _atom(tokens, fields)
    while tokens and tokens[0][1] == "AND":
        right, tokens = _atom(tokens[1:], fields)
        left = _both(left, right)
    return left, tokens


def _either(left: Test, right: Test) -> Test:
    return lambda row: left(row) or right(row)


def _both(left: Test, right: Test) -> Test:
    return lambda row: left(row) and right(row)


def _atom(tokens: list[re.Match[str]], fields: frozenset[str]) -> tuple[Test, list[re.Match[str]]]:
    if not tokens:
        raise invalid("query", "The query is not valid")
    head, rest = tokens[0], tokens[1:]
    if head[1] == "(":
        inner, rest = _any(rest, fields)
        if not rest or rest[0][1] != ")":
            raise invalid("query", "The query is not valid")
        return inner, rest[1:]
    name = head[2]
    if name is None:
        raise invalid("query", "The query is not valid")
    if name not in fields and not name.startswith("cf_"):
        raise invalid(name, "Unexpected/invalid field in request", "invalid_field")
    return _comparison(name, head[3], head[4].strip("'")), rest


def _comparison(name: str, sign: str, wanted: str) -> Test:
    def test(row: Row) -> bool:
        value = row.get(name, (row.get("custom_fields") or {}).get(name))
        if wanted == "null" or value is None:
            return value is None and wanted == "null"
        if isinstance(value, list):
            return wanted in value
        if sign:
            left = value[: len(wanted)] if isinstance(value, str) else value
            right = type(left)(wanted)
            return bool(left >= right if sign == ">" else left <= right)
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return text.startswith(wanted) if name.endswith("_at") else text == wanted

    return test


def query_of(call: Call, fields: frozenset[str]) -> Test:
    """The test of a call's `query`, which stands in double quotes and is at most 512 characters long."""
    text = call.query.get("query", "")
    if len(text) > 512 or not (len(text) > 1 and text[0] == text[-1] == '"'):
        raise invalid("query", "It should be in double quotes and at most 512 characters")
    return parse_query(text[1:-1], fields)
