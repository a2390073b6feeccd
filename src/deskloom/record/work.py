"""The work that is billed: time entries, and closed tickets without any, with the account each of them belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, FromClause, Select, and_, exists, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.billing import Rules, Work
from deskloom.billing.warnings import AgentDay
from deskloom.billing.work import TicketKey
from deskloom.record.statements import chunks
from deskloom.record.tables import checkpoints, companies, tickets, time_entries

HOURS = "hours"
"""The stream whose first complete read says that a ticket without entries has none."""
Astray = Literal["no_ticket", "deleted_ticket", "no_company", "no_account_number"]
_MARGIN = timedelta(days=2)
"""Days begin at other moments in other time zones, up to 14 hours from UTC's; the exact day is looked at later."""

_WORKED = func.coalesce(time_entries.c.worked_at, time_entries.c.started_at, time_entries.c.created_at)
_ENDED = func.coalesce(tickets.c.closed_at, tickets.c.resolved_at)
_ALIVE = time_entries.c.deleted_at.is_(None)


@dataclass(frozen=True, slots=True)
class Found:
    """Work, whose account it is, or why it is nobody's."""

    work: Work
    account_number: str | None
    subject: str | None
    astray: Astray | None = None


@dataclass(frozen=True, slots=True)
class Undated:
    """Time entries that no month has: without any date, or (billing by close) on tickets that are still open."""

    entries: int
    seconds: int


async def load_work(
    tx: AsyncConnection, rules: Rules, first: date, last: date, *, account: str | None = None
) -> list[Found]:
    """Everything that counts on a day of the span; `account`: of that account only, else nobody's work too.

    A ticket without time entries counts as it does only where the source's time entries were read completely once.
    """
    moment = _WORKED if rules.by == "work" else _ENDED
    joined = time_entries.outerjoin(
        tickets,
        and_(tickets.c.source == time_entries.c.source, tickets.c.external_id == time_entries.c.ticket_id),
    )
    query = select(
        time_entries.c.source,
        time_entries.c.ticket_id,
        time_entries.c.external_id.label("entry_id"),
        time_entries.c.seconds,
        time_entries.c.billable,
        time_entries.c.agent_id,
        _WORKED.label("worked"),
        moment.label("moment"),
        *_ABOUT,
    )
    query = _of(query.select_from(_with_company(joined)).where(_ALIVE, *_within(moment, first, last)), account)
    rows = (await tx.execute(query)).all()
    found = await asyncio.to_thread(lambda: [piece for row in rows if (piece := _entry(row, rules, first, last))])
    return found + await _without_entries(tx, rules, first, last, account, await read_sources(tx))


def _entry(row: Any, rules: Rules, first: date, last: date) -> Found | None:
    day = rules.day_of(row.moment, may_be_date=rules.by == "work")
    if not first <= day <= last:
        return None
    work = Work(
        source=row.source,
        ticket_id=row.ticket_id,
        entry_id=row.entry_id,
        day=day,
        seconds=row.seconds,
        billable=row.billable,
        agent_id=row.agent_id,
        worked_on=rules.day_of(row.worked, may_be_date=True) if row.worked else None,
    )
    return _found(work, row)


async def _without_entries(
    tx: AsyncConnection, rules: Rules, first: date, last: date, account: str | None, sources: Sequence[str]
) -> list[Found]:
    query = _closed_without_entries(first, last, account).where(tickets.c.source.in_(sources))
    found = []
    for row in await tx.execute(query):
        day = rules.day_of(row.moment, may_be_date=False)
        if first <= day <= last:
            work = Work(
                source=row.source,
                ticket_id=row.ticket_id,
                entry_id=None,
                day=day,
                seconds=rules.default_seconds,
            )
            found.append(_found(work, row))
    return found


async def load_unread(
    tx: AsyncConnection, rules: Rules, first: date, last: date, *, account: str | None = None
) -> list[tuple[str | None, TicketKey]]:
    """Tickets closed in the span that have no time entries here, of sources whose entries were never read
    completely: account number and ticket."""
    query = _closed_without_entries(first, last, account).where(tickets.c.source.not_in(await read_sources(tx)))
    return [
        (row.account_number, (row.source, row.ticket_id))
        for row in await tx.execute(query)
        if first <= rules.day_of(row.moment, may_be_date=False) <= last
    ]


async def read_sources(tx: AsyncConnection) -> list[str]:
    """The sources whose time entries were read completely at least once."""
    query = select(checkpoints.c.source).where(checkpoints.c.stream == HOURS, checkpoints.c.completed_at.is_not(None))
    return sorted((await tx.execute(query)).scalars())


async def load_undated(tx: AsyncConnection, rules: Rules) -> Undated:
    """Time entries that no month has, whoever's they are."""
    joined = time_entries.outerjoin(
        tickets,
        and_(tickets.c.source == time_entries.c.source, tickets.c.external_id == time_entries.c.ticket_id),
    )
    moment = _WORKED if rules.by == "work" else _ENDED
    query = select(func.count(), func.coalesce(func.sum(time_entries.c.seconds), 0)).select_from(joined)
    count, seconds = (await tx.execute(query.where(_ALIVE, moment.is_(None)))).one()
    return Undated(entries=count, seconds=int(seconds))


async def load_agent_days(tx: AsyncConnection, rules: Rules, first: date, last: date) -> dict[AgentDay, int]:
    """Seconds that each agent logged on each day of the span, for whichever company."""
    query = select(time_entries.c.source, time_entries.c.agent_id, time_entries.c.seconds, _WORKED.label("worked"))
    query = query.where(_ALIVE, time_entries.c.agent_id.is_not(None), *_within(_WORKED, first, last))
    sums: dict[AgentDay, int] = {}
    for row in await tx.execute(query):
        key = row.source, row.agent_id, rules.day_of(row.worked, may_be_date=True)
        sums[key] = sums.get(key, 0) + row.seconds
    return sums


async def load_subjects(tx: AsyncConnection, wanted: Iterable[TicketKey]) -> dict[TicketKey, str | None]:
    """The subjects of tickets, the deleted ones too."""
    keys = set(wanted)
    found: dict[TicketKey, str | None] = {}
    for source in sorted({source for source, _ in keys}):
        for chunk in chunks(sorted(number for name, number in keys if name == source)):
            query = select(tickets.c.external_id, tickets.c.subject)
            query = query.where(tickets.c.source == source, tickets.c.external_id.in_(chunk))
            found |= {(source, row.external_id): row.subject for row in await tx.execute(query)}
    return found


_ABOUT = (
    tickets.c.external_id.label("its_ticket"),
    tickets.c.subject,
    tickets.c.deleted_at.label("ticket_deleted_at"),
    companies.c.external_id.label("its_company"),
    companies.c.account_number,
)


def _with_company(joined: FromClause) -> FromClause:
    same = and_(companies.c.source == tickets.c.source, companies.c.external_id == tickets.c.customer_id)
    return joined.outerjoin(companies, same)


def _of(query: Select, account: str | None) -> Select:  # type: ignore[type-arg]
    if account is None:
        return query
    return query.where(companies.c.account_number == account, tickets.c.deleted_at.is_(None))


def _within(moment: ColumnElement[datetime], first: date, last: date) -> tuple[ColumnElement[bool], ...]:
    begins = datetime.combine(first, time(), UTC) - _MARGIN
    ends = datetime.combine(last, time(), UTC) + _MARGIN
    return moment >= begins, moment < ends


def _closed_without_entries(first: date, last: date, account: str | None) -> Select:  # type: ignore[type-arg]
    its = select(literal(1)).where(
        time_entries.c.source == tickets.c.source, time_entries.c.ticket_id == tickets.c.external_id, _ALIVE
    )
    query = select(tickets.c.source, tickets.c.external_id.label("ticket_id"), _ENDED.label("moment"), *_ABOUT)
    query = query.select_from(_with_company(tickets)).where(
        tickets.c.deleted_at.is_(None), ~exists(its), *_within(_ENDED, first, last)
    )
    return _of(query, account)


def _found(work: Work, row: Any) -> Found:
    astray: Astray | None = None
    if row.its_ticket is None:
        astray = "no_ticket"
    elif row.ticket_deleted_at is not None:
        astray = "deleted_ticket"
    elif row.its_company is None:
        astray = "no_company"
    elif row.account_number is None:
        astray = "no_account_number"
    return Found(work, None if astray else row.account_number, row.subject, astray)
