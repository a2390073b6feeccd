"""An embedder that weighs the words of a text in the pass that makes its vector, as BGE-M3 does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from deskloom.embedders.onnx import OnnxEmbedder
from deskloom.embedders.weights import read_json
from deskloom.protocols import Purpose, Vectors, Words

_UNUSED = {"cls_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}


class WeighingEmbedder:
    """A `Weighing` embedder, by the rule of BGE-M3's own library, FlagEmbedding."""

    def __init__(self, embedder: OnnxEmbedder, unused: frozenset[int]) -> None:
        """`embedder`: one whose encoder returns weights; `unused`: the ids of tokens that are no words."""
        self.name = embedder.name
        self.dimensions = embedder.dimensions
        self.max_tokens = embedder.max_tokens
        self.languages = embedder.languages
        self._embedder = embedder
        self._unused = unused

    async def embed(self, texts: Sequence[str], purpose: Purpose = "document") -> Vectors:
        """See `Embedder`."""
        return await self._embedder.embed(texts, purpose)

    async def embed_weighed(self, texts: Sequence[str], purpose: Purpose = "document") -> tuple[Vectors, list[Words]]:
        """See `Weighing`: a word's weight is the largest of its tokens' in the text."""
        vectors, weighed = await self._embedder.compute(texts, purpose)
        return vectors, [self._words(ids, weights) for ids, weights in weighed]

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        """See `Embedder`."""
        return self._embedder.offsets(text)

    async def aclose(self) -> None:
        await self._embedder.aclose()

    def _words(self, ids: Sequence[int], weights: Vectors) -> Words:
        found: dict[int, float] = {}
        for token, weight in zip(ids, weights.tolist(), strict=True):
            if token not in self._unused and weight > found.get(token, 0):
                found[token] = weight
        indices = tuple(sorted(found))
        return Words(indices, tuple(found[index] for index in indices))


def unused_tokens(folder: Path, tokenizer: Tokenizer) -> frozenset[int]:
    """Ids of the start, end, padding and unknown token, by the names that the folder or the model family gives them."""
    named = dict(_UNUSED)
    for file in (folder / "tokenizer_config.json", folder / "special_tokens_map.json"):
        facts = read_json(file) if file.exists() else {}
        for name in named.keys() & facts.keys():
            token = facts[name]["content"] if isinstance(facts[name], dict) else facts[name]
            named[name] = str(token)
    ids = (tokenizer.token_to_id(token) for token in named.values())
    return frozenset(one for one in ids if one is not None)
