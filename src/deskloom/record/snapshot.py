"""The whole record, or one customer's part of it, as it was at one moment: in batches by key, for exports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from sqlalchemy import ColumnElement, Table, and_, exists, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.model import Article, Kind
from deskloom.record.articles import load_articles
from deskloom.record.engine import open_record
from deskloom.record.histories import History, load_histories
from deskloom.record.people import find_companies
from deskloom.record.sources import accounts_of
from deskloom.record.statements import Row, chunks
from deskloom.record.tables import articles, companies, contacts, tickets

BATCH = 200
"""Rows that are in memory at a time."""
_COMPANY = ("external_id", "name", "description", "account_number", "domains", "created_at", "updated_at")
_CONTACT = (
    "external_id",
    "name",
    "email",
    "job_title",
    "language",
    "company_id",
    "other_company_ids",
    "created_at",
    "updated_at",
)
_TABLES = (companies, contacts, tickets, articles)
_FOLDER = ("category_id", "folder_id")


class Snapshot:
    """What one transaction sees. `accounts`: every source that anything is of, by name, and its account.

    A company or contact that was deleted is there as long as a ticket names it. Of one customer (`customer`: its
    companies) there are its tickets, its people, whoever else asked, and every article.
    """

    def __init__(self, tx: AsyncConnection, accounts: Mapping[str, str], customer: Sequence[Row] | None) -> None:
        self.accounts = accounts
        self.whole = customer is None
        self._tx = tx
        keys = None if customer is None else [(row["source"], row["external_id"]) for row in customer]
        self._here = {
            Kind.COMPANY: _companies_here(keys),
            Kind.CONTACT: _contacts_here(keys),
            Kind.TICKET: _tickets_here(keys),
            Kind.ARTICLE: articles.c.deleted_at.is_(None),
        }

    async def companies(self) -> AsyncIterator[tuple[str, list[Row]]]:
        """Source and rows, by source and id, as all the others."""
        async for batch in self._walk(companies, Kind.COMPANY, _COMPANY):
            yield batch

    async def contacts(self) -> AsyncIterator[tuple[str, list[Row]]]:
        async for batch in self._walk(contacts, Kind.CONTACT, _CONTACT):
            yield batch

    async def articles(self) -> AsyncIterator[tuple[str, list[Article]]]:
        """Every article in every language, drafts and internal ones too."""
        async for source, rows in self._walk(articles, Kind.ARTICLE, ("external_id", "language")):
            keys = [f"{row['external_id']}:{row['language']}" for row in rows]
            found = await load_articles(self._tx, source, keys)
            yield source, [found[key] for key in keys]

    async def tickets(self) -> AsyncIterator[tuple[str, list[History]]]:
        """Tickets with everything that was said; neither deleted ones nor spam."""
        async for source, rows in self._walk(tickets, Kind.TICKET, ("external_id",)):
            yield source, await load_histories(self._tx, source, [row["external_id"] for row in rows])

    async def folders(self) -> list[tuple[str, Row]]:
        """Source, and ids and names of every folder that has an article, with its category; ids may be None."""
        columns = articles.c
        place = [columns.source, *(columns[name] for name in _FOLDER)]
        # Names may differ between languages; one of them has to do.
        names = [func.min(columns[name]).label(name) for name in ("category_name", "folder_name")]
        query = select(*place, *names).where(self._here[Kind.ARTICLE]).group_by(*place)
        rows = [dict(row) for row in (await self._tx.execute(query)).mappings()]
        rows.sort(key=lambda row: (row["source"], *(row[name] or 0 for name in _FOLDER)))
        return [(row["source"], row) for row in rows]

    async def homeless(self) -> list[str]:
        """The sources that have a ticket whose company is not there: it has none, or the source never told of it."""
        named = and_(companies.c.source == tickets.c.source, companies.c.external_id == tickets.c.customer_id)
        query = select(tickets.c.source).where(self._here[Kind.TICKET], ~exists().where(named)).distinct()
        return sorted((await self._tx.execute(query)).scalars())

    async def present(self, kind: Kind, source: str, ids: Iterable[int | None]) -> set[int]:
        """Which of these ids are there: companies, contacts or tickets."""
        table = {Kind.COMPANY: companies, Kind.CONTACT: contacts, Kind.TICKET: tickets}[kind]
        found: set[int] = set()
        for chunk in chunks(sorted({number for number in ids if number is not None})):
            query = select(table.c.external_id).where(table.c.source == source, table.c.external_id.in_(chunk))
            found |= set((await self._tx.execute(query.where(self._here[kind]))).scalars())
        return found

    async def languages(self, source: str, ids: Iterable[int]) -> dict[int, list[str]]:
        """Article → the languages it is there in; first the one it was written in (the oldest, then by name)."""
        columns = articles.c
        found: dict[int, list[str]] = {}
        for chunk in chunks(sorted(set(ids))):
            query = select(columns.external_id, columns.language).where(
                columns.source == source, columns.external_id.in_(chunk), self._here[Kind.ARTICLE]
            )
            for row in await self._tx.execute(
                query.order_by(columns.created_at.is_(None), columns.created_at, columns.language)
            ):
                found.setdefault(row.external_id, []).append(row.language)
        return found

    async def _walk(self, table: Table, kind: Kind, names: Sequence[str]) -> AsyncIterator[tuple[str, list[Row]]]:
        place = [column for column in table.primary_key if column.name != "source"]
        for source in sorted(self.accounts):
            query = select(*(table.c[name] for name in names)).where(table.c.source == source, self._here[kind])
            query = query.order_by(*place).limit(BATCH)
            rows: list[Row] = []
            while not rows or len(rows) == BATCH:
                onward = query
                if rows:
                    last = tuple_(*(rows[-1][column.name] for column in place), types=[one.type for one in place])
                    onward = query.where(tuple_(*place) > last)
                rows = [dict(row) for row in (await self._tx.execute(onward)).mappings()]
                if not rows:
                    break
                yield source, rows


@asynccontextmanager
async def open_snapshot(url: str, *, account_number: str | None = None) -> AsyncIterator[Snapshot]:
    """A look at the record at `url`, over a connection of its own: an export may take long.

    `account_number`: only this customer; raises `NotFound` and `Ambiguous` as `find_companies` does.
    """
    record = open_record(url, pool_size=1)
    try:
        async with record.reading() as tx:
            customer = None if account_number is None else await find_companies(tx, account_number)
            yield Snapshot(tx, await _accounts(tx), customer)
    finally:
        await record.aclose()


async def _accounts(tx: AsyncConnection) -> dict[str, str]:
    """The helpdesks: what other sources (a team's own tables) give is no part of a snapshot."""
    found: dict[str, str] = {}
    for source, account in (await accounts_of(tx)).items():
        query = select(or_(*(exists().where(table.c.source == source) for table in _TABLES)))
        if (await tx.execute(query)).scalar():
            found[source] = account
    return found


Keys = Sequence[tuple[str, int]] | None
"""Companies by source and id; None: all of them."""


def _tickets_here(customer: Keys) -> ColumnElement[bool]:
    alive = tickets.c.deleted_at.is_(None)
    return alive if customer is None else and_(alive, tuple_(tickets.c.source, tickets.c.customer_id).in_(customer))


def _companies_here(customer: Keys) -> ColumnElement[bool]:
    if customer is not None:
        return tuple_(companies.c.source, companies.c.external_id).in_(customer)
    named = and_(tickets.c.source == companies.c.source, tickets.c.customer_id == companies.c.external_id)
    return or_(companies.c.deleted_at.is_(None), exists().where(named, _tickets_here(None)))


def _contacts_here(customer: Keys) -> ColumnElement[bool]:
    asked = and_(tickets.c.source == contacts.c.source, tickets.c.requester_id == contacts.c.external_id)
    alive: ColumnElement[bool] = contacts.c.deleted_at.is_(None)
    if customer is not None:
        alive = and_(alive, tuple_(contacts.c.source, contacts.c.company_id).in_(customer))
    return or_(alive, exists().where(asked, _tickets_here(customer)))
