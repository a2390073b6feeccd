"""Tickets as callers see them: lists with filters, newest change first, and one ticket with its whole context."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Select, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.errors import NotFound
from deskloom.model import TicketState
from deskloom.record import hours
from deskloom.record.labels import PRIORITY_LABEL, STATUS_LABEL, TICKETS_JOINED, label_columns
from deskloom.record.paging import beyond, encode_place
from deskloom.record.people import people
from deskloom.record.statements import Row, holds_tag
from deskloom.record.tables import companies, messages, tickets
from deskloom.record.tickets import MESSAGE_ORDER

_SHORT = (
    "source",
    "external_id",
    "state",
    "subject",
    "status",
    "priority",
    "channel",
    "type",
    "requester_id",
    "responder_id",
    "group_id",
    "tags",
    "created_at",
    "updated_at",
    "resolved_at",
    "closed_at",
    "version",
)
_WHOLE = (*_SHORT, "description_html", "description_text", "custom_fields", "due_by", "first_responded_at", "stored_at")
_MESSAGE = (
    "external_id",
    "kind",
    "private",
    "incoming",
    "body_text",
    "body_html",
    "from_email",
    "to_emails",
    "cc_emails",
    "support_email",
    "author_id",
    "created_at",
    "updated_at",
)


async def list_tickets(
    tx: AsyncConnection,
    *,
    source: str | None = None,
    status: str | int | None = None,
    priority: str | int | None = None,
    company: str | None = None,
    tag: str | None = None,
    updated_since: datetime | None = None,
    state: TicketState | None = None,
    limit: int = 100,
    after: str | None = None,
) -> tuple[list[Row], str | None]:
    """Tickets that match every filter, last changed first, and the cursor of the next page (None: there is none).

    `status` and `priority` take a code or a label; `company` an account number or a name; `state` None means every
    ticket that is not deleted or spam. `after` is a cursor; another text raises `InvalidRequest`. A row has the
    ticket's columns without texts; labels stand under the plain names, codes as `status_code`, `priority_code`,
    `channel_code`.
    """
    columns = tickets.c
    query = select(columns.listed_at, *(columns[name] for name in _SHORT), *label_columns()).select_from(TICKETS_JOINED)
    query = query.where(columns.deleted_at.is_(None) if state is None else columns.state == state.value)
    query = _coded(_coded(query, columns.status, STATUS_LABEL, status), columns.priority, PRIORITY_LABEL, priority)
    if source is not None:
        query = query.where(columns.source == source)
    if company is not None:
        query = query.where(or_(companies.c.account_number == company, companies.c.name == company))
    if tag is not None:
        query = query.where(holds_tag(tx, columns.tags, tag))
    if updated_since is not None:
        query = query.where(columns.updated_at >= updated_since)
    place = (columns.listed_at, columns.source, columns.external_id)
    if after is not None:
        query = query.where(beyond(place, after, (datetime, str, int)))
    query = query.order_by(*(column.desc() for column in place)).limit(limit + 1)
    rows = list((await tx.execute(query)).mappings())
    last = rows[limit - 1] if len(rows) > limit else None
    cursor = encode_place((last["listed_at"], last["source"], last["external_id"])) if last else None
    return [_named(dict(row)) for row in rows[:limit]], cursor


def _coded(query: Select[Any], column: Any, label: Any, value: str | int | None) -> Select[Any]:
    if value is None:
        return query
    if isinstance(value, int):
        return query.where(column == value)
    if value.isascii() and value.isdigit() and len(value) < 19:
        return query.where(or_(column == int(value), label == value))
    return query.where(label == value)


def _named(row: Row) -> Row:
    """Labels under the plain names, codes beside them, the requester as best known."""
    row.pop("listed_at", None)
    row["id"] = row.pop("external_id")
    for name in ("status", "priority", "channel"):
        row[f"{name}_code"] = row[name]
        row[name] = row.pop(f"{name}_label")
    row["company_id"], row["company"] = row.pop("customer_id"), row.pop("company_name")
    row["requester_name"] = row.pop("asked_by_name")
    row["requester_email"] = row.pop("asked_by_email")
    return row


async def get_ticket(tx: AsyncConnection, source: str, key: str | int, *, private: bool = True) -> Row:
    """One ticket with all its texts and `messages` (oldest first, with the author's name as `author_name`; None if
    they could not be read yet), its `time_entries` by work date and `total_hours_spent`, exact decimals.
    `private=False` leaves private notes out. Raises `NotFound`; a deleted ticket is not found."""
    number = ticket_number(source, key)
    columns = tickets.c
    query = select(*(columns[name] for name in _WHOLE), columns.messages_fingerprint, *label_columns())
    query = query.select_from(TICKETS_JOINED).where(
        columns.source == source, columns.external_id == number, columns.deleted_at.is_(None)
    )
    found = (await tx.execute(query)).mappings().first()
    if found is None:
        raise no_ticket(source, key)
    row = _named(dict(found))
    known = row.pop("messages_fingerprint") is not None
    row["messages"] = await _messages(tx, source, number, private) if known else None
    row["time_entries"] = await _hours(tx, source, number)
    row["total_hours_spent"] = hours.in_hours(sum(entry["seconds"] for entry in row["time_entries"]))
    return row


def ticket_number(source: str, key: str | int) -> int:
    """The id that a ticket is asked for by; what cannot be one raises `NotFound`."""
    number = str(key)
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        raise no_ticket(source, key)
    return int(number)


def no_ticket(source: str, key: str | int) -> NotFound:
    """What says that a ticket is not there."""
    return NotFound(f'There is no ticket {key} of source "{source}" in the record.', source=source, id=str(key))


async def _hours(tx: AsyncConnection, source: str, number: int) -> list[Row]:
    entries = (await hours.load_entries(tx, source, [number])).get(number, [])
    agents = await people(tx, source, (entry.agent_id for entry in entries))
    return [
        {
            "id": entry.external_id,
            "agent_id": entry.agent_id,
            "agent_name": agents.get(entry.agent_id or 0, (None, None))[0],
            "hours": hours.in_hours(entry.seconds),
            "seconds": entry.seconds,
            "billable": entry.billable,
            "worked_at": entry.worked_at,
            "note": entry.note,
        }
        for entry in entries
    ]


async def _messages(tx: AsyncConnection, source: str, number: int, private: bool) -> list[Row]:
    query = select(*(messages.c[name] for name in _MESSAGE))
    query = query.where(messages.c.source == source, messages.c.ticket_id == number)
    if not private:
        query = query.where(messages.c.private.is_(False))
    rows = [dict(row) for row in (await tx.execute(query.order_by(*MESSAGE_ORDER))).mappings()]
    authors = await people(tx, source, (row["author_id"] for row in rows))
    for row in rows:
        row["id"] = row.pop("external_id")
        row["author_name"] = authors.get(row["author_id"], (None, None))[0]
    return rows
