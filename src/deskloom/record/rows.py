"""Rows of a team's own tables in the record, one row each, with what is to be found of it in every language."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.model import Entry, Json, Row, Visibility
from deskloom.record.copies import Copies, Stored, row_of, store_copies, stored_stamps
from deskloom.record.statements import chunks
from deskloom.record.tables import table_rows

ROWS = Copies(table=table_rows, identity=("external_id",), quiet=("updated_at",), grave={}, textual=True)
_COLUMNS = ("external_id", "stamp", "entries", "created_at", "updated_at", "deleted_at")


async def store_rows(tx: AsyncConnection, source: str, items: Sequence[Row], *, now: datetime) -> Stored:
    """Store rows; keys are their ids."""
    rows = []
    for item in items:
        entries = {language: asdict(entry) for language, entry in item.entries.items()}
        rows.append(row_of(item, table_rows, source) | {"entries": entries, "deleted_at": None})
    stored, _ = await store_copies(tx, ROWS, rows, now=now)
    return stored


async def row_stamps(tx: AsyncConnection, source: str, keys: Iterable[str]) -> dict[str, str]:
    """Key → stamp, for rows that are stored."""
    return await stored_stamps(tx, ROWS, source, keys)


async def load_rows(tx: AsyncConnection, source: str, keys: Iterable[str]) -> dict[str, Row]:
    """Rows that are not deleted, by key, without `raw`; keys that are not stored are missing from the answer."""
    found: dict[str, Row] = {}
    for chunk in chunks(set(keys)):
        query = select(*(table_rows.c[name] for name in _COLUMNS)).where(
            table_rows.c.source == source, table_rows.c.external_id.in_(chunk), table_rows.c.deleted_at.is_(None)
        )
        for row in (await tx.execute(query)).mappings():
            values: Json = {name: row[name] for name in _COLUMNS if name not in ("entries", "deleted_at")}
            entries = {language: _entry(entry) for language, entry in row["entries"].items()}
            found[row["external_id"]] = Row(**values, entries=entries)
    return found


async def languages_of(tx: AsyncConnection, source: str, keys: Iterable[str]) -> set[tuple[str, str]]:
    """(key, language) of every entry of these rows, as far as they are not deleted."""
    return {(key, language) for key, row in (await load_rows(tx, source, keys)).items() for language in row.entries}


def _entry(stored: dict[str, Any]) -> Entry:
    lists = {name: tuple(stored[name]) for name in ("texts", "weights", "tags")}
    return Entry(**stored | lists | {"visibility": Visibility(stored["visibility"])})
