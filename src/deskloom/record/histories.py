"""Tickets with everything a document tells of them, and a mark that changes whenever any of it does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.documents import TicketFacts
from deskloom.model import Ticket, TicketState
from deskloom.record.copies import fingerprint
from deskloom.record.hours import load_entries
from deskloom.record.labels import TICKETS_JOINED, label_columns
from deskloom.record.people import people
from deskloom.record.statements import chunks
from deskloom.record.tables import agents, companies, messages, tickets
from deskloom.record.tickets import load_tickets

Person = tuple[str | None, str | None]
"""Name and e-mail address."""
_ALIVE = (TicketState.ACTIVE, TicketState.ARCHIVED)


@dataclass(frozen=True, slots=True)
class Worked:
    """The time entries of a ticket, added up, in seconds."""

    entries: int = 0
    seconds: int = 0
    billable: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A ticket with all its messages, who they are of, and the time that was spent on it."""

    source: str
    ticket: Ticket
    facts: TicketFacts
    responder: str | None
    people: Mapping[int, Person]
    worked: Worked


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A ticket in a listing. `mark` is equal while nothing is different that `History` tells of it."""

    source: str
    id: int
    company_id: int | None
    account_number: str | None
    mark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """A company that tickets belong to."""

    source: str
    id: int
    name: str | None
    account_number: str | None


async def load_histories(tx: AsyncConnection, source: str, ids: Iterable[int]) -> list[History]:
    """The histories of those tickets that are there, by id. Deleted ones and spam are not."""
    loaded = await load_tickets(tx, source, map(str, ids))
    alive = {ticket.external_id: (ticket, facts) for ticket, facts in loaded.values() if ticket.state in _ALIVE}
    authors = [message.author_id for ticket, _ in alive.values() for message in ticket.messages or ()]
    known = await people(tx, source, [*authors, *(ticket.responder_id for ticket, _ in alive.values())])
    team = await _team(tx, source, (ticket.responder_id for ticket, _ in alive.values()))
    hours = await _worked(tx, source, alive)
    return [
        History(
            source=source,
            ticket=ticket,
            facts=facts,
            responder=team.get(ticket.responder_id) if ticket.responder_id is not None else None,
            people=known,
            worked=hours.get(number, Worked()),
        )
        for number, (ticket, facts) in sorted(alive.items())
    ]


async def _team(tx: AsyncConnection, source: str, ids: Iterable[int | None]) -> dict[int, str | None]:
    found: dict[int, str | None] = {}
    for chunk in chunks(sorted({agent for agent in ids if agent is not None})):
        query = select(agents.c.external_id, agents.c.name)
        query = query.where(agents.c.source == source, agents.c.external_id.in_(chunk))
        found |= {row.external_id: row.name for row in await tx.execute(query)}
    return found


async def _worked(tx: AsyncConnection, source: str, ids: Iterable[int]) -> dict[int, Worked]:
    """Ticket → its time entries added up; tickets without entries are missing."""
    found = await load_entries(tx, source, ids)
    return {
        number: Worked(
            len(entries),
            sum(entry.seconds for entry in entries),
            sum(entry.seconds for entry in entries if entry.billable),
        )
        for number, entries in found.items()
    }


async def list_marks(
    tx: AsyncConnection,
    *,
    source: str | None = None,
    account_number: str | None = None,
    updated_since: datetime | None = None,
    after: Marked | None = None,
    limit: int = 500,
) -> list[Marked]:
    """Tickets that match every filter, by source and id, from the one behind `after` on.

    A listing made of several such pages, each read in a transaction of its own, has every ticket that was there all
    the time: the order never changes.
    """
    columns = tickets.c
    query = select(
        columns.source, columns.external_id, columns.version, columns.updated_at, *label_columns()
    ).select_from(TICKETS_JOINED)
    query = query.where(columns.deleted_at.is_(None))
    if source is not None:
        query = query.where(columns.source == source)
    if account_number is not None:
        query = query.where(companies.c.account_number == account_number)
    if updated_since is not None:
        query = query.where(columns.updated_at >= updated_since)
    if after is not None:
        place = (columns.source, columns.external_id)
        query = query.where(tuple_(*place) > tuple_(after.source, after.id, types=[column.type for column in place]))
    query = query.order_by(columns.source, columns.external_id).limit(limit)
    rows = [dict(row) for row in (await tx.execute(query)).mappings()]
    beside: dict[tuple[str, int], object] = {}
    for name in sorted({row["source"] for row in rows}):
        ids = [row["external_id"] for row in rows if row["source"] == name]
        said, hours = await _names(tx, name, ids), await _worked(tx, name, ids)
        beside |= {(name, number): [said.get(number), _plain(hours.get(number))] for number in ids}
    return [
        Marked(
            source=row["source"],
            id=row["external_id"],
            company_id=row["customer_id"],
            account_number=row["account_number"],
            mark=fingerprint({**row, "beside": beside[row["source"], row["external_id"]]}),
        )
        for row in rows
    ]


def _plain(hours: Worked | None) -> Sequence[int]:
    return () if hours is None else (hours.entries, hours.seconds, hours.billable)


async def _names(tx: AsyncConnection, source: str, ids: Sequence[int]) -> dict[int, list[list[object]]]:
    """Ticket → the people who wrote on it, as they are called now."""
    columns = messages.c
    authors: list[tuple[int, int]] = []
    for chunk in chunks(ids):
        query = select(columns.ticket_id, columns.author_id).distinct()
        query = query.where(columns.source == source, columns.ticket_id.in_(chunk), columns.author_id.is_not(None))
        authors += [(row.ticket_id, row.author_id) for row in await tx.execute(query)]
    known = await people(tx, source, (author for _, author in authors))
    found: dict[int, list[list[object]]] = {}
    for ticket, author in sorted(authors):
        found.setdefault(ticket, []).append([author, *known.get(author, ())])
    return found


async def list_customers(tx: AsyncConnection) -> list[Customer]:
    """Every company that tickets belong to, by source and id, deleted ones too: their tickets still name them."""
    columns = companies.c
    with_tickets = (
        select(tickets.c.source, tickets.c.customer_id)
        .where(tickets.c.deleted_at.is_(None), tickets.c.customer_id.is_not(None))
        .distinct()
        .subquery()
    )
    query = select(columns.source, columns.external_id.label("id"), columns.name, columns.account_number)
    query = query.join_from(
        companies,
        with_tickets,
        (columns.source == with_tickets.c.source) & (columns.external_id == with_tickets.c.customer_id),
    )
    rows = (await tx.execute(query.order_by(columns.source, columns.external_id))).mappings()
    return [Customer(**row) for row in rows]


async def list_owners(tx: AsyncConnection) -> list[str]:
    """The sources that have tickets."""
    query = select(tickets.c.source).where(tickets.c.deleted_at.is_(None)).distinct().order_by(tickets.c.source)
    return list((await tx.execute(query)).scalars())
