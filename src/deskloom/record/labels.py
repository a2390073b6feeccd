"""What stands beside a ticket's numbers: labels of its codes, its company, and who asked."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, FromClause, Text, and_, cast, func

from deskloom.record.tables import agents, codes, companies, contacts, tickets

_STATUS = codes.alias("status_code")
_PRIORITY = codes.alias("priority_code")
_CHANNEL = codes.alias("channel_code")
_RESPONDER = agents.alias("responder")


def _join() -> FromClause:
    joined: FromClause = tickets
    for table, column in ((_STATUS, "status"), (_PRIORITY, "priority"), (_CHANNEL, "channel")):
        joined = joined.outerjoin(
            table,
            and_(table.c.source == tickets.c.source, table.c.field == column, table.c.code == tickets.c[column]),
        )
    for other, column in (
        (companies, "customer_id"),
        (contacts, "requester_id"),
        (agents, "requester_id"),
        (_RESPONDER, "responder_id"),
    ):
        joined = joined.outerjoin(
            other, and_(other.c.source == tickets.c.source, other.c.external_id == tickets.c[column])
        )
    return joined


TICKETS_JOINED = _join()
"""Tickets with their codes, company, requester (as contact and as agent) and responder. One row a ticket."""


def _label(table: FromClause, code: ColumnElement[int]) -> ColumnElement[str]:
    """The account's own label, or the bare number where the account has none for it."""
    return func.coalesce(table.c.label, cast(code, Text))


STATUS_LABEL = _label(_STATUS, tickets.c.status)
PRIORITY_LABEL = _label(_PRIORITY, tickets.c.priority)
CHANNEL_LABEL = _label(_CHANNEL, tickets.c.channel)
# The contact list is fresher than what the ticket carried when it was read; a requester may be an agent (T48).
REQUESTER_NAME = func.coalesce(contacts.c.name, agents.c.name, tickets.c.requester_name)
REQUESTER_EMAIL = func.coalesce(contacts.c.email, agents.c.email, tickets.c.requester_email)


def label_columns() -> list[ColumnElement[Any]]:
    """The columns `TICKETS_JOINED` adds to a ticket, and whose it is."""
    return [
        tickets.c.customer_id,
        STATUS_LABEL.label("status_label"),
        PRIORITY_LABEL.label("priority_label"),
        CHANNEL_LABEL.label("channel_label"),
        companies.c.name.label("company_name"),
        companies.c.account_number.label("account_number"),
        REQUESTER_NAME.label("asked_by_name"),
        REQUESTER_EMAIL.label("asked_by_email"),
        _RESPONDER.c.name.label("responder_name"),
    ]
