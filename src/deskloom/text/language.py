"""The language of a text as an ISO 639-1 code, or "und" where a guess would be one."""

from __future__ import annotations

import re
import threading
from functools import cache
from typing import cast

import numpy as np
from py3langid.langid import MODEL_DIR, MODEL_FILE, LanguageIdentifier
from py3langid.modelio import load_model

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
_LOADING = threading.Lock()


@cache
def _load_identifier() -> LanguageIdentifier:
    """The bundled model, two-letter languages only: choosing them once it is made would keep the others in memory."""
    chances, priors, labels, moves, rows, output = load_model(MODEL_DIR / MODEL_FILE)
    kept = [place for place, label in enumerate(labels) if len(label) == 2]
    chances = np.ascontiguousarray(chances[:, kept])  # rows are read: three times faster than columns
    labels = [labels[place] for place in kept]
    return LanguageIdentifier(chances, priors[kept], labels, moves, output, norm_probs=True, tk_row=rows)


def _identifier() -> LanguageIdentifier:
    """The model, which threads may share, for it is only read; its loading takes 120 MB, so one thread does it."""
    with _LOADING:
        return _load_identifier()


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
