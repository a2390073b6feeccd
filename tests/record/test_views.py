"""The view `ticket_details`: what reports read, on both databases the same."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from sqlalchemy import text
from tests.record.made import EARLIER, NOW, a_message, a_ticket

from deskloom.model import Agent, Codes, Company, Contact, TicketState
from deskloom.record import Record, store


def _stamp(minute: int) -> str:
    return (EARLIER + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _plain(row) -> dict:
    """The row with JSON read and times as text, as each driver gives them."""
    plain = {}
    for name, value in row.items():
        if name in ("conversations", "notes") and isinstance(value, str):
            value = json.loads(value)
        if isinstance(value, datetime):
            value = value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        plain[name] = value
    return plain


async def test_ticket_details(record: Record) -> None:
    """One row a ticket, with its labels, people and messages; deleted and spam tickets are not in it."""
    said = (
        a_message(3, private=True, incoming=False, kind="note", from_email=None, to_emails=None, author_id=71),
        a_message(2, to_emails=None, created_at=None, updated_at=None, support_email="help@example.org"),
        a_message(1),
    )
    async with record.transaction() as tx:
        await store(
            tx,
            "desk",
            [
                Codes(field="status", labels={2: "Open"}),
                Codes(field="priority", labels={1: "Low"}),
                Company(external_id=90, stamp="a", name="Orchard", account_number="0042"),
                Contact(external_id=70, stamp="a", name="Nora", email="nora@orchard.example"),
                Agent(external_id=71, stamp="a", name="Ivo", email="ivo@example.org"),
                a_ticket(1, messages=said, closed_at=NOW),
                a_ticket(2, requester_id=71, company_id=None, status=17, priority=None, messages=None, created_at=None),
                a_ticket(3, state=TicketState.SPAM),
                a_ticket(4, state=TicketState.DELETED),
            ],
            now=NOW,
        )
        rows = (await tx.execute(text("SELECT * FROM ticket_details ORDER BY ticket_id"))).mappings()
        found = [_plain(row) for row in rows]
    assert list(found[0]) == [
        "ticket_id",
        "company_account_number",
        "ticket_number",
        "subject",
        "description",
        "description_text",
        "status",
        "priority",
        "requester_email",
        "requester_name",
        "created_at",
        "last_updated_at",
        "closed_at",
        "total_hours_spent",
        "conversations",
        "notes",
        "source",
    ]
    assert found == [
        {
            "ticket_id": 1,
            "company_account_number": "0042",
            "ticket_number": 1,
            "subject": "Subject 1",
            "description": "<p>Description 1</p>",
            "description_text": "Description 1",
            "status": "Open",
            "priority": "Low",
            "requester_email": "nora@orchard.example",
            "requester_name": "Nora",
            "created_at": _stamp(0),
            "last_updated_at": _stamp(1),
            "closed_at": NOW.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "total_hours_spent": 0,
            "conversations": [
                {
                    "id": 1,
                    "body": "Body 1",
                    "body_html": "<p>Body 1</p>",
                    "from_email": "nora@example.com",
                    "to_emails": ["help@example.org"],
                    "created_at": _stamp(1),
                    "updated_at": _stamp(1),
                    "incoming": True,
                    "private": False,
                    "user_id": 70,
                    "support_email": None,
                },
                {
                    "id": 2,
                    "body": "Body 2",
                    "body_html": "<p>Body 2</p>",
                    "from_email": "nora@example.com",
                    "to_emails": None,
                    "created_at": None,
                    "updated_at": None,
                    "incoming": True,
                    "private": False,
                    "user_id": 70,
                    "support_email": "help@example.org",
                },
            ],
            "notes": [
                {
                    "id": 3,
                    "body": "Body 3",
                    "from_email": None,
                    "created_at": _stamp(3),
                    "private": True,
                    "user_id": 71,
                }
            ],
            "source": "desk",
        },
        {
            "ticket_id": 2,
            "company_account_number": None,
            "ticket_number": 2,
            "subject": "Subject 2",
            "description": "<p>Description 2</p>",
            "description_text": "Description 2",
            "status": "17",
            "priority": None,
            "requester_email": "ivo@example.org",
            "requester_name": "Ivo",
            "created_at": None,
            "last_updated_at": _stamp(2),
            "closed_at": None,
            "total_hours_spent": 0,
            "conversations": [],
            "notes": [],
            "source": "desk",
        },
    ]
