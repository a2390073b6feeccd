"""Invented tickets, articles and people; and Hypothesis strategies for any that a source could yield."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import strategies as st

from deskloom.model import Article, Message, Ticket, TicketState, Visibility

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
EARLIER = NOW - timedelta(days=3)


def a_message(number: int, **changes: object) -> Message:
    message = Message(
        external_id=number,
        private=False,
        incoming=True,
        kind="reply",
        body_html=f"<p>Body {number}</p>",
        body_text=f"Body {number}",
        from_email="nora@example.com",
        to_emails=("help@example.org",),
        cc_emails=(),
        author_id=70,
        created_at=EARLIER + timedelta(minutes=number),
        updated_at=EARLIER + timedelta(minutes=number),
    )
    return replace(message, **changes)


def a_ticket(number: int, **changes: object) -> Ticket:
    ticket = Ticket(
        external_id=number,
        stamp=f"stamp {number}",
        subject=f"Subject {number}",
        description_html=f"<p>Description {number}</p>",
        description_text=f"Description {number}",
        status=2,
        priority=1,
        channel=1,
        type="Question",
        requester_id=70,
        company_id=90,
        tags=("mail", "urgent"),
        custom_fields={"cf_floor": 3},
        created_at=EARLIER,
        updated_at=EARLIER + timedelta(minutes=number),
        due_by=LATER,
        messages=(a_message(number * 100 + 1), a_message(number * 100 + 2, private=True, incoming=False, kind="note")),
    )
    return replace(ticket, **changes)


def an_article(number: int, language: str = "en", **changes: object) -> Article:
    article = Article(
        external_id=number,
        language=language,
        stamp=f"stamp {number}",
        title=f"Title {number}",
        body_html=f"<p>Steps {number}</p>",
        body_text=f"Steps {number}",
        folder_id=5,
        folder_name="Basics",
        tags=("start",),
        created_at=EARLIER,
        updated_at=EARLIER + timedelta(minutes=number),
    )
    return replace(article, **changes)


# Whatever a source may give, short of what no database can hold: see test_columns for that.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
numbers = st.integers(-(2**63), 2**63 - 1)
times = st.datetimes(
    datetime(1, 1, 2),  # noqa: DTZ001 - the strategy adds the zone
    datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
)
plain_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e6, 1e6) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(texts, plain_json, max_size=3)


def maybe(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.none() | strategy


def tuples(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(strategy, max_size=3).map(tuple)


def messages() -> st.SearchStrategy[Message]:
    return st.builds(
        Message,
        external_id=numbers,
        private=st.booleans(),
        incoming=st.booleans(),
        kind=texts,
        body_html=maybe(texts),
        body_text=maybe(texts),
        from_email=maybe(texts),
        to_emails=maybe(tuples(texts)),
        cc_emails=maybe(tuples(texts)),
        support_email=maybe(texts),
        author_id=maybe(numbers),
        created_at=maybe(times),
        updated_at=maybe(times),
        raw=objects,
    )


def tickets() -> st.SearchStrategy[Ticket]:
    return st.builds(
        Ticket,
        external_id=numbers,
        stamp=maybe(texts),
        state=st.sampled_from(TicketState),
        subject=maybe(texts),
        description_html=maybe(texts),
        description_text=maybe(texts),
        status=maybe(numbers),
        priority=maybe(numbers),
        channel=maybe(numbers),
        type=maybe(texts),
        requester_id=maybe(numbers),
        requester_name=maybe(texts),
        requester_email=maybe(texts),
        responder_id=maybe(numbers),
        group_id=maybe(numbers),
        company_id=maybe(numbers),
        tags=tuples(texts),
        custom_fields=objects,
        created_at=maybe(times),
        updated_at=maybe(times),
        due_by=maybe(times),
        first_responded_at=maybe(times),
        resolved_at=maybe(times),
        closed_at=maybe(times),
        messages=maybe(st.lists(messages(), max_size=4, unique_by=lambda message: message.external_id).map(tuple)),
        raw=objects,
    )


def articles() -> st.SearchStrategy[Article]:
    return st.builds(
        Article,
        external_id=numbers,
        language=st.sampled_from(["en", "de", "ko", "pt-BR"]),
        stamp=maybe(texts),
        title=maybe(texts),
        body_html=maybe(texts),
        body_text=maybe(texts),
        summary=maybe(texts),
        published=st.booleans(),
        visibility=st.sampled_from(Visibility),
        folder_id=maybe(numbers),
        folder_name=maybe(texts),
        category_id=maybe(numbers),
        category_name=maybe(texts),
        author_id=maybe(numbers),
        tags=tuples(texts),
        url=maybe(texts),
        created_at=maybe(times),
        updated_at=maybe(times),
        raw=objects,
    )


def as_loaded(ticket: Ticket) -> Ticket:
    """What loading gives for a ticket that was stored: no raw, messages oldest first."""
    if ticket.messages is None:
        return replace(ticket, raw={})
    far = datetime.max.replace(tzinfo=UTC)
    said = sorted(ticket.messages, key=lambda message: (message.created_at or far, message.external_id))
    return replace(ticket, raw={}, messages=tuple(replace(message, raw={}) for message in said))
