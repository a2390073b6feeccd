"""Customers and their tickets: shapes member by member, years, hours, pages, and lists that are written as they go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pydantic import TypeAdapter
from sqlalchemy import text
from structlog.testing import capture_logs
from tests.api.conftest import Roles, Served, serving
from tests.api.desks import small_desk
from tests.record.made import NOW, a_message, a_ticket
from tests.rig import rig

from deskloom.api.companies import TOGETHER, TicketDetails
from deskloom.model import Agent, Codes, Company, Contact, TicketState, TimeEntry, TimeSheet
from deskloom.record import store, tables

pytestmark = pytest.mark.asyncio(loop_scope="session")
ORCHARD = Company(
    external_id=90,
    stamp="a",
    name="Orchard",
    description="Apples",
    account_number="0042",
    domains=("orchard.example",),
    custom_fields={"tier": "gold"},
    created_at=NOW,
    updated_at=NOW,
)
ADA = Contact(
    external_id=70,
    stamp="a",
    name="Ada Ferro",
    email="ada@orchard.example",
    other_emails=("a@orchard.example",),
    phone="1",
    mobile="2",
    company_id=90,
    language="en",
    job_title="Lead",
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def opened(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """An installation served to callers with roles; the client is an agent."""
    async with (
        rig(small_desk(), tmp_path_factory.mktemp("companies") / "home", default_hours="0.4") as made,
        serving(made, authority=Roles()) as (server, client),
    ):
        client.headers["X-API-Key"] = "agent"
        yield Served(made, server, client)


@pytest_asyncio.fixture(loop_scope="session")
async def kept(opened: Served) -> Served:
    """The same with nothing in its record, which a test fills itself."""
    async with opened.rig.app.record.transaction() as tx:
        for table in (tables.messages, tables.tickets, tables.time_entries, tables.companies, tables.contacts):
            await tx.execute(table.delete())
    return opened


async def keep(served: Served, *items: Any, source: str = "freshdesk") -> None:
    async with served.rig.app.record.transaction() as tx:
        await store(tx, source, list(items), now=NOW)


async def numbers(served: Served, path: str, **params: Any) -> list[int]:
    answer = await served.client.get(path, params=params or None)
    assert answer.status_code == 200, answer.text
    return [ticket["ticket_id"] for ticket in answer.json()]


async def test_every_member_of_the_contract(kept: Served) -> None:
    """Company, contact, ticket, conversation and note, as whole values."""
    entry = TimeEntry(external_id=5, ticket_id=1, seconds=5400, worked_at=NOW)
    said = a_message(101, to_emails=("help@example.org", "b@example.org"), support_email="help@example.org")
    noted = a_message(102, private=True, incoming=False, kind="note", from_email=None)
    await keep(
        kept,
        ORCHARD,
        ADA,
        Agent(external_id=7, stamp="a", name="Noor"),
        Codes(field="status", labels={2: "Open"}),
        Codes(field="priority", labels={1: "Low"}),
        a_ticket(1, closed_at=NOW, messages=(said, noted)),
        TimeSheet(entries=(entry,), ticket_id=1),
    )
    company = {
        "source": "freshdesk",
        "id": 90,
        "name": "Orchard",
        "description": "Apples",
        "account_number": "0042",
        "domains": ["orchard.example"],
        "custom_fields": {"tier": "gold"},
        "created_at": "2025-06-01T12:00:00Z",
        "updated_at": "2025-06-01T12:00:00Z",
    }
    assert (await kept.client.get("/api/companies")).json() == [company]
    assert (await kept.client.get("/api/companies/0042")).json() == company
    assert (await kept.client.get("/api/companies/0042/contacts")).json() == [
        {
            "source": "freshdesk",
            "id": 70,
            "name": "Ada Ferro",
            "email": "ada@orchard.example",
            "other_emails": ["a@orchard.example"],
            "phone": "1",
            "mobile": "2",
            "language": "en",
            "job_title": "Lead",
        }
    ]
    assert (await kept.client.get("/api/companies/0042/tickets")).json() == [
        {
            "ticket_id": 1,
            "ticket_number": 1,
            "subject": "Subject 1",
            "description": "<p>Description 1</p>",
            "description_text": "Description 1",
            "status": "Open",
            "priority": "Low",
            "requester_email": "ada@orchard.example",
            "requester_name": "Ada Ferro",
            "created_at": "2025-05-29T12:00:00Z",
            "last_updated_at": "2025-05-29T12:01:00Z",
            "closed_at": "2025-06-01T12:00:00Z",
            "total_hours_spent": 1.5,
            "counted_hours": 1.5,
            "hours_are_default": False,
            "conversations": [
                {
                    "id": 101,
                    "body": "Body 101",
                    "body_html": "<p>Body 101</p>",
                    "from_email": "nora@example.com",
                    "to_emails": ["help@example.org", "b@example.org"],
                    "created_at": "2025-05-29T13:41:00Z",
                    "updated_at": "2025-05-29T13:41:00Z",
                    "incoming": True,
                    "private": False,
                    "user_id": 70,
                    "support_email": "help@example.org",
                }
            ],
            "source": "freshdesk",
            "notes": [
                {
                    "id": 102,
                    "body": "Body 102",
                    "from_email": None,
                    "created_at": "2025-05-29T13:42:00Z",
                    "private": True,
                    "user_id": 70,
                }
            ],
        }
    ]


async def test_a_year_is_that_of_the_end_or_else_of_the_beginning(kept: Served) -> None:
    """Closed, else resolved, else created; UTC to the microsecond; deleted tickets are in none."""
    last, first = datetime(2024, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
    old = datetime(2020, 1, 1, tzinfo=UTC)
    await keep(
        kept,
        ORCHARD,
        a_ticket(1, created_at=old, resolved_at=last, closed_at=first),
        a_ticket(2, created_at=old, closed_at=last),
        a_ticket(3, created_at=old, resolved_at=first),
        a_ticket(4, created_at=first),
        a_ticket(5, created_at=None),
        a_ticket(6, created_at=first, state=TicketState.DELETED),
    )
    path = "/api/companies/0042/tickets"
    assert await numbers(kept, path) == [1, 2, 3, 4, 5]
    assert {year: await numbers(kept, path, year=year) for year in (2020, 2024, 2025, 9999)} == {
        2020: [],
        2024: [2],
        2025: [1, 3, 4],
        9999: [],
    }
    for wrong in ("0", "10000", "soon"):
        assert (await kept.client.get(path, params={"year": wrong})).json()["parameter"] == "year"


async def test_the_default_of_hours_is_shown_beside_the_sum(kept: Served) -> None:
    """A ticket without entries has spent nothing and counts as the default; one with entries counts as they say."""
    entries = [TimeEntry(external_id=n, ticket_id=2, seconds=s, billable=n == 1) for n, s in ((1, 100), (2, 60))]
    await keep(
        kept,
        ORCHARD,
        *(a_ticket(number) for number in (1, 2, 3)),
        TimeSheet(entries=tuple(entries), ticket_id=2),
        TimeSheet(entries=(TimeEntry(external_id=3, ticket_id=3, seconds=0),), ticket_id=3),
    )
    found = (await kept.client.get("/api/companies/0042/tickets")).json()
    names = ("ticket_id", "total_hours_spent", "counted_hours", "hours_are_default")
    assert [tuple(ticket[name] for name in names) for ticket in found] == [
        (1, 0.0, 0.4, True),
        (2, 0.0444, 0.0444, False),
        (3, 0.0, 0.0, False),
    ]


async def test_notes_are_there_only_for_who_may_read_them(kept: Served) -> None:
    """A viewer's list is an agent's without `notes`, byte for byte, whole or in pages."""
    await keep(kept, ORCHARD, *(a_ticket(number) for number in range(1, 4)))
    for query in ("", "?limit=2"):
        agent, viewer = [
            await kept.client.get(f"/api/companies/0042/tickets{query}", headers={"X-API-Key": role})
            for role in ("agent", "viewer")
        ]
        plain = [{name: value for name, value in ticket.items() if name != "notes"} for ticket in agent.json()]
        assert all(ticket["notes"] for ticket in agent.json())
        assert viewer.json() == plain


async def test_a_long_list_is_the_list_as_it_always_was(kept: Served) -> None:
    """Written a few at a time, its bytes are those of the whole list written at once; so are the empty list's."""
    await keep(kept, ORCHARD)
    assert (await kept.client.get("/api/companies/0042/tickets")).content == b"[]"
    many = range(1, 2 * TOGETHER + 2)
    await keep(kept, *(a_ticket(number, created_at=NOW + timedelta(minutes=number % 7)) for number in many))
    answer = await kept.client.get("/api/companies/0042/tickets")
    tickets = TypeAdapter(list[TicketDetails]).validate_json(answer.content, strict=True)
    whole = TypeAdapter(list[TicketDetails]).dump_json(tickets, exclude_unset=True)
    assert (answer.content, answer.headers["content-type"]) == (whole, "application/json")
    assert [ticket.ticket_id for ticket in tickets] == sorted(many, key=lambda number: (number % 7, number))


@pytest.mark.parametrize("limit", [1, 3, 7, 500])
async def test_pages_put_together_are_the_whole_list(kept: Served, limit: int) -> None:
    """`Link` leads from page to page, filters and all; tickets without a time are last; the last page has none."""
    times = (None, NOW, NOW, NOW - timedelta(days=400), None, NOW + timedelta(seconds=1), NOW)
    await keep(kept, ORCHARD, *(a_ticket(n, created_at=time, closed_at=NOW) for n, time in enumerate(times, start=1)))
    await keep(kept, ORCHARD, a_ticket(3, created_at=NOW, closed_at=NOW), source="other")
    path = "/api/companies/0042/tickets"
    whole = (await kept.client.get(path, params={"year": NOW.year})).json()
    pages: list[Any] = []
    following: str | None = f"{path}?year={NOW.year}&limit={limit}"
    while following:
        answer = await kept.client.get(following)
        pages.append(answer.json())
        following = answer.links.get("next", {}).get("url")
    assert [ticket for page in pages for ticket in page] == whole
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    assert len(whole) == 8


async def test_a_cursor_goes_on_whatever_was_added_meanwhile(kept: Served) -> None:
    """No ticket that was there is missed or told twice."""
    await keep(kept, ORCHARD, *(a_ticket(number) for number in (10, 20, 30)))
    first = await kept.client.get("/api/companies/0042/tickets", params={"limit": 2})
    await keep(kept, a_ticket(5), a_ticket(25))
    assert await numbers(kept, first.links["next"]["url"]) == [25, 30]


@pytest.mark.parametrize("query", ["cursor=x", "cursor=", "limit=0", "limit=501", "limit=all"])
async def test_a_wrong_page_names_its_parameter(kept: Served, query: str) -> None:
    """422, also for a cursor that was not handed out."""
    await keep(kept, ORCHARD)
    answer = await kept.client.get(f"/api/companies/0042/tickets?{query}")
    assert (answer.status_code, answer.json()["parameter"]) == (422, query.partition("=")[0])


async def test_an_answer_that_fails_on_the_way_does_not_look_complete(kept: Served) -> None:
    """What cannot be read after the first tickets were sent breaks the transfer off; before that it is an error."""
    await keep(kept, ORCHARD, *(a_ticket(number) for number in range(1, 3 * TOGETHER)))
    await damage(kept, 2 * TOGETHER)
    async with kept.client.stream("GET", "/api/companies/0042/tickets") as answer:
        assert answer.status_code == 200
        parts = answer.aiter_bytes()
        assert (await anext(parts)).startswith(b'[{"ticket_id":1,')
        with capture_logs(), pytest.raises(httpx.RemoteProtocolError):
            await drain(parts)
    await damage(kept, 1)
    with capture_logs():
        refused = await kept.client.get("/api/companies/0042/tickets")
    assert (refused.status_code >= 500, refused.headers["content-type"]) == (True, "application/problem+json")


async def drain(parts: AsyncIterator[bytes]) -> None:
    """Read to the end."""
    async for _ in parts:
        pass


async def damage(served: Served, ticket: int) -> None:
    """Make the messages of a ticket unreadable, behind everybody's back."""
    async with served.rig.app.record.transaction() as tx:
        await tx.execute(text("UPDATE messages SET to_emails = '{' WHERE ticket_id = :ticket"), {"ticket": ticket})


@pytest.mark.parametrize(
    ("number", "asked"),
    [
        ("0042", "0042"),
        ("A/7", "A%2F7"),
        ("A/7", "A/7"),
        ("a b", "a%20b"),
        ("a b", "%20a%20b%20"),
        ("50%", "50%25"),
        ("Ä-1?#", "%C3%84-1%3F%23"),
    ],
)
async def test_account_numbers_are_text(kept: Served, number: str, asked: str) -> None:
    """Leading zeros, spaces and slashes are part of them; 42 is not 0042."""
    await keep(
        kept, Company(external_id=90, stamp="a", name="Orchard", account_number=number), ADA, a_ticket(1), a_ticket(2)
    )
    await keep(kept, Company(external_id=91, stamp="a", name="Other", account_number="42"))
    base = f"/api/v1/companies/{asked}"
    assert (await kept.client.get(base)).json()["account_number"] == number
    assert [one["id"] for one in (await kept.client.get(f"{base}/contacts")).json()] == [70]
    first = await kept.client.get(f"{base}/tickets", params={"limit": 1})
    assert [ticket["ticket_id"] for ticket in first.json()] == [1]
    assert await numbers(kept, first.links["next"]["url"]) == [2]


async def test_one_customer_in_two_sources(kept: Served) -> None:
    """The first company is told and names the other; contacts and tickets are those of both, or of the one meant."""
    await keep(kept, ORCHARD, ADA, a_ticket(1))
    twin = Company(external_id=12, stamp="a", name="Orchard Ltd", account_number="0042")
    await keep(
        kept,
        twin,
        Contact(external_id=3, stamp="a", name="Bo", company_id=12),
        a_ticket(9, company_id=12),
        source="service",
    )
    found = (await kept.client.get("/api/companies/0042")).json()
    assert (found["source"], found["also"]) == ("freshdesk", [{"source": "service", "id": 12, "name": "Orchard Ltd"}])
    people = (await kept.client.get("/api/companies/0042/contacts")).json()
    assert [one["name"] for one in people] == ["Ada Ferro", "Bo"]
    assert await numbers(kept, "/api/companies/0042/tickets") == [1, 9]
    only = {"source": "service"}
    other = (await kept.client.get("/api/companies/0042", params=only)).json()
    assert (other["id"], "also" in other) == (12, False)
    assert await numbers(kept, "/api/companies/0042/tickets", **only) == [9]
    missing = await kept.client.get("/api/companies/0042/tickets", params={"source": "none"})
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["", "/contacts", "/tickets", "/tickets?limit=1"])
async def test_two_companies_of_one_source_with_one_number_are_named(kept: Served, path: str) -> None:
    """409 in one sentence: whose tickets they are cannot be told, so none are given to the wrong one."""
    await keep(kept, ORCHARD, Company(external_id=91, stamp="a", name="Mill", account_number="0042"), a_ticket(1))
    answer = await kept.client.get(f"/api/companies/0042{path}")
    assert (answer.status_code, answer.json()) == (
        409,
        {
            "type": "/errors/ambiguous",
            "title": "Ambiguous",
            "status": 409,
            "code": "ambiguous",
            "detail": 'The account number "0042" belongs to Orchard (freshdesk 90) and Mill (freshdesk 91). Give each '
            "its own at the help desk; every company is listed by GET /api/v1/companies",
            "account_number": "0042",
            "companies": [
                {"source": "freshdesk", "id": 90, "name": "Orchard"},
                {"source": "freshdesk", "id": 91, "name": "Mill"},
            ],
        },
    )
    assert [one["name"] for one in (await kept.client.get("/api/companies")).json()] == ["Mill", "Orchard"]
