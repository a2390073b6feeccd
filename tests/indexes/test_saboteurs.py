"""Every test of the index contract can fail: for each there is an index that breaks just that promise."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from tests.contracts.index import SCHEMA, IndexContract

from deskloom.errors import DeskloomError, IndexMismatch, NotFound
from deskloom.indexes.edge import EdgeIndex
from deskloom.model import Json
from deskloom.protocols import Hit, Point, Schema, Vectors, Where, Words


class Late(EdgeIndex):
    """Writes a batch when the next one comes."""

    waiting: Sequence[Point] = ()

    async def upsert(self, collection: str, points: Sequence[Point]) -> None:
        self.waiting, points = points, self.waiting
        await super().upsert(collection, points)


class Forgetful(EdgeIndex):
    """Keeps nothing over a restart."""

    def __init__(self, root: Path) -> None:
        shutil.rmtree(root, ignore_errors=True)
        super().__init__(root)


class FirstPart(EdgeIndex):
    async def upsert(self, collection: str, points: Sequence[Point]) -> None:
        cut = [replace(p, vectors={name: rows[:1] for name, rows in p.vectors.items()}) for p in points]
        await super().upsert(collection, cut)


class Deaf(EdgeIndex):
    """Takes every word for equally rare."""

    async def query(self, collection: str, vector: str, value: Vectors | Words, **options: Any) -> list[Hit]:
        hits = await super().query(collection, vector, value, **options)
        return sorted(hits, key=lambda hit: hit.id)


class Merging(EdgeIndex):
    """Merges what was there into what comes."""

    async def upsert(self, collection: str, points: Sequence[Point]) -> None:
        old = await self.retrieve(collection, [p.id for p in points])
        await super().upsert(collection, [replace(p, payload={**old.get(p.id, {}), **p.payload}) for p in points])

    async def set_payload(self, collection: str, payloads: Mapping[UUID, Json]) -> None:
        old = await self.retrieve(collection, list(payloads))
        await super().set_payload(collection, {id: {**old.get(id, {}), **new} for id, new in payloads.items()})


class FirstWins(EdgeIndex):
    async def upsert(self, collection: str, points: Sequence[Point]) -> None:
        await super().upsert(collection, list({p.id: p for p in reversed(points)}.values()))


class Strict(EdgeIndex):
    async def delete(self, collection: str, ids: Sequence[UUID]) -> None:
        if len(await self.retrieve(collection, ids)) < len(ids):
            raise AssertionError("no such point")
        await super().delete(collection, ids)


class Careless(EdgeIndex):
    async def set_payload(self, collection: str, payloads: Mapping[UUID, Json]) -> None:
        there = await self.retrieve(collection, list(payloads))
        await super().set_payload(collection, {id: payload for id, payload in payloads.items() if id in there})


class Open(EdgeIndex):
    """Forgets what is to be excluded."""

    async def query(
        self, collection: str, vector: str, value: Vectors | Words, *, where: Where | None = None, limit: int = 10
    ) -> list[Hit]:
        where = where and replace(where, exclude={})
        return await super().query(collection, vector, value, where=where, limit=limit)


class Reversed(EdgeIndex):
    async def query(self, collection: str, vector: str, value: Vectors | Words, **options: Any) -> list[Hit]:
        return (await super().query(collection, vector, value, **options))[::-1]


class Generous(EdgeIndex):
    async def query(
        self, collection: str, vector: str, value: Vectors | Words, *, where: Where | None = None, limit: int = 10
    ) -> list[Hit]:
        return await super().query(collection, vector, value, where=where, limit=limit + 1)


class Sure(EdgeIndex):
    """Never admits a loss."""

    async def prepare(self, schema: Schema) -> bool:
        await super().prepare(schema)
        return False


class Wiping(EdgeIndex):
    """Starts anew whenever it is prepared."""

    async def prepare(self, schema: Schema) -> bool:
        await self.swap(schema.collection, await self.begin_rebuild(schema))
        return True


class Agreeable(EdgeIndex):
    """Takes any model."""

    async def prepare(self, schema: Schema) -> bool:
        return await super().prepare(SCHEMA)


class Hasty(EdgeIndex):
    """Shows a rebuild from its beginning."""

    async def begin_rebuild(self, schema: Schema) -> str:
        await self.swap(schema.collection, await super().begin_rebuild(schema))
        return schema.collection

    async def swap(self, collection: str, rebuilt: str) -> None:
        if rebuilt != collection:
            await super().swap(collection, rebuilt)


class Filling(EdgeIndex):
    """Puts another vector where one is missing."""

    async def upsert(self, collection: str, points: Sequence[Point]) -> None:
        anything = np.eye(4, dtype=np.float32)[:1]
        full = [replace(p, vectors={"symptom": anything, "cause": anything, **p.vectors}) for p in points]
        await super().upsert(collection, full)


class Mending(EdgeIndex):
    """Makes something of any vector."""

    async def upsert(self, collection: str, points: Sequence[Point]) -> None:
        anything = np.eye(4, dtype=np.float32)[:1]
        try:
            await super().upsert(collection, points)
        except DeskloomError:
            await super().upsert(collection, [replace(p, vectors={"symptom": anything}) for p in points])


class Silent(EdgeIndex):
    """Finds nothing where there is nothing to find."""

    async def count(self, collection: str, where: Where | None = None) -> int:
        try:
            return await super().count(collection, where)
        except (NotFound, IndexMismatch):
            return 0


class Stuttering(EdgeIndex):
    """Repeats the border of two batches."""

    async def scroll(
        self, collection: str, fields: Sequence[str] | None = ()
    ) -> AsyncIterator[Sequence[tuple[UUID, Json]]]:
        last: list[tuple[UUID, Json]] = []
        async for batch in super().scroll(collection, fields):
            yield [*last, *batch]
            last = [batch[-1]]


class Sparing(EdgeIndex):
    """Gives no payload where all of it is asked for."""

    def scroll(self, collection: str, fields: Sequence[str] | None = ()) -> AsyncIterator[Sequence[tuple[UUID, Json]]]:
        return super().scroll(collection, fields or ())


class Levelling(EdgeIndex):
    """Takes weights for words, and the rare ones for more."""

    async def prepare(self, schema: Schema) -> bool:
        return await super().prepare(replace(schema, words=(*schema.words, *schema.weights), weights=()))


class Wordless(EdgeIndex):
    """Forgets the words when vectors are asked for."""

    async def vectors(self, collection: str, ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Vectors | Words]]:
        kept = await super().vectors(collection, ids)
        return {id: {n: v for n, v in own.items() if not isinstance(v, Words)} for id, own in kept.items()}


class Tidy(EdgeIndex):
    """Throws away what was replaced."""

    async def swap(self, collection: str, rebuilt: str) -> None:
        await super().swap(collection, rebuilt)
        await self.drop_previous(collection)


class Starting(EdgeIndex):
    """Begins anew instead of reopening what was kept."""

    async def reopen_previous(self, collection: str) -> str:
        kept = await self.previous(collection)
        if kept is None:
            return await super().reopen_previous(collection)
        return await self.begin_rebuild(kept)


class Hoarding(EdgeIndex):
    """Never throws anything away."""

    async def drop_previous(self, collection: str) -> None:
        return None

    async def drop_rebuild(self, collection: str) -> None:
        return None


class Vague(EdgeIndex):
    """Remembers the model of a collection, but not its filters."""

    async def schema(self, collection: str) -> Schema | None:
        known = await super().schema(collection)
        return known and replace(known, filters={})


contract = IndexContract()
MISMATCH = {"change": {"embedder": "model-b"}}
SABOTEURS: list[tuple[type[EdgeIndex], Callable[..., Any], dict[str, Any]]] = [
    (Late, contract.test_i1_what_is_upserted_is_found_at_once, {}),
    (Sure, contract.test_an_empty_collection_says_so, {}),
    (Forgetful, contract.test_i1_what_is_upserted_outlives_the_process, {}),
    (FirstPart, contract.test_a_long_text_is_found_by_the_mean_of_its_parts, {}),
    (Deaf, contract.test_a_rare_word_weighs_more, {}),
    (Merging, contract.test_i2_the_same_id_replaces_the_point_whole, {}),
    (FirstWins, contract.test_i2_the_last_of_two_in_a_batch_counts, {}),
    (Strict, contract.test_i2_deleting_what_is_not_there_is_fine, {}),
    (Merging, contract.test_set_payload_replaces_payloads_alone, {}),
    (Careless, contract.test_set_payload_names_an_absent_point, {}),
    (Open, contract.test_i3_hits_match_every_filter, {}),
    (Reversed, contract.test_i3_hits_come_best_first, {}),
    (Generous, contract.test_i3_at_most_limit_hits, {"limit": 3}),
    (Wiping, contract.test_i4_preparing_again_changes_nothing, {}),
    (Agreeable, contract.test_i4_another_model_is_refused, MISMATCH),
    (Wiping, contract.test_i4_another_model_is_refused, MISMATCH),
    (Hasty, contract.test_i5_a_rebuild_shows_only_after_the_swap, {}),
    (Hasty, contract.test_i5_an_unfinished_rebuild_leaves_no_trace, {}),
    (Filling, contract.test_i6_a_point_may_lack_any_vector, {}),
    (Mending, contract.test_a_broken_vector_is_refused, {"rows": np.full((1, 4), np.nan)}),
    (Silent, contract.test_unknown_names_are_refused, {}),
    (Stuttering, contract.test_scroll_gives_each_point_once, {}),
    (Sparing, contract.test_scroll_gives_whole_payloads, {}),
    (Levelling, contract.test_weights_count_as_they_are, {}),
    (Wordless, contract.test_vectors_come_back_as_they_are_kept, {}),
    (Tidy, contract.test_i5_a_replaced_copy_is_kept, {}),
    (Starting, contract.test_i5_a_kept_copy_can_serve_again, {"restart": False}),
    (Hoarding, contract.test_i5_a_kept_copy_can_be_dropped, {}),
    (Hoarding, contract.test_i5_a_rebuild_can_be_dropped, {}),
    (Vague, contract.test_the_schema_outlives_the_process, {}),
]


@pytest.mark.parametrize(("saboteur", "broken", "given"), SABOTEURS, ids=lambda value: getattr(value, "__name__", ""))
async def test_a_saboteur_is_caught(
    tmp_path: Path, saboteur: type[EdgeIndex], broken: Callable[..., Any], given: dict[str, Any]
) -> None:
    """The contract test that guards the broken promise fails."""
    opened: list[EdgeIndex] = []

    def reopen() -> EdgeIndex:
        opened.append(saboteur(tmp_path / "index"))
        return opened[-1]

    if "index" in inspect.signature(broken).parameters:
        index = reopen()
        await index.prepare(SCHEMA)
        arguments: dict[str, Any] = {"index": index}
    else:
        arguments = {"reopen": reopen}
    with pytest.raises((AssertionError, pytest.fail.Exception, DeskloomError)):
        await broken(**arguments, **given)
    for index in opened:
        await index.aclose()


def test_every_contract_test_has_a_saboteur() -> None:
    """No test of the contract is without an index that fails it."""
    tests = {name for name in dir(IndexContract) if name.startswith("test_")}
    assert tests == {broken.__name__ for _, broken, _ in SABOTEURS}
