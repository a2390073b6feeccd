"""Storing whatever a page holds, kind by kind, tombstones included."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.model import Kind, Record, Ticket, TimeSheet, Tombstone
from deskloom.record.articles import ARTICLES, article_stamps, store_articles
from deskloom.record.copies import Standing, Stored, bury, live_keys, standings
from deskloom.record.customers import follow_contacts, lock_customers
from deskloom.record.hours import bury_hours, sheet_stamps, store_sheets
from deskloom.record.people import (
    AGENTS,
    COMPANIES,
    CONTACTS,
    agent_stamps,
    code_stamps,
    company_stamps,
    contact_stamps,
    store_agents,
    store_codes,
    store_companies,
    store_contacts,
)
from deskloom.record.rows import ROWS, row_stamps, store_rows
from deskloom.record.tickets import TICKETS, store_tickets, ticket_stamps

_STORE: dict[Kind, Any] = {
    Kind.CODES: store_codes,
    Kind.AGENT: store_agents,
    Kind.COMPANY: store_companies,
    Kind.CONTACT: store_contacts,
    Kind.TICKET: store_tickets,
    Kind.ARTICLE: store_articles,
    Kind.ROW: store_rows,
    Kind.HOURS: store_sheets,
}
_STAMPS: dict[Kind, Any] = {
    Kind.CODES: code_stamps,
    Kind.AGENT: agent_stamps,
    Kind.COMPANY: company_stamps,
    Kind.CONTACT: contact_stamps,
    Kind.TICKET: ticket_stamps,
    Kind.ARTICLE: article_stamps,
    Kind.ROW: row_stamps,
    Kind.HOURS: sheet_stamps,
}
_COPIES = {
    Kind.AGENT: AGENTS,
    Kind.COMPANY: COMPANIES,
    Kind.CONTACT: CONTACTS,
    Kind.TICKET: TICKETS,
    Kind.ARTICLE: ARTICLES,
    Kind.ROW: ROWS,
}


async def store(tx: AsyncConnection, source: str, records: Sequence[Record], *, now: datetime) -> dict[Kind, Stored]:
    """Store the records of a page; says for each kind it held what became of which key.

    Of two records with the same kind and key the later one counts. A tombstone for codes does nothing. The time
    entries that come with a ticket are its sheet; those of one whose entries could not be read stand. Tickets that
    change hands because their requester did are `touched`.
    """
    latest: dict[tuple[Kind, str], Record] = {}
    for record in records:
        for each in (record, *_sheet_of(record)):
            latest.pop((each.kind, each.key), None)
            latest[each.kind, each.key] = each
    stored: dict[Kind, Stored] = {}
    if any(kind in (Kind.CONTACT, Kind.TICKET) for kind, _ in latest):
        await lock_customers(tx, source)
    for kind, keep in _STORE.items():
        items = [record for (its, _), record in latest.items() if its is kind]
        if not items:
            continue
        living = [item for item in items if not isinstance(item, Tombstone)]
        dead = [item for item in items if isinstance(item, Tombstone)]
        said = await keep(tx, source, living, now=now) if living else Stored()
        if dead and kind in _COPIES:
            said += await bury(tx, _COPIES[kind], source, dead, now=now)
        elif dead and kind is Kind.HOURS:
            said += await bury_hours(tx, source, dead, now=now)
        stored[kind] = stored.get(kind, Stored()) + said
        if kind is Kind.CONTACT and (moved := await follow_contacts(tx, source, (int(one.key) for one in living))):
            stored[Kind.TICKET] = Stored(touched=tuple(moved))
    return stored


def _sheet_of(record: Record) -> list[TimeSheet]:
    if not isinstance(record, Ticket) or record.time_entries is None:
        return []
    return [TimeSheet(entries=record.time_entries, ticket_id=record.external_id)]


async def stamps(tx: AsyncConnection, source: str, kind: Kind, keys: Iterable[str]) -> dict[str, str]:
    """Key → stamp of what is stored whole: what a source needs not read again."""
    found: dict[str, str] = await _STAMPS[kind](tx, source, keys)
    return found


async def keys(tx: AsyncConnection, source: str, kind: Kind) -> frozenset[str]:
    """Every key of a kind that is not deleted: what a complete listing is compared with."""
    return await live_keys(tx, _COPIES[kind], source)


async def standing(
    tx: AsyncConnection, source: str, kind: Kind, keys: Iterable[str] | None = None
) -> dict[str, Standing]:
    """How objects of a kind stand, by key, the deleted ones too; `keys` None: all of them."""
    return await standings(tx, _COPIES[kind], source, keys)
