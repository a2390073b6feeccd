"""What servers say of time in their headers."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from deskloom.http.timing import Timing


def server_time(text: str | None) -> datetime | None:
    """An HTTP date as aware UTC."""
    if text is None:
        return None
    try:
        parsed = parsedate_to_datetime(text)
    except (ValueError, IndexError):
        return None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def retry_after(response: httpx.Response, timing: Timing) -> float | None:
    """Seconds the server asks to wait: a number, or an HTTP date read against its own Date."""
    text = response.headers.get("retry-after")
    if text is None:
        return None
    try:
        return max(float(text), 0)
    except ValueError:
        until = server_time(text)
    if until is None:
        return None
    return max((until - (server_time(response.headers.get("date")) or timing.now())).total_seconds(), 0)
