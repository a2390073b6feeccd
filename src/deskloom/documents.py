"""What the index should hold for a ticket, an article or a table row: which text makes which section."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID, uuid5

from deskloom.errors import EmptyContent
from deskloom.model import Article, Entry, Json, Kind, Message, Row, Ticket, Visibility
from deskloom.protocols import Embedder, Schema, Weighing, Words
from deskloom.text.email import is_courtesy, own_or_all, own_text
from deskloom.text.html import html_to_text
from deskloom.text.language import UNKNOWN, language_of
from deskloom.text.parts import split
from deskloom.text.plain import plain_to_text
from deskloom.text.secrets import mask
from deskloom.words import ARTICLE_PROSE, TICKET_PROSE, document_words

__all__ = [
    "ARTICLES",
    "INTERNAL_FIELDS",
    "INTERNAL_NAMES",
    "RULES",
    "TICKETS",
    "Document",
    "TicketFacts",
    "article_document",
    "kind_of",
    "point_id",
    "row_document",
    "schema",
    "sparse",
    "split",
    "ticket_document",
    "weighed",
    "word_names",
]

RULES = 1
"""Version of the section rules, the masks and the word tokens; part of what makes a published document current."""

TICKETS = "support_tickets"
ARTICLES = "kb_procedures"
INTERNAL_NAMES = frozenset({"cause_vec", "words_internal", "weights_internal"})
"""Vectors made of private notes: never queried for a role below agent."""
INTERNAL_FIELDS = frozenset({"internal_content"})
"""Payload fields made of private notes: never shown to a role below agent."""

SHOWN = 4000
"""Characters of `content` and `internal_content`: what snippets are made of."""
TITLE_WEIGHT = 3
"""How often a subject or title counts among the words."""

_NAMESPACE = UUID("6e0c3b0e-0f53-5f0c-9d5c-6b1f0d9f5a31")
FieldType = Literal["keyword", "integer", "datetime"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketFacts:
    """What the record knows beside the ticket: labels of its codes, and who asked."""

    status: str | None = None
    priority: str | None = None
    channel: str | None = None
    company_id: int | None = None
    company: str | None = None
    account_number: str | None = None
    requester_name: str | None = None
    requester_email: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What the index should hold for one item. Every text in it is masked.

    `sections` are texts by dense vector name and `words` texts by word vector name, only those that exist.
    `language` is the language of the text ("und" if unsure); `key_language` is part of the identity: an article's
    language, "" for a ticket, whose detected language may change.
    """

    collection: str
    source: str
    item_id: str
    language: str
    key_language: str
    sections: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    payload: Json = field(default_factory=dict)

    @property
    def id(self) -> UUID:
        return point_id(self.collection, self.source, self.item_id, self.key_language)

    def section_hashes(self) -> dict[str, str]:
        """sha256 (hex) of each text, by vector name: dense sections and word texts alike."""
        return {name: _sha256(text) for name, text in sorted({**self.sections, **self.words}.items())}

    def payload_hash(self) -> str:
        """sha256 (hex) of the payload as canonical JSON."""
        return _sha256(json.dumps(self.payload, sort_keys=True, ensure_ascii=False, separators=(",", ":")))


def point_id(collection: str, source: str, item_id: str, language: str) -> UUID:
    """The id of a document's point, computed, so that publishing again replaces. JSON keeps the parts apart."""
    return uuid5(_NAMESPACE, json.dumps([collection, source, item_id, language], ensure_ascii=False))


def schema(collection: str, embedder: Embedder) -> Schema:
    """Names and filter fields of a collection, for the index to prepare: every other collection is one of rows."""
    vectors, words, weights, filters = _SHAPES.get(collection, _ROWS)
    return Schema(
        collection=collection,
        embedder=embedder.name,
        dimensions=embedder.dimensions,
        vectors=vectors,
        words=words,
        weights=weights if isinstance(embedder, Weighing) else (),
        filters=filters,
    )


def word_names(collection: str) -> tuple[str, ...]:
    """The word vectors of a collection, whatever model it is indexed with."""
    return _SHAPES.get(collection, _ROWS)[1]


def kind_of(collection: str) -> Kind:
    """What the documents of a collection are made of."""
    return {TICKETS: Kind.TICKET, ARTICLES: Kind.ARTICLE}.get(collection, Kind.ROW)


def weighed(document: Document, words: Mapping[str, Words]) -> dict[str, Words]:
    """The sparse vectors of a document that a model weighed: by section name → of the document, the highest weights.

    What was made of internal sections stays apart.
    """
    made: dict[str, dict[int, float]] = {}
    for section in document.sections:
        merged = made.setdefault("weights_internal" if section in INTERNAL_NAMES else "weights", {})
        for index, weight in zip(words[section].indices, words[section].weights, strict=True):
            merged[index] = max(weight, merged.get(index, 0.0))
    return {name: Words(tuple(merged), tuple(merged.values())) for name, merged in made.items() if merged}


def sparse(document: Document) -> dict[str, Words]:
    """The word vectors of a document, weighed for the length of texts in its collection."""
    prose = TICKET_PROSE if document.collection == TICKETS else ARTICLE_PROSE
    return {name: document_words(text, prose) for name, text in document.words.items()}


# --------------------------------------------------------------------------------------------------------- tickets


def ticket_document(source: str, ticket: Ticket, facts: TicketFacts) -> Document:
    """The document of a ticket that is neither deleted nor spam. Raises `EmptyContent` when it holds no word.

    Symptom: subject and description. Cause: the private notes (internal). Resolution: what the team answered last
    before the ticket was resolved, and its resolution note. Public replies and that note are found by word and shown in
    `content`. What was noted on time entries is in none of it: it is about the work, and seldom about the cause.
    """
    subject = mask(_one_line(ticket.subject))
    description = mask(_description(ticket))
    said = _messages(ticket, description)
    public = [words for message, words in said if not message.private]
    private = [words for message, words in said if message.private]
    answers, noted = _answers(ticket, facts, said), _resolution_note(ticket, facts)
    public += [noted] if noted and noted not in public else []
    answers += [noted] if noted and noted not in answers else []
    symptom = description if description.startswith(subject) else "\n\n".join(filter(None, (subject, description)))
    sections = _present(symptom_vec=symptom, cause_vec="\n\n".join(private), resolution_vec="\n\n".join(answers))
    found = [*[subject] * TITLE_WEIGHT, description, *public]
    words = _present(words="\n\n".join(filter(None, found)), words_internal="\n\n".join(private))
    if not words:
        raise EmptyContent("Empty content", kind="ticket", key=ticket.key)
    language = language_of(symptom if len(symptom) >= 80 else words.get("words", symptom))
    return Document(
        collection=TICKETS,
        source=source,
        item_id=str(ticket.external_id),
        language=language,
        key_language="",
        sections=sections,
        words=words,
        payload={
            "ticket_id": ticket.external_id,
            "source": source,
            "subject": subject,
            "description": _short(description, 1000),
            "content": _short("\n\n".join(filter(None, (description, *public))), SHOWN),
            "status": facts.status,
            "priority": facts.priority,
            "type": ticket.type,
            "created_at": _iso(ticket.created_at),
            "updated_at": _iso(ticket.updated_at),
            "tags": [mask(tag) for tag in ticket.tags],
            "company": facts.company,
            "language": language,
            "visibility": Visibility.PUBLIC.value,
            **({"internal_content": _short("\n\n".join(private), SHOWN)} if private else {}),
        },
    )


def _description(ticket: Ticket) -> str:
    """The first message; the source's own plain text only where there is no HTML (HELPDESK-APIS T51)."""
    text = own_or_all(_plain(ticket.description_html, ticket.description_text), closings=True).strip()
    return text if _has_words(text) else ""


def _messages(ticket: Ticket, description: str) -> list[tuple[Message, str]]:
    """Replies and notes with own words, masked, in order of time. A web chat's first message is the description once
    more (HELPDESK-APIS T34) and is left out."""
    end = datetime.max.replace(tzinfo=UTC)
    described = _same(description)
    said = []
    for message in sorted(ticket.messages or (), key=lambda one: (one.created_at or end, one.external_id)):
        if message.kind in _WORDLESS:
            continue
        words = mask(own_text(_plain(message.body_html, message.body_text), closings=True))
        if _has_words(words) and (message.private or not message.incoming or _same(words) != described):
            said.append((message, words))
    return said


def _answers(ticket: Ticket, facts: TicketFacts, said: Sequence[tuple[Message, str]]) -> list[str]:
    """The last public answers of the team up to the resolution, courtesies left out.

    A ticket that is not resolved has none: its last answer is most often a question, and would pose as a remedy.
    """
    ended = ticket.resolved_at or ticket.closed_at
    if not _is_resolved(ticket, facts):
        return []
    answers = [(message, words) for message, words in said if not message.private and not message.incoming]
    answers = [(message, words) for message, words in answers if not is_courtesy(words)]
    if ended is not None:
        # an answer sent together with "resolved" is stored a moment after it
        before = [pair for pair in answers if pair[0].created_at is None or pair[0].created_at <= ended + _TOGETHER]
        answers = before or answers
    return [words for _, words in answers[-_ANSWERS:]]


def _resolution_note(ticket: Ticket, facts: TicketFacts) -> str:
    """What somebody wrote down as the resolution (HELPDESK-APIS 3.5); "" while the ticket is not resolved."""
    if not _is_resolved(ticket, facts):
        return ""
    words = mask(own_or_all(_plain(ticket.resolution_html, ticket.resolution_text), closings=True).strip())
    return words if _has_words(words) else ""


def _is_resolved(ticket: Ticket, facts: TicketFacts) -> bool:
    ended = ticket.resolved_at or ticket.closed_at
    return ended is not None or ticket.status in _ENDED or (facts.status or "").casefold() in _ENDED_LABELS


# -------------------------------------------------------------------------------------------------------- articles


def article_document(source: str, article: Article) -> Document:
    """The document of an article in one language. Raises `EmptyContent` when it holds no word.

    Intent: title, summary (or the first paragraph) and the questions among the headings. Procedure: the body.
    A draft, and an article of an internal folder, is internal.
    """
    title = mask(_one_line(article.title))
    body = mask(
        html_to_text(article.body_html or "") if _filled(article.body_html) else plain_to_text(article.body_text or "")
    )
    body = body if _has_words(body) else ""
    summary = mask(_one_line(article.summary)) or _first_paragraph(body)
    sections = _present(
        intent_vec="\n".join(filter(None, (title, summary, *_questions(body, but=(title, summary))))),
        procedure_vec=body,
    )
    if not sections:
        raise EmptyContent("Empty content", kind="article", key=article.key)
    tags = [mask(tag) for tag in article.tags]
    language = article.language if article.language != UNKNOWN else language_of(f"{title}\n{body}")
    return Document(
        collection=ARTICLES,
        source=source,
        item_id=str(article.external_id),
        language=language,
        key_language=article.language,
        sections=sections,
        words={
            "words": "\n".join(filter(None, (*[title] * TITLE_WEIGHT, mask(_one_line(article.summary)), *tags, body)))
        },
        payload={
            "article_id": article.external_id,
            "source": source,
            "title": title,
            "description": _short(summary, 1000),
            "content": _short(body, SHOWN),
            "folder_id": article.folder_id,
            "category_id": article.category_id,
            "status": "published" if article.published else "draft",
            "created_at": _iso(article.created_at),
            "updated_at": _iso(article.updated_at),
            "tags": tags,
            "language": language,
            "visibility": (article.visibility if article.published else Visibility.INTERNAL).value,
        },
    )


def _first_paragraph(body: str) -> str:
    """The first paragraph that is a sentence or more, at most 600 characters."""
    return next((_short(_one_line(part), 600) for part in body.split("\n\n") if len(part.split()) >= 6), "")


def _questions(body: str, *, but: Sequence[str]) -> list[str]:
    """Headings and entries that ask something: what a person with the problem would type. At most twenty."""
    lines = (re.sub(r"^[\s>]*(?:[-*•]|\d+[.)])?\s*(?:\d+(?:\.\d+)*\s)?", "", line) for line in body.split("\n"))
    asked = dict.fromkeys(line for line in lines if line.endswith(("?", "？", "؟")) and len(line) <= 120)
    return [line for line in asked if line not in but][:20]


# ------------------------------------------------------------------------------------------------------------ rows


def row_document(collection: str, source: str, row: Row, language: str) -> Document | None:
    """The document of a table row in one language; None when the row has nothing in it.

    Raises `EmptyContent` when it holds no word. Content: title and texts in their order, one vector.
    """
    entry = row.entries.get(language)
    if entry is None:
        return None
    title = mask(_one_line(entry.title))
    texts = [mask(plain_to_text(text)).strip() for text in entry.texts]
    tags = [mask(tag) for tag in entry.tags]
    content = "\n\n".join(filter(None, texts))
    sections = _present(content_vec="\n\n".join(filter(None, (title, content))))
    if not sections:
        raise EmptyContent("Empty content", kind="row", key=row.key)
    counted = [text for text, weight in zip(texts, entry.weights, strict=True) for _ in range(weight)]
    words = "\n".join(filter(None, (*[title] * TITLE_WEIGHT, *tags, *counted)))
    return Document(
        collection=collection,
        source=source,
        item_id=row.external_id,
        language=language or language_of(content),
        key_language=language,
        sections=sections,
        words=_present(words=words),
        payload={
            **_masked(entry),
            "item_id": row.external_id,
            "source": source,
            "title": title,
            "description": _short(_one_line(content), 1000),
            "content": _short(content, SHOWN),
            "created_at": _iso(row.created_at),
            "updated_at": _iso(row.updated_at),
            "tags": tags,
            "language": language or language_of(content),
            "visibility": entry.visibility.value,
        },
    )


def _masked(entry: Entry) -> Json:
    """The fields of a row that are shown; secrets in their texts are masked."""
    return {name: mask(value) if isinstance(value, str) else value for name, value in entry.fields.items()}


# ---------------------------------------------------------------------------------------------------- small things

_ENDED = (4, 5)  # resolved and closed: fixed codes of Freshdesk and Freshservice (HELPDESK-APIS 2.4)
_ENDED_LABELS = ("resolved", "closed")
_WORDLESS = frozenset({"status", "meta"})
"""Kinds of message that no person wrote (HELPDESK-APIS 3.6)."""
_TOGETHER = timedelta(minutes=5)
_ANSWERS = 3


def _plain(html: str | None, text: str | None) -> str:
    if html is None or not _filled(html):
        return plain_to_text(text or "")
    return html_to_text(html, mail=True) or html_to_text(html)


def _filled(html: str | None) -> bool:
    return html is not None and not html.isspace() and html != ""


def _one_line(text: str | None) -> str:
    line = " ".join(plain_to_text(text or "").split())
    return line if _has_words(line) else ""


def _has_words(text: str) -> bool:
    return any(map(str.isalnum, text))


def _present(**texts: str) -> dict[str, str]:
    return {name: text for name, text in texts.items() if _has_words(text)}


def _same(text: str) -> str:
    return " ".join(text.split()).casefold()


def _short(text: str, longest: int) -> str:
    """Cut at a space, for showing only; what is searched is never cut."""
    if len(text) <= longest:
        return text
    return (text[:longest].rsplit(None, 1)[0] if " " in text[:longest] else text[:longest]) + " …"


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z")


_COMMON: dict[str, FieldType] = {
    "source": "keyword",
    "status": "keyword",
    "tags": "keyword",
    "language": "keyword",
    "visibility": "keyword",
    "created_at": "datetime",
    "updated_at": "datetime",
}
_SHAPES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], dict[str, FieldType]]] = {
    TICKETS: (
        ("symptom_vec", "cause_vec", "resolution_vec"),
        ("words", "words_internal"),
        ("weights", "weights_internal"),
        {**_COMMON, "ticket_id": "integer", "priority": "keyword", "type": "keyword", "company": "keyword"},
    ),
    ARTICLES: (
        ("intent_vec", "procedure_vec"),
        ("words",),
        ("weights",),
        {**_COMMON, "article_id": "integer", "folder_id": "integer", "category_id": "integer"},
    ),
}
_ROWS: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], dict[str, FieldType]] = (
    ("content_vec",),
    ("words",),
    ("weights",),
    {**_COMMON, "item_id": "keyword", "priority": "keyword", "company": "keyword", "category": "keyword"},
)
"""What a collection of table rows has, whichever table it is."""


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
