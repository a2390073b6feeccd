"""Which languages a folder's model is taken to understand."""

from __future__ import annotations

from tests.contracts.models import models_folder
from tests.embedders.made import unigram, wordpiece
from tokenizers import Tokenizer, models

from deskloom.embedders.languages import MANY, languages_of
from deskloom.embedders.tokenizer import load_tokenizer


def test_a_vocabulary_of_english_is_english() -> None:
    """The tokenizer of the bundled model, English by its card, is found to be just that."""
    assert languages_of(load_tokenizer(models_folder() / "minilm")) == frozenset({"en"})


def test_a_large_vocabulary_is_for_many() -> None:
    """From 60,000 tokens on, as XLM-RoBERTa's and multilingual BERT's, no language is left out."""
    vocabulary = {"[UNK]": 0} | {f"word{place}": place for place in range(1, MANY)}
    assert languages_of(Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))) is None


def test_a_vocabulary_that_spells_nothing_claims_nothing() -> None:
    """A language whose sentence has unknown tokens is left out; if all have, nothing is claimed."""
    assert languages_of(Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))) is None
    assert "ko" not in (languages_of(unigram()) or ())
    assert "zh" not in (languages_of(wordpiece()) or ())
