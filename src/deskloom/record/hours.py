"""Time entries: storing the sheets that a source gives, and reading what was worked.

An entry of a deleted ticket stands: it was worked, and a bill may need it. It goes only when the ticket's own sheet
lacks it, or when the source says that there is no such ticket.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.model import Kind, TimeEntry, TimeSheet, Tombstone
from deskloom.record.copies import Copies, Stored, bury, row_of, store_copies
from deskloom.record.statements import chunks
from deskloom.record.tables import tickets, time_entries

HOURS = Copies(table=time_entries, identity=("external_id",), quiet=("updated_at",), grave={})
PLACES = Decimal("0.0001")
"""Hours are shown to four decimals, which is less than half a second; sums are made of seconds and rounded once."""
_FIELDS = tuple(part.name for part in fields(TimeEntry) if part.name != "raw")
_ORDER = (time_entries.c.worked_at.is_(None), time_entries.c.worked_at, time_entries.c.external_id)
_ALIVE = time_entries.c.deleted_at.is_(None)


def in_hours(seconds: int) -> Decimal:
    """Seconds as hours with four decimals, halves away from zero: as the view `ticket_details` gives them."""
    return (Decimal(seconds) / 3600).quantize(PLACES, ROUND_HALF_UP)


async def store_sheets(tx: AsyncConnection, source: str, sheets: Sequence[TimeSheet], *, now: datetime) -> Stored:
    """Store the entries of sheets; what stands of a ticket beyond its own sheet is deleted. Keys are those of entries.

    An entry that comes back lives again, and one that was moved to another ticket lives there, whichever of the two
    sheets comes first. A sheet of a span deletes nothing: see `suspects`.
    """
    entries = {entry.external_id: entry for sheet in sheets for entry in sheet.entries}
    rows = [
        row_of(entry, time_entries, source) | {"stamp": None, "raw": entry.raw, "deleted_at": None}
        for entry in entries.values()
    ]
    stored, _ = await store_copies(tx, HOURS, rows, now=now)
    whole = sorted({sheet.ticket_id for sheet in sheets if sheet.ticket_id is not None})
    standing = await load_entries(tx, source, whole)
    told = _told(sheets)
    gone = [entry for found in standing.values() for entry in found if entry.external_id not in told]
    return stored + await _bury(tx, source, gone, "its ticket's time sheet lacks it", now)


async def bury_hours(tx: AsyncConnection, source: str, gone: Sequence[Tombstone], *, now: datetime) -> Stored:
    """Delete every entry of tickets that the source says do not exist; a tombstone's key is the ticket's."""
    standing = await load_entries(tx, source, [int(tombstone.key) for tombstone in gone])
    return await _bury(tx, source, [entry for found in standing.values() for entry in found], "no such ticket", now)


async def _bury(tx: AsyncConnection, source: str, entries: Sequence[TimeEntry], reason: str, now: datetime) -> Stored:
    stored = Stored()
    graves = [Tombstone(kind=Kind.HOURS, key=str(entry.external_id), reason=reason) for entry in entries]
    for chunk in chunks(graves):
        stored += await bury(tx, HOURS, source, chunk, now=now)
    return stored


async def suspects(tx: AsyncConnection, source: str, sheets: Sequence[TimeSheet]) -> list[int]:
    """Tickets with an entry that a sheet of a span should have and lacks: it was deleted, moved, or not seen.

    Their own sheets prove it.
    """
    told = _told(sheets)
    found: set[int] = set()
    for sheet in sheets:
        if sheet.ticket_id is None:
            query = select(time_entries.c.external_id, time_entries.c.ticket_id)
            query = query.where(time_entries.c.source == source, _ALIVE, _worked(sheet.since, sheet.before))
            found |= {row.ticket_id for row in await tx.execute(query) if row.external_id not in told}
    return sorted(found)


def _told(sheets: Sequence[TimeSheet]) -> set[int]:
    return {key for sheet in sheets for key in (*(entry.external_id for entry in sheet.entries), *sheet.unread)}


def _worked(since: datetime | None, before: datetime | None) -> ColumnElement[bool]:
    """Worked within a span; an entry without a work date belongs to the span that is open to the past."""
    at = time_entries.c.worked_at
    within = and_(true(), *([at >= since] if since else []), *([at < before] if before else []))
    return within if since else or_(at.is_(None), within)


async def sheet_stamps(tx: AsyncConnection, source: str, keys: Iterable[str]) -> dict[str, str]:
    """Key → stamp of the sheet of what stands in that scope: a sheet with an equal stamp brings nothing new."""
    found: dict[str, str] = {}
    owners = [key for key in keys if "/" not in key]
    for key in set(keys) - set(owners):
        since, before = (datetime.fromisoformat(part) if part else None for part in key.split("/"))
        query = _select().where(time_entries.c.source == source, _worked(since, before))
        found[key] = TimeSheet(entries=tuple(await _load(tx, query))).stamp or ""
    standing = await load_entries(tx, source, [int(key) for key in owners])
    for key in owners:
        found[key] = TimeSheet(entries=tuple(standing.get(int(key), ()))).stamp or ""
    return found


# ------------------------------------------------------------------------------------------------------------ reading


async def load_entries(tx: AsyncConnection, source: str, ticket_ids: Iterable[int]) -> dict[int, list[TimeEntry]]:
    """The entries of tickets by the ticket's id, by work date, without `raw`; tickets without any are left out."""
    found: dict[int, list[TimeEntry]] = {}
    for chunk in chunks(sorted(set(ticket_ids))):
        query = _select().where(time_entries.c.source == source, time_entries.c.ticket_id.in_(chunk))
        for entry in await _load(tx, query):
            found.setdefault(entry.ticket_id, []).append(entry)
    return found


async def find_entries(
    tx: AsyncConnection,
    source: str,
    *,
    since: datetime | None = None,
    before: datetime | None = None,
    company_id: int | None = None,
) -> list[TimeEntry]:
    """The entries worked at or after `since` and before `before`, by work date; of one company's tickets if given.

    Entries of deleted tickets are among them; those without a work date only if neither end is given.
    """
    query = _select().where(time_entries.c.source == source)
    for at, fits in ((since, time_entries.c.worked_at.__ge__), (before, time_entries.c.worked_at.__lt__)):
        if at is not None:
            query = query.where(fits(at))
    if company_id is not None:
        same = and_(tickets.c.source == time_entries.c.source, tickets.c.external_id == time_entries.c.ticket_id)
        query = query.join(tickets, same).where(tickets.c.customer_id == company_id)
    return await _load(tx, query)


async def seconds_spent(tx: AsyncConnection, source: str, ticket_ids: Iterable[int]) -> dict[int, int]:
    """Seconds worked on tickets, by the ticket's id, billable or not; tickets without entries are left out."""
    columns = time_entries.c
    found: dict[int, int] = {}
    for chunk in chunks(sorted(set(ticket_ids))):
        query = select(columns.ticket_id, func.sum(columns.seconds).label("seconds"))
        query = query.where(columns.source == source, columns.ticket_id.in_(chunk), _ALIVE).group_by(columns.ticket_id)
        found |= {row.ticket_id: int(row.seconds) for row in await tx.execute(query)}
    return found


async def count_entries(tx: AsyncConnection) -> dict[str, int]:
    """How many entries stand, by source."""
    query = select(time_entries.c.source, func.count().label("n")).where(_ALIVE).group_by(time_entries.c.source)
    return {row.source: row.n for row in await tx.execute(query)}


def _select() -> Select[tuple[object, ...]]:
    return select(*(time_entries.c[name] for name in _FIELDS)).where(_ALIVE).order_by(*_ORDER)


async def _load(tx: AsyncConnection, query: Select[tuple[object, ...]]) -> list[TimeEntry]:
    return [TimeEntry(**row) for row in (await tx.execute(query)).mappings()]
