"""The document of an article in one language."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from deskloom.documents import article_document
from deskloom.errors import EmptyContent
from deskloom.model import Article, Json, Visibility

BODY = """<h2>When do I need this?</h2><p>Only after the fuse has been changed by a technician.</p>
<h2>Steps</h2><ol><li>Open the lid.</li><li>Press <b>Reset</b>.</li></ol>
<h2>What if it still blinks?</h2><p>Call us.</p>"""


def article(**more: object) -> Article:
    """A published article about a scanner."""
    fields: Json = {
        "external_id": 55,
        "language": "en",
        "stamp": "s",
        "title": "Reset the scanner",
        "body_html": BODY,
        "folder_id": 3,
        "category_id": 1,
        "tags": ("reset",),
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        "updated_at": datetime(2026, 1, 2, tzinfo=UTC),
    }
    return Article(**(fields | more))


TEXT = (
    "When do I need this?\n\nOnly after the fuse has been changed by a technician.\n\nSteps\n\n1. Open the lid.\n"
    "2. Press Reset.\n\nWhat if it still blinks?\n\nCall us."
)


def test_every_text_goes_to_its_section() -> None:
    """Intent is title, first paragraph and questions; procedure the body; among the words the title counts thrice."""
    document = article_document("acme", article())
    assert document.sections == {
        "intent_vec": "Reset the scanner\nOnly after the fuse has been changed by a technician.\nWhen do I need this?\n"
        "What if it still blinks?",
        "procedure_vec": TEXT,
    }
    assert document.words == {"words": "\n".join(["Reset the scanner"] * 3 + ["reset", TEXT])}
    assert (document.item_id, document.language, document.key_language) == ("55", "en", "en")
    assert document.payload == {
        "article_id": 55,
        "source": "acme",
        "title": "Reset the scanner",
        "description": "Only after the fuse has been changed by a technician.",
        "content": TEXT,
        "folder_id": 3,
        "category_id": 1,
        "status": "published",
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-02T00:00:00Z",
        "tags": ["reset"],
        "language": "en",
        "visibility": "public",
    }


def test_a_summary_stands_for_the_first_paragraph() -> None:
    """Where the source has a summary it is used."""
    document = article_document(
        "acme", article(summary="How to reset it", body_html="<p>one two three four five six</p>")
    )
    assert document.sections["intent_vec"] == "Reset the scanner\nHow to reset it"


@pytest.mark.parametrize(
    ("published", "visibility", "shown"),
    [
        (True, Visibility.CUSTOMERS, ("published", "customers")),
        (True, Visibility.RESTRICTED, ("published", "restricted")),
        (False, Visibility.PUBLIC, ("draft", "internal")),
    ],
)
def test_visibility_is_the_folders_and_a_draft_is_internal(
    published: bool, visibility: Visibility, shown: tuple[str, str]
) -> None:
    """Who may read the folder may find the article; nobody outside finds a draft."""
    payload = article_document("acme", article(published=published, visibility=visibility)).payload
    assert (payload["status"], payload["visibility"]) == shown


def test_an_article_without_a_word_is_empty() -> None:
    """No word anywhere raises; a title alone is still something to search for; an image is no procedure."""
    with pytest.raises(EmptyContent, match=r"^Empty content$"):
        article_document("acme", article(title=".", body_html="<img src='x.png'>", tags=()))
    assert article_document("acme", article(body_html="<img src='x.png'>")).sections == {
        "intent_vec": "Reset the scanner"
    }


def test_secrets_are_masked_everywhere() -> None:
    """No section, word text or payload field holds a password."""
    spilled = "password: hunter2secret"
    document = article_document("acme", article(title=spilled, summary=spilled, body_html=spilled, tags=(spilled,)))
    assert "hunter2secret" not in json.dumps([*document.sections.values(), *document.words.values(), document.payload])
