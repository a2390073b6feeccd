"""What commands print: bars and colour on a terminal, plain lines elsewhere, JSON for machines."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
WIDTH_ELSEWHERE = 110
"""Columns when nobody looks: a log line should not be folded at 80."""


def interactive() -> bool:
    """True when a person watches standard output on a terminal that can move its cursor."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb")


def console() -> Console:
    """Standard output for rich: control codes only on a terminal, whatever the environment claims."""
    from rich.console import Console

    if interactive():
        return Console(highlight=False)
    return Console(force_terminal=False, color_system=None, highlight=False, width=WIDTH_ELSEWHERE)


def say(text: str = "") -> None:
    """One line on standard output, at once: it may go into a log that someone follows."""
    print(text, flush=True)  # noqa: T201


def notice(text: str) -> None:
    """One line beside the answer, on standard error."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def say_json(value: Any) -> None:
    """One JSON value on one line."""
    say(json.dumps(value, ensure_ascii=False))


def clean(text: object) -> str:
    """Text that came from outside, without what could steer a terminal."""
    return _CONTROLS.sub(" ", str(text)).replace("\n", " ").replace("\t", " ")


def say_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table: ruled on a terminal, columns divided by two spaces elsewhere (each row stays one line)."""
    cells = [[clean("" if cell is None else cell) for cell in row] for row in rows]
    if interactive():
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in cells:
            table.add_row(*(Text(cell) for cell in row))
        console().print(table)
        return
    widths = [max(len(row[place]) for row in [list(columns), *cells]) for place in range(len(columns))]
    for row in [list(columns), *cells]:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def counted(number: float, noun: str) -> str:
    """`1 ticket`, `20,000 tickets`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
