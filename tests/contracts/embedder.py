"""What every embedder guarantees (E1-E3). A test class inherits it and gives the fixture `embedder`."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from deskloom.errors import Unreadable
from deskloom.protocols import Embedder

TEXTS = (
    "The printer on the second floor is offline.",
    "Nobody can log in to the mail server since this morning, although the password has not changed. " * 5,
    "refund",
    "프린터가 오프라인으로 표시됩니다",
    "Two invoices were sent for order E-1042; which one is right?",
)
AWKWARD = ("", " ", "\n\t", "a", "\ud800 half a pair", "😀" * 20, "x" * 500, "nul \x00 byte", "e\u0301\u200d")


class EmbedderContract:
    """Inherit it; a fixture `embedder` yields the embedder under test."""

    async def test_e1_one_unit_vector_for_each_text_in_order(self, embedder: Embedder) -> None:
        """Row i of the answer is the unit vector of text i, however texts are grouped into batches."""
        vectors = await embedder.embed(TEXTS)
        assert (vectors.shape, vectors.dtype) == ((len(TEXTS), embedder.dimensions), np.dtype(np.float32))
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
        for text, vector in zip(TEXTS, vectors, strict=True):
            assert np.allclose((await embedder.embed([text]))[0], vector, atol=1e-4)

    async def test_e1_no_texts_give_no_vectors(self, embedder: Embedder) -> None:
        """An empty list gives an empty array of the right width."""
        assert (await embedder.embed([])).shape == (0, embedder.dimensions)

    async def test_e1_awkward_texts_have_vectors_too(self, embedder: Embedder) -> None:
        """Empty texts, control characters, emoji and broken surrogates give finite unit vectors."""
        vectors = await embedder.embed(AWKWARD)
        assert vectors.shape == (len(AWKWARD), embedder.dimensions)
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)

    async def test_e2_neighbours_do_not_matter(self, embedder: Embedder) -> None:
        """A text's vector is the same within 1e-5 alone, among others, twice, and in concurrent calls."""
        alone = np.concatenate([await embedder.embed([text]) for text in TEXTS])
        crowd = [*TEXTS, *AWKWARD, *TEXTS]
        among, _, again = await asyncio.gather(
            embedder.embed(crowd), embedder.embed(crowd[3:], "query"), embedder.embed(TEXTS[::-1])
        )
        assert np.abs(among[: len(TEXTS)] - alone).max() <= 1e-5
        assert np.abs(among[-len(TEXTS) :] - alone).max() <= 1e-5
        assert np.abs(again[::-1] - alone).max() <= 1e-5

    async def test_e3_a_text_of_the_full_length_is_read_to_its_end(self, embedder: Embedder) -> None:
        """In a text of exactly `max_tokens` the last word still counts."""
        text = _text_of(embedder, embedder.max_tokens - 2)
        first, second = await embedder.embed([text, text.rsplit(" ", 1)[0] + " fox"])
        assert float(first @ second) < 1 - 1e-6

    async def test_e3_a_text_over_the_limit_is_refused(self, embedder: Embedder) -> None:
        """One token too many raises `Unreadable`, wherever the text stands in the list."""
        text = _text_of(embedder, embedder.max_tokens - 1)
        with pytest.raises(Unreadable):
            await embedder.embed([text])
        with pytest.raises(Unreadable):
            await embedder.embed(["short", text, "short"])

    async def test_e3_offsets_cover_the_text(self, embedder: Embedder) -> None:
        """Token ranges ascend, lie within the text and leave out nothing but white space."""
        for text in TEXTS:
            ranges = embedder.offsets(text)
            uncovered = list(text)
            for start, end in ranges:
                uncovered[start:end] = " " * (end - start)
            assert not "".join(uncovered).strip()
            assert list(ranges) == sorted(ranges)

    async def test_the_event_loop_goes_on(self, embedder: Embedder) -> None:
        """Other tasks run while texts are embedded."""
        working = asyncio.create_task(embedder.embed(TEXTS))
        turns = 0
        while not working.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns > 2


def _text_of(embedder: Embedder, tokens: int) -> str:
    """A text of exactly so many tokens, special tokens left out."""
    text = "the printer is offline again and again " * (tokens // 7 + 1)
    return text[: embedder.offsets(text)[tokens - 1][1]]
