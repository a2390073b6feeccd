"""The tickets of a generated account: a theme's symptom, question, detail, cause (private), cure, thanks."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from deskloom.sandbox.clock import stamp
from deskloom.sandbox.content import TALKS, THEMES, WORDS, Theme
from deskloom.sandbox.freshdesk import Desk
from deskloom.sandbox.generate.people import FIRST_GROUP, FIRST_PERSON
from deskloom.sandbox.rows import Row

_FIRST_CONVERSATION = 15_000_000_001
_SPREAD = timedelta(days=200)


def fill_tickets(desk: Desk, chance: random.Random, now: datetime, count: int) -> None:
    _Writer(desk, chance, now).write(count)


@dataclass(slots=True)
class _Story:
    """A ticket while it is being written: its row, its messages, and the time that has passed."""

    row: Row
    at: datetime
    messages: list[Row] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Script:
    """What is said in a ticket, from first message to cure; no `detail`: the customer only writes once."""

    theme: Theme
    words: dict[str, str]
    language: str
    subject: str
    symptom: str
    question: str
    detail: str
    cause: str
    cure: str


class _Writer:
    """Writes tickets from themes, in order of creation."""

    def __init__(self, desk: Desk, chance: random.Random, now: datetime) -> None:
        self.desk, self.chance, self.now = desk, chance, now
        self.agents = [row["id"] for row in desk.agents]
        self.contacts = [row for row in desk.contacts if not row.get("deleted") and not row.get("_blocked")]
        self.message_id = _FIRST_CONVERSATION
        self.entries: list[Row] = []

    def write(self, count: int) -> None:
        stories = [self._story(number, count) for number in range(1, count + 1)]
        if count >= 40:
            self._oddities(stories)
        self.desk.tickets.fill(story.row for story in stories)
        self.desk.conversations.fill(message for story in stories for message in story.messages)
        self.desk.time_entries.fill(self.entries)

    def _story(self, number: int, count: int) -> _Story:
        chance = self.chance
        gap = _SPREAD / max(count, 1)
        into = timedelta(seconds=chance.randint(0, int(gap.total_seconds() * 0.8)))
        at = self.now - _SPREAD + gap * (number - 1) + into
        script = self._script(number)
        requester = chance.choice(self.contacts)
        theme, words = script.theme, script.words
        row: Row = {
            "id": number,
            "subject": script.subject,
            "type": theme.kind,
            "status": 2,
            "priority": chance.choice((1, 1, 2, 2, 3, 4)),
            "source": chance.choice((1, 1, 2, 3, 9)),
            "requester_id": requester["id"],
            "company_id": requester["company_id"],
            "responder_id": chance.choice(self.agents),
            "group_id": FIRST_GROUP + number % 3,
            "tags": [theme.name, words["site"].lower()],
            "created_at": stamp(at),
            "custom_fields": {
                "cf_reference_number": words["code"],
                "cf_product_area": theme.category,
                "cf_location": None,
            },
            "due_by": stamp(at + timedelta(hours=72)),
            "fr_due_by": stamp(at + timedelta(hours=24)),
            "stats": {},
            "description": self._opening(script, number, requester["name"]),
        }
        if row["source"] == 1:
            row |= {"to_emails": ["help@kestrel.example"], "support_email": "help@kestrel.example"}
        if number % 3 == 0:
            row |= {"cc_emails": None, "fwd_emails": None, "reply_cc_emails": None, "ticket_cc_emails": None}
        story = _Story(row, at)
        self._talk(story, script, requester)
        row["updated_at"] = stamp(story.at)
        if number % 10 == 9 and row["status"] == 2:
            # An SLA pass went over it: later stamp, nothing said.
            row |= {"is_escalated": True, "updated_at": stamp(min(story.at + timedelta(hours=30), self.now))}
        return story

    def _words(self) -> dict[str, str]:
        chance = self.chance
        return {
            "device": chance.choice(WORDS["devices"]),
            "system": chance.choice(WORDS["systems"]),
            "site": chance.choice(WORDS["sites"]),
            "version": f"4.{chance.randint(0, 9)}.{chance.randint(0, 12)}",
            "minutes": str(chance.choice((5, 12, 20, 45, 60))),
            "code": f"K{chance.choice('ENSU')}-{chance.randint(100, 999)}",
        }

    def _script(self, number: int) -> _Script:
        """What is said: a variant of a theme, or, for one ticket in twelve, a talk in another language."""
        words = self._words()
        if number % 12 == 5:
            talk = TALKS[(number // 12) % len(TALKS)]
            theme = next(theme for theme in THEMES if theme.name == talk.theme)
            return _Script(
                theme, words, talk.language, talk.subject, talk.symptom, talk.question, "", talk.cause, talk.cure
            )
        theme = THEMES[(number * 5 + number // 12) % len(THEMES)]
        variant = self.chance.randrange(len(theme.causes))
        texts = (
            self.chance.choice(theme.subjects[variant]),
            theme.symptoms[variant],
            theme.questions[variant],
            theme.details[variant],
            theme.causes[variant],
            theme.cures[variant],
        )
        return _Script(theme, words, "en", *(text.format(**words) for text in texts))

    def _opening(self, script: _Script, number: int, name: str) -> str:
        text, words = script.symptom, script.words
        if script.language != "en":
            return f'<div dir="{"rtl" if script.language == "ar" else "ltr"}">{text}</div>'
        if number % 4 == 0:
            rows = "".join(f"<tr><td>{k}</td><td>{v}</td></tr>" for k, v in words.items())
            return f"<style>td {{ padding: 2px; }}</style><p>Hello,</p><p>{text}</p><table>{rows}</table><p>{name}</p>"
        if number % 4 == 1:
            return (
                f"<p>Hi team,<br>{text}</p><ul><li>Device: {words['device']}</li><li>System: {words['system']}</li>"
                f"<li>Version: {words['version']}</li></ul><p>Kind&nbsp;regards<br>{name}</p>"
            )
        return f"<div>{text}</div>"

    def _talk(self, story: _Story, script: _Script, requester: Row) -> None:
        """Question, detail, cause (private), cure, thanks; some tickets stop half way."""
        chance, row = self.chance, story.row
        depth = chance.choices((0, 1, 2, 3, 4, 5), weights=(8, 8, 8, 6, 35, 35))[0]
        if (self.now - story.at) < timedelta(days=2):
            depth = min(depth, 2)
        if depth >= 1:
            greeting = f"<p>Hello {requester['first_name']},</p>" if script.language == "en" else ""
            self._reply(story, f"{greeting}<p>{script.question}</p>")
            row["status"] = 3
        if depth >= 2 and script.detail:
            self._answer(story, requester, script.detail, script.question)
            row["status"] = 2
        if depth >= 3:
            self._note(story, f"<p>{script.cause}</p>")
            row["status"] = chance.choice((2, 6, 7)) if depth == 3 else 2
        if depth >= 4:
            self._reply(story, f"<p>{script.cure}</p>")
            row["status"] = 4
            row["stats"] |= {"resolved_at": stamp(story.at), "status_updated_at": stamp(story.at)}
        if depth >= 5:
            if script.detail:
                self._answer(story, requester, chance.choice(WORDS["praise"]), script.cure)
            row["status"] = 5
            row["stats"] |= {"closed_at": stamp(story.at), "status_updated_at": stamp(story.at)}
        if depth >= 4 and chance.random() < 0.7:
            self._spend(story)

    def _message(self, story: _Story, body: str, **members: object) -> Row:
        """One message, hours after the last; never in the future."""
        left = (self.now - story.at) * 0.5
        story.at += min(timedelta(seconds=self.chance.randint(600, 50_000)), left)
        at = stamp(story.at)
        row: Row = {
            "id": self.message_id,
            "ticket_id": story.row["id"],
            "body": body,
            "created_at": at,
            "updated_at": at,
        }
        row |= members
        self.message_id += 1
        story.messages.append(row)
        return row

    def _reply(self, story: _Story, body: str) -> None:
        agent = self.desk.agents.get(story.row["responder_id"]) or {}
        name = agent["contact"]["name"]
        requester = self.desk.contacts.get(story.row["requester_id"]) or {}
        signature = f"-- <br>{name}<br>Kestrel Support · +351 21 555 9000<br>www.kestrel.example"
        signed = f'{body}<br><div class="signature">{signature}</div>'
        row = self._message(
            story,
            signed,
            user_id=agent["id"],
            source=0,
            from_email="Kestrel Support <help@kestrel.example>",
            support_email="help@kestrel.example",
            to_emails=[requester["email"]] if requester.get("email") else [],
        )
        stats = story.row["stats"]
        stats |= {
            "agent_responded_at": row["created_at"],
            "first_responded_at": stats.get("first_responded_at") or row["created_at"],
        }

    def _answer(self, story: _Story, requester: Row, text: str, quoted: str) -> None:
        at = story.at.strftime("%a, %d %b %Y at %H:%M")
        quote = (
            f'<div class="freshdesk_quote"><blockquote>On {at}, Kestrel Support wrote:<br>{quoted}</blockquote></div>'
        )
        body = f"<div>{text}<br><br>Best regards<br>{requester['name']}<br>Mobile: {requester['phone']}</div>{quote}"
        row = self._message(
            story,
            body,
            user_id=requester["id"],
            source=0,
            incoming=True,
            from_email=requester["email"],
            has_quoted_text=True,
        )
        story.row["stats"]["requester_responded_at"] = row["created_at"]

    def _note(self, story: _Story, body: str) -> None:
        self._message(story, body, user_id=story.row["responder_id"], source=2, private=True)

    def _spend(self, story: _Story) -> None:
        seconds = self.chance.choice((103, 900, 1800, 3600, 5400))
        at = stamp(story.at)
        self.entries.append(
            {
                "id": 81_001 + len(self.entries),
                "ticket_id": story.row["id"],
                "agent_id": story.row["responder_id"],
                "company_id": story.row["company_id"],
                "billable": seconds != 103,
                "note": "",
                "timer_running": False,
                "time_spent": f"{seconds // 3600:02d}:{seconds % 3600 // 60:02d}",
                "time_spent_in_seconds": seconds,
                "executed_at": at[:11] + "00:00:00Z",
                "start_time": at,
                "created_at": at,
                "updated_at": at,
            }
        )

    def _oddities(self, stories: list[_Story]) -> None:
        """What real accounts hold, on fixed tickets so that tests can name them."""
        rows = {story.row["id"]: story for story in stories}
        rows[3].row["subject"] = ""
        rows[4].row |= {"subject": None, "description": None, "_text": None}
        rows[6].row["_text"] = "\u00a0" + rows[6].row["subject"]
        rows[7].row |= {"requester_id": self.agents[1], "company_id": None}
        rows[8].row["requester_id"] = FIRST_PERSON + 900_000  # a contact that was merged away
        talked = [story for story in stories[14:] if story.messages]
        talked[0].messages[0]["user_id"] = None
        talked[1].messages[0]["attachments"] = [_attachment(2, talked[1].row["created_at"], "size")]
        rows[11].row["description"] += "<p>My password is <b>Sunflower-77!</b>, please try yourself.</p>"
        rows[12].row["attachments"] = [_attachment(1, rows[12].row["created_at"], "file_size")]
        self._web_chat(rows[13])
        self._long(rows[14])
        for number in (15, 16, 18, 19, 20):  # a bulk update: one stamp for all
            rows[number].row["updated_at"] = max(rows[n].row["updated_at"] for n in (15, 16, 18, 19, 20))
        rows[21].row["deleted"] = rows[22].row["deleted"] = True
        rows[23].row |= {"spam": True, "subject": "You have won a cruise"}
        rows[24].row |= {"spam": True}
        rows[25].row |= {"due_by": None, "fr_due_by": None, "status": 8}

    def _web_chat(self, story: _Story) -> None:
        """The first message is both the description and a conversation (T34)."""
        first = {"body": story.row["description"], "user_id": story.row["requester_id"], "incoming": True, "source": 0}
        at = story.row["created_at"]
        row = {"id": self.message_id, "ticket_id": story.row["id"], "created_at": at, "updated_at": at, **first}
        self.message_id += 1
        story.row["source"] = 7
        story.messages.insert(0, row)

    def _long(self, story: _Story) -> None:
        """More messages than a page of the default size, and far more than an include shows."""
        step = min(timedelta(minutes=7), (self.now - story.at) / 50)
        for number in range(40):
            story.at += step
            at = stamp(story.at)
            text = f"<p>Measurement {number + 1}: the connection held for {number * 7 % 60 + 1} minutes.</p>"
            story.messages.append(
                {
                    "id": self.message_id,
                    "ticket_id": story.row["id"],
                    "body": text,
                    "user_id": self.agents[2],
                    "source": 2,
                    "private": number % 2 == 0,
                    "created_at": at,
                    "updated_at": at,
                }
            )
            self.message_id += 1
        story.row["updated_at"] = stamp(story.at)


def _attachment(number: int, at: str, size: str) -> Row:
    return {
        "id": 15_400_000_000 + number,
        "content_type": "image/png",
        size: 44_115,
        "name": "screen.png",
        "attachment_url": f"https://files.kestrel.example/{number}/screen.png",
        "created_at": at,
        "updated_at": at,
    }
