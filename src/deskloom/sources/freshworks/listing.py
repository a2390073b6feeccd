"""What a listing says of each record: key, change mark, whether it is gone, and when it changed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from deskloom.model import Agent, Article, Company, Contact, Record, Tombstone
from deskloom.protocols import Listed
from deskloom.sources.freshworks.values import instant


def as_listed(records: Iterable[Record]) -> list[Listed]:
    return [
        Listed(
            key=record.key,
            stamp=record.stamp,
            gone=isinstance(record, Tombstone) or (isinstance(record, Contact) and record.deleted),
            updated_at=_moment(record),
        )
        for record in records
    ]


def _moment(record: Record) -> datetime | None:
    """When a record changed; a tombstone's stamp begins with it (`people`)."""
    if isinstance(record, Tombstone):
        return instant((record.stamp or "").partition(" ")[0])
    return record.updated_at if isinstance(record, Article | Contact | Company | Agent) else None
