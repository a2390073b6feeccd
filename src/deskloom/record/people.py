"""Companies, contacts, agents and code tables in the record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.errors import Ambiguous, NotFound
from deskloom.model import Agent, Codes, Company, Contact
from deskloom.record.copies import Copies, Stored, row_of, store_copies, stored_stamps
from deskloom.record.statements import Row, chunks, upsert
from deskloom.record.tables import agents, codes, companies, contacts

COMPANIES = Copies(table=companies, identity=("external_id",), quiet=("updated_at",), grave={}, later=("workspace_id",))
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


async def find_companies(tx: AsyncConnection, account_number: str, *, source: str | None = None) -> list[Row]:
    """The companies with this account number, by source: one customer, who may be in each source once.

    Raises `NotFound` if there is none, and `Ambiguous` (naming them) where two of one source have it: whose the
    customer's tickets are cannot be told then.
    """
    query = select(*_COMPANY).where(companies.c.account_number == account_number, companies.c.deleted_at.is_(None))
    if source is not None:
        query = query.where(companies.c.source == source)
    query = query.order_by(companies.c.source, companies.c.external_id)
    found = [dict(row) for row in (await tx.execute(query)).mappings()]
    if not found:
        within = f' of source "{source}"' if source is not None else ""
        raise NotFound(f'No company{within} has the account number "{account_number}".', account_number=account_number)
    owners = [row["source"] for row in found]
    if twice := {owner for owner in owners if owners.count(owner) > 1}:
        raise _two_of_one(account_number, [row for row in found if row["source"] in twice])
    return found


def _two_of_one(account_number: str, same: Sequence[Row]) -> Ambiguous:
    told = " and ".join(f"{row['name'] or '(no name)'} ({row['source']} {row['external_id']})" for row in same)
    return Ambiguous(
        f'The account number "{account_number}" belongs to {told}. Give each its own at the help desk; every company '
        "is listed by GET /api/v1/companies",
        account_number=account_number,
        companies=[{"source": row["source"], "id": row["external_id"], "name": row["name"]} for row in same],
    )


async def get_company(tx: AsyncConnection, account_number: str, *, source: str | None = None) -> Row:
    """The company with this account number, with its `contacts`, and as `also` the same customer in other sources,
    whose contacts are among them. Raises what `find_companies` raises."""
    found = await find_companies(tx, account_number, source=source)
    query = select(*_CONTACT).where(
        tuple_(contacts.c.source, contacts.c.company_id).in_([(row["source"], row["external_id"]) for row in found]),
        contacts.c.deleted_at.is_(None),
    )
    rows = (await tx.execute(query.order_by(contacts.c.name, contacts.c.source, contacts.c.external_id))).mappings()
    return found[0] | {"contacts": [dict(row) for row in rows], "also": found[1:]}


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
