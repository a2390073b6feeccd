"""The document of a table row, in each of its languages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from deskloom.documents import row_document
from deskloom.errors import EmptyContent
from deskloom.model import Entry, Row, Visibility

AT = datetime(2025, 6, 1, 12, tzinfo=UTC)
ROW = Row(
    external_id="ref:1",
    stamp="1",
    entries={
        "en": Entry(
            title="Reset the router",
            texts=("Unplug it.", "Wait a minute. password: hunter2secret"),
            weights=(2, 1),
            tags=("router",),
            fields={"category": "network", "uses": 3, "hint": "api_key=sk-1234567890abcdef1234567890"},
        ),
        "ar": Entry(title="إعادة ضبط الموجّه", texts=("افصل الجهاز عن الكهرباء.",), weights=(1,)),
        "id": Entry(title=" ", texts=("...",), weights=(1,)),
    },
    created_at=AT,
    updated_at=AT,
)


def test_a_row_is_found_by_its_title_and_texts_in_their_order() -> None:
    """Title and texts make the one vector; a text counts among the words as often as it weighs; secrets are masked."""
    made = row_document("references", "kb_db", ROW, "en")
    assert made is not None
    text = made.sections["content_vec"]
    assert text.startswith("Reset the router\n\nUnplug it.\n\nWait a minute.")
    assert "hunter2secret" not in text + made.words["words"] + str(made.payload)
    assert "sk-1234567890abcdef1234567890" not in str(made.payload)
    assert (made.words["words"].count("Unplug it."), made.words["words"].count("Wait a minute.")) == (2, 1)
    assert made.words["words"].count("Reset the router") == 3
    shown = {name: made.payload[name] for name in ("item_id", "title", "category", "uses", "tags", "language")}
    assert shown == {
        "item_id": "ref:1",
        "title": "Reset the router",
        "category": "network",
        "uses": 3,
        "tags": ["router"],
        "language": "en",
    }
    assert (made.payload["updated_at"], made.payload["visibility"]) == ("2025-06-01T12:00:00Z", Visibility.PUBLIC.value)


def test_each_language_is_a_document_of_its_own() -> None:
    """Arabic stays as it was written; ids differ; a language without a word raises, one that is not there is None."""
    english, arabic = (row_document("references", "kb_db", ROW, language) for language in ("en", "ar"))
    assert english is not None
    assert arabic is not None
    assert arabic.payload["title"] == "إعادة ضبط الموجّه"
    assert (english.id != arabic.id, arabic.key_language) == (True, "ar")
    assert row_document("references", "kb_db", ROW, "fr") is None
    with pytest.raises(EmptyContent):
        row_document("references", "kb_db", ROW, "id")


def test_what_is_known_of_a_row_wins_over_its_own_fields() -> None:
    """A field called like something that search relies on does not replace it."""
    row = Row(
        external_id="7", stamp=None, entries={"": Entry(title="Hello there", fields={"item_id": 1, "source": "x"})}
    )
    made = row_document("references", "kb_db", row, "")
    assert made is not None
    assert (made.payload["item_id"], made.payload["source"], made.key_language) == ("7", "kb_db", "")
