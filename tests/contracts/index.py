"""What every index guarantees (I1-I6). A test class inherits it and gives the fixture `reopen`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from deskloom.errors import DeskloomError, IndexMismatch, NotFound
from deskloom.protocols import Point, Schema, VectorIndex, Vectors, Where, Words

Reopen = Callable[[], VectorIndex]
"""Opens the index at the same place each time; the one before must be closed."""

NAME = "tickets"
SCHEMA = Schema(
    collection=NAME,
    embedder="model-a",
    dimensions=4,
    vectors=("symptom", "cause"),
    words=("words",),
    weights=("weighed",),
    filters={"status": "keyword", "tags": "keyword", "number": "integer", "updated_at": "datetime"},
)
AXES = np.eye(4, dtype=np.float32)


def uid(number: int) -> UUID:
    return UUID(int=number)


def point(number: int, /, *, symptom: Vectors | None = None, words: Words | None = None, **payload: Any) -> Point:
    """A point with a symptom (its axis unless given), words if given, and a payload."""
    rows = AXES[number % 4][np.newaxis] if symptom is None else symptom
    return Point(
        id=uid(number),
        vectors={"symptom": rows},
        words={"words": words} if words else {},
        payload={"n": number, **payload},
    )


async def found(index: VectorIndex, vector: str, value: Vectors | Words, **options: Any) -> list[int]:
    return [hit.id.int for hit in await index.query(NAME, vector, value, **options)]


async def contents(index: VectorIndex, collection: str = NAME) -> dict[int, Any]:
    return {id.int: payload async for batch in index.scroll(collection, ["n"]) for id, payload in batch}


class IndexContract:
    """Inherit it; a fixture `reopen` gives a `Reopen` for a new place. `many` points are more than a batch."""

    many = 2500

    @pytest.fixture
    async def index(self, reopen: Reopen) -> Any:
        index = reopen()
        await index.prepare(SCHEMA)
        yield index
        await index.aclose()

    async def test_i1_what_is_upserted_is_found_at_once(self, index: VectorIndex) -> None:
        """A point is found, counted and retrieved as soon as `upsert` has returned."""
        await index.upsert(NAME, [point(1, words=Words((7, 2**32 - 1), (1.0, 0.5)))])
        assert await found(index, "symptom", AXES[1]) == [1]
        assert await found(index, "words", Words((2**32 - 1,), (1.0,))) == [1]
        assert await index.retrieve(NAME, [uid(1), uid(2)]) == {uid(1): {"n": 1}}
        assert await index.count(NAME) == 1

    async def test_an_empty_collection_says_so(self, index: VectorIndex) -> None:
        """`prepare` answers True as long as there is nothing in the collection, so that a loss is never overlooked."""
        assert await index.prepare(SCHEMA) is True
        await index.upsert(NAME, [point(1)])
        assert await index.prepare(SCHEMA) is False

    async def test_i1_what_is_upserted_outlives_the_process(self, reopen: Reopen) -> None:
        """After closing and opening again everything is there, and `prepare` says so."""
        index = reopen()
        assert await index.prepare(SCHEMA) is True
        await index.upsert(NAME, [point(number) for number in range(8)])
        await index.set_payload(NAME, {uid(3): {"n": 33}})
        await index.delete(NAME, [uid(5)])
        await index.aclose()
        index = reopen()
        assert await index.prepare(SCHEMA) is False
        assert await contents(index) == {n: {"n": 33 if n == 3 else n} for n in range(8) if n != 5}
        assert sorted(await found(index, "symptom", AXES[3], limit=2)) == [3, 7]
        await index.aclose()

    async def test_a_long_text_is_found_by_the_mean_of_its_parts(self, index: VectorIndex) -> None:
        """Rows of one vector count as their mean: both parts find the point, its middle finds it best."""
        middle = ((AXES[0] + AXES[1]) / np.sqrt(2)).astype(np.float32)
        await index.upsert(NAME, [point(9, symptom=AXES[:2]), point(2)])
        scores = [(await index.query(NAME, "symptom", value))[0] for value in (AXES[0], AXES[1], middle)]
        assert [hit.id.int for hit in scores] == [9, 9, 9]
        assert np.allclose([hit.score for hit in scores], [0.5**0.5, 0.5**0.5, 1], atol=1e-3)

    async def test_a_rare_word_weighs_more(self, index: VectorIndex) -> None:
        """Of two points with one query word each, the one with the rarer word comes first."""
        common = [point(number, words=Words((1,), (1.0,))) for number in range(6)]
        await index.upsert(NAME, [*common, point(6, words=Words((2,), (1.0,)))])
        assert (await found(index, "words", Words((1, 2), (1.0, 1.0))))[0] == 6

    async def test_weights_count_as_they_are(self, index: VectorIndex) -> None:
        """The score of weights is the sum of products, however frequent a word is."""
        weights = [Words((1,), (0.5,)), Words((1, 7), (0.25, 0.25)), Words((1, 2**32 - 1), (0.125, 1.0))]
        points = [Point(id=uid(n), vectors={}, words={"weighed": own}, payload={}) for n, own in enumerate(weights)]
        await index.upsert(NAME, points)
        hits = await index.query(NAME, "weighed", Words((2**32 - 1, 1), (0.5, 2.0)))
        assert [(hit.id.int, round(hit.score, 5)) for hit in hits] == [(0, 1.0), (2, 0.75), (1, 0.5)]

    async def test_vectors_come_back_as_they_are_kept(self, index: VectorIndex) -> None:
        """Of ids that exist: the mean of the parts, of unit length, and every word with its weight; nothing else."""
        middle = ((AXES[0] + AXES[1]) / np.sqrt(2)).astype(np.float32)
        whole = Point(
            id=uid(1),
            vectors={"symptom": AXES[:2], "cause": AXES[3:]},
            words={"words": Words((2**32 - 1, 7), (0.5, 1.5)), "weighed": Words((3,), (0.25,))},
            payload={"n": 1},
        )
        await index.upsert(NAME, [whole, point(2), Point(id=uid(3), vectors={}, words={}, payload={})])
        kept = await index.vectors(NAME, [uid(1), uid(3), uid(77)])
        assert {id: set(own) for id, own in kept.items()} == {
            uid(1): {"symptom", "cause", "words", "weighed"},
            uid(3): set(),
        }
        assert {name: _plain(value) for name, value in kept[uid(1)].items()} == {
            "symptom": (np.float32, [round(float(number), 5) for number in middle]),
            "cause": (np.float32, [0.0, 0.0, 0.0, 1.0]),
            "words": {2**32 - 1: 0.5, 7: 1.5},
            "weighed": {3: 0.25},
        }

    async def test_i2_the_same_id_replaces_the_point_whole(self, index: VectorIndex) -> None:
        """Nothing of the earlier point is left: no vector, no word, no payload field."""
        await index.upsert(NAME, [point(1, words=Words((7,), (1.0,)), status="open")])
        fresh = Point(id=uid(1), vectors={"cause": AXES[2:3]}, words={}, payload={"new": True})
        await index.upsert(NAME, [fresh])
        assert await index.retrieve(NAME, [uid(1)]) == {uid(1): {"new": True}}
        assert await found(index, "cause", AXES[2]) == [1]
        assert await found(index, "symptom", AXES[1]) == []
        assert await found(index, "words", Words((7,), (1.0,))) == []

    async def test_i2_the_last_of_two_in_a_batch_counts(self, index: VectorIndex) -> None:
        """A batch that holds an id twice leaves one point, the later."""
        await index.upsert(NAME, [point(1, state="first"), point(2), point(1, state="last")])
        assert await index.retrieve(NAME, [uid(1)]) == {uid(1): {"n": 1, "state": "last"}}
        assert await index.count(NAME) == 2

    async def test_i2_deleting_what_is_not_there_is_fine(self, index: VectorIndex) -> None:
        """Deleting removes exactly the ids named, absent ones included, and may be repeated."""
        await index.upsert(NAME, [point(1), point(2)])
        for _ in range(2):
            await index.delete(NAME, [uid(1), uid(77)])
        await index.delete(NAME, [])
        assert await contents(index) == {2: {"n": 2}}
        assert await found(index, "symptom", AXES[1]) == [2]

    async def test_set_payload_replaces_payloads_alone(self, index: VectorIndex) -> None:
        """The payload is the new one whole, the vectors are as before."""
        await index.upsert(NAME, [point(1, status="open", tags=["a"]), point(2, status="open")])
        await index.set_payload(NAME, {uid(1): {"n": 1, "status": "closed"}})
        assert await index.retrieve(NAME, [uid(1), uid(2)]) == {
            uid(1): {"n": 1, "status": "closed"},
            uid(2): {"n": 2, "status": "open"},
        }
        assert await found(index, "symptom", AXES[1], where=Where(equals={"status": ["closed"]})) == [1]

    async def test_set_payload_names_an_absent_point(self, index: VectorIndex) -> None:
        """An absent id raises `NotFound` with the id, and creates nothing."""
        with pytest.raises(NotFound, match=str(uid(7))):
            await index.set_payload(NAME, {uid(7): {"n": 7}})
        assert await contents(index) == {}

    async def test_i3_hits_match_every_filter(self, index: VectorIndex) -> None:
        """For a grid of filters, what is found and counted is what a plain reading of the filter says."""
        points = _varied()
        await index.upsert(NAME, points)
        for where in _filters():
            expected = sorted(p.id.int for p in points if _matches(p.payload, where))
            assert sorted(await found(index, "symptom", AXES[0], where=where, limit=100)) == expected, where
            assert await index.count(NAME, where) == len(expected), where

    async def test_i3_hits_come_best_first(self, index: VectorIndex) -> None:
        """The order is that of the cosine, for a filtered query too."""
        rows = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        await index.upsert(NAME, [point(n, symptom=rows[n : n + 1], number=n % 2) for n in range(40)])
        order = [int(n) for n in np.argsort(-(rows @ AXES[0]))]
        assert await found(index, "symptom", AXES[0], limit=40) == order
        odd = Where(equals={"number": [1]})
        assert await found(index, "symptom", AXES[0], where=odd, limit=9) == [n for n in order if n % 2][:9]
        hits = await index.query(NAME, "symptom", AXES[0], limit=3)
        assert np.allclose([hit.score for hit in hits], [rows[n] @ AXES[0] for n in order[:3]], atol=1e-5)

    @pytest.mark.parametrize("limit", [0, 1, 3, 100])
    async def test_i3_at_most_limit_hits(self, index: VectorIndex, limit: int) -> None:
        """A query gives as many hits as asked for or as there are."""
        await index.upsert(NAME, [point(n) for n in range(5)])
        assert len(await found(index, "symptom", AXES[0], limit=limit)) == min(limit, 5)

    async def test_i4_preparing_again_changes_nothing(self, index: VectorIndex) -> None:
        """`prepare` of a collection in use keeps its points; a new filter field may come along."""
        await index.upsert(NAME, [point(1, company="acme")])
        assert await index.prepare(SCHEMA) is False
        assert await index.prepare(replace(SCHEMA, filters={**SCHEMA.filters, "company": "keyword"})) is False
        assert await index.count(NAME, Where(equals={"company": ["acme"]})) == 1

    @pytest.mark.parametrize(
        "change",
        [{"dimensions": 8}, {"embedder": "model-b"}, {"vectors": ("symptom",)}, {"words": ()}, {"weights": ()}],
        ids=lambda change: next(iter(change)),
    )
    async def test_i4_another_model_is_refused(self, reopen: Reopen, change: dict[str, Any]) -> None:
        """Another width, model or set of vectors raises `IndexMismatch`; the data stays and still answers."""
        index = reopen()
        await index.prepare(SCHEMA)
        await index.upsert(NAME, [point(1)])
        await index.aclose()
        index = reopen()
        with pytest.raises(IndexMismatch, match="deskloom reindex"):
            await index.prepare(replace(SCHEMA, **change))
        assert await found(index, "symptom", AXES[1]) == [1]
        assert await index.prepare(SCHEMA) is False
        await index.aclose()

    async def test_i5_a_rebuild_shows_only_after_the_swap(self, reopen: Reopen) -> None:
        """Until `swap` the old points answer, after it the new ones alone, of another width if need be, for good."""
        index = reopen()
        await index.prepare(SCHEMA)
        await index.upsert(NAME, [point(1), point(2)])
        wide = replace(SCHEMA, dimensions=8, embedder="model-b")
        copy = await index.begin_rebuild(wide)
        await index.upsert(copy, [point(3, symptom=np.eye(8, dtype=np.float32)[:1])])
        await index.upsert(NAME, [point(4)])
        assert (await contents(index), await contents(index, copy)) == ({n: {"n": n} for n in (1, 2, 4)}, {3: {"n": 3}})
        await index.swap(NAME, copy)
        assert await contents(index) == {3: {"n": 3}}
        await index.aclose()
        index = reopen()
        assert await index.prepare(wide) is False
        assert await contents(index) == {3: {"n": 3}}
        await index.aclose()

    async def test_i5_an_unfinished_rebuild_leaves_no_trace(self, reopen: Reopen) -> None:
        """A rebuild that was not swapped before the process ended changes nothing."""
        index = reopen()
        await index.prepare(SCHEMA)
        await index.upsert(NAME, [point(1)])
        await index.upsert(await index.begin_rebuild(SCHEMA), [point(2)])
        await index.aclose()
        index = reopen()
        assert await index.prepare(SCHEMA) is False
        assert await contents(index) == {1: {"n": 1}}
        await index.aclose()

    async def test_i5_a_replaced_copy_is_kept(self, reopen: Reopen) -> None:
        """After a swap the copy before it is the previous one, over a restart too; the one before that is gone."""
        index = reopen()
        await index.prepare(SCHEMA)
        assert await index.previous(NAME) is None
        for model in ("model-b", "model-c"):
            await index.swap(NAME, await index.begin_rebuild(replace(SCHEMA, embedder=model)))
        assert await _models(index) == ("model-c", "model-b")
        await index.aclose()
        index = reopen()
        assert await _models(index) == ("model-c", "model-b")
        await index.aclose()

    @pytest.mark.parametrize("restart", [False, True])
    async def test_i5_a_kept_copy_can_serve_again(self, reopen: Reopen, restart: bool) -> None:
        """Reopened, the kept copy is brought up to date unseen, still kept; a swap exchanges it with the other."""
        index = reopen()
        await index.prepare(SCHEMA)
        await index.upsert(NAME, [point(1), point(2)])
        with pytest.raises(NotFound, match="deskloom reindex"):
            await index.reopen_previous(NAME)
        await index.swap(NAME, await index.begin_rebuild(replace(SCHEMA, embedder="model-b")))
        await index.upsert(NAME, [point(3)])
        if restart:
            await index.aclose()
            index = reopen()
        copy = await index.reopen_previous(NAME)
        await index.upsert(copy, [point(4)])
        await index.delete(copy, [uid(1)])
        assert await contents(index, copy) == {2: {"n": 2}, 4: {"n": 4}}
        await index.schema(NAME)
        assert (await contents(index), await _models(index)) == ({3: {"n": 3}}, ("model-b", "model-a"))
        await index.swap(NAME, copy)
        assert (await contents(index), await _models(index)) == ({2: {"n": 2}, 4: {"n": 4}}, ("model-a", "model-b"))
        assert await contents(index, await index.reopen_previous(NAME)) == {3: {"n": 3}}
        await index.aclose()

    async def test_i5_a_kept_copy_can_be_dropped(self, index: VectorIndex) -> None:
        """Dropped, the copy is gone for good, also while it is reopened; what serves stays; it may be repeated."""
        await index.swap(NAME, await index.begin_rebuild(replace(SCHEMA, embedder="model-b")))
        await index.upsert(NAME, [point(1)])
        copy = await index.reopen_previous(NAME)
        for _ in range(2):
            await index.drop_previous(NAME)
        with pytest.raises(NotFound):
            await index.count(copy)
        with pytest.raises(NotFound):
            await index.reopen_previous(NAME)
        assert (await index.previous(NAME), await contents(index)) == (None, {1: {"n": 1}})

    async def test_i5_a_rebuild_can_be_dropped(self, index: VectorIndex) -> None:
        """A copy that was begun is gone after `drop_rebuild`, or when another begins; the kept one is not."""
        await index.swap(NAME, await index.begin_rebuild(replace(SCHEMA, embedder="model-b")))
        await index.upsert(NAME, [point(1)])
        first = await index.begin_rebuild(SCHEMA)
        second = await index.begin_rebuild(SCHEMA)
        await index.upsert(await index.reopen_previous(NAME), [point(2)])
        for _ in range(2):
            await index.drop_rebuild(NAME)
        for copy in (first, second):
            with pytest.raises(NotFound):
                await index.count(copy)
        assert (await contents(index), await _models(index)) == ({1: {"n": 1}}, ("model-b", "model-a"))
        assert await contents(index, await index.reopen_previous(NAME)) == {2: {"n": 2}}

    async def test_the_schema_outlives_the_process(self, reopen: Reopen) -> None:
        """What a collection was made with can be asked without preparing it; of an unknown one it is None."""
        index = reopen()
        assert await index.schema(NAME) is None
        await index.prepare(SCHEMA)
        await index.upsert(NAME, [point(1)])
        await index.aclose()
        index = reopen()
        assert await index.schema(NAME) == SCHEMA
        assert await index.schema("unknown") is None
        assert await contents(index) == {1: {"n": 1}}
        wider = replace(SCHEMA, filters={**SCHEMA.filters, "company": "keyword"})
        await index.prepare(wider)
        assert await index.schema(NAME) == wider
        await index.aclose()

    async def test_i6_a_point_may_lack_any_vector(self, index: VectorIndex) -> None:
        """A point is found by the vectors it has and by no other; without any it can still be read."""
        await index.upsert(
            NAME,
            [
                Point(id=uid(1), vectors={"cause": AXES[:1]}, words={}, payload={"n": 1}),
                Point(id=uid(2), vectors={}, words={"words": Words((5,), (1.0,))}, payload={"n": 2}),
                Point(id=uid(3), vectors={}, words={"words": Words((), ())}, payload={"n": 3}),
            ],
        )
        assert await found(index, "symptom", AXES[0]) == []
        assert await found(index, "cause", AXES[0]) == [1]
        assert await found(index, "words", Words((5,), (1.0,))) == [2]
        assert await contents(index) == {n: {"n": n} for n in (1, 2, 3)}

    @pytest.mark.parametrize(
        "rows",
        [np.full((1, 4), np.nan), np.zeros((1, 4)), np.full((1, 4), np.inf), 2 * AXES[:1], np.ones((1, 3)), AXES[0]],
        ids=["nan", "zero", "infinite", "long", "narrow", "flat"],
    )
    async def test_a_broken_vector_is_refused(self, index: VectorIndex, rows: Vectors) -> None:
        """Vectors of a wrong shape or length are refused with the point's id, and nothing of the batch is stored."""
        with pytest.raises(DeskloomError) as refused:
            await index.upsert(NAME, [point(1), point(2, symptom=rows.astype(np.float32))])
        assert refused.value.facts["point"] == uid(2)
        assert await index.count(NAME) == 0

    async def test_unknown_names_are_refused(self, index: VectorIndex) -> None:
        """A collection or vector that does not exist raises an error that names it."""
        with pytest.raises(NotFound, match="nothing_here"):
            await index.count("nothing_here")
        with pytest.raises(IndexMismatch, match="intent"):
            await index.query(NAME, "intent", AXES[0])
        with pytest.raises(IndexMismatch, match="intent"):
            await index.upsert(NAME, [Point(id=uid(1), vectors={"intent": AXES[:1]}, words={}, payload={})])

    async def test_scroll_gives_each_point_once(self, index: VectorIndex) -> None:
        """Scrolling a collection larger than a batch gives every point once, with the fields asked for and no more."""
        await index.upsert(NAME, [point(n, hash=f"h{n}", content="long") for n in range(self.many)])
        read = [pair async for batch in index.scroll(NAME, ["hash", "absent"]) for pair in batch]
        assert len(read) == self.many
        assert dict(read) == {uid(n): {"hash": f"h{n}"} for n in range(self.many)}
        assert [pair async for batch in index.scroll(NAME, []) for pair in batch][:1] == [(uid(0), {})]

    async def test_scroll_gives_whole_payloads(self, index: VectorIndex) -> None:
        """Without fields named, the whole payload comes, as deep as it is; by default none of it."""
        payloads = {uid(n): {"n": n, "tags": ["a", "b"], "more": {"deep": [n, None]}} for n in range(self.many // 10)}
        await index.upsert(NAME, [Point(id=id, vectors={}, words={}, payload=own) for id, own in payloads.items()])
        assert dict([pair async for batch in index.scroll(NAME, None) for pair in batch]) == payloads
        assert dict([pair async for batch in index.scroll(NAME) for pair in batch]) == {key: {} for key in payloads}


async def _models(index: VectorIndex) -> tuple[str | None, str | None]:
    """The embedders of the copy that serves and of the one that is kept."""
    serving, kept = await index.schema(NAME), await index.previous(NAME)
    return serving and serving.embedder, kept and kept.embedder


def _plain(value: Vectors | Words) -> Any:
    if isinstance(value, Words):
        return dict(zip(value.indices, value.weights, strict=True))
    return value.dtype, [round(float(number), 5) for number in value]


def _varied() -> list[Point]:
    """Points over every mix of the filter fields, absent ones and lists included."""
    statuses: Sequence[Any] = ("open", "closed", None)
    tags: Sequence[Any] = (["a"], ["a", "b"], [], "b", None)
    dates = ("2026-01-01T00:00:00Z", "2026-01-02T08:30:00+09:00", "2026-03-01T12:00:00.250000Z")
    payloads = [
        {"status": status, "tags": tag, "number": number, "updated_at": date}
        for status in statuses
        for tag in tags
        for number, date in zip((1, 43_000_000_000_001, None), dates, strict=True)
    ]
    kept = [{name: value for name, value in payload.items() if value is not None} for payload in payloads]
    return [point(n, **payload) for n, payload in enumerate(kept)]


def _filters() -> list[Where]:
    first: list[Mapping[str, Any]] = [{}, {"status": ["open"]}, {"status": ["open", "closed"]}, {"tags": ["b"]}]
    first += [{"tags": ["a"], "status": ["closed"]}, {"number": [1, 43_000_000_000_001]}, {"status": []}]
    first += [{"status": ["open", 1]}]
    least: list[Mapping[str, Any]] = [{}, {"number": 2}, {"updated_at": "2026-01-02T00:00:00Z"}]
    least += [{"updated_at": datetime.fromisoformat("2026-01-02T08:30:00+09:00")}]
    exclude: list[Mapping[str, Any]] = [{}, {"status": ["open"]}, {"tags": ["a"], "number": [1]}]
    return [Where(equals=e, at_least=a, exclude=x) for e in first for a in least for x in exclude]


def _matches(payload: Mapping[str, Any], where: Where) -> bool:
    def values(field: str) -> list[Any]:
        value = payload.get(field)
        return value if isinstance(value, list) else [] if value is None else [value]

    def reaches(value: Any, least: Any) -> bool:
        if isinstance(value, str):
            floor = least if isinstance(least, datetime) else datetime.fromisoformat(least)
            return datetime.fromisoformat(value) >= floor
        return bool(value >= least)

    return (
        all(set(values(field)) & set(wanted) for field, wanted in where.equals.items())
        and all(any(reaches(value, least) for value in values(field)) for field, least in where.at_least.items())
        and not any(set(values(field)) & set(unwanted) for field, unwanted in where.exclude.items())
    )
