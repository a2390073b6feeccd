"""The word half in the record: scores as computed by hand, filters, a bounded cost, and writers that meet."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from uuid import UUID

import numpy as np
import pytest

from deskloom.protocols import Where, WordEntry, Words
from deskloom.record import Record
from deskloom.record.words import RecordWords

COPY = "tickets__1a2b3c4d"


def uid(number: int) -> UUID:
    return UUID(int=number)


def entry(number: int, words: Mapping[int, float], /, **fields: Sequence[str | int]) -> WordEntry:
    own = {"words": Words(tuple(words), tuple(words.values()))} if words else {}
    return WordEntry(id=uid(number), words=own, fields=fields)


async def found(
    words: RecordWords, asked: Mapping[int, float], *, rarity: bool = True, where: Where | None = None, limit: int = 10
) -> dict[int, float]:
    question = Words(tuple(asked), tuple(asked.values()))
    hits = await words.query(COPY, "words", question, rarity=rarity, where=where or Where(), limit=limit)
    return {id.int: round(score, 5) for id, score in hits}


async def test_the_score_is_the_sum_of_products_by_rarity(record: Record) -> None:
    """It counts only points that have this list; a word that no point has changes nothing; the best comes first."""
    words = RecordWords(record)
    await words.put(COPY, [entry(1, {7: 2.0, 2**32 - 1: 0.5}), entry(2, {7: 1.0}), entry(3, {}), entry(4, {9: 1.0})])
    common, rare = (math.log(1 + (3 - having + 0.5) / (having + 0.5)) for having in (2, 1))
    expected = {1: round(2 * 3 * common + 0.5 * 4 * rare, 5), 2: round(3 * common, 5)}
    assert await found(words, {7: 3.0, 2**32 - 1: 4.0, 11: 9.0}) == expected
    assert list(await found(words, {7: 1.0}, limit=1)) == [1]
    assert await found(words, {7: 1.0, 2**32 - 1: 2.0}, rarity=False) == {1: 3.0, 2: 1.0}


async def test_what_is_put_again_or_deleted_leaves_nothing(record: Record) -> None:
    """An entry is replaced whole, in its own copy alone; other copies and what is absent are left alone."""
    words = RecordWords(record)
    other = "tickets__5e6f7a8b"
    assert await words.is_empty(COPY)
    for copy in (COPY, other):
        await words.put(copy, [entry(1, {7: 1.0}, status=["open"]), entry(2, {7: 1.0})])
    await words.put(COPY, [entry(1, {8: 1.0})])
    await words.delete(COPY, [uid(2), uid(77)])
    await words.set_fields(COPY, {uid(77): {"status": ["open"]}})
    kept = await words.words(COPY, [uid(1), uid(2)])
    assert kept == {uid(1): {"words": Words((8,), (1.0,))}}
    assert await found(words, {7: 1.0, 8: 1.0}, rarity=False) == {1: 1.0}
    assert await found(words, {8: 1.0}, where=Where(equals={"status": ["open"]})) == {}
    assert set(await words.words(other, [uid(1), uid(2)])) == {uid(1), uid(2)}
    assert await words.copies("tickets") == [COPY, other]
    await words.drop(COPY)
    assert (await words.copies("tickets"), await words.is_empty(COPY)) == ([other], True)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (Where(equals={"status": ["open", "closed"]}), {1, 2}),
        (Where(equals={"tags": ["b"]}), {1, 3}),
        (Where(equals={"status": []}), set()),
        (Where(equals={"unknown": ["a"]}), set()),
        (Where(at_least={"moment": 1_700_000_000_000_001}), {2, 3}),
        (Where(exclude={"status": ["open"], "unknown": ["a"]}), {2, 3}),
        (Where(exclude={"tags": ["a"]}, equals={"number": [5]}), {3}),
    ],
)
async def test_filters(record: Record, where: Where, expected: set[int]) -> None:
    """Any of the values, at least, and none of the values, over lists and absent fields."""
    words = RecordWords(record)
    moments = [1_700_000_000_000_000 + n for n in range(3)]
    entries = [
        entry(1, {7: 1.0}, status=["open"], tags=["a", "b"], moment=moments[:1]),
        entry(2, {7: 1.0}, status=["closed"], moment=moments[1:2]),
        entry(3, {7: 1.0}, tags=["b"], number=[5], moment=moments[2:]),
    ]
    await words.put(COPY, entries)
    assert set(await found(words, {7: 1.0}, where=where)) == expected
    await words.set_fields(COPY, {uid(n): {} for n in (1, 2, 3)})
    await words.set_fields(COPY, {one.id: one.fields for one in entries})
    assert set(await found(words, {7: 1.0}, where=where)) == expected


async def test_a_long_question_reads_no_more_than_its_budget(record: Record) -> None:
    """Where common words are beyond the budget, rare ones choose the candidates, and these have their whole score."""
    chance = np.random.default_rng(5)
    entries = [entry(n, {1: 1.0, 2: 1.0, 100 + n % 40: float(chance.uniform(1, 3)), 200 + n: 1.0}) for n in range(300)]
    whole, frugal = RecordWords(record), RecordWords(record, budget=50)
    await whole.put(COPY, entries)
    asked = {1: 1.0, 2: 1.0, 103: 1.0, 117: 2.0, 250: 1.0}
    best = await found(whole, asked)
    assert await found(frugal, asked) == best


async def test_writers_that_meet_leave_one_of_their_states(record: Record) -> None:
    """Two writers of the same points at the same time wait for each other; each point is as one of them wrote it."""
    words = RecordWords(record)
    for _ in range(3):
        await asyncio.gather(
            *(
                words.put(COPY, [entry(n, {token: 1.0}) for n in order])
                for token in (7, 8)
                for order in ((1, 2), (2, 1))
            )
        )
        kept = await words.words(COPY, [uid(1), uid(2)])
        assert {own["words"].indices for own in kept.values()} <= {(7,), (8,)}
        assert len(kept) == 2
