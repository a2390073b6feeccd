"""Language detection: ISO 639-1, deterministic, and "und" where it would be a guess."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deskloom.text.language import language_of

ENGLISH = "The printer on the second floor does not answer any more since we moved it to the other office yesterday. "
GERMAN = "Der Drucker im zweiten Stock antwortet nicht mehr, seit wir ihn gestern in das andere Büro gestellt haben. "


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ENGLISH, "en"),
        (GERMAN, "de"),
        ("Non riesco più a inviare la posta dal mio account di lavoro", "it"),
        ("Ik kan geen e-mail meer versturen vanaf mijn computer thuis", "nl"),
        ("No puedo abrir el programa desde que instalé la actualización", "es"),
        ("Po aktualizaci nemohu odeslat žádnou zprávu z počítače", "cs"),
        ("Desde ontem não consigo enviar mensagens para os clientes", "pt"),
        ("프린터가 인쇄를 하지 않습니다", "ko"),
        ("プリンターが印刷しません", "ja"),
        ("الطابعة لا تعمل منذ الصباح", "ar"),
        ("Принтер не печатает с самого утра", "ru"),
    ],
)
def test_a_sentence_tells_its_language(text: str, language: str) -> None:
    """One sentence is enough."""
    assert language_of(text) == language


@pytest.mark.parametrize(
    "text",
    ["", " \n", "12345", "0x800CCC0E", "ok", "https://example.com/a/b", "a@example.com", (ENGLISH * 3) + (GERMAN * 3)],
)
def test_no_guess_is_made(text: str) -> None:
    """Too short, no words, or two languages in equal parts: unknown."""
    assert language_of(text) == "und"


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=400))
def test_any_text_has_a_two_letter_code_or_none(text: str) -> None:
    """Always the same answer: two small letters, or "und"."""
    language = language_of(text)
    assert language == language_of(text)
    assert language == "und" or (len(language) == 2 and language.isalpha() and language.islower())
