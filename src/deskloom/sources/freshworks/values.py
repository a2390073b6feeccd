"""Values as both products of Freshworks send them: times, numbers, texts, stamps and code tables (HELPDESK-APIS 1)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from deskloom.model import Codes, Json, TicketState

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SETTLING = timedelta(seconds=2)


def instant(value: Any) -> datetime | None:
    """An ISO time with any offset, or none, or a date alone, as aware UTC; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value.strip())
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def iso(at: datetime) -> str:
    """The form that needs no escaping and that every endpoint takes (T45)."""
    if at.microsecond:
        return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def integer(value: Any) -> int | None:
    """An integer as it is, 64 bits and more (T47); numbers in text are taken, truth values and fractions are not."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and value.strip().lstrip("-").isdecimal() else None


def text(value: Any) -> str | None:
    """Text as it is; numbers (a phone, say) as text; nothing else."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def texts(value: Any) -> tuple[str, ...] | None:
    """A list of texts; None where it is null or missing, which is not the same as empty (rule 15)."""
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else None


def object_of(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def fingerprint(*values: Any) -> str:
    """A short hash of JSON values; equal values have equal fingerprints."""
    packed = json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(packed.encode()).hexdigest()[:32]


def ticket_stamp(row: Json, state: TicketState, read_at: datetime | None) -> str | None:
    """The change mark: `updated_at` as given, and the list the ticket stands in unless that is the normal one.

    A row that changed within two seconds of being read may change again under the same stamp; it is marked with `~`,
    so that it is read once more.
    """
    stamp = text(row.get("updated_at"))
    if stamp is None:
        return None
    at = instant(stamp)
    if at is not None and read_at is not None and read_at - at < _SETTLING:
        stamp += "~"
    return stamp if state in (TicketState.ACTIVE, TicketState.ARCHIVED) else f"{stamp} {state}"


def ticket_state(row: Json, listed: TicketState = TicketState.ACTIVE) -> TicketState:
    """Where a ticket stands: its own flags first, then the list it came from; never its status (T18)."""
    if row.get("deleted") is True:
        return TicketState.DELETED
    if row.get("spam") is True:
        return TicketState.SPAM
    return TicketState.ARCHIVED if row.get("archived") is True else listed


def whole_stamp(row: Json, names: Sequence[str]) -> str | None:
    """The change time and what lists show beside it, so that two changes in one second are told apart."""
    stamp = text(row.get("updated_at"))
    return None if stamp is None else f"{stamp} {fingerprint(*map(row.get, names))}"


def account_number(fields: Mapping[str, Any], key: str) -> str | None:
    """The account number as trimmed text, under `key` with or without `cf_`; 0, blank and null are none (5.1)."""
    bare = key.removeprefix("cf_")
    for name in (key, bare, f"cf_{bare}"):
        value = fields.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        found = (text(value) or "").strip()
        if found.strip("0"):
            return found
    return None


def code_table(name: str, labels: Mapping[int, str]) -> Codes:
    return Codes(field=name, labels=labels, stamp=fingerprint({str(code): label for code, label in labels.items()}))
