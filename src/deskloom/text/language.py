"""The language of a text as an ISO 639-1 code, or "und" where a guess would be one."""

from __future__ import annotations

import re
from functools import cache
from typing import cast

import numpy as np
from py3langid.langid import MODEL_FILE, LanguageIdentifier

UNKNOWN = "und"
_SURE = 0.5
"""Below it py3langid is right less often than 99 times in 100 on the labelled texts (docs/decisions/0003-text.md)."""
_ENOUGH = 1000
"""Letters read: more do not change the answer."""
_END = 120
"""Letters of each end of a text; where both are surely of one language, so is the text."""
_MASK = re.compile(r"\[[a-z ]{3,20} removed\]")
_ADDRESS = re.compile(r"(?<![\w.+-])(?:\w{2,12}://\S{1,2000}|[\w.+-]{1,64}@[\w.-]{1,100})")
_NO_LETTERS = re.compile(r"[\d_/\\{}<>|=]+")


@cache
def _identifier() -> LanguageIdentifier:
    """The bundled model, two-letter languages only. Read-only once made, so threads may share it."""
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages([label for label in identifier.labels if len(label) == 2])
    identifier.nb_ptc = np.ascontiguousarray(identifier.nb_ptc)  # rows are read: three times faster than columns
    return identifier


def language_of(text: str) -> str:
    """The code of the language, "und" for text that is too short, no language, or two languages in equal parts."""
    text = _MASK.sub(" ", text[: 3 * _ENOUGH])
    if "://" in text or "@" in text:
        text = _ADDRESS.sub(" ", text)
    words = " ".join(_NO_LETTERS.sub(" ", text).split())[:_ENOUGH]
    if sum(map(str.isalpha, words[:40])) < 4:
        return UNKNOWN
    if len(words) >= 2 * _END:
        (first, first_sure), (last, last_sure) = map(_classify, (words[:_END], words[-_END:]))
        if min(first_sure, last_sure) >= 0.9:
            return first if first == last else UNKNOWN
    language, sure = _classify(words)
    return language if sure >= _SURE else UNKNOWN


def _classify(text: str) -> tuple[str, float]:
    return cast("tuple[str, float]", _identifier().classify(text))
