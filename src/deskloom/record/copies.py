"""How an object of a source is kept: what counts as a change, what is written, and what a tombstone does.

Tickets, articles, contacts, companies and agents are all kept this way. An object is *unchanged* when its fingerprint
(a hash of the typed columns that matter) and its quiet columns are what is stored; then nothing is written. When only
quiet columns differ (the change mark and times that move by themselves, such as those of a service level) it is
*touched*: the row follows the source, but what is made of it need not be made again. `raw` never counts: it holds
links that are signed anew on every read; it is stored whenever the row is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import RowMapping, Table, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.model import TicketState, Tombstone
from deskloom.record.statements import Row, chunks, upsert

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What storing did, by key. `touched`: only quiet columns moved. `deleted`: gone now, and was not before.

    An object that comes back from the dead is `updated`; one that is first seen dead is `deleted`; one that stays dead
    is `unchanged`, although its row follows the source.
    """

    created: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    touched: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()

    def __add__(self, other: Stored) -> Stored:
        return Stored(**{part.name: getattr(self, part.name) + getattr(other, part.name) for part in fields(Stored)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """One table of copied objects: the columns that make a key, and those that may move without meaning anything."""

    table: Table
    identity: tuple[str, ...]
    quiet: tuple[str, ...]
    grave: Mapping[str, Any]
    """Columns a tombstone sets beside `deleted_at`."""
    children: str | None = None
    """A second fingerprint column; None in a row means unknown: the stored one stands."""
    later: tuple[str, ...] = ()
    """Columns that a migration added: a row without a value in them has the fingerprint that it had before."""
    textual: bool = False
    """Keys are the ids themselves, any text, instead of numbers (with a language after a colon)."""

    def external_id(self, key: str) -> int | str:
        """The id in a key."""
        return key if self.textual else int(key.split(":", 1)[0])

    def key(self, row: Mapping[str, Any] | RowMapping) -> str:
        return ":".join(str(row[name]) for name in self.identity)


def row_of(item: Any, table: Table, source: str) -> Row:
    """The typed columns of a model object, as plain values."""
    row: Row = {"source": source}
    for part in fields(item):
        if part.name in table.c:
            value = getattr(item, part.name)
            if isinstance(value, tuple):
                value = list(value)
            row[part.name] = value.value if isinstance(value, StrEnum) else value
    return row


def fingerprint(row: Mapping[str, Any], *, without: Collection[str] = ()) -> str:
    """sha256 (hex) over the canonical JSON of a row's columns; equal content gives an equal fingerprint."""
    content = {name: value for name, value in row.items() if name not in without}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    raise TypeError(f"{type(value).__name__} has no canonical form")


async def store_copies(
    tx: AsyncConnection, copies: Copies, rows: Sequence[Row], *, now: datetime
) -> tuple[Stored, frozenset[str]]:
    """Write what differs. Rows carry every typed column, `stamp`, `raw`, and `deleted_at` (a time: it is gone now).

    Of rows with the same key the last counts. Fingerprints are added here. Returns what became of the keys, and the
    keys of the rows that were written.
    """
    latest = {copies.key(row): row for row in rows}
    without = {"stamp", "raw", "deleted_at", "listed_at", "customer_id", *copies.quiet}
    if copies.children:
        without.add(copies.children)
    known = await existing(tx, copies, latest.values())
    said: dict[str, list[str]] = {part.name: [] for part in fields(Stored)}
    written: list[Row] = []
    for key, row in latest.items():
        absent = {name for name in copies.later if row[name] is None}
        row["fingerprint"] = fingerprint(row, without=without | absent)
        old = known.get(key)
        outcome, version = _judge(copies, row, old)
        dead = old is not None and row["deleted_at"] == old["deleted_at"] is not None
        # Of what stays dead nothing is made: whatever happens to it, it is no news to anyone.
        said["unchanged" if dead else outcome].append(key)
        if outcome != "unchanged":
            written.append(row | {"version": version, "stored_at": now})
    await upsert(tx, copies.table, written)
    stored = Stored(**{name: tuple(keys) for name, keys in said.items()})
    return stored, frozenset(copies.key(row) for row in written)


def _judge(copies: Copies, row: Row, old: RowMapping | None) -> tuple[str, int]:
    """What happens to a row, and its version; fills in what the stored row knows and the new one does not."""
    dead = row["deleted_at"] is not None
    if old is None:
        return ("deleted" if dead else "created"), 1
    if copies.children and row[copies.children] is None:
        row[copies.children] = old[copies.children]
    changed = row["fingerprint"] != old["fingerprint"] or bool(
        copies.children and row[copies.children] != old[copies.children]
    )
    version = old["version"] + 1
    if dead and old["deleted_at"] is None:
        return "deleted", version
    if dead:
        row["deleted_at"] = old["deleted_at"]
    elif changed or old["deleted_at"] is not None:
        return "updated", version
    if changed or any(row[name] != old[name] for name in ("stamp", *copies.quiet)):
        return "touched", version if changed else old["version"]
    return "unchanged", old["version"]


async def existing(tx: AsyncConnection, copies: Copies, rows: Iterable[Row]) -> dict[str, RowMapping]:
    """What is stored of these rows, by key: identity, fingerprints, version, quiet columns; locked for the writer."""
    columns = copies.table.c
    names = [*copies.identity, "fingerprint", "stamp", "version", "deleted_at", *copies.quiet]
    if copies.children:
        names.append(copies.children)
    found: dict[str, RowMapping] = {}
    ids = sorted({(row["source"], row["external_id"]) for row in rows})
    for source in sorted({source for source, _ in ids}):
        for chunk in chunks(external_id for owner, external_id in ids if owner == source):
            query = select(*(columns[name] for name in names))
            query = query.where(columns.source == source, columns.external_id.in_(chunk))
            query = query.order_by(*(columns[name] for name in copies.identity)).with_for_update()
            found |= {copies.key(row): row for row in (await tx.execute(query)).mappings()}
    return found


async def bury(
    tx: AsyncConnection, copies: Copies, source: str, tombstones: Sequence[Tombstone], *, now: datetime
) -> Stored:
    """Mark as deleted what the tombstones name; what is dead already stays as it is, what is not there is ignored.

    The key of an article may lack its language: then every language of it is meant.
    """
    stamps = {tombstone.key: tombstone.stamp for tombstone in tombstones}
    ids = {key: copies.external_id(key) for key in stamps}
    rows = [{"source": source, "external_id": external_id} for external_id in set(ids.values())]
    deleted: list[str] = []
    unchanged: list[str] = []
    marks: list[Row] = []
    for key, row in (await existing(tx, copies, rows)).items():
        named = key if key in stamps else str(row["external_id"])
        if named not in stamps:
            continue
        if row["deleted_at"] is not None:
            unchanged.append(key)
            continue
        deleted.append(key)
        marks.append({f"its_{name}": row[name] for name in copies.identity} | {"new_stamp": stamps[named]})
    if marks:
        columns = copies.table.c
        statement = update(copies.table).where(
            columns.source == source, *(columns[name] == bindparam(f"its_{name}") for name in copies.identity)
        )
        statement = statement.values(
            **copies.grave, deleted_at=now, stored_at=now, version=columns.version + 1, stamp=bindparam("new_stamp")
        )
        await tx.execute(statement, marks)
    return Stored(deleted=tuple(deleted), unchanged=tuple(unchanged))


async def stored_stamps(tx: AsyncConnection, copies: Copies, source: str, keys: Iterable[str]) -> dict[str, str]:
    """The change marks of those keys that are stored and have one."""
    columns = copies.table.c
    wanted = set(keys)
    found: dict[str, str] = {}
    for chunk in chunks({copies.external_id(key) for key in wanted}):
        query = select(*(columns[name] for name in copies.identity), columns.stamp)
        query = query.where(columns.source == source, columns.external_id.in_(chunk), columns.stamp.is_not(None))
        found |= {copies.key(row): row["stamp"] for row in (await tx.execute(query)).mappings()}
    return {key: stamp for key, stamp in found.items() if key in wanted}


async def live_keys(tx: AsyncConnection, copies: Copies, source: str) -> frozenset[str]:
    """Every key of a source that is not deleted: what a complete listing is compared with."""
    columns = copies.table.c
    query = select(*(columns[name] for name in copies.identity))
    query = query.where(columns.source == source, columns.deleted_at.is_(None))
    return frozenset(copies.key(row) for row in (await tx.execute(query)).mappings())


@dataclass(frozen=True, slots=True)
class Standing:
    """How an object stands in the record: its change mark, and whether it is deleted, or archived at its source."""

    stamp: str | None
    alive: bool
    archived: bool = False


async def standings(
    tx: AsyncConnection, copies: Copies, source: str, keys: Iterable[str] | None = None
) -> dict[str, Standing]:
    """How every object of a source stands, the deleted ones too, or those of `keys` that are stored."""
    columns = copies.table.c
    names = [*copies.identity, "stamp", "deleted_at", *(name for name in ("state",) if name in columns)]
    query = select(*(columns[name] for name in names)).where(columns.source == source)
    wanted = None if keys is None else set(keys)
    ids = [None] if wanted is None else chunks({copies.external_id(key) for key in wanted})
    found: dict[str, Standing] = {}
    for chunk in ids:
        part = query if chunk is None else query.where(columns.external_id.in_(chunk))
        for row in (await tx.execute(part)).mappings():
            archived = row.get("state") == TicketState.ARCHIVED.value
            found[copies.key(row)] = Standing(row["stamp"], row["deleted_at"] is None, archived)
    return found if wanted is None else {key: value for key, value in found.items() if key in wanted}
