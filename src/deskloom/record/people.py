"""Companies, contacts, agents and code tables in the record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.errors import NotFound
from deskloom.model import Agent, Codes, Company, Contact
from deskloom.record.copies import Copies, Stored, row_of, store_copies, stored_stamps
from deskloom.record.statements import Row, chunks, upsert
from deskloom.record.tables import agents, codes, companies, contacts

COMPANIES = Copies(table=companies, identity=("external_id",), quiet=("updated_at",), grave={})
CONTACTS = Copies(table=contacts, identity=("external_id",), quiet=("updated_at",), grave={"deleted": True})
AGENTS = Copies(table=agents, identity=("external_id",), quiet=("updated_at",), grave={"active": False})


async def store_companies(tx: AsyncConnection, source: str, items: Sequence[Company], *, now: datetime) -> Stored:
    """Store companies; see `copies` for what counts as a change."""
    return await _store(tx, COMPANIES, source, items, now)


async def store_contacts(tx: AsyncConnection, source: str, items: Sequence[Contact], *, now: datetime) -> Stored:
    """Store contacts. A contact the source marks deleted stays, so that its tickets keep their requester's name."""
    return await _store(tx, CONTACTS, source, items, now)


async def store_agents(tx: AsyncConnection, source: str, items: Sequence[Agent], *, now: datetime) -> Stored:
    """Store agents."""
    return await _store(tx, AGENTS, source, items, now)


async def _store(tx: AsyncConnection, copies: Copies, source: str, items: Sequence[Any], now: datetime) -> Stored:
    rows = []
    for item in items:
        row = row_of(item, copies.table, source)
        row["deleted_at"] = now if row.get("deleted") else None
        rows.append(row)
    stored, _ = await store_copies(tx, copies, rows, now=now)
    return stored


async def company_stamps(tx: AsyncConnection, source: str, keys: Iterable[str]) -> dict[str, str]:
    """Key → stamp, for companies that are stored."""
    return await stored_stamps(tx, COMPANIES, source, keys)


async def contact_stamps(tx: AsyncConnection, source: str, keys: Iterable[str]) -> dict[str, str]:
    """Key → stamp, for contacts that are stored."""
    return await stored_stamps(tx, CONTACTS, source, keys)


async def agent_stamps(tx: AsyncConnection, source: str, keys: Iterable[str]) -> dict[str, str]:
    """Key → stamp, for agents that are stored."""
    return await stored_stamps(tx, AGENTS, source, keys)


async def store_codes(tx: AsyncConnection, source: str, items: Sequence[Codes], *, now: datetime) -> Stored:
    """Store code tables, each as a whole: a code the account no longer has loses its label.

    A table whose labels changed is `updated`; documents that show them must be made again.
    """
    latest = {item.field: item for item in items}
    query = select(codes).where(codes.c.source == source, codes.c.field.in_(sorted(latest)))
    old: dict[str, dict[int, tuple[str, str | None]]] = {}
    for row in (await tx.execute(query)).mappings():
        old.setdefault(row["field"], {})[row["code"]] = (row["label"], row["stamp"])
    said: dict[str, list[str]] = {"created": [], "updated": [], "touched": [], "unchanged": []}
    for name, item in sorted(latest.items()):
        before = old.get(name, {})
        after = {code: (label, item.stamp) for code, label in item.labels.items()}
        same = {code: label for code, (label, _) in before.items()} == dict(item.labels)
        outcome = "unchanged" if before == after else "created" if not before else "touched" if same else "updated"
        said[outcome].append(name)
        if gone := sorted(before.keys() - after.keys()):
            table = (codes.c.source == source, codes.c.field == name)
            await tx.execute(delete(codes).where(*table, codes.c.code.in_(gone)))
        changed = [code for code, entry in after.items() if before.get(code) != entry]
        rows = [
            {"source": source, "field": name, "code": code, "label": after[code][0], "stamp": item.stamp}
            for code in changed
        ]
        await upsert(tx, codes, rows)
    return Stored(**{outcome: tuple(names) for outcome, names in said.items()})


async def code_stamps(tx: AsyncConnection, source: str, keys: Iterable[str]) -> dict[str, str]:
    """Field → stamp, for code tables that are stored and have one."""
    query = select(codes.c.field, codes.c.stamp).where(codes.c.source == source, codes.c.field.in_(sorted(set(keys))))
    rows = await tx.execute(query.where(codes.c.stamp.is_not(None)).distinct())
    return {row.field: row.stamp for row in rows}


async def load_codes(tx: AsyncConnection, source: str) -> dict[str, dict[int, str]]:
    """The labels of every code table of a source, by field and code."""
    found: dict[str, dict[int, str]] = {}
    for row in await tx.execute(select(codes).where(codes.c.source == source).order_by(codes.c.field, codes.c.code)):
        found.setdefault(row.field, {})[row.code] = row.label
    return found


async def people(
    tx: AsyncConnection, source: str, ids: Iterable[int | None]
) -> dict[int, tuple[str | None, str | None]]:
    """Name and e-mail address of persons, contacts and agents alike: a requester may be an agent
    (HELPDESK-APIS T48). A contact goes before an agent with the same id."""
    found: dict[int, tuple[str | None, str | None]] = {}
    for chunk in chunks(sorted({person for person in ids if person is not None})):
        for table in (agents, contacts):
            query = select(table.c.external_id, table.c.name, table.c.email)
            query = query.where(table.c.source == source, table.c.external_id.in_(chunk))
            found |= {row.external_id: (row.name, row.email) for row in await tx.execute(query)}
    return found


async def list_companies(tx: AsyncConnection, *, source: str | None = None) -> list[Row]:
    """Every company that exists, by name."""
    query = select(*_COMPANY).where(companies.c.deleted_at.is_(None))
    if source is not None:
        query = query.where(companies.c.source == source)
    query = query.order_by(companies.c.name, companies.c.source, companies.c.external_id)
    return [dict(row) for row in (await tx.execute(query)).mappings()]


async def get_company(tx: AsyncConnection, account_number: str) -> Row:
    """The company with this account number, with its contacts; `NotFound` if there is none."""
    query = select(*_COMPANY).where(companies.c.account_number == account_number, companies.c.deleted_at.is_(None))
    query = query.order_by(companies.c.source, companies.c.external_id).limit(1)
    found = (await tx.execute(query)).mappings().first()
    if found is None:
        raise NotFound(f'No company has the account number "{account_number}".', account_number=account_number)
    query = select(*_CONTACT).where(
        contacts.c.source == found["source"],
        contacts.c.company_id == found["external_id"],
        contacts.c.deleted_at.is_(None),
    )
    rows = (await tx.execute(query.order_by(contacts.c.name, contacts.c.external_id))).mappings()
    return dict(found) | {"contacts": [dict(row) for row in rows]}


_COMPANY = [
    companies.c[name]
    for name in (
        "source",
        "external_id",
        "name",
        "description",
        "account_number",
        "domains",
        "custom_fields",
        "created_at",
        "updated_at",
    )
]
_CONTACT = [
    contacts.c[name]
    for name in ("source", "external_id", "name", "email", "other_emails", "phone", "mobile", "language", "job_title")
]
