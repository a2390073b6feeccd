"""One page of a list: the part of every list endpoint that is the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from deskloom.sandbox.answers import Answer, Call, invalid
from deskloom.sandbox.clock import parse_input, stamp
from deskloom.sandbox.freshdesk.desk import Desk
from deskloom.sandbox.paging import link_next, page_of, page_slice
from deskloom.sandbox.rows import Row

T = TypeVar("T")


def paged(desk: Desk, call: Call, found: Sequence[T], shape: Callable[[T], Row | None]) -> Answer:
    """The page that was asked for, with a Link header when another follows. `shape` may leave a row out by None."""
    page, size = page_of(call, size_message=desk.switches.per_page_message)
    part, more = page_slice(found, page, size)
    answer = Answer(body=[row for row in map(shape, part) if row is not None])
    if more:
        link_next(answer, call, page, space=desk.switches.link_space)
    return answer


def since_of(call: Call, name: str = "updated_since") -> str | None:
    """The stamp in a query member. Raises the 400 when it is none (an unencoded `+`, for example)."""
    text = call.query.get(name)
    if text is None:
        return None
    parsed = parse_input(text)
    if parsed is None:
        raise invalid(name, "It should be a valid date in the ISO 8601 format", "invalid_value")
    return stamp(parsed)


def number_of(call: Call, name: str) -> int | None:
    text = call.query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise invalid(name, "It should be a Positive Integer", "datatype_mismatch")
    return int(text)


def choice_of(call: Call, name: str, choices: Sequence[str], default: str | None = None) -> str | None:
    text = call.query.get(name, default)
    if text is not None and text not in choices:
        raise invalid(name, f"It should be one of these values: '{','.join(choices)}'")
    return text


def includes_of(call: Call, choices: Sequence[str]) -> list[str]:
    given = [part.strip() for part in call.query.get("include", "").split(",") if part.strip()]
    for part in given:
        if part not in choices:
            raise invalid("include", f"It should be one of these values: '{','.join(choices)}'")
    return list(dict.fromkeys(given))
