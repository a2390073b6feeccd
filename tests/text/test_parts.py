"""Cutting long text: nothing lost, nothing twice, nothing too long, borders where a reader would put them."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contracts.models import models_folder

from deskloom.embedders.minilm import open_minilm
from deskloom.text.parts import split


class Pieces:
    """A tokenizer like WordPiece: a word is cut into pieces of `width`, and a word cut in two has more of them."""

    def __init__(self, max_tokens: int, width: int) -> None:
        self.max_tokens = max_tokens
        self.width = width

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        return [
            (start, min(start + self.width, word.end()))
            for word in re.finditer(r"\w+|[^\w\s]", text)
            for start in range(word.start(), word.end(), self.width)
        ]


PIECES = ("word", "longerword" * 3, "Ends. ", "。", "\n", "\n\n", " ", "é", "日本語の文章", "!", "a-b")


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(["word", "longerword" * 3, "Ends. ", "。", "\n", "\n\n", " ", "é", "日本語の文章", "!", "a-b"])
    ).map("".join),
    st.integers(3, 12),
    st.integers(1, 5),
)
def test_every_character_is_in_exactly_one_part(text: str, max_tokens: int, width: int) -> None:
    """The parts' characters, spaces apart, are the text's, in order; each part fits and none is empty."""
    tokenizer = Pieces(max_tokens, width)
    parts = split(text, tokenizer)
    assert "".join("".join(part.split()) for part in parts) == "".join(text.split())
    assert all(part.strip() and len(tokenizer.offsets(part)) <= max_tokens - 2 for part in parts)
    assert split(text, tokenizer) == parts


def test_borders_are_where_a_reader_would_put_them() -> None:
    """Paragraphs before lines before sentences before words."""
    tokenizer = Pieces(12, 20)
    assert split("one two three four five six\n\nseven eight. nine ten eleven", tokenizer) == [
        "one two three four five six",
        "seven eight. nine ten eleven",
    ]
    assert split("one two three four five six. seven eight nine ten eleven", tokenizer) == [
        "one two three four five six.",
        "seven eight nine ten eleven",
    ]
    assert split("one two three four five six seven eight nine ten eleven", tokenizer) == [
        "one two three four five six seven eight nine ten",
        "eleven",
    ]


def test_text_that_fits_is_one_part_and_space_is_none() -> None:
    """Short text comes back whole; nothing has no parts; what the tokenizer does not know is kept."""
    assert split("  short \n", Pieces(12, 20)) == ["short"]
    assert split(" \n\t", Pieces(12, 20)) == []
    assert split("x" * 500, Pieces(12, 1000)) == ["x" * 500]


class Unasked:
    """A tokenizer that must not be needed."""

    max_tokens = 12

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        raise AssertionError(text)


def test_a_text_with_fewer_letters_than_tokens_allowed_is_not_tokenized() -> None:
    """No tokenizer makes more tokens than ASCII characters, so a short text fits."""
    assert split(" too short ", Unasked()) == ["too short"]


@pytest.mark.parametrize("text", ["word " * 60_000, "x" * 300_000, "日" * 300_000, "a. " * 100_000, "\n\nx" * 100_000])
def test_three_hundred_thousand_characters_are_fast(text: str) -> None:
    """Linear: seconds would be a fault (the bound is far above the measured half second)."""
    started = time.process_time()
    parts = split(text, Pieces(256, 4))
    assert time.process_time() - started < 10
    assert "".join("".join(part.split()) for part in parts) == "".join(text.split())


async def test_the_bundled_models_tokenizer_loses_nothing() -> None:
    """With the real tokenizer, in scripts it knows or not, every character is in one part that fits."""
    embedder = open_minilm(models_folder())
    try:
        for sentence in (
            "The scanner in hall 3 blinks; see E-1042 (again). ",
            "프린터가 인쇄를 하지 않습니다. ",
            "印刷できません。",
            "Größe Straße café 😀\n\n",
            "x" * 90,
        ):
            text = sentence * (20_000 // len(sentence))
            parts = split(text, embedder)
            assert "".join("".join(part.split()) for part in parts) == "".join(text.split())
            assert all(0 < len(embedder.offsets(part)) <= embedder.max_tokens - 2 for part in parts)
    finally:
        await embedder.aclose()
