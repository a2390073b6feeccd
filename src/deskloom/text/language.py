"""The language of a text as an ISO 639-1 code, or "und" where a guess would be one."""

from __future__ import annotations

import re
from functools import cache
from typing import cast

from py3langid.langid import MODEL_FILE, LanguageIdentifier

UNKNOWN = "und"
_SURE = 0.5
"""Below it py3langid is right less often than 99 times in 100 on the labelled texts (docs/decisions/0003-text.md)."""
_ENOUGH = 1000
"""Letters read: more do not change the answer."""
_NO_WORDS = re.compile(
    r"\w{2,12}://\S{1,2000}|[\w.+-]{1,64}@[\w.-]{1,100}|\[[a-z ]{3,20} removed\]|[\d_/\\{}<>|=]{1,200}"
)
_SPACES = re.compile(r"\s+")


@cache
def _identifier() -> LanguageIdentifier:
    """The bundled model, two-letter languages only. Read-only once made, so threads may share it."""
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages([label for label in identifier.labels if len(label) == 2])
    return identifier


def language_of(text: str) -> str:
    """The code of the language, "und" for text that is too short, no language, or two languages in equal parts."""
    words = _SPACES.sub(" ", _NO_WORDS.sub(" ", text[: 3 * _ENOUGH])).strip()[:_ENOUGH]
    if sum(map(str.isalpha, words[:40])) < 4:
        return UNKNOWN
    language, sure = _classify(words)
    if sure < _SURE:
        return UNKNOWN
    if len(words) >= 240:
        middle = words.find(" ", len(words) // 2)
        halves = {half for half, well in map(_classify, (words[:middle], words[middle:])) if well >= 0.9}
        if len(halves) > 1:
            return UNKNOWN
    return language


def _classify(text: str) -> tuple[str, float]:
    return cast("tuple[str, float]", _identifier().classify(text))
