"""What the index should hold for a ticket or an article: which text makes which section. Step 3 (publish) reads it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID, uuid5

from deskloom.model import Article, Json, Ticket
from deskloom.protocols import Embedder, Schema

RULES = 1
"""Version of the section rules, the masks and the word tokens; part of what makes a published document current."""

TICKETS = "support_tickets"
ARTICLES = "kb_procedures"
INTERNAL_NAMES = frozenset({"cause_vec", "words_internal"})
"""Vectors made of private notes: never queried for a role below agent."""
INTERNAL_FIELDS = frozenset({"internal_content"})
"""Payload fields made of private notes: never shown to a role below agent."""

_NAMESPACE = UUID("6e0c3b0e-0f53-5f0c-9d5c-6b1f0d9f5a31")
FieldType = Literal["keyword", "integer", "datetime"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketFacts:
    """What the record knows beside the ticket: labels of its codes, and who asked."""

    status: str | None = None
    priority: str | None = None
    channel: str | None = None
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
    """Names and filter fields of a collection, for the index to prepare. An unknown collection raises `KeyError`."""
    vectors, words, filters = _SHAPES[collection]
    return Schema(
        collection=collection,
        embedder=embedder.name,
        dimensions=embedder.dimensions,
        vectors=vectors,
        words=words,
        filters=filters,
    )


def ticket_document(source: str, ticket: Ticket, facts: TicketFacts) -> Document:
    """The document of a ticket. Raises `EmptyContent` when there is nothing to search for."""
    raise NotImplementedError


def article_document(source: str, article: Article) -> Document:
    """The document of an article in one language. Raises `EmptyContent` when there is nothing to search for."""
    raise NotImplementedError


def split(text: str, embedder: Embedder) -> list[str]:
    """Parts of at most `max_tokens - 2` tokens; every character that is not space is in exactly one part."""
    raise NotImplementedError


_COMMON: dict[str, FieldType] = {
    "source": "keyword",
    "status": "keyword",
    "tags": "keyword",
    "language": "keyword",
    "visibility": "keyword",
    "created_at": "datetime",
    "updated_at": "datetime",
}
_SHAPES: dict[str, tuple[tuple[str, ...], tuple[str, ...], dict[str, FieldType]]] = {
    TICKETS: (
        ("symptom_vec", "cause_vec", "resolution_vec"),
        ("words", "words_internal"),
        {**_COMMON, "ticket_id": "keyword", "priority": "keyword", "type": "keyword", "company": "keyword"},
    ),
    ARTICLES: (
        ("intent_vec", "procedure_vec"),
        ("words",),
        {**_COMMON, "article_id": "keyword", "folder_id": "keyword", "category_id": "keyword"},
    ),
}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
