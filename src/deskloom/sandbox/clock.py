"""The sandbox's clock: real time with an offset, or frozen; every stamp, rate window and Date header comes from it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

FORMAT = "%Y-%m-%dT%H:%M:%SZ"

_INPUT = re.compile(r"(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2})(:\d{2})?(?:\.\d+)?(Z|[+-]\d{2}(?::?\d{2})?)?)?", re.ASCII)


def stamp(moment: datetime) -> str:
    """UTC, whole seconds, `Z`: the form helpdesks send, and one that sorts as text."""
    return moment.astimezone(UTC).strftime(FORMAT)


def moment(text: str) -> datetime:
    """The inverse of `stamp`."""
    return datetime.strptime(text, FORMAT).replace(tzinfo=UTC)


def parse_input(text: str) -> datetime | None:
    """A timestamp as callers may write it (HELPDESK-APIS 2.1: date, minutes or seconds, any offset; no zone = UTC).

    None when it is not one, for example because a `+` was not URL-encoded (T45).
    """
    found = _INPUT.fullmatch(text)
    if not found:
        return None
    day, minutes, seconds, zone = found.groups()
    try:
        naive = datetime.strptime(f"{day}T{minutes or '00:00'}{seconds or ':00'}", "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007
    except ValueError:
        return None
    return naive.replace(tzinfo=_zone(zone)).astimezone(UTC)


def shift(text: str, offset: str) -> str:
    """The same instant written with an offset such as `+05:30`, as some real rows are."""
    zone = _zone(offset)
    return moment(text).astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S") + offset


def _zone(text: str | None) -> timezone:
    if text is None or text == "Z":
        return UTC
    digits = text[1:].replace(":", "")
    span = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
    return timezone(-span if text[0] == "-" else span)


class Clock:
    """Tells the sandbox's time. `Clock()` runs with real time; `Clock(at)` is frozen at `at` until advanced."""

    def __init__(self, at: datetime | None = None) -> None:
        self._frozen = at.astimezone(UTC) if at else None
        self._offset = timedelta()

    @property
    def frozen(self) -> bool:
        return self._frozen is not None

    def now(self) -> datetime:
        return self._frozen if self._frozen is not None else datetime.now(UTC) + self._offset

    def stamp(self) -> str:
        return stamp(self.now())

    def advance(self, span: timedelta | float) -> datetime:
        """Move by a span (seconds if a number; negative moves back). Returns the new time."""
        step = span if isinstance(span, timedelta) else timedelta(seconds=span)
        if self._frozen is not None:
            self._frozen += step
        else:
            self._offset += step
        return self.now()

    def freeze(self, at: datetime | None = None) -> None:
        self._frozen = (at or self.now()).astimezone(UTC)

    def run(self, at: datetime | None = None) -> None:
        """Let time run on, from `at` or from now; `at` ahead of or behind real time is allowed."""
        start = (at or self.now()).astimezone(UTC)
        self._frozen = None
        self._offset = start - datetime.now(UTC)
