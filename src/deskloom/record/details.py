"""Reads the view `ticket_details`: the tickets of a customer in the flat shape reports expect."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import BigInteger, Numeric, column, select, table
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.record.columns import CleanText, UtcTime, json_type
from deskloom.record.statements import Row
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


async def list_details(tx: AsyncConnection, account_number: str, *, year: int | None = None) -> list[Row]:
    """The tickets of the company with this account number, oldest first; with a year, those created in it (UTC).

    Empty for an unknown number. Deleted tickets and spam are left out.
    """
    columns = _DETAILS.c
    query = select(_DETAILS).where(columns.company_account_number == account_number)
    if year is not None:
        query = query.where(columns.created_at >= datetime(year, 1, 1, tzinfo=UTC))
        if year < 9999:
            query = query.where(columns.created_at < datetime(year + 1, 1, 1, tzinfo=UTC))
    query = query.order_by(columns.created_at.is_(None), columns.created_at, columns.source, columns.ticket_id)
    return [dict(row) for row in (await tx.execute(query)).mappings()]
