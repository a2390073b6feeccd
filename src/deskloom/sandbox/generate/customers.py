"""Customers and internal notes for an account whose content has none: companies for people, notes on tickets."""

from __future__ import annotations

import random
from datetime import timedelta

from deskloom.sandbox.clock import moment, stamp
from deskloom.sandbox.content import THEMES
from deskloom.sandbox.edits import NOTES
from deskloom.sandbox.freshdesk import Desk
from deskloom.sandbox.generate.people import company
from deskloom.sandbox.life import FIRST_MESSAGE

_MADE = "2022-01-03T08:00:00Z"
_CAUSES = tuple(cause for theme in THEMES for cause in theme.causes if "{" not in cause) or NOTES


def add_customers(desk: Desk, chance: random.Random, count: int = 24) -> None:
    """Give an account `count` companies, and most of its people one of them; tickets follow their requester."""
    desk.companies.fill(company(number, 104_233 + 917 * number, _MADE) for number in range(count))
    keys = [row["id"] for row in desk.companies]
    people = {row["id"]: chance.choice(keys) if chance.random() < 0.85 else None for row in desk.contacts}
    desk.contacts.fill([{**row, "company_id": people[row["id"]]} for row in desk.contacts])
    desk.tickets.fill([{**row, "company_id": people.get(row["requester_id"])} for row in desk.tickets])


def add_notes(desk: Desk, chance: random.Random, share: float = 0.4) -> None:
    """Put a private note, or two, on a share of the tickets, at times between their creation and last change."""
    agents = [row["id"] for row in desk.agents]
    key = max(FIRST_MESSAGE, desk.conversations.newest_id())
    notes = list(desk.conversations)
    for ticket in desk.tickets:
        if not agents or chance.random() >= share:
            continue
        start, end = moment(ticket["created_at"]), moment(ticket["updated_at"])
        for text in chance.sample(_CAUSES, chance.choice((1, 1, 2))):
            key += 1
            at = stamp(start + timedelta(seconds=int((end - start).total_seconds() * chance.random())))
            note = {"id": key, "ticket_id": ticket["id"], "body": f"<p>{text}</p>", "source": 2, "private": True}
            notes.append({**note, "user_id": chance.choice(agents), "created_at": at, "updated_at": at})
    desk.conversations.fill(notes)
