"""Page numbers, page sizes and the Link header, as both helpdesks do them (HELPDESK-APIS 2.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import urlencode

from deskloom.sandbox.answers import Answer, Call, invalid

T = TypeVar("T")

PAGING = frozenset({"page", "per_page"})
DEFAULT_SIZE = 30
LARGEST_SIZE = 100


def page_of(call: Call, *, size_message: str, size: int = DEFAULT_SIZE) -> tuple[int, int]:
    """(page, per_page) of a call, with pages of `size` unless it says. Raises the 400 for numbers out of range."""
    page = _whole(call, "page", 1)
    if page < 1:
        raise invalid("page", "It should be a Positive Integer")
    size = _whole(call, "per_page", size)
    if not 1 <= size <= LARGEST_SIZE:
        raise invalid("per_page", size_message)
    return page, size


def page_slice(rows: Sequence[T], page: int, size: int) -> tuple[Sequence[T], bool]:
    """The rows of a page, and whether another page follows."""
    start = (page - 1) * size
    return rows[start : start + size], len(rows) > start + size


def link_next(answer: Answer, call: Call, page: int, *, space: bool) -> None:
    """Say that a next page exists. The docs print a space after `<`; real answers were seen both ways."""
    url = f"{call.base}{call.path}?{urlencode({**call.query, 'page': str(page + 1)})}"
    answer.headers["link"] = f'<{" " if space else ""}{url}>;{" " if not space else ""}rel="next"'


def _whole(call: Call, name: str, default: int) -> int:
    text = call.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()):
        raise invalid(name, "It should be a Positive Integer", "datatype_mismatch")
    return int(text)
