"""One page of a list: the part of every list endpoint that is the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from deskloom.sandbox.answers import Answer, Call, invalid
from deskloom.sandbox.clock import parse_input, stamp
from deskloom.sandbox.desk import EPOCH, HelpDesk
from deskloom.sandbox.paging import DEFAULT_SIZE, link_next, page_of, page_slice
from deskloom.sandbox.rows import Row, Rows

T = TypeVar("T")


def paged(
    desk: HelpDesk[Any],
    call: Call,
    found: Sequence[T],
    shape: Callable[[T], Row | None],
    *,
    within: str | None = None,
    size: int = DEFAULT_SIZE,
) -> Answer:
    """The page that was asked for, with a Link header when another follows. `shape` may leave a row out by None.

    `within`: the member of an object that holds the list, where the product wraps its answers. `size`: rows of a page
    unless `per_page` says.
    """
    page, size = page_of(call, size_message=desk.switches.per_page_message, size=size)
    part, more = page_slice(found, page, size)
    rows = [row for row in map(shape, part) if row is not None]
    answer = Answer(body=rows if within is None else {within: rows})
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


def window(desk: HelpDesk[Any], state: str, order: str, since: str | None) -> list[tuple[str, int]]:
    """The tickets of a state that the time window lets through, in the order that decided it.

    Without `since` those created in the last 30 days; by `updated_at` if that is the order, else by what decided.
    """
    if since is not None:
        start = desk.tickets.since("updated", state, since, inclusive=desk.switches.updated_since_inclusive)
        return desk.tickets.order("updated", state)[start:]
    month = stamp(desk.clock.now() - timedelta(days=30))
    if state != "live" and not desk.switches.deleted_window:
        month = EPOCH
    start = desk.tickets.since("created", state, month)
    entries = desk.tickets.order("created", state)[start:]
    if order == "updated_at":
        return sorted(((desk.tickets.get(key) or {})["updated_at"], key) for _, key in entries)
    return entries


def changed(desk: HelpDesk[Any], rows: Rows, shelf: str, since: str) -> list[int]:
    """Ids of rows changed since then, in alphabetical order; cheap where all or few of them changed."""
    start = rows.since("updated", shelf, since, inclusive=desk.switches.updated_since_inclusive)
    names = rows.ids("name", shelf)
    if start == 0:
        return names
    recent = {key for _, key in rows.order("updated", shelf)[start:]}
    return [key for key in names if key in recent] if recent else []
