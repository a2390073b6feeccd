"""A record that is filled by hand, the API over it, and a clock that stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.api.conftest import serving
from tests.rig import Install

from deskloom.api import create_routes
from deskloom.api.access import Authority, LocalAuthority
from deskloom.model import Company, Ticket, TicketState, TimeEntry, TimeSheet
from deskloom.record.checkpoints import save_checkpoint
from deskloom.record.engine import Record
from deskloom.record.store import store
from deskloom.sandbox.clock import Clock
from deskloom.sandbox.freshdesk import Desk
from deskloom.settings import Settings

SOURCE = "freshdesk"
STARTED = datetime(2025, 2, 3, 9, tzinfo=UTC)


def at(text: str) -> datetime:
    """`2025-01-31` (noon UTC) or `2025-01-31T23:30:00+02:00`."""
    moment = datetime.fromisoformat(text if "T" in text else f"{text}T12:00:00")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(slots=True)
class Books:
    """What a source gave, written into a record as a sync would write it."""

    record: Record
    now: datetime = STARTED

    async def company(self, number: int, name: str, account: str | None, *, source: str = SOURCE) -> None:
        await self._store(
            source, Company(external_id=number, stamp=f"{name}{account}", name=name, account_number=account)
        )

    async def ticket(
        self,
        number: int,
        company: int | None,
        *,
        subject: str | None = None,
        closed: str | None = None,
        resolved: str | None = None,
        state: TicketState = TicketState.ACTIVE,
        source: str = SOURCE,
    ) -> None:
        ticket = Ticket(
            external_id=number,
            stamp=None,
            state=state,
            subject=subject or f"Subject {number}",
            company_id=company,
            created_at=at("2024-07-01"),
            updated_at=at("2025-01-31"),
            closed_at=at(closed) if closed else None,
            resolved_at=at(resolved) if resolved else None,
        )
        await self._store(source, ticket)

    async def sheet(self, ticket: int, *entries: TimeEntry, source: str = SOURCE) -> None:
        """The whole time sheet of a ticket: what it lacks is deleted."""
        await self._store(source, TimeSheet(entries=entries, ticket_id=ticket))

    async def hours_read(self, source: str = SOURCE) -> None:
        """The source's time entries were read to their end."""
        async with self.record.transaction() as tx:
            await save_checkpoint(tx, source, "hours", {}, now=self.now, completed=True)

    async def _store(self, source: str, *records: Any) -> None:
        async with self.record.transaction() as tx:
            await store(tx, source, records, now=self.now)


def entry(number: int, ticket: int, day: str, seconds: int, *, billable: bool = True, agent: int = 7) -> TimeEntry:
    return TimeEntry(
        external_id=number,
        ticket_id=ticket,
        seconds=seconds,
        billable=billable,
        worked_at=at(day),
        agent_id=agent,
    )


@pytest.fixture
def books(record: Record) -> Books:
    """A record on either database."""
    return Books(record)


@dataclass(slots=True)
class Office(Books):
    """The books with the API over them."""

    app: Any = None
    """What the API finds behind it: settings, record and clock."""
    client: httpx.AsyncClient = None  # type: ignore[assignment]
    clock: Clock = None  # type: ignore[assignment]

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.client.get(f"/api/v1/billing{path}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def file(self, path: str, **params: Any) -> bytes:
        answer = await self.client.get(f"/api/billing{path}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.content

    async def refused(self, method: str, path: str, *, body: Any = None, **params: Any) -> dict[str, Any]:
        """The problem that a request is answered with."""
        answer = await self.client.request(method, f"/api/billing{path}", params=params, json=body)
        assert answer.is_error, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def terms(self, account: str, valid_from: str, rate: str, **changes: Any) -> str:
        body = {"valid_from": valid_from, "rate": rate, **changes}
        answer = await self.client.post(f"/api/billing/{account}/terms", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def issue(self, account: str, month: str, **changes: Any) -> Any:
        answer = await self.client.post(f"/api/billing/{account}/invoices", json={"month": month, **changes})
        assert answer.status_code == 201, answer.text
        return answer.json()


Opens = Callable[..., AbstractAsyncContextManager[Office]]


@pytest.fixture(scope="session")
def api() -> FastAPI:
    """The routes of the API, made once: it is what stands behind them that differs."""
    return create_routes()


@pytest.fixture
def opens(api: FastAPI, record: Record, tmp_path: Path) -> Opens:
    """Opens an office over the test's record; `authority` says who callers are."""

    @asynccontextmanager
    async def opening(authority: Authority | None = None) -> AsyncIterator[Office]:
        clock = Clock(STARTED)
        settings = Settings(_env_file=None, home=tmp_path)
        api.state.deskloom = app = SimpleNamespace(settings=settings, record=record, clock=clock.now)
        api.state.authority = authority or LocalAuthority()
        transport = httpx.ASGITransport(app=api)
        async with httpx.AsyncClient(base_url="http://127.0.0.1", transport=transport) as client:
            office = Office(record, app=app, client=client, clock=clock)
            await office.hours_read()
            yield office

    return opening


@pytest.fixture
async def office(opens: Opens) -> AsyncIterator[Office]:
    """An office for the local caller."""
    async with opens() as opened:
        yield opened


@pytest.fixture
async def installed(install: Install) -> AsyncIterator[Office]:
    """An office in a whole installation, served on a port."""
    desk = Desk()
    desk.clock.freeze(STARTED)
    async with install(desk) as made, serving(made) as (_, client):
        office = Office(made.app.record, app=made.app, client=client, clock=desk.clock)
        await office.hours_read()
        yield office
