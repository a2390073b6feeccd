"""The document of a ticket: which text makes which section, what is shown, and what stays internal."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deskloom.documents import INTERNAL_FIELDS, INTERNAL_NAMES, TicketFacts, sparse, ticket_document
from deskloom.errors import EmptyContent
from deskloom.model import Json, Message, Ticket

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
FACTS = TicketFacts(
    status="Resolved", priority="High", channel="Email", company="Lamps Ltd", requester_email="a@example.com"
)


def message(number: int, body: str, *, private: bool = False, incoming: bool = False, html: bool = True) -> Message:
    """The message that was written `number` hours after the ticket."""
    return Message(
        external_id=number,
        private=private,
        incoming=incoming,
        kind="note" if private else "reply",
        body_html=body if html else None,
        body_text=body,
        created_at=START + timedelta(hours=number),
    )


def ticket(*messages: Message, resolved: int | None = 20, **more: object) -> Ticket:
    """A ticket about a scanner, resolved after so many hours."""
    fields: Json = {
        "external_id": 7,
        "stamp": "s",
        "subject": "Scanner blinks",
        "description_html": "<p>The scanner in hall 3 blinks red.</p><p>Regards,<br>Ana</p>",
        "created_at": START,
        "updated_at": START,
        "resolved_at": None if resolved is None else START + timedelta(hours=resolved),
        "messages": messages,
        "tags": ("scanner",),
        "type": "Problem",
    }
    return Ticket(**(fields | more))


def test_every_text_goes_to_its_section() -> None:
    """Symptom is the question, cause the notes, resolution the last answers; replies are found by word."""
    document = ticket_document(
        "acme",
        ticket(
            message(1, "Which model is it, please?"),
            message(2, "<p>It is an X200.</p><div class='gmail_quote'>On Sun wrote: Which model</div>", incoming=True),
            message(3, "Seen before: fuse F3 is weak in this series.", private=True),
            message(4, "Please replace fuse F3.<br><br>Kind regards,<br>Ben"),
            message(5, "It works!", incoming=True),
            message(6, "You're welcome, closing this ticket."),
        ),
        FACTS,
    )
    assert document.sections == {
        "symptom_vec": "Scanner blinks\n\nThe scanner in hall 3 blinks red.",
        "cause_vec": "Seen before: fuse F3 is weak in this series.",
        "resolution_vec": "Which model is it, please?\n\nPlease replace fuse F3.",
    }
    replies = [
        "Which model is it, please?",
        "It is an X200.",
        "Please replace fuse F3.",
        "It works!",
        "You're welcome, closing this ticket.",
    ]
    assert document.words == {
        "words": "\n\n".join([*["Scanner blinks"] * 3, "The scanner in hall 3 blinks red.", *replies]),
        "words_internal": "Seen before: fuse F3 is weak in this series.",
    }
    assert document.payload == {
        "ticket_id": 7,
        "source": "acme",
        "subject": "Scanner blinks",
        "description": "The scanner in hall 3 blinks red.",
        "content": "\n\n".join(["The scanner in hall 3 blinks red.", *replies]),
        "status": "Resolved",
        "priority": "High",
        "type": "Problem",
        "created_at": "2026-03-01T09:00:00Z",
        "updated_at": "2026-03-01T09:00:00Z",
        "tags": ["scanner"],
        "company": "Lamps Ltd",
        "language": "en",
        "visibility": "public",
        "internal_content": "Seen before: fuse F3 is weak in this series.",
    }
    assert sparse(document).keys() == {"words", "words_internal"}


def test_a_resolution_note_is_part_of_the_resolution() -> None:
    """What was noted as the resolution is found with the answers, once, and only while the ticket is resolved."""
    answered = message(4, "Please replace fuse F3.")
    noted = {"resolution_html": "<div>Fuse F3 was replaced on site.</div>"}
    document = ticket_document("acme", ticket(answered, **noted), FACTS)
    both = "Please replace fuse F3.\n\nFuse F3 was replaced on site."
    assert document.sections["resolution_vec"] == both
    assert document.payload["content"] == f"The scanner in hall 3 blinks red.\n\n{both}"
    repeated = ticket_document("acme", ticket(answered, resolution_text="Please replace fuse F3."), FACTS)
    assert repeated == ticket_document("acme", ticket(answered), FACTS)
    reopened = TicketFacts(status="Open")
    assert ticket_document("acme", ticket(answered, resolved=None, **noted), reopened) == ticket_document(
        "acme", ticket(answered, resolved=None), reopened
    )


def test_t33_private_notes_are_in_internal_places_only() -> None:
    """HELPDESK-APIS T33: the words of a note are in no section, word vector or payload field a customer may see."""
    document = ticket_document("acme", ticket(message(1, "zebra42 is the reason", private=True)), FACTS)
    open_texts = {
        name: text for name, text in {**document.sections, **document.words}.items() if name not in INTERNAL_NAMES
    }
    open_fields = {name: value for name, value in document.payload.items() if name not in INTERNAL_FIELDS}
    assert "zebra42" not in json.dumps([open_texts, open_fields])
    assert "zebra42" in document.sections["cause_vec"]
    without = ticket_document("acme", ticket(), FACTS)
    assert "internal_content" not in without.payload
    assert not INTERNAL_NAMES & {*without.sections, *without.words}


def test_t34_the_first_message_of_a_web_chat_is_not_doubled() -> None:
    """HELPDESK-APIS T34: a message of the customer that repeats the description is left out."""
    chat = ticket(message(0, " the scanner in HALL 3 blinks red. ", incoming=True), message(1, "Which one?"))
    assert ticket_document("acme", chat, FACTS).words["words"].casefold().count("blinks red") == 1


def test_t51_the_sources_plain_text_stands_in_only_without_html() -> None:
    """HELPDESK-APIS T51: `description_text` is read when there is no HTML, its U+00A0 gone."""
    both = ticket(description_html="<p>from html</p>", description_text="from text")
    none = ticket(description_html=None, description_text="\u00a0from text")
    assert ticket_document("acme", both, FACTS).payload["description"] == "from html"
    assert ticket_document("acme", none, FACTS).payload["description"] == "from text"


@pytest.mark.parametrize(
    ("resolved", "status", "label", "expected"),
    [
        (20, None, "Open", "First answer here.\n\nSecond answer here.\n\nLate answer, hours after."),
        (2, None, "Open", "First answer here.\n\nSecond answer here."),
        (None, 5, "Closed", "First answer here.\n\nSecond answer here.\n\nLate answer, hours after."),
        (None, None, "Resolved", "First answer here.\n\nSecond answer here.\n\nLate answer, hours after."),
        (None, 2, "Open", None),
        (0, 4, "Resolved", "First answer here.\n\nSecond answer here.\n\nLate answer, hours after."),
    ],
)
def test_the_resolution_is_what_was_answered_up_to_the_end(
    resolved: int | None, status: int | None, label: str, expected: str | None
) -> None:
    """The last three answers up to the resolution; all of them if it came first; none while the ticket is open."""
    answers = (
        message(1, "First answer here."),
        message(2, "Second answer here."),
        message(9, "Late answer, hours after."),
    )
    document = ticket_document("acme", ticket(*answers, resolved=resolved, status=status), TicketFacts(status=label))
    assert document.sections.get("resolution_vec") == expected


def test_secrets_are_masked_everywhere() -> None:
    """No section, word text or payload field holds a password, wherever it was written."""
    spilled = "the password: hunter2secret"
    document = ticket_document(
        "acme",
        ticket(
            message(1, spilled),
            message(2, spilled, incoming=True),
            message(3, spilled, private=True),
            subject=spilled,
            description_html=spilled,
            tags=("password: hunter2secret",),
        ),
        FACTS,
    )
    assert "hunter2secret" not in json.dumps([*document.sections.values(), *document.words.values(), document.payload])
    assert "[password removed]" in document.payload["subject"]


@pytest.mark.parametrize("body", [None, "", " \n", "<p>&nbsp;</p>", "<img src='a.png'>", ".", "<p>…</p>"])
def test_a_ticket_without_a_word_is_empty(body: str | None) -> None:
    """Whitespace, an image or a dot is nothing to search for; one word in the subject or a reply is."""
    with pytest.raises(EmptyContent, match=r"^Empty content$"):
        ticket_document("acme", ticket(message(1, body or ""), subject=" . ", description_html=body), FACTS)
    assert ticket_document("acme", ticket(subject="Help", description_html=body), FACTS).sections == {
        "symptom_vec": "Help"
    }
    found = ticket_document("acme", ticket(message(1, "Try again now"), subject=None, description_html=body), FACTS)
    assert found.sections == {"resolution_vec": "Try again now"}


def test_messages_that_could_not_be_read_are_not_needed() -> None:
    """`messages=None` (unknown) still gives a document of the ticket itself."""
    assert ticket_document("acme", ticket(messages=None), FACTS).sections.keys() == {"symptom_vec"}


def test_order_is_by_time_and_content_is_bounded() -> None:
    """Messages are told in order of time, and what is shown is at most 4,000 characters."""
    later, sooner = message(5, "second said"), message(4, "first said")
    assert ticket_document("acme", ticket(later, sooner), FACTS) == ticket_document(
        "acme", ticket(sooner, later), FACTS
    )
    long = ticket_document("acme", ticket(description_html="<p>" + "word " * 5000 + "</p>"), FACTS)
    assert len(long.payload["content"]) <= 4002
    assert len(long.sections["symptom_vec"]) > 20_000


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=60), st.booleans(), st.booleans()), max_size=6), st.text(max_size=80))
def test_a_document_is_a_function_of_the_ticket(messages: list[tuple[str, bool, bool]], description: str) -> None:
    """Any text: the same document each time, JSON-able, without empty sections, or `EmptyContent`."""
    said = [
        message(at, body, private=private, incoming=incoming) for at, (body, private, incoming) in enumerate(messages)
    ]
    one = ticket(*said, subject=None, description_html=description)
    try:
        document = ticket_document("acme", one, FACTS)
    except EmptyContent:
        return
    assert document == ticket_document("acme", one, FACTS)
    assert json.loads(json.dumps(document.payload)) == document.payload
    assert all(map(str.strip, [*document.sections.values(), *document.words.values()]))


@pytest.mark.parametrize("kind", ["status", "meta"])
def test_what_no_person_wrote_is_not_found(kind: str) -> None:
    """Rows of a conversation that only say that something was set are in no section and no word vector."""
    made = ticket_document("desk", ticket(replace(message(1, "Agent changed the status"), kind=kind)), FACTS)
    assert "changed the status" not in str((made.sections, made.words, made.payload))
