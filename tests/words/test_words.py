"""Word vectors: what people type finds what people wrote, in any script, and a vector depends on its text alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deskloom.protocols import Words
from deskloom.words import ARTICLE_PROSE, document_words, query_words, tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Error E-1042 again", ["error", "e", "1042", "e1042", "again"]),
        ("a-b_c", ["a", "b", "c", "abc"]),
        ("e-mails to imap.example.com", ["e", "mail", "emails", "to", "imap", "exampl", "com", "imapexamplecom"]),
        ("v115.10.1", ["v115", "10", "1", "v115101"]),
        ("The printer's tray can't open", ["the", "printer", "tray", "cant", "open"]),
        ("Drucker GRÖßE café ＦＵＬＬ", ["drucker", "gross", "cafe", "full"]),
        ("印刷 設定", ["印刷", "設定"]),
        ("プリンター", ["プリ", "リン", "ンタ", "ター"]),
        ("ﾌﾟﾘﾝﾀｰ", ["プリ", "リン", "ンタ", "ター"]),
        ("프린터가", ["프린", "린터", "터가"]),
        ("พิมพ์", ["พิ", "ิม", "มพ", "พ์"]),
        ("字", ["字"]),
        ("الطابعة", ["الطابعه", "طابعه"]),
        ("أحمد إدارة على", ["احمد", "اداره", "علي"]),
        ("PDF文件2つ", ["pdf", "文件", "2", "つ"]),
        ("  …!? ", []),
    ],
)
def test_tokens_in_every_script(text: str, expected: list[str]) -> None:
    """Folded words, pairs of characters where there are no spaces, codes in parts and whole, Arabic al-."""
    assert tokens(text) == expected


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("E1042", "error E-1042 on screen"),
        ("email", "my e-mail is gone"),
        ("printers", "the printer is gone"),
        ("cafe", "Café"),
        ("프린터", "프린터가 작동하지 않습니다"),
        ("印刷できない", "文書を印刷できません"),
        ("طابعة", "الطابعه لا تعمل"),
        ("STRASSE", "Straße"),
    ],
)
def test_what_is_typed_finds_what_is_written(typed: str, written: str) -> None:
    """A question and a text that mean the same word share an index."""
    assert set(query_words(typed).indices) & set(document_words(written).indices)


def test_weights_are_bm25_without_idf() -> None:
    """A document's weight grows with the count, falls with the length; a query's is 1 for one mention."""
    once, twice = document_words("alpha beta"), document_words("alpha alpha beta")
    (alpha,) = query_words("alpha").indices
    at = twice.indices.index(alpha)
    assert twice.weights[at] > once.weights[once.indices.index(alpha)] > 0
    longer = document_words("alpha beta" + " gamma" * 200)
    assert longer.weights[longer.indices.index(alpha)] < once.weights[once.indices.index(alpha)]
    assert document_words("alpha", ARTICLE_PROSE) != document_words("alpha")
    assert query_words("alpha") == Words((alpha,), (1.0,))
    assert query_words("alpha alpha").weights == (1.6,)
    assert document_words("") == Words((), ())


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text_gives_a_valid_vector(text: str) -> None:
    """Indices are unique, ascending 32-bit numbers, weights positive and finite, and case does not matter."""
    for words in (document_words(text), query_words(text)):
        assert list(words.indices) == sorted(set(words.indices))
        assert all(0 <= index < 2**32 for index in words.indices)
        assert len(words.weights) == len(words.indices)
        assert all(0 < weight < 100 for weight in words.weights)
    assert all(token for token in tokens(text))
    assert tokens(text.casefold()) == tokens(text) or not text.isascii()


def test_long_runs_are_bounded() -> None:
    """An encoded blob gives short tokens, fast."""
    assert max(map(len, tokens("QUJD" * 50_000 + " " + "a-" * 50_000))) <= 64
