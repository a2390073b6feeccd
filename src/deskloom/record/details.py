"""Reads the view `ticket_details`: the tickets of a customer in the flat shape reports expect."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import BigInteger, Numeric, and_, column, func, literal, select, table, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.record.columns import CleanText, UtcTime, json_type
from deskloom.record.hours import seconds_spent
from deskloom.record.paging import decode_place, encode_place
from deskloom.record.statements import Row, chunks
from deskloom.record.tables import companies, tickets
from deskloom.record.views import TICKET_DETAILS

_DETAILS = table(
    TICKET_DETAILS,
    column("ticket_id", BigInteger),
    column("company_account_number", CleanText),
    column("ticket_number", BigInteger),
    column("subject", CleanText),
    column("description", CleanText),
    column("description_text", CleanText),
    column("status", CleanText),
    column("priority", CleanText),
    column("requester_email", CleanText),
    column("requester_name", CleanText),
    column("created_at", UtcTime),
    column("last_updated_at", UtcTime),
    column("closed_at", UtcTime),
    column("total_hours_spent", Numeric(asdecimal=False)),
    column("conversations", json_type()),
    column("notes", json_type()),
    column("source", CleanText),
)


Key = tuple[str, int]
"""Source and id of a ticket."""
_UNKNOWN = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
"""When a ticket was created that does not say so, in the order of a list: last."""
_CREATED = func.coalesce(tickets.c.created_at, literal(_UNKNOWN, UtcTime()))
_PLACE = (_CREATED, tickets.c.source, tickets.c.external_id)


async def list_keys(
    tx: AsyncConnection,
    account_number: str,
    *,
    source: str | None = None,
    year: int | None = None,
    limit: int = 100,
    after: str | None = None,
) -> tuple[list[Key], str | None]:
    """Tickets of the customer with this account number, oldest first, and the cursor of the next page (None: the last).

    With a year, those closed in it (UTC): by `closed_at`, else `resolved_at`, else, for a ticket that is neither, those
    created in it. Empty for an unknown number. Deleted tickets and spam are left out. `after` is a cursor; another text
    raises `InvalidRequest`.
    """
    columns = tickets.c
    its_company = and_(companies.c.source == columns.source, companies.c.external_id == columns.customer_id)
    query = select(*_PLACE).join_from(tickets, companies, its_company)
    query = query.where(companies.c.account_number == account_number, columns.deleted_at.is_(None))
    if source is not None:
        query = query.where(columns.source == source)
    if year is not None:
        ended = func.coalesce(columns.closed_at, columns.resolved_at, columns.created_at)
        query = query.where(ended >= datetime(year, 1, 1, tzinfo=UTC))
        if year < 9999:
            query = query.where(ended < datetime(year + 1, 1, 1, tzinfo=UTC))
    if after is not None:
        place = decode_place(after, (datetime, str, int), parameter="cursor")
        query = query.where(tuple_(*_PLACE) > tuple_(*place, types=[column.type for column in _PLACE]))
    rows = list(await tx.execute(query.order_by(*_PLACE).limit(limit + 1)))
    cursor = encode_place(tuple(rows[limit - 1])) if len(rows) > limit else None
    return [(row[1], row[2]) for row in rows[:limit]], cursor


async def load_details(tx: AsyncConnection, keys: Sequence[Key]) -> list[Row]:
    """The rows of the view for those of the tickets that are there, in the order of the keys.

    `has_hours` stands beside the view's columns: whether the ticket has time entries.
    """
    found: dict[Key, Row] = {}
    for source in sorted({owner for owner, _ in keys}):
        ids = [number for owner, number in keys if owner == source]
        worked = await seconds_spent(tx, source, ids)
        for chunk in chunks(ids):
            query = select(_DETAILS).where(_DETAILS.c.source == source, _DETAILS.c.ticket_id.in_(chunk))
            for row in (await tx.execute(query)).mappings():
                found[source, row["ticket_id"]] = dict(row) | {"has_hours": row["ticket_id"] in worked}
    return [found[key] for key in keys if key in found]
