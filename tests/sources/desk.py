"""A Freshdesk account in the sandbox, a source that reads it, and a small record that keeps what was read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from deskloom.http import Client, Timing, normalise
from deskloom.model import Cursor, ItemFailure, Kind, Page, Record, Ticket, Tombstone
from deskloom.protocols import Source
from deskloom.sandbox import Clock, Desk, SandboxServer
from deskloom.sources.freshdesk import FreshdeskSource

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


def stamp(seconds: float) -> str:
    """A stamp so many seconds after the first of October, long before `NOW`."""
    return (datetime(2026, 10, 1, tzinfo=UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def empty_desk(**options: Any) -> Desk:
    """An account with an administrator, a plain agent, and nothing else; its clock stands still at `NOW`."""
    desk = Desk(clock=Clock(NOW), **options)
    for number, admin in ((1, True), (2, False)):
        contact = {"name": f"Agent {number}", "email": f"agent{number}@example.com", "active": True}
        row = {"id": number, "ticket_scope": 1, "contact": contact, "created_at": stamp(0), "updated_at": stamp(0)}
        desk.agents.put({**row, "_admin": admin})
    return desk


def put_ticket(desk: Desk, key: int, at: float | str, **members: Any) -> dict[str, Any]:
    """A ticket that last changed `at` (a stamp, or seconds as in `stamp`)."""
    when = at if isinstance(at, str) else stamp(at)
    row = {"id": key, "subject": f"Ticket {key}", "description": f"<p>Text {key}</p>", "status": 2, "priority": 1}
    row |= {"source": 2, "requester_id": None, "created_at": stamp(0), "updated_at": when}
    return desk.tickets.put(row | members)


def put_message(desk: Desk, key: int, ticket: int, **members: Any) -> dict[str, Any]:
    row = {"id": key, "ticket_id": ticket, "body": f"<div>Message {key}</div>", "private": False, "incoming": False}
    row |= {"source": 0, "user_id": 1, "created_at": stamp(key), "updated_at": stamp(key)}
    return desk.conversations.put(row | members)


def put_entry(desk: Desk, key: int, ticket: int, worked_at: str | None, **members: Any) -> dict[str, Any]:
    """An hour and a half that was worked on a ticket."""
    row = {"id": key, "ticket_id": ticket, "agent_id": 1, "company_id": None, "billable": True, "note": f"Note {key}"}
    row |= {"timer_running": False, "time_spent": "01:30", "time_spent_in_seconds": 5400, "executed_at": worked_at}
    row |= {"start_time": stamp(0), "created_at": stamp(0), "updated_at": stamp(0)}
    return desk.time_entries.put(row | members)


def timing_of(desk: Desk) -> Timing:
    """Waiting moves the sandbox's clock instead of taking time."""

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(0)
        desk.clock.advance(seconds)

    def seconds() -> float:
        return desk.clock.now().timestamp()

    return Timing(now=desk.clock.now, monotonic=seconds, sleep=sleep, chance=lambda: 0.0)


def open_source(desk: Desk, url: str, **options: Any) -> FreshdeskSource:
    account_field = options.pop("account_field", "account_number")
    key = options.pop("key", "sandbox")
    hours_days = options.pop("hours_days", 45)
    options = {"timing": timing_of(desk), "timeout": timedelta(seconds=5), "concurrency": 8} | options
    client = Client(normalise(url), key, **options)
    return FreshdeskSource("acme", client, account_field=account_field, hours_days=hours_days)


@asynccontextmanager
async def reading(desk: Desk, **options: Any) -> AsyncIterator[FreshdeskSource]:
    """A source over a served account, closed in the end."""
    with SandboxServer(desk) as sandbox:
        source = open_source(desk, sandbox.url, **options)
        try:
            yield source
        finally:
            await source.aclose()


@dataclass
class Shelf:
    """What a record would keep: records by kind and key, the stamps of complete ones, failures and the cursor."""

    records: dict[tuple[Kind, str], Record] = field(default_factory=dict)
    failures: list[ItemFailure] = field(default_factory=list)
    cursor: Cursor | None = None
    pages: list[Page] = field(default_factory=list)
    listing: frozenset[str] | None = None
    stored: int = 0

    async def known(self, kind: Kind, keys: Sequence[str]) -> Mapping[str, str]:
        found = {key: self.records.get((kind, key)) for key in keys}
        return {key: record.stamp for key, record in found.items() if record is not None and record.stamp is not None}

    def store(self, page: Page) -> None:
        """Keep a page as one unit; messages that could not be read leave the old ones."""
        self.pages.append(page)
        for record in page.records:
            self.stored += 1
            place = (record.kind, record.key)
            old = self.records.get(place)
            if isinstance(record, Ticket) and record.messages is None and isinstance(old, Ticket):
                record = replace(record, messages=old.messages)
            self.records[place] = record
        self.failures.extend(page.failures)
        self.cursor = page.cursor
        self.listing = page.listing

    async def read(self, source: Source, stream: str, *, limit: int | None = None, full: bool = False) -> int:
        """One read, stored page by page; returns how many records came."""
        before = self.stored
        options: dict[str, Any] = {} if full else {"known": self.known}
        async for page in source.read(stream, None if full else self.cursor, limit=limit, **options):
            self.store(page)
        return self.stored - before

    def tickets(self) -> dict[int, Ticket]:
        return {record.external_id: record for record in self.records.values() if isinstance(record, Ticket)}

    def alive(self) -> set[str]:
        return {key for (_, key), record in self.records.items() if not isinstance(record, Tombstone)}
