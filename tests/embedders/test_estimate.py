"""The estimate of tokens lies above what real tokenizers count, and covers the text."""

from __future__ import annotations

import gzip
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contracts.models import models_folder
from tokenizers import Tokenizer

from deskloom.embedders.estimate import token_ranges

DATA = Path(os.environ.get("DESKLOOM_DATA", Path(__file__).parents[3] / "shared" / "data"))
WINDOW = 250
"""Tokens as estimated: a text as long as the smallest models read. Shorter ones are far from every limit."""


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """MiniLM's own: an English vocabulary, which cuts other languages into more tokens than a multilingual one."""
    tokenizer = Tokenizer.from_file(str(models_folder() / "minilm" / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from strings(one)


def windows(text: str) -> Iterator[str]:
    ranges = token_ranges(text)
    for at in range(0, len(ranges) - WINDOW, WINDOW):
        yield text[ranges[at][0] : ranges[at + WINDOW][0]]


@pytest.mark.data
@pytest.mark.parametrize(
    "name",
    ["tldr-parallel/pages", "sumo-thunderbird/tickets", "sumo-thunderbird/kb_articles", "tau2-banking-kb/kb_documents"],
)
def test_real_texts_never_have_more_tokens_than_estimated(tokenizer: Tokenizer, name: str) -> None:
    """Tickets, articles and pages in many languages, in windows of 250 estimated tokens."""
    path = DATA / f"{name}.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"{path} is not here; set DESKLOOM_DATA")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = [text for line in lines for text in strings(json.loads(line)) if len(text) > WINDOW]
    random.Random(1).shuffle(texts)
    pieces = [piece for text in texts[:600] for piece in windows(text)]
    counted = [
        (len(encoding.ids), len(token_ranges(piece)), piece)
        for piece, encoding in zip(pieces, tokenizer.encode_batch(pieces, add_special_tokens=False), strict=True)
    ]
    assert len(counted) > 100
    assert [piece for real, estimated, piece in counted if real > estimated] == []
    # Far above it would cut texts into needlessly many parts.
    assert sum(real for real, _, _ in counted) > 0.4 * sum(estimated for _, estimated, _ in counted)


@pytest.mark.parametrize(
    "text",
    [
        "aGVsbG8gd29ybGQgdGhpcyBpcyBiYXNlNjQ" * 20,
        "0x7ffd3a 8f14e45fceea167a5a36dedd4bea2543 " * 20,
        "{{$.a[0]}} == '||' && (x >= 10); " * 30,
        "nlaapi.dll,uxtheme.dll,kernel32.dll,ntmarta.dll," * 20,
        "프린터가 오프라인으로 표시되고 인쇄가 되지 않습니다 " * 20,
        "プリンターがオフラインと表示され、印刷できません。" * 20,
        "打印机显示为脱机状态，无法打印文件。" * 20,
        "الطابعة غير متصلة ولا يمكن الطباعة " * 20,
        "Принтер не подключён, и печать не работает " * 20,
        "प्रिंटर ऑफ़लाइन है और प्रिंट नहीं हो रहा " * 20,
        "😀🖨️👩‍💻" * 40,
        "\n\n\n   \t\t" * 60,
    ],
    ids=lambda text: text[:12].strip(),
)
def test_dense_texts_never_have_more_tokens_than_estimated(tokenizer: Tokenizer, text: str) -> None:
    """Codes, punctuation, and scripts of which vocabularies hold little."""
    assert len(tokenizer.encode(text, add_special_tokens=False).ids) <= len(token_ranges(text))


@given(st.text(max_size=300))
def test_ranges_ascend_and_cover_all_but_white_space(text: str) -> None:
    """Every range lies within the text and is not empty; the same character may have several."""
    ranges = token_ranges(text)
    covered = {at for start, end in ranges for at in range(start, end)}
    assert all(0 <= start < end <= len(text) for start, end in ranges)
    assert list(ranges) == sorted(ranges)
    assert all(text[at].isspace() for at in set(range(len(text))) - covered)
    if text.isascii():
        assert len(ranges) <= len(text)  # what `text.parts.split` relies on
