"""A long text in parts that a model can read whole: cut between paragraphs, sentences or words, nothing lost."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

_SENTENCE_END = re.compile(r"[.!?…。！？؟][\"'”»)\]]{0,2}$")


class Tokenizer(Protocol):
    """The half of an embedder that cutting needs."""

    max_tokens: int

    def offsets(self, text: str) -> Sequence[tuple[int, int]]: ...


def split(text: str, tokenizer: Tokenizer) -> list[str]:
    """Parts of at most `max_tokens - 2` tokens. Every character that is not space is in exactly one part, in order.

    Linear in the text: it is tokenized twice, once whole and once in parts, because a word cut in two may have more
    tokens than it had; a short one not at all. Text without anything but space has no parts.
    """
    return _split(text, tokenizer, max(1, tokenizer.max_tokens - 2))


def _split(text: str, tokenizer: Tokenizer, budget: int) -> list[str]:
    text = text.strip()
    if not text:
        return []
    if len(text) < budget and text.isascii():
        return [text]  # no tokenizer makes more tokens than ASCII characters, and one for the start
    spans = [(start, end) for start, end in tokenizer.offsets(text) if end > start]
    if len(spans) <= budget or len(text) == 1:
        return [text]
    parts: list[str] = []
    for piece in _pieces(text, spans, budget):
        if len(tokenizer.offsets(piece)) <= budget:
            parts.append(piece)
        else:
            parts += _split(piece, tokenizer, max(1, budget * 3 // 4))
    return parts


def _pieces(text: str, spans: Sequence[tuple[int, int]], budget: int) -> list[str]:
    pieces: list[str] = []
    begin = first = 0
    while len(spans) - first > budget:
        first = _border(text, spans, first, first + budget)
        cut = max(spans[first][0], begin + 1)
        pieces.append(text[begin:cut])
        begin = cut
    pieces.append(text[begin:])
    return [stripped for piece in pieces if (stripped := piece.strip())]


def _border(text: str, spans: Sequence[tuple[int, int]], first: int, last: int) -> int:
    """The token to start the next part with: the best border in the part's last half, the latest of its kind."""
    best, at = -1, last
    for token in range(last, first + (last - first) // 2, -1):
        value = _worth(text, spans[token - 1][1], spans[token][0])
        if value > best:
            best, at = value, token
            if best == 4:
                break
    return at


def _worth(text: str, end: int, start: int) -> int:
    """How good a place between two tokens is: 4 paragraphs, 3 lines, 2 sentences, 1 words, 0 anywhere, -1 never."""
    if start < end:
        return -1  # two tokens of one character
    gap = text[end:start]
    if "\n" in gap:
        return 4 if "\n\n" in gap else 3
    if not gap or not gap[0].isspace():
        return 2 if text[end - 1] in "。！？" else int(bool(gap.strip()))
    return 2 if _SENTENCE_END.search(text, max(0, end - 4), end) else 1
