"""From claims to documents: reads the records behind claimed documents and makes what the index should hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom import documents
from deskloom.documents import Document
from deskloom.errors import ItemError
from deskloom.model import TicketState
from deskloom.record import articles, rows, tickets
from deskloom.record.documents import Claim
from deskloom.record.engine import Record

Make = Callable[[], Document | None]


@dataclass(slots=True)
class Built:
    """What became of a batch of claims: documents to publish, points to delete, items without content."""

    documents: list[tuple[Claim, Document]] = field(default_factory=list)
    gone: list[Claim] = field(default_factory=list)
    failed: list[tuple[Claim, ItemError]] = field(default_factory=list)


async def build(record: Record, claims: Sequence[Claim]) -> Built:
    """Make the documents of `claims`, which share source and collection. HTML is parsed off the event loop."""
    load = _LOADERS.get(claims[0].collection, _load_rows)
    async with record.reading() as tx:
        makers = await load(tx, claims[0].source, claims)
    return await asyncio.to_thread(_make, claims, makers)


def _make(claims: Sequence[Claim], makers: Sequence[Make]) -> Built:
    built = Built()
    for claim, make in zip(claims, makers, strict=True):
        try:
            document = None if claim.gone else make()
        except ItemError as error:
            built.failed.append((claim, error))
            continue
        if document is None:
            built.gone.append(claim)
        else:
            built.documents.append((claim, document))
    return built


async def _load_tickets(tx: AsyncConnection, source: str, claims: Sequence[Claim]) -> list[Make]:
    found = await tickets.load_tickets(tx, source, [claim.item_id for claim in claims])

    def make(claim: Claim) -> Document | None:
        ticket, facts = found.get(claim.item_id, (None, None))
        if ticket is None or facts is None or ticket.state in (TicketState.DELETED, TicketState.SPAM):
            return None
        return documents.ticket_document(source, ticket, facts)

    return [lambda claim=claim: make(claim) for claim in claims]  # type: ignore[misc]


async def _load_articles(tx: AsyncConnection, source: str, claims: Sequence[Claim]) -> list[Make]:
    found = await articles.load_articles(tx, source, [f"{claim.item_id}:{claim.language}" for claim in claims])

    def make(claim: Claim) -> Document | None:
        article = found.get(f"{claim.item_id}:{claim.language}")
        return None if article is None else documents.article_document(source, article)

    return [lambda claim=claim: make(claim) for claim in claims]  # type: ignore[misc]


async def _load_rows(tx: AsyncConnection, source: str, claims: Sequence[Claim]) -> list[Make]:
    found = await rows.load_rows(tx, source, [claim.item_id for claim in claims])

    def make(claim: Claim) -> Document | None:
        row = found.get(claim.item_id)
        return None if row is None else documents.row_document(claim.collection, source, row, claim.language)

    return [lambda claim=claim: make(claim) for claim in claims]  # type: ignore[misc]


_LOADERS = {documents.TICKETS: _load_tickets, documents.ARTICLES: _load_articles}
