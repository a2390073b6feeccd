"""How many tokens a text has at most, for models whose tokenizer is behind an HTTP address.

Servers count with tokenizers we do not have: WordPiece, Unigram, byte-level BPE. The estimate follows what drives all
of them: words of plain Latin letters come in pieces, everything else about a token a character, and characters that
vocabularies lack as many tokens as they have bytes or decomposed letters. `tests/embedders/test_estimate.py` compares
it with real tokenizers; docs/embedders.md tells how far it lies above them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

_PIECE = re.compile(
    r"(?P<word>[A-Za-z]?[a-z]+(?![A-Za-z0-9]))"  # an ordinary word, to its end
    r"|(?P<odd>[A-Za-z]+)"  # capitals, camelCase, letters before digits: identifiers, codes, base64
    r"|(?P<space>\s+)"
    r"|(?P<one>.)",
    re.DOTALL,
)
_WORD = (3, 2)
"""Letters of the first token of an ordinary word, and of its further ones; in any other run each letter is one."""
_LONG = 20
"""Letters from which a run is no word of any language: a key, a hash, an encoded file."""


def token_ranges(text: str) -> Sequence[tuple[int, int]]:
    """Character ranges, ascending, one for each token that `text` may have; a character may have several.

    Nothing but white space is left out. White space that is more than one blank costs the character before it a token.
    """
    ranges: list[tuple[int, int]] = []
    for match in _PIECE.finditer(text):
        start, end = match.span()
        match match.lastgroup:
            case "word":
                first, size = _WORD if end - start < _LONG else (1, 1)
                ranges.append((start, min(start + first, end)))
                ranges += [(at, min(at + size, end)) for at in range(start + first, end, size)]
            case "odd":
                ranges += [(at, at + 1) for at in range(start, end)]
            case "space":
                if start and text[start:end] != " ":
                    ranges.append((start - 1, start))
            case _:
                ranges += [(start, end)] * _weight(text[start])
    return ranges


@lru_cache(maxsize=20_000)
def _weight(character: str) -> int:
    """Tokens of one character outside words.

    Latin letters with marks split a word in two; of other scripts byte-level vocabularies know the first byte, which
    all letters share; ligatures fall apart into letters, Hangul syllables into three at most.
    """
    if character.isascii() or "\ud800" <= character <= "\udfff":
        return 1
    if "\uac00" <= character <= "\ud7a3":
        return 3
    size = len(character.encode())
    known = size == 3 or (size == 2 and character > "\u024f")
    return max(size - known, len(unicodedata.normalize("NFKD", character)))
