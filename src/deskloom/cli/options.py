"""Options that several commands share, and how their values are read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from deskloom.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")]
SourceName = Annotated[
    str | None, typer.Option("--source", metavar="NAME", help="Only this source; every configured one without it.")
]

ROWS = "rows"
"""The stream of a table, which people call `tables`."""


def stream_named(word: str) -> str:
    """The stream behind a word of the command line."""
    return ROWS if word == "tables" else word


def streams_of(settings: Settings, streams: Sequence[str], source: str | None) -> list[str]:
    """Of these streams those that `source`, or else anything that is configured, has: a helpdesk's or a table's."""
    of_helpdesks = [stream for stream in streams if stream != ROWS]
    of_tables = [stream for stream in streams if stream == ROWS]
    if source is not None:
        return of_tables if source in {one.name for one in settings.tables} else of_helpdesks
    if not settings.tables:
        return of_helpdesks
    return [*(of_helpdesks if settings.helpdesks() else []), *of_tables]


def parse_whole(text: str, *, least: int, most: int, example: int) -> int:
    """A whole number in a range; raises `BadParameter` that says the range and an example."""
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise typer.BadParameter(f'"{text}" is not a whole number from {least} to {most}, for example {example}')
    return number


def parse_time(text: str) -> str:
    """An ISO 8601 time with any offset, or without one UTC, as the API takes it."""
    try:
        moment = datetime.fromisoformat(text.strip())
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError):
        raise typer.BadParameter(f'"{text}" is not a time. Write it like 2025-01-31 or 2025-01-31T09:00:00Z') from None


def parse_limit(text: str) -> int:
    """How many items a sync may take, as the API takes it."""
    return parse_whole(text, least=1, most=500, example=100)


def parse_hits(text: str) -> int:
    """How many hits a search may have, as the API takes it."""
    return parse_whole(text, least=1, most=100, example=10)


def parse_port(text: str) -> int:
    """A TCP port; 0 lets the system choose a free one."""
    return parse_whole(text, least=0, most=65535, example=8000)
