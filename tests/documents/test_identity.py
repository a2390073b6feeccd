"""Ids, hashes and schemas of documents."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import FakeEmbedder, WeighingEmbedder

from deskloom.documents import ARTICLES, INTERNAL_NAMES, TICKETS, Document, point_id, schema, split
from deskloom.protocols import Schema

DOCUMENT = Document(
    collection=TICKETS,
    source="acme",
    item_id="7",
    language="en",
    key_language="",
    sections={"symptom_vec": "a"},
    words={"words": "a b"},
    payload={"ticket_id": 7},
)


def test_the_id_never_changes() -> None:
    """A point's id is computed, and the same for ever: another rule would orphan every point."""
    assert point_id(TICKETS, "acme", "7", "") == DOCUMENT.id == UUID(PINNED)
    assert replace(DOCUMENT, language="de").id == DOCUMENT.id


PINNED = "280e149e-6e09-5681-a591-d2d1f3939310"

KEYS = st.tuples(*[st.text(max_size=6)] * 4)


@given(KEYS, KEYS)
def test_two_keys_never_share_an_id(one: tuple[str, str, str, str], other: tuple[str, str, str, str]) -> None:
    """Separators and quotes inside the parts cannot make two keys meet."""
    assert (point_id(*one) == point_id(*other)) == (one == other)


def test_hashes_tell_what_changed() -> None:
    """A section's hash depends on its text alone; the payload's on its values, not on their order."""
    hashes = DOCUMENT.section_hashes()
    assert hashes.keys() == {"symptom_vec", "words"}
    assert replace(DOCUMENT, payload={}).section_hashes() == hashes
    changed = replace(DOCUMENT, sections={"symptom_vec": "other"}).section_hashes()
    assert (changed["words"], changed["symptom_vec"] != hashes["symptom_vec"]) == (hashes["words"], True)
    assert (
        replace(DOCUMENT, payload={"b": 1, "a": 2}).payload_hash()
        == replace(DOCUMENT, payload={"a": 2, "b": 1}).payload_hash()
    )
    assert DOCUMENT.payload_hash() != replace(DOCUMENT, payload={"ticket_id": 8}).payload_hash()


def test_schemas_name_what_documents_hold() -> None:
    """Vectors, words and filters of each collection, with the embedder's name and width."""
    embedder = FakeEmbedder()
    tickets, articles = schema(TICKETS, embedder), schema(ARTICLES, embedder)
    common = dict.fromkeys(("source", "status", "tags", "language", "visibility"), "keyword") | {
        "created_at": "datetime",
        "updated_at": "datetime",
    }
    assert tickets == Schema(
        collection=TICKETS,
        embedder="fake",
        dimensions=32,
        vectors=("symptom_vec", "cause_vec", "resolution_vec"),
        words=("words", "words_internal"),
        filters=common | {"ticket_id": "integer", "priority": "keyword", "type": "keyword", "company": "keyword"},
    )
    assert articles == Schema(
        collection=ARTICLES,
        embedder="fake",
        dimensions=32,
        vectors=("intent_vec", "procedure_vec"),
        words=("words",),
        filters=common | dict.fromkeys(("article_id", "folder_id", "category_id"), "integer"),
    )
    weighing = schema(TICKETS, WeighingEmbedder())
    assert (tickets.weights, weighing.weights) == ((), ("weights", "weights_internal"))
    assert {*tickets.vectors, *tickets.words, *weighing.weights} >= INTERNAL_NAMES
    rows = schema("templates", embedder)
    assert (rows.vectors, rows.words, rows.filters["item_id"]) == (("content_vec",), ("words",), "keyword")


async def test_what_is_split_can_be_embedded() -> None:
    """Every part of a long text fits the model."""
    embedder = FakeEmbedder(max_tokens=16)
    parts = split("Some words. " * 100, embedder)
    assert (await embedder.embed(parts)).shape == (len(parts), 32)
