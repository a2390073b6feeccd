"""Tickets with everything that was said in them: storing, and loading them to make documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.documents import TicketFacts
from deskloom.model import Message, Ticket, TicketState
from deskloom.record.copies import BEGINNING, Copies, Stored, fingerprint, row_of, store_copies, stored_stamps
from deskloom.record.customers import customers_of
from deskloom.record.labels import TICKETS_JOINED, label_columns
from deskloom.record.statements import Row, chunks, upsert
from deskloom.record.tables import messages, tickets

TICKETS = Copies(
    table=tickets,
    identity=("external_id",),
    quiet=("updated_at", "due_by", "first_responded_at"),
    grave={"state": TicketState.DELETED.value},
    children="messages_fingerprint",
    later=("workspace_id", "resolution_html", "resolution_text"),
)
_DEAD = (TicketState.DELETED, TicketState.SPAM)
_MESSAGE_FIELDS = tuple(part.name for part in fields(Message) if part.name != "raw")
_TICKET_FIELDS = tuple(part.name for part in fields(Ticket) if part.name not in {"raw", "messages", "time_entries"})

MESSAGE_ORDER = (messages.c.created_at.is_(None), messages.c.created_at, messages.c.external_id)
"""Oldest first; those without a time last. Spelled so that both databases agree on where nulls go."""


async def store_tickets(tx: AsyncConnection, source: str, items: Sequence[Ticket], *, now: datetime) -> Stored:
    """Store tickets with their messages.

    `messages=None` keeps the messages that are stored; otherwise they are replaced as a set, writing only those that
    differ. A ticket that is deleted or spam keeps its row with `deleted_at` set. `version` grows with every change
    that matters. Of a ticket given twice the last counts.
    """
    latest = {item.external_id: item for item in items}
    asked = await customers_of(tx, source, (item.requester_id for item in latest.values() if item.company_id is None))
    rows = []
    said: dict[int, dict[int, Row]] = {}
    for number, item in latest.items():
        row = row_of(item, tickets, source)
        row["deleted_at"] = now if item.state in _DEAD else None
        row["customer_id"] = asked.get(item.requester_id or 0) if item.company_id is None else item.company_id
        row["listed_at"] = item.updated_at or item.created_at or BEGINNING
        row["messages_fingerprint"] = None
        if item.messages is not None:
            said[number] = _message_rows(source, number, item.messages)
            prints = {str(key): entry["fingerprint"] for key, entry in said[number].items()}
            row["messages_fingerprint"] = fingerprint(prints)
        rows.append(row)
    stored, written = await store_copies(tx, TICKETS, rows, now=now)
    await _replace_messages(tx, source, {key: entry for key, entry in said.items() if str(key) in written})
    return stored


def _message_rows(source: str, ticket_id: int, said: Sequence[Message]) -> dict[int, Row]:
    rows: dict[int, Row] = {}
    for message in said:
        row = row_of(message, messages, source)
        row["ticket_id"] = ticket_id
        row["fingerprint"] = fingerprint(row, without=("raw",))
        rows[message.external_id] = row
    return rows


async def _replace_messages(tx: AsyncConnection, source: str, said: Mapping[int, Mapping[int, Row]]) -> None:
    """Make the stored messages of these tickets exactly those given, leaving alone what is equal."""
    columns = messages.c
    old: dict[tuple[int, int], str] = {}
    for chunk in chunks(sorted(said)):
        query = select(columns.ticket_id, columns.external_id, columns.fingerprint)
        query = query.where(columns.source == source, columns.ticket_id.in_(chunk))
        old |= {(row.ticket_id, row.external_id): row.fingerprint for row in await tx.execute(query)}
    new = {(ticket_id, number): row for ticket_id, entry in said.items() for number, row in entry.items()}
    for gone in chunks(sorted(old.keys() - new.keys())):
        identity = tuple_(columns.ticket_id, columns.external_id)
        await tx.execute(delete(messages).where(columns.source == source, identity.in_(gone)))
    await upsert(tx, messages, [row for key, row in new.items() if old.get(key) != row["fingerprint"]])


async def ticket_stamps(tx: AsyncConnection, source: str, keys: Iterable[str]) -> dict[str, str]:
    """Key → stamp, for tickets that are stored whole (one stored without its messages has no stamp)."""
    return await stored_stamps(tx, TICKETS, source, keys)


async def load_tickets(tx: AsyncConnection, source: str, keys: Iterable[str]) -> dict[str, tuple[Ticket, TicketFacts]]:
    """Tickets with their messages, oldest first, and what the record knows beside them; `raw` is left out.

    Deleted tickets are given too: their state says so. Keys that are not stored are missing from the answer.
    """
    found: dict[str, tuple[Ticket, TicketFacts]] = {}
    for chunk in chunks(sorted({int(key) for key in keys}), 200):
        query = select(*(tickets.c[name] for name in _TICKET_FIELDS), tickets.c.messages_fingerprint, *label_columns())
        query = query.select_from(TICKETS_JOINED).where(tickets.c.source == source, tickets.c.external_id.in_(chunk))
        rows = list((await tx.execute(query)).mappings())
        said = await load_messages(tx, source, [row["external_id"] for row in rows])
        for row in rows:
            values = {name: row[name] for name in _TICKET_FIELDS}
            values |= {"state": TicketState(row["state"]), "tags": tuple(row["tags"])}
            known = row["messages_fingerprint"] is not None
            ticket = Ticket(**values, messages=tuple(said.get(row["external_id"], ())) if known else None)
            facts = TicketFacts(
                status=row["status_label"],
                priority=row["priority_label"],
                channel=row["channel_label"],
                company_id=row["customer_id"],
                company=row["company_name"],
                account_number=row["account_number"],
                requester_name=row["asked_by_name"],
                requester_email=row["asked_by_email"],
            )
            found[ticket.key] = (ticket, facts)
    return found


async def load_messages(tx: AsyncConnection, source: str, ticket_ids: Sequence[int]) -> dict[int, list[Message]]:
    """The messages of tickets, oldest first, without `raw`."""
    columns = [messages.c[name] for name in _MESSAGE_FIELDS]
    query = select(messages.c.ticket_id, *columns)
    query = query.where(messages.c.source == source, messages.c.ticket_id.in_(ticket_ids))
    found: dict[int, list[Message]] = {}
    for row in (await tx.execute(query.order_by(messages.c.ticket_id, *MESSAGE_ORDER))).mappings():
        values: dict[str, Any] = {name: row[name] for name in _MESSAGE_FIELDS}
        for name in ("to_emails", "cc_emails"):
            values[name] = None if row[name] is None else tuple(row[name])
        found.setdefault(row["ticket_id"], []).append(Message(**values))
    return found


async def keys_of_companies(tx: AsyncConnection, source: str, companies: Iterable[str]) -> list[str]:
    """Keys of the tickets, not deleted, of these companies."""
    found: list[str] = []
    for chunk in chunks(sorted({int(key) for key in companies})):
        query = select(tickets.c.external_id).where(
            tickets.c.source == source, tickets.c.customer_id.in_(chunk), tickets.c.deleted_at.is_(None)
        )
        found += [str(key) for key in (await tx.execute(query)).scalars()]
    return found
