"""The document of a ticket."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from deskloom.documents import TicketFacts
from deskloom.exports.markdown import front_matter, mark_of, ticket_markdown
from deskloom.model import Message, Ticket
from deskloom.record.histories import History, Worked
from deskloom.text.plain import printable

PARSER = MarkdownIt("commonmark")
HOURS = Decimal("0.25")


def at(hour: int) -> datetime:
    return datetime(2025, 1, 31, hour, tzinfo=UTC)


ASKED = Message(
    external_id=1,
    private=False,
    incoming=True,
    kind="reply",
    body_html="<p>It <b>still</b> is.</p><div class=gmail_quote>On Fri, 31 Jan 2025 at 09:00, Noor Lind "
    "&lt;noor@acme.example&gt; wrote:"
    "<blockquote>Please switch the printer off and on again, and wait.</blockquote></div>",
    from_email="ada@mill.example",
    author_id=88,
    created_at=at(10),
)
ANSWERED = Message(
    external_id=2,
    private=False,
    incoming=False,
    kind="reply",
    body_html="<p>Please switch the printer off and on again, and wait.</p>",
    from_email="support@acme.example",
    author_id=7,
    created_at=at(9),
)
NOTED = Message(
    external_id=3,
    private=True,
    incoming=False,
    kind="note",
    body_text="Driver 4.2 is broken.\npassword: hunter22!x",
    author_id=7,
    created_at=at(11),
)
PRINTER = History(
    source="freshdesk",
    ticket=Ticket(
        external_id=412,
        stamp=None,
        subject="Printer: *offline* #1",
        description_html="<p>Since the update the printer is offline.</p><ul><li>room 12</li></ul>",
        status=5,
        type="Incident",
        tags=("printer", "room 12", "42"),
        created_at=at(8),
        updated_at=at(12),
        closed_at=at(12),
        messages=(ANSWERED, ASKED, NOTED),
    ),
    facts=TicketFacts(
        status="Closed",
        priority="High",
        channel="Portal",
        company="Mill & Sons",
        account_number="0042",
        requester_name="Ada Ferro",
        requester_email="ada@mill.example",
    ),
    responder="Noor Lind",
    people={88: ("Ada Ferro", "ada@mill.example"), 7: ("Noor Lind", "noor@acme.example")},
    worked=Worked(2, 6300, 5400),
)
DOCUMENT = """\
---
source: "freshdesk"
ticket_id: 412
title: "Printer: *offline* #1"
aliases: ["Printer: *offline* #1"]
company: "Mill & Sons"
account_number: "0042"
requester: "Ada Ferro"
requester_email: "ada@mill.example"
assigned_to: "Noor Lind"
status: "Closed"
priority: "High"
type: "Incident"
channel: "Portal"
tags: ["printer", "room-12", "tag-42"]
created_at: 2025-01-31T08:00:00Z
updated_at: 2025-01-31T12:00:00Z
closed_at: 2025-01-31T12:00:00Z
hours: 1.75
hours_are_default: false
url: "https://acme.example/a/tickets/412"
---

# Printer: \\*offline\\* #1

- **Ticket:** 412 (freshdesk)
- **Link:** <https://acme.example/a/tickets/412>
- **Company:** Mill & Sons (0042)
- **Requester:** Ada Ferro (ada@mill.example)
- **Assigned to:** Noor Lind
- **Status:** Closed
- **Priority:** High
- **Type:** Incident
- **Tags:** printer, room 12, 42
- **Created:** 2025-01-31 08:00 UTC
- **Updated:** 2025-01-31 12:00 UTC
- **Closed:** 2025-01-31 12:00 UTC
- **Hours:** 1.75 (1.5 billable)

## Description

Since the update the printer is offline.

- room 12

## Conversation

### ← Outgoing · 2025-01-31 09:00 UTC · Noor Lind

Please switch the printer off and on again, and wait.

### → Incoming · 2025-01-31 10:00 UTC · Ada Ferro (ada@mill.example)

It still is.

\\[…\\]
"""
NOTES = """
## Internal notes

### Note · 2025-01-31 11:00 UTC · Noor Lind

Driver 4.2 is broken.  
password: \\[password removed\\]
"""


def document(history: History, **options: Any) -> str:
    url = f"https://acme.example/a/tickets/{history.ticket.external_id}"
    return ticket_markdown(history, url=url, default_hours=HOURS, **options)


def changed(**values: Any) -> History:
    return replace(PRINTER, ticket=replace(PRINTER.ticket, **values))


def test_a_ticket_is_a_document() -> None:
    """Every fact, the description, the conversation with its directions, the quoted answer once; no note."""
    assert document(PRINTER) == DOCUMENT


def test_notes_stand_apart_and_only_if_asked_for() -> None:
    """Behind everything that is public, secrets masked; without asking, nothing tells that there are any."""
    assert document(PRINTER, notes=True) == DOCUMENT + NOTES
    assert document(changed(messages=(ANSWERED, ASKED))) == DOCUMENT


def test_the_default_of_hours_is_shown_as_such() -> None:
    """A ticket without entries counts as the default; entries of no time at all are entries."""
    without = document(replace(PRINTER, worked=Worked()))
    assert "hours: 0.25\nhours_are_default: true\n" in without
    assert "- **Hours:** 0.25 (the default: no time was entered)\n" in without
    nothing = document(replace(PRINTER, worked=Worked(1, 0, 0)))
    assert "hours: 0\nhours_are_default: false\n" in nothing
    assert "- **Hours:** 10 (0.3333 billable)\n" in document(replace(PRINTER, worked=Worked(2, 36000, 1200)))


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        (None, "## Conversation\n\n*The conversation could not be read yet.*\n"),
        ((), None),
        ((replace(ANSWERED, body_html=None),), "### ← Outgoing · 2025-01-31 09:00 UTC · Noor Lind\n\n*No text.*\n"),
        ((replace(ANSWERED, author_id=9, created_at=None),), "### ← Outgoing · support@acme.example\n\nPlease"),
        (
            (replace(ASKED, author_id=None, from_email=None),),
            "### → Incoming · 2025-01-31 10:00 UTC · unknown sender\n",
        ),
        ((replace(ANSWERED, kind="forward"),), "### ← Outgoing · forward · 2025-01-31 09:00 UTC · Noor Lind\n"),
    ],
)
def test_what_is_not_known_is_not_invented(messages: tuple[Message, ...] | None, told: str | None) -> None:
    """Unread is not empty; a message without sender, time or text says what there is."""
    made = document(changed(messages=messages))
    assert (told in made) if told else ("Conversation" not in made)


def test_a_chat_s_first_message_is_not_told_twice() -> None:
    """It is the description once more."""
    first = replace(ASKED, body_html=PRINTER.ticket.description_html)
    assert document(changed(messages=(first, ANSWERED))).count("Since the update") == 1


def test_resolution_notes_have_their_section() -> None:
    """Where the help desk has such notes."""
    made = document(changed(resolution_html="<p>Took the driver back.</p>"))
    assert "## Resolution\n\nTook the driver back.\n\n## Conversation" in made


hostile = st.text(st.characters(exclude_categories=["Cn", "Cs"]), max_size=30) | st.sampled_from(
    [
        "---\nsource: x\n---",
        "# h",
        "\n## Internal notes",
        "<!-- x",
        "a: b",
        "'\"",
        "\\",
        "!!x",
        "*y",
        "%%",
        "\u2028\x85\ufeff",
        "😀",
    ]
)


@given(hostile, hostile, hostile)
def test_nothing_a_customer_wrote_changes_the_structure(subject: str, name: str, body: str) -> None:
    """Front matter is read back as it was meant, and the headings are the document's own."""
    message = replace(ASKED, body_html=None, body_text=body)
    history = replace(
        changed(
            subject=subject, tags=(subject, name), description_html=None, description_text=body, messages=(message,)
        ),
        facts=replace(PRINTER.facts, company=name, requester_name=name),
    )
    made = document(history, notes=True)
    _, matter, rest = made.split("---\n", 2)
    properties = yaml.safe_load(matter)
    assert (properties["ticket_id"], properties["source"], properties["created_at"]) == (412, "freshdesk", at(8))
    assert properties["company"] == " ".join(printable(name).split())
    found = PARSER.parse(rest)
    headings = [(one.tag, found[place + 1].content) for place, one in enumerate(found) if one.type == "heading_open"]
    assert [tag for tag, _ in headings] in (["h1", "h2", "h2", "h3"], ["h1", "h2"])
    assert [text for tag, text in headings if tag == "h2"] in (["Description", "Conversation"], ["Description"])
    assert not [one for one in found if one.type in ("html_block", "hr", "table_open")]


def test_values_of_the_front_matter_are_what_they_were() -> None:
    """Whatever YAML might take a text for."""
    values = {
        "a": "yes",
        "b": "0042",
        "c": "1e3",
        "d": "2025-01-31",
        "e": ["null", "x: y"],
        "f": 3,
        "g": True,
        "h": None,
    }
    matter = front_matter(values)
    assert yaml.safe_load(matter.strip("-")) == {name: value for name, value in values.items() if value is not None}


def test_a_mark_changes_with_whatever_the_text_is_made_of() -> None:
    """And with nothing else."""
    made = {mark_of("m", url=url, notes=notes) for url in (None, "u") for notes in (True, False)}
    assert len(made | {mark_of("n", url=None, notes=True)}) == 5
    assert mark_of("m", url="u", notes=True) == mark_of("m", notes=True, url="u")
