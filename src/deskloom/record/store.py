"""Storing whatever a page holds, kind by kind, tombstones included."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.model import Kind, Record, Tombstone
from deskloom.record.articles import ARTICLES, article_stamps, store_articles
from deskloom.record.copies import Standing, Stored, bury, live_keys, standings
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
from deskloom.record.tickets import TICKETS, store_tickets, ticket_stamps

_STORE: dict[Kind, Any] = {
    Kind.CODES: store_codes,
    Kind.AGENT: store_agents,
    Kind.COMPANY: store_companies,
    Kind.CONTACT: store_contacts,
    Kind.TICKET: store_tickets,
    Kind.ARTICLE: store_articles,
}
_STAMPS: dict[Kind, Any] = {
    Kind.CODES: code_stamps,
    Kind.AGENT: agent_stamps,
    Kind.COMPANY: company_stamps,
    Kind.CONTACT: contact_stamps,
    Kind.TICKET: ticket_stamps,
    Kind.ARTICLE: article_stamps,
}
_COPIES = {
    Kind.AGENT: AGENTS,
    Kind.COMPANY: COMPANIES,
    Kind.CONTACT: CONTACTS,
    Kind.TICKET: TICKETS,
    Kind.ARTICLE: ARTICLES,
}


async def store(tx: AsyncConnection, source: str, records: Sequence[Record], *, now: datetime) -> dict[Kind, Stored]:
    """Store the records of a page; says for each kind it held what became of which key.

    Of two records with the same kind and key the later one counts. A tombstone for codes does nothing.
    """
    latest: dict[tuple[Kind, str], Record] = {}
    for record in records:
        latest.pop((record.kind, record.key), None)
        latest[record.kind, record.key] = record
    stored: dict[Kind, Stored] = {}
    for kind, keep in _STORE.items():
        items = [record for (its, _), record in latest.items() if its is kind]
        if not items:
            continue
        living = [item for item in items if not isinstance(item, Tombstone)]
        dead = [item for item in items if isinstance(item, Tombstone)]
        said = await keep(tx, source, living, now=now) if living else Stored()
        if dead and kind in _COPIES:
            said += await bury(tx, _COPIES[kind], source, dead, now=now)
        stored[kind] = said
    return stored


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
