"""Which languages a model was made for, judged by its vocabulary: nothing else in a model's folder can be relied on."""

from __future__ import annotations

from collections.abc import Mapping

from tokenizers import Tokenizer

MANY = 60_000
"""Tokens from which a vocabulary is one for many languages: those of one language have 20,000 to 50,000, multilingual
BERT has 120,000 and XLM-RoBERTa 250,000."""
_LONGER = 1.3

# One sentence (Universal Declaration of Human Rights, article 1) in languages that have models of their own.
_SENTENCES: Mapping[str, str] = {
    "ar": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
    "en": "All human beings are born free and equal in dignity and rights.",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits.",
    "it": "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti.",
    "ja": "すべての人間は、生れながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "nl": "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren.",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw.",
    "pt": "Todos os seres humanos nascem livres e iguais em dignidade e em direitos.",
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах.",
    "sv": "Alla människor är födda fria och lika i värde och rättigheter.",
    "tr": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar.",
    "vi": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền.",
    "zh": "人人生而自由，在尊严和权利上一律平等。",
}


def languages_of(tokenizer: Tokenizer) -> frozenset[str] | None:
    """ISO 639-1 codes, or None for a vocabulary of many languages, or of one that is not known here.

    A vocabulary of one language knows its words whole: the same sentence has clearly more tokens in any other.
    """
    if tokenizer.get_vocab_size(with_added_tokens=True) >= MANY:
        return None
    unknown = {tokenizer.token_to_id(token) for token in ("[UNK]", "<unk>")} - {None}
    counts = {}
    for language, sentence in _SENTENCES.items():
        ids = tokenizer.encode(sentence, add_special_tokens=False).ids
        if not unknown & set(ids):
            counts[language] = len(ids)
    fewest = min(counts.values(), default=0)
    return frozenset(language for language, count in counts.items() if count <= fewest * _LONGER) or None
