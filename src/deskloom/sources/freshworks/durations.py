"""How long somebody worked, from any of the forms in which both products send it (HELPDESK-APIS 2.7, 3.7, T35)."""

from __future__ import annotations

import re
from typing import Any

from deskloom.errors import Unreadable
from deskloom.model import Json
from deskloom.sources.freshworks.values import integer

LONGEST = 366 * 24 * 3600
"""Seconds of a year: nobody works longer on one entry, and sums of such figures would be worth nothing."""
_CLOCK = re.compile(r"\s*(\d+):([0-5]\d)(?::([0-5]\d))?\s*", re.ASCII)


def seconds_spent(row: Json) -> int:
    """Whole seconds of a time entry: `time_spent_in_seconds` where it is given, since `time_spent` cuts to minutes.

    Raises `Unreadable` naming the entry and the value for what is no duration: negative, over a year, or other words.
    """
    told = row.get("time_spent_in_seconds")
    if told is None:
        told = row.get("time_spent")
    seconds = parse_duration(told)
    if seconds is None:
        shown = repr(told) if told is None or isinstance(told, int | float) else f'"{str(told)[:20]}"'
        raise Unreadable(
            f"Time entry {row.get('id')} gives {shown} as its duration; hh:mm, hh:mm:ss or seconds up to a year are "
            f"understood. Correct it at the helpdesk.",
            key=str(row.get("id")),
        )
    return seconds


def parse_duration(value: Any) -> int | None:
    """Seconds of `hh:mm`, `hh:mm:ss` (hours of any length), or a number of seconds; None for anything else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    seconds = integer(value)
    if seconds is None and isinstance(value, str) and (parts := _CLOCK.fullmatch(value)):
        hours, minutes, rest = parts.groups()
        seconds = int(hours) * 3600 + int(minutes) * 60 + int(rest or 0) if len(hours) < 10 else None
    return seconds if seconds is not None and 0 <= seconds <= LONGEST else None
