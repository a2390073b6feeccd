"""Edits from outside the API: operations by name, and random ones by seed, as agents and customers make them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from deskloom.sandbox import life
from deskloom.sandbox.answers import Call, Refused
from deskloom.sandbox.rows import Row, Rows

if TYPE_CHECKING:
    from deskloom.sandbox.desk import HelpDesk

D = TypeVar("D", bound="HelpDesk[Any]")
Move = Callable[[], "str | None"]

REPLIES = (
    "Thank you, that helped for a while, but it is back since this morning.",
    "Please restart the device and try once more; we changed the policy on our side.",
    "I attached nothing this time, the message is the same as before.",
    "We rolled out a new version last night. Does it still happen?",
)
NOTES = (
    "Cause found: the certificate on the gateway had expired.",
    "The client cached an old address; clearing the cache fixes it.",
    "Same as the incident of last week, see the change calendar.",
)
WORDS = ("printer", "mail", "login", "sync", "calendar", "network", "update", "licence")


def perform(desk: HelpDesk[Any], step: Row) -> Any:
    """One step: a request (`method`, `path`, `body`), `advance` (seconds), `spam`/`unspam`/`purge` (a ticket id), or
    one of the product's own. Purging can be done by hand only.

    Requests run as the administrator, are not counted and cost nothing. Raises `ValueError` when refused.
    """
    if "method" in step:
        return _request(desk, step["method"], step["path"], step.get("body"))
    if "advance" in step:
        return desk.clock.advance(step["advance"]).isoformat()
    steps = {**_STEPS, **desk.product.steps}
    name = next((name for name in steps if name in step), None)
    if name is None:
        raise _undoable(step)
    return steps[name](desk, step)


def ticket_of(desk: HelpDesk[Any], step: Row, name: str) -> Row:
    """The ticket that a step names."""
    ticket = desk.tickets.get(step[name])
    if ticket is None:
        raise _undoable(step)
    return ticket


def _undoable(step: Row) -> ValueError:
    return ValueError(f"This step cannot be done: {json.dumps(step)}")


def _request(desk: HelpDesk[Any], verb: str, path: str, body: Any) -> Any:
    found = desk.product.routes.find(path.strip("/").removeprefix("api/v2/"))
    agent = desk.agent_of(desk.key) or {"id": None}
    call = Call(
        method=verb, path=path, query={}, base="", ids=found.ids, language=found.language, body=body, agent=agent
    )
    try:
        return found.pick(verb).handler(desk, call).body
    except Refused as refused:
        raise ValueError(
            f"{verb} {path} was refused: {refused.answer.status} {refused.answer.encode().decode()}"
        ) from None


def _spam(desk: HelpDesk[Any], step: Row) -> int:
    ticket = ticket_of(desk, step, "spam")
    life.hide_ticket(desk, ticket, spam=True)
    return int(ticket["id"])


def _unspam(desk: HelpDesk[Any], step: Row) -> int:
    ticket = ticket_of(desk, step, "unspam")
    life.show_ticket(desk, ticket)
    return int(ticket["id"])


def _purge(desk: HelpDesk[Any], step: Row) -> int:
    ticket = ticket_of(desk, step, "purge")
    life.purge_ticket(desk, ticket["id"])
    return int(ticket["id"])


_STEPS: dict[str, Callable[[HelpDesk[Any], Row], object]] = {"spam": _spam, "unspam": _unspam, "purge": _purge}


class Editor(Generic[D]):
    """Makes random edits, the same by the same seed on the same desk. A product says which, and adds its own."""

    statuses: Sequence[int] = (2, 3, 4, 5, 6)

    def __init__(self, desk: D, seed: int) -> None:
        self.desk = desk
        self.chance = random.Random(seed)

    def moves(self) -> list[Move]:
        """The edits there are; one that stands twice is made twice as often."""
        raise NotImplementedError

    def create(self) -> str:
        """Open a new ticket."""
        raise NotImplementedError

    def edit(self) -> str:
        """One edit; returns what was done. Edits that find nothing to change become a new ticket."""
        return self.chance.choice(self.moves())() or self.create()

    def ticket(self, state: str = "live") -> Row | None:
        ids = self.desk.tickets.ids("updated", state)
        return self.desk.tickets.get(self.chance.choice(ids)) if ids else None

    def any_of(self, rows: Rows) -> Row | None:
        return self.chance.choice(list(rows)) if len(rows) else None

    def agent(self) -> int:
        return int(self.chance.choice([row["id"] for row in self.desk.agents]))

    def opening(self) -> Row:
        """What a new ticket says, and whose it is."""
        word = self.chance.choice(WORDS)
        email = f"person{self.chance.randint(1, 99)}@example.com"
        text = f"<div>The {word} does not work since {self.chance.randint(1, 12)} o'clock.</div>"
        return {"email": email, "subject": f"Trouble with the {word}", "description": text}

    def status(self) -> str | None:
        ticket = self.ticket()
        if ticket is None:
            return None
        life.change_ticket(self.desk, ticket, {"status": self.chance.choice(list(self.statuses))})
        return f"status of ticket {ticket['id']}"

    def tags(self) -> str | None:
        ticket = self.ticket()
        if ticket is None:
            return None
        members = {"tags": self.chance.sample(WORDS, 2), "priority": self.chance.randint(1, 4)}
        life.change_ticket(self.desk, ticket, members)
        return f"tags of ticket {ticket['id']}"

    def reply(self) -> str | None:
        ticket = self.ticket()
        if ticket is None:
            return None
        incoming = self.chance.random() < 0.5
        author = ticket.get("requester_id") if incoming else self.agent()
        body = f"<div>{self.chance.choice(REPLIES)}</div>"
        life.add_message(self.desk, ticket, body, user_id=author, source=0, incoming=incoming)
        return f"reply to ticket {ticket['id']}"

    def note(self) -> str | None:
        ticket = self.ticket()
        if ticket is None:
            return None
        body = f"<p>{self.chance.choice(NOTES)}</p>"
        life.add_message(self.desk, ticket, body, user_id=self.agent(), source=2, private=True)
        return f"note on ticket {ticket['id']}"

    def delete(self) -> str | None:
        ticket = self.ticket()
        if ticket is None:
            return None
        life.hide_ticket(self.desk, ticket, deleted=True)
        return f"deleted ticket {ticket['id']}"

    def restore(self) -> str | None:
        ticket = self.ticket(self.chance.choice(["deleted", "spam"]))
        if ticket is None:
            return None
        life.show_ticket(self.desk, ticket)
        return f"restored ticket {ticket['id']}"

    def spam(self) -> str | None:
        ticket = self.ticket()
        if ticket is None:
            return None
        life.hide_ticket(self.desk, ticket, spam=True)
        return f"spam: ticket {ticket['id']}"

    def message(self, *, notes: bool) -> Row | None:
        ticket = self.ticket()
        ids = self.desk.conversations.ids("ticket", ticket["id"]) if ticket else []
        rows = [row for row in map(self.desk.conversations.get, ids) if row and (not notes or row.get("source") == 2)]
        return self.chance.choice(rows) if rows else None

    def edit_note(self) -> str | None:
        row = self.message(notes=True)
        if row is None:
            return None
        life.edit_note(self.desk, row, f"<p>{self.chance.choice(NOTES)} (corrected)</p>", self.agent())
        return f"edited note {row['id']} of ticket {row['ticket_id']}"

    def drop_message(self) -> str | None:
        row = self.message(notes=False)
        if row is None:
            return None
        life.drop_message(self.desk, row)
        return f"deleted message {row['id']} of ticket {row['ticket_id']}"

    def article(self) -> str | None:
        row = self.any_of(self.desk.articles)
        if row is None:
            return None
        more = f"<p>Checked again for version {self.chance.randint(2, 9)}.</p>"
        life.change_article(self.desk, row, description=(row["description"] or "") + more)
        return f"changed article {row['id']}"

    def publish(self) -> str | None:
        row = self.any_of(self.desk.articles)
        if row is None:
            return None
        life.change_article(self.desk, row, status=3 - row["status"])
        return f"published or withdrew article {row['id']}"

    def visibility(self) -> str | None:
        row = self.any_of(self.desk.folders)
        if row is None:
            return None
        self.desk.folders.change(row["id"], visibility=self.chance.choice([1, 2, 3]), updated_at=self.desk.stamp())
        return f"visibility of folder {row['id']}"
