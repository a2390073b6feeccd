"""Edits from outside the API: operations by name, and random ones by seed, as agents and customers make them."""

from __future__ import annotations

import json
import random
from typing import Any

from deskloom.sandbox.answers import Call, Refused
from deskloom.sandbox.freshdesk import people, routes, solutions, talk, tickets
from deskloom.sandbox.freshdesk.desk import Desk
from deskloom.sandbox.rows import Row

_REPLIES = (
    "Thank you, that helped for a while, but it is back since this morning.",
    "Please restart the device and try once more; we changed the policy on our side.",
    "I attached nothing this time, the message is the same as before.",
    "We rolled out a new version last night. Does it still happen?",
)
_NOTES = (
    "Cause found: the certificate on the gateway had expired.",
    "The client cached an old address; clearing the cache fixes it.",
    "Same as the incident of last week, see the change calendar.",
)
_WORDS = ("printer", "mail", "login", "sync", "calendar", "network", "update", "licence")


def perform(desk: Desk, step: Row) -> Any:
    """One step: a request (`method`, `path`, `body`), `spam`/`unspam`/`archive`/`purge` (a ticket id), `untranslate`
    (an article id, with `language`), `advance` (seconds). Purging and untranslating can be done by hand only.

    Requests run as the administrator, are not counted and cost nothing. Raises `ValueError` when refused.
    """
    if "method" in step:
        return _request(desk, step["method"], step["path"], step.get("body"))
    if "advance" in step:
        return desk.clock.advance(step["advance"]).isoformat()
    if (article := desk.articles.get(step.get("untranslate"))) is not None:
        return solutions.drop_translation(desk, article, step["language"])
    name = next((name for name in ("spam", "unspam", "archive", "purge") if name in step), None)
    ticket = desk.tickets.get(step[name]) if name else None
    if name is None or ticket is None:
        raise ValueError(f"This step cannot be done: {json.dumps(step)}")
    if name == "spam":
        tickets.hide_ticket(desk, ticket, spam=True)
    elif name == "unspam":
        tickets.show_ticket(desk, ticket)
    elif name == "purge":
        tickets.purge_ticket(desk, ticket["id"])
    else:
        desk.archive(ids=[ticket["id"]])
    return ticket["id"]


def _request(desk: Desk, verb: str, path: str, body: Any) -> Any:
    _, ids, language, found = routes.find(verb, path.strip("/").removeprefix("api/v2/"))
    agent = desk.agent_of(desk.key) or {"id": None}
    call = Call(method=verb, path=path, query={}, base="", ids=ids, language=language, body=body, agent=agent)
    try:
        return routes.pick(found, verb).handler(desk, call).body
    except Refused as refused:
        raise ValueError(
            f"{verb} {path} was refused: {refused.answer.status} {refused.answer.encode().decode()}"
        ) from None


class Editor:
    """Makes random edits; the same seed on the same desk makes the same edits."""

    def __init__(self, desk: Desk, seed: int) -> None:
        self.desk = desk
        self.chance = random.Random(seed)

    def edit(self) -> str:
        """One edit; returns what was done. Edits that find nothing to change become a new ticket."""
        moves = [
            self._status, self._status, self._tags, self._reply, self._reply, self._note, self._note, self._create,
            self._delete, self._restore, self._spam, self._edit_note, self._drop_message, self._rename_contact,
            self._rename_company, self._article, self._publish, self._translate, self._visibility, self._merge,
        ]  # fmt: skip
        done = self.chance.choice(moves)()
        return done or self._create()

    def _ticket(self, state: str = "live") -> Row | None:
        ids = self.desk.tickets.ids("updated", state)
        return self.desk.tickets.get(self.chance.choice(ids)) if ids else None

    def _agent(self) -> int:
        return int(self.chance.choice([row["id"] for row in self.desk.agents]))

    def _status(self) -> str | None:
        ticket = self._ticket()
        if ticket is None:
            return None
        tickets.change_ticket(self.desk, ticket, {"status": self.chance.choice([2, 3, 4, 5, 6])})
        return f"status of ticket {ticket['id']}"

    def _tags(self) -> str | None:
        ticket = self._ticket()
        if ticket is None:
            return None
        tickets.change_ticket(
            self.desk, ticket, {"tags": self.chance.sample(_WORDS, 2), "priority": self.chance.randint(1, 4)}
        )
        return f"tags of ticket {ticket['id']}"

    def _reply(self) -> str | None:
        ticket = self._ticket()
        if ticket is None:
            return None
        incoming = self.chance.random() < 0.5
        author = ticket.get("requester_id") if incoming else self._agent()
        body = f"<div>{self.chance.choice(_REPLIES)}</div>"
        talk.add_message(self.desk, ticket, body, user_id=author, source=0, incoming=incoming)
        return f"reply to ticket {ticket['id']}"

    def _note(self) -> str | None:
        ticket = self._ticket()
        if ticket is None:
            return None
        body = f"<p>{self.chance.choice(_NOTES)}</p>"
        talk.add_message(self.desk, ticket, body, user_id=self._agent(), source=2, private=True)
        return f"note on ticket {ticket['id']}"

    def _create(self) -> str:
        word = self.chance.choice(_WORDS)
        email = f"person{self.chance.randint(1, 99)}@example.com"
        text = f"<div>The {word} does not work since {self.chance.randint(1, 12)} o'clock.</div>"
        row = tickets.open_ticket(
            self.desk, {"email": email, "subject": f"Trouble with the {word}", "description": text}
        )
        return f"new ticket {row['id']}"

    def _delete(self) -> str | None:
        ticket = self._ticket()
        if ticket is None:
            return None
        tickets.hide_ticket(self.desk, ticket, deleted=True)
        return f"deleted ticket {ticket['id']}"

    def _restore(self) -> str | None:
        ticket = self._ticket(self.chance.choice(["deleted", "spam"]))
        if ticket is None:
            return None
        tickets.show_ticket(self.desk, ticket)
        return f"restored ticket {ticket['id']}"

    def _spam(self) -> str | None:
        ticket = self._ticket()
        if ticket is None:
            return None
        tickets.hide_ticket(self.desk, ticket, spam=True)
        return f"spam: ticket {ticket['id']}"

    def _message(self, *, notes: bool) -> Row | None:
        ticket = self._ticket()
        ids = self.desk.conversations.ids("ticket", ticket["id"]) if ticket else []
        rows = [row for row in map(self.desk.conversations.get, ids) if row and (not notes or row.get("source") == 2)]
        return self.chance.choice(rows) if rows else None

    def _edit_note(self) -> str | None:
        row = self._message(notes=True)
        if row is None:
            return None
        talk.edit_note(self.desk, row, f"<p>{self.chance.choice(_NOTES)} (corrected)</p>", self._agent())
        return f"edited note {row['id']} of ticket {row['ticket_id']}"

    def _drop_message(self) -> str | None:
        row = self._message(notes=False)
        if row is None:
            return None
        talk.drop_message(self.desk, row)
        return f"deleted message {row['id']} of ticket {row['ticket_id']}"

    def _merge(self) -> str | None:
        primary, other = self._ticket(), self._ticket()
        if primary is None or other is None or primary is other:
            return None
        tickets.merge(self.desk, self._agent(), primary, [other], {})
        return f"merged ticket {other['id']} into {primary['id']}"

    def _rename_contact(self) -> str | None:
        ids = self.desk.contacts.ids("name", "live")
        if not ids:
            return None
        row = self.desk.contacts.get(self.chance.choice(ids)) or {}
        people.change_contact(self.desk, row, {"name": f"{row['name']} {self.chance.choice('ABCDEF')}."})
        return f"renamed contact {row['id']}"

    def _rename_company(self) -> str | None:
        ids = self.desk.companies.ids("name", "all")
        if not ids:
            return None
        row = self.desk.companies.get(self.chance.choice(ids)) or {}
        people.change_company(self.desk, row, {"note": f"Contract reviewed {self.chance.randint(1, 99)}"})
        return f"changed company {row['id']}"

    def _any_article(self) -> Row | None:
        rows = list(self.desk.articles)
        return self.chance.choice(rows) if rows else None

    def _article(self) -> str | None:
        row = self._any_article()
        if row is None:
            return None
        more = f"<p>Checked again for version {self.chance.randint(2, 9)}.</p>"
        self.desk.articles.change(row["id"], description=row["description"] + more, updated_at=self.desk.stamp())
        return f"changed article {row['id']}"

    def _publish(self) -> str | None:
        row = self._any_article()
        if row is None:
            return None
        self.desk.articles.change(row["id"], status=3 - row["status"], updated_at=self.desk.stamp())
        return f"published or withdrew article {row['id']}"

    def _translate(self) -> str | None:
        row = self._any_article()
        if row is None or len(self.desk.languages) < 2:
            return None
        language = self.chance.choice(self.desk.languages[1:])
        members = {"title": f"{row['title']} ({language})", "description": row["description"], "status": 2}
        solutions.set_translation(self.desk, row, language, members)
        return f"translated article {row['id']} into {language}"

    def _visibility(self) -> str | None:
        rows = list(self.desk.folders)
        if not rows:
            return None
        row = self.chance.choice(rows)
        self.desk.folders.change(row["id"], visibility=self.chance.choice([1, 2, 3]), updated_at=self.desk.stamp())
        return f"visibility of folder {row['id']}"
