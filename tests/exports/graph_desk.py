"""A small record that has everything a graph can have, and what must not be in one."""

from __future__ import annotations

from datetime import UTC, datetime

from deskloom.model import Article, Codes, Company, Contact, Message, Record, Ticket, TicketState, Tombstone, Visibility

ACCOUNT = "127.0.0.1"
"""The account of the rig's source."""
NOW = datetime(2025, 1, 31, 9, tzinfo=UTC)
SECRET = "Cause found: the zebrafinch driver is broken."
WRAPPED = "https://nam.safelinks.protection.outlook.com/?url=https%3A%2F%2F127.0.0.1%2Fa%2Ftickets%2F1&data=x"


def records() -> list[Record]:
    """Two companies, three contacts (one deleted), four tickets (one spam), an article in two languages and a draft.

    Ticket 1 links to article 701 and, in a private note, to ticket 3; ticket 2 links to ticket 1, wrapped by a mail
    program, and to itself; ticket 3 has no company, and its requester is an agent.
    """
    return [
        Codes(field="status", labels={2: "Open", 5: "Closed"}),
        Codes(field="priority", labels={1: "Low"}),
        Company(
            external_id=31,
            stamp="1",
            name="Mill & Sons",
            account_number="10042",
            domains=("mill.example", "a;b.example"),
        ),
        Company(external_id=32, stamp="1", name=None),
        Contact(external_id=88, stamp="1", name="Ada Ferro", email="ada@mill.example", company_id=31),
        Contact(external_id=89, stamp="1", name="Bo Lind", company_id=32, other_company_ids=(31, 99)),
        Contact(external_id=90, stamp="1", name="Gone", company_id=31),
        _ticket(
            1,
            "Printer offline",
            "<p>See https://127.0.0.1/support/solutions/articles/701-reconnect and <b>help</b> ]]> & \x0b</p>",
            requester_id=88,
            company_id=31,
            closed_at=NOW,
            messages=(
                _said(11, "<p>Switch it off.</p>"),
                _said(12, f'<p>{SECRET} <a href="https://127.0.0.1/a/tickets/3">3</a></p>', private=True),
            ),
        ),
        _ticket(
            2,
            "Printer prints stripes",
            f'<a href="{WRAPPED}">the first</a> https://127.0.0.1/a/tickets/2 https://127.0.0.1/a/tickets/777',
            requester_id=90,
            company_id=31,
        ),
        _ticket(3, "No company", "A ticket of nobody.", requester_id=7, company_id=99),
        _ticket(4, "Spam", "https://127.0.0.1/a/tickets/1", state=TicketState.SPAM, company_id=31),
        _article(701, "en", "Reconnect a printer", "<h2>Steps</h2><p>Switch it on.</p>"),
        _article(701, "de", "Drucker verbinden", "<p>Einschalten.</p>"),
        _article(
            702,
            "en",
            "Draft",
            '<a href="https://help.acme.example/de/support/solutions/articles/701">in German</a>',
            published=False,
            category_id=None,
            folder_id=None,
        ),
    ]


GONE = Tombstone(kind=Contact.kind, key="90", reason="deleted")
"""What is stored after `records`."""


def _ticket(number: int, subject: str, html: str, **more: object) -> Ticket:
    values = {"messages": (), "status": 2, "priority": 1, "created_at": NOW, "updated_at": NOW} | more
    return Ticket(external_id=number, stamp="1", subject=subject, description_html=html, **values)  # type: ignore[arg-type]


def _said(number: int, html: str, *, private: bool = False) -> Message:
    return Message(
        external_id=number,
        private=private,
        incoming=False,
        kind="note" if private else "reply",
        body_html=html,
        created_at=NOW,
    )


def _article(number: int, language: str, title: str, html: str, **more: object) -> Article:
    place = {
        "category_id": 5,
        "category_name": "Hardware",
        "folder_id": 51,
        "folder_name": "Printers / scanners",
    } | more
    if place["folder_id"] is None:
        place |= {"category_name": None, "folder_name": None}
    return Article(
        external_id=number,
        language=language,
        stamp="1",
        title=title,
        body_html=html,
        visibility=Visibility.PUBLIC,
        created_at=NOW if language == "en" else NOW.replace(year=2026),
        **place,  # type: ignore[arg-type]
    )
