"""Promise 5: the copies can be compared and mended at any time; what is wrong is named exactly, and nothing else."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from sqlalchemy import delete, insert, update
from tests.rig import Install, Rig

from deskloom.documents import ARTICLES, TICKETS, point_id
from deskloom.errors import LeaseLost
from deskloom.model import Json
from deskloom.protocols import Point, VectorIndex, Vectors, Words
from deskloom.record import runs as record_runs
from deskloom.record import tables
from deskloom.record.documents import mark_stale
from deskloom.record.runs import Run
from deskloom.sandbox.faults import Fault
from deskloom.sandbox.generate import generate
from deskloom.sync.compare import Comparison
from deskloom.sync.publish import Publisher
from deskloom.sync.runs import ActiveRun
from deskloom.sync.tally import count_points
from deskloom.sync.verify import WHAT, verify

Found = list[tuple[str, str, str | None]]
"""What is wrong, as a report names it: (what, point id, item id)."""


class Watched:
    """Passes everything on to a real index, counts what is written, and may do something before a call."""

    def __init__(self, index: VectorIndex) -> None:
        self.index = index
        self.written: list[tuple[str, UUID]] = []
        self.before: dict[str, Callable[[], Awaitable[Any]]] = {}
        self.after: dict[str, Callable[[], Awaitable[Any]]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.index, name)

    async def upsert(self, collection: str, points: Sequence[Point]) -> None:
        self.written += [("upsert", point.id) for point in points]
        await self._pass("upsert", collection, points)

    async def set_payload(self, collection: str, payloads: Mapping[UUID, Json]) -> None:
        self.written += [("payload", id) for id in payloads]
        await self._pass("set_payload", collection, payloads)

    async def delete(self, collection: str, ids: Sequence[UUID]) -> None:
        self.written += [("delete", id) for id in ids]
        await self._pass("delete", collection, ids)

    async def retrieve(self, collection: str, ids: Sequence[UUID]) -> Any:
        return await self._pass("retrieve", collection, ids)

    async def scroll(self, collection: str, fields: Sequence[str] | None = ()) -> AsyncIterator[Any]:
        if "scroll" in self.before:
            await self.before.pop("scroll")()
        async for batch in self.index.scroll(collection, fields):
            yield batch

    async def _pass(self, name: str, *arguments: Any) -> Any:
        if name in self.before:
            await self.before.pop(name)()
        answer = await getattr(self.index, name)(*arguments)
        if name in self.after:
            await self.after.pop(name)()
        return answer


@pytest.fixture
async def made(install: Install) -> AsyncIterator[Rig]:
    """Everything synced: 16 tickets, most of them with notes, and the articles."""
    desk = generate(seed=1, tickets=16, articles=2)
    desk.clock.advance(3600)
    async with install(desk) as made:
        for stream in ("tickets", "kb"):
            assert (await made.sync(stream)).state == "succeeded"
        yield made


async def verified(made: Rig, source: str = "*", **options: Any) -> Run:
    run = await made.app.dispatcher.submit(
        source=source, stream="verify", mode="verify", requested_by="test", options=options
    )
    await made.app.dispatcher.wait(run.id)
    return await made.run(run)


def found(run: Run, collection: str = TICKETS) -> Found:
    """What a run's report names in a collection; the counts have to say the same."""
    assert run.report is not None, run.errors
    told = run.report["collections"][collection]
    counted = Counter(item["what"] for item in told["items"])
    assert counted == +Counter({what: told[what] for what in WHAT})
    assert all(item["why"] for item in told["items"])
    return sorted((item["what"], item["id"], item["item_id"]) for item in told["items"])


def ticket_point(item: str) -> UUID:
    return point_id(TICKETS, "freshdesk", item, "")


async def ready(made: Rig, *with_sections: str) -> list[str]:
    """Item ids of tickets that are published with these sections."""
    rows = [row for row in await made.rows(tables.documents) if row["collection"] == TICKETS]
    return sorted(
        row["item_id"] for row in rows if row["state"] == "ready" and set(with_sections) <= set(row["published"])
    )


async def stored(made: Rig, id: UUID) -> Point:
    """A ticket's point as it is in the index."""
    payload = (await made.app.index.retrieve(TICKETS, [id]))[id]
    held = (await made.app.index.vectors(TICKETS, [id]))[id]
    dense: dict[str, Vectors] = {name: value[None] for name, value in held.items() if isinstance(value, np.ndarray)}
    words = {name: value for name, value in held.items() if isinstance(value, Words)}
    return Point(id=id, vectors=dense, words=words, payload=dict(payload))


async def contents(made: Rig) -> dict[UUID, Any]:
    """Every point of the tickets, whole; numbers rounded as far as the store does."""
    ids = [id async for batch in made.app.index.scroll(TICKETS) for id, _ in batch]
    points = [await stored(made, id) for id in ids]
    return {
        point.id: (
            point.payload,
            {name: rows.round(4).tolist() for name, rows in point.vectors.items()},
            {name: sorted(zip(one.indices, one.weights, strict=True)) for name, one in point.words.items()},
        )
        for point in points
    }


class Verifier:
    """Verifies without a dispatcher, through an index that counts what is written."""

    def __init__(self, made: Rig) -> None:
        self.made = made
        self.index = Watched(made.app.index)
        self.publisher = Publisher(made.app.record, self.index, made.app.models.of, batch=4)

    async def begin(self, **options: Any) -> ActiveRun:
        """A run that is taken and not performed."""
        clock = self.made.app.clock
        async with self.made.app.record.transaction() as tx:
            run = await record_runs.create_run(
                tx, source="*", stream="verify", mode="verify", requested_by="test", since=None, limit=None,
                now=clock(), options=options,
            )  # fmt: skip
        return await self.take(run)

    async def take(self, run: Run) -> ActiveRun:
        now = self.made.app.clock()
        async with self.made.app.record.transaction() as tx:
            until = now + timedelta(minutes=1)
            taken = await record_runs.take_run(tx, run.id, owner="test", now=now, lease_until=until, force=True)
        assert taken is not None
        return ActiveRun(taken, record=self.made.app.record, clock=self.made.app.clock, lease=timedelta(minutes=1))

    async def perform(self, run: ActiveRun) -> Run:
        state = await verify(
            run,
            sources=self.made.app.sources,
            publisher=self.publisher,
            collections=(TICKETS, ARTICLES),
            max_delete_share=1.0,
        )
        await run.finish(state)
        return await self.made.run(run.run)

    async def verify(self, **options: Any) -> Run:
        return await self.perform(await self.begin(**options))


@dataclass(frozen=True, slots=True)
class Damage:
    """What was done to the index: what every look must find, and what only a deep one can."""

    seen: Found
    hidden: Found

    def written(self, *, deep: bool) -> list[tuple[str, UUID]]:
        """What a repair must write: points of documents whole, the others removed."""
        done = {"missing": "upsert", "stale": "upsert", "payload": "upsert", "extra": "delete", "orphaned": "delete"}
        return sorted((done[what], UUID(id)) for what, id, _ in [*self.seen, *(self.hidden if deep else [])])


async def damage(made: Rig, deleted: str) -> Damage:
    """One point for each way of being wrong; `deleted` is a ticket that is deleted at the source and here."""
    index = made.app.index
    noted = await ready(made, "symptom_vec", "cause_vec", "words_internal")
    plain = sorted(set(await ready(made)) - set(noted))
    lost, replaced, bare, edited, turned, reworded, bared = noted[:7]
    dressed = plain[0]
    points = {item: await stored(made, ticket_point(item)) for item in (*noted[:7], dressed)}
    model = await stored(made, ticket_point(noted[8]))

    def with_payload(item: str, **changes: Any) -> Point:
        return replace(points[item], payload=points[item].payload | changes)

    told = points[replaced].payload["hash"]
    other = told[:-1] + ("0" if told[-1] != "0" else "1")
    ghost = {"ticket_id": int(deleted), "source": "freshdesk", "hash": told}
    foreign = {"ticket_id": 7, "source": "another", "hash": told}
    strangers = [
        replace(model, id=uuid4(), payload={"note": "not ours"}),
        replace(model, id=ticket_point(deleted), payload=ghost),
        replace(model, id=point_id(TICKETS, "another", "7", ""), payload=foreign),
    ]
    await index.delete(TICKETS, [ticket_point(lost)])
    await index.upsert(
        TICKETS,
        [
            with_payload(replaced, subject="Something else wrote this", hash=other),
            replace(points[bare], payload={"ticket_id": int(bare)}),
            with_payload(edited, subject="Edited behind our back"),
            replace(points[turned], vectors=points[turned].vectors | {"symptom_vec": model.vectors["cause_vec"]}),
            replace(points[reworded], words=points[reworded].words | {"words": Words((1, 2), (1.0, 1.0))}),
            replace(points[bared], vectors={"symptom_vec": points[bared].vectors["symptom_vec"]}),
            replace(points[dressed], vectors=points[dressed].vectors | {"cause_vec": model.vectors["cause_vec"]}),
            *strangers,
        ],
    )
    seen = [("missing", lost), ("stale", replaced), ("stale", bare)]
    hidden = [("payload", item) for item in (edited, turned, reworded, bared, dressed)]
    return Damage(
        seen=sorted(
            [
                *((what, str(ticket_point(item)), item) for what, item in seen),
                ("extra", str(strangers[0].id), None),
                ("orphaned", str(strangers[1].id), deleted),
                ("orphaned", str(strangers[2].id), "7"),
            ]
        ),
        hidden=sorted((what, str(ticket_point(item)), item) for what, item in hidden),
    )


async def delete_one(made: Rig) -> str:
    """Delete a ticket at the source and take that in; returns its id."""
    item = (await ready(made))[-1]
    made.desk.clock.advance(60)
    made.desk.bump(int(item), deleted=True)
    made.desk.clock.advance(60)
    assert (await made.sync()).state == "succeeded"
    return item


@pytest.mark.parametrize("deep", [False, True], ids=["default", "deep"])
async def test_all_damage_is_named_and_mended_and_nothing_else_is_touched(made: Rig, deep: bool) -> None:
    """Every look names exactly what is wrong; a repair writes exactly that, from the cache; then nothing is left."""
    deleted = await delete_one(made)
    sound = await contents(made)
    done = await damage(made, deleted)
    expected = sorted([*done.seen, *(done.hidden if deep else [])])
    watched = Verifier(made)

    looked = await watched.verify(deep=deep)
    assert (looked.state, found(looked), watched.index.written) == ("partial", expected, [])
    assert len(looked.errors) == 1
    texts = made.embedder.texts
    mended = await watched.verify(deep=deep, repair=True)
    assert (mended.state, mended.errors, found(mended)) == ("succeeded", [], expected)
    assert sorted(watched.index.written) == done.written(deep=deep)
    assert made.embedder.texts == texts
    assert (mended.counts["embedded"], mended.counts["deleted"], mended.counts["indexed"]) == (0, 3, len(expected))
    if deep:
        assert await contents(made) == sound

    watched.index.written.clear()
    again = await watched.verify(deep=deep, repair=True)
    assert (again.state, again.report["agree"], found(again), watched.index.written) == ("succeeded", True, [], [])
    left = await watched.verify(deep=True)
    assert found(left) == ([] if deep else done.hidden)


async def test_the_program_verifies_by_the_same_rules(made: Rig) -> None:
    """A run of mode verify, of all sources or one, of all collections or one, looks where it was told to."""
    lost = (await ready(made))[0]
    await made.app.index.delete(TICKETS, [ticket_point(lost)])
    assert found(await verified(made)) == [("missing", str(ticket_point(lost)), lost)]
    one = await verified(made, "freshdesk", collection=TICKETS)
    assert (found(one), set(one.report["collections"])) == ([("missing", str(ticket_point(lost)), lost)], {TICKETS})
    other = await verified(made, collection=ARTICLES, repair=True)
    assert (other.state, set(other.report["collections"]), other.counts["indexed"]) == ("succeeded", {ARTICLES}, 0)
    mended = await verified(made, "freshdesk", repair=True)
    assert (mended.state, mended.counts["indexed"], mended.counts["embedded"]) == ("succeeded", 1, 0)
    assert (await verified(made, deep=True)).state == "succeeded"


async def test_points_of_other_sources_are_their_own_affair(made: Rig) -> None:
    """Verifying one source leaves points of another known source alone, even damaged ones; of an unknown one not."""
    async with made.app.record.transaction() as tx:
        row = {"name": "second", "kind": "freshdesk", "account": "second.freshdesk.com"}
        await tx.execute(insert(tables.sources).values(**row, created_at=made.app.clock()))
        await mark_stale(tx, TICKETS, "second", [("1", "")], now=made.app.clock())
    model = await stored(made, ticket_point((await ready(made))[0]))
    theirs = replace(model, id=uuid4(), payload={"source": "second"})
    damaged = replace(model, id=point_id(TICKETS, "second", "1", ""), payload={})
    nobodys = replace(model, id=uuid4(), payload={"source": "third"})
    await made.app.index.upsert(TICKETS, [theirs, damaged, nobodys])
    assert found(await verified(made, "freshdesk")) == [("extra", str(nobodys.id), None)]
    assert found(await verified(made)) == sorted([("extra", str(one.id), None) for one in (theirs, nobodys)])


async def test_what_waits_to_be_published_is_no_difference(made: Rig) -> None:
    """Documents that are stale, claimed, failed or to be deleted are counted as pending, whatever their points hold."""
    items = await ready(made)
    states = dict(zip(items, ("stale", "gone", "failed"), strict=False))
    async with made.app.record.transaction() as tx:
        for item, state in states.items():
            where = (tables.documents.c.collection == TICKETS, tables.documents.c.item_id == item)
            await tx.execute(update(tables.documents).where(*where).values(state=state))
        where = (tables.documents.c.collection == TICKETS, tables.documents.c.item_id == items[3])
        await tx.execute(update(tables.documents).where(*where).values(claimed_by="someone"))
    await made.app.index.delete(TICKETS, [ticket_point(item) for item in items[:4]])
    run = await verified(made)
    told = run.report["collections"][TICKETS]
    assert (run.state, found(run), told["pending"], told["documents"]) == ("succeeded", [], 4, len(items))


async def test_a_lost_index_is_not_called_right_and_is_mended_from_the_cache(made: Rig) -> None:
    """The whole index is gone: every document is named as missing, and a repair alone brings all of them back."""
    await made.close()
    shutil.rmtree(made.settings.home / "index")
    await made.open()
    looked = await verified(made)
    told = looked.report["collections"][TICKETS]
    assert (looked.state, told["missing"], told["points"]) == ("partial", told["documents"], 0)
    texts = made.embedder.texts
    assert (await verified(made, repair=True)).state == "succeeded"
    assert made.embedder.texts == texts
    assert await made.differences() == []


# ----------------------------------------------------------------------------------------------- while runs publish


def comparison(made: Rig, index: VectorIndex, **options: Any) -> Comparison:
    return Comparison(made.app.record, index, collection=TICKETS, embedder="fake", **options)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("change", ["published", "deleted"])
async def test_a_document_that_moves_between_two_looks_is_not_reported(made: Rig, when: str, change: str) -> None:
    """A point seems to be wrong; before it is looked at again, or just after, a run publishes or deletes it."""
    item = (await ready(made))[0]
    await made.app.index.delete(TICKETS, [ticket_point(item)])

    async def move() -> None:
        made.desk.clock.advance(60)
        made.desk.bump(int(item), **({"status": 4} if change == "published" else {"deleted": True}))
        made.desk.clock.advance(60)
        await made.sync()

    watched = Watched(made.app.index)
    (watched.before if when == "before" else watched.after)["retrieve"] = move
    assert [one async for one in comparison(made, watched)] == []
    assert [one async for one in comparison(made, made.app.index, deep=True)] == []


@pytest.mark.parametrize("during", ["scroll", "retrieve"])
async def test_a_document_that_is_published_while_points_are_read_is_no_stranger(made: Rig, during: str) -> None:
    """A point without a document gets one after the record was read, or just before the point is looked at again."""
    item = await delete_one(made)
    model = await stored(made, ticket_point((await ready(made))[0]))
    ghost = {"ticket_id": int(item), "source": "freshdesk"}
    await made.app.index.upsert(TICKETS, [replace(model, id=ticket_point(item), payload=ghost)])

    async def move() -> None:
        made.desk.clock.advance(60)
        made.desk.bump(int(item), deleted=False)
        made.desk.clock.advance(60)
        await made.sync()

    watched = Watched(made.app.index)
    watched.before[during] = move
    assert [one async for one in comparison(made, watched)] == []
    assert item in await ready(made)


async def test_verifying_beside_running_syncs_gives_no_false_alarm(made: Rig) -> None:
    """Tickets change and are deleted all the time; looks at that, cheap and deep, find nothing wrong."""
    over = asyncio.Event()
    alarms: list[Any] = []
    looks = 0

    async def look(deep: bool) -> None:
        nonlocal looks
        while not over.is_set():
            alarms.extend([one async for one in comparison(made, made.app.index, deep=deep)])
            looks += 1

    async with asyncio.TaskGroup() as group:
        for deep in (False, True):
            group.create_task(look(deep))
        for status in (3, 4, 5, 2):
            made.desk.clock.advance(60)
            for row in list(made.desk.tickets)[status::4]:
                made.desk.bump(row["id"], status=status, subject=f"{row['subject']} {status}")
            made.desk.bump(int((await ready(made))[status]), deleted=True)
            made.desk.clock.advance(60)
            await made.sync()
        over.set()
    assert (alarms, looks > 4) == ([], True)
    assert (await verified(made, deep=True)).state == "succeeded"


async def test_a_repair_beside_a_sync_leaves_both_right(made: Rig) -> None:
    """Points are lost while a run publishes and a verify mends: in the end every copy agrees."""
    items = await ready(made)
    made.desk.clock.advance(60)
    for item in items[::2]:
        made.desk.bump(int(item), subject=f"Renamed {item}")
    made.desk.clock.advance(60)
    await made.app.index.delete(TICKETS, [ticket_point(item) for item in items[::3]])
    await asyncio.gather(made.sync(), verified(made, repair=True))
    assert (await verified(made, repair=True)).state == "succeeded"
    assert await made.differences() == []


async def test_a_ticket_that_comes_back_while_its_point_is_removed_keeps_it(made: Rig) -> None:
    """The point of a deleted ticket is about to go; the ticket is restored and published in that moment."""
    deleted = await delete_one(made)
    model = await stored(made, ticket_point((await ready(made))[0]))
    ghost = {"ticket_id": int(deleted), "source": "freshdesk"}
    await made.app.index.upsert(TICKETS, [replace(model, id=ticket_point(deleted), payload=ghost)])

    async def restore() -> None:
        made.desk.clock.advance(60)
        made.desk.bump(int(deleted), deleted=False)
        made.desk.clock.advance(60)
        assert (await made.sync()).counts["updated"] == 1

    watched = Verifier(made)
    watched.index.before["delete"] = restore
    assert found(await watched.verify(repair=True)) == [("orphaned", str(ticket_point(deleted)), deleted)]
    assert (await made.sync()).state == "succeeded"
    assert await made.differences() == []


# ------------------------------------------------------------------------------------------- interrupted, and others


async def test_a_repair_that_was_interrupted_is_finished_by_its_next_worker(made: Rig) -> None:
    """A worker dies between claiming and publishing; whoever takes the run over mends all of it."""
    items = (await ready(made))[:10]
    await made.app.index.delete(TICKETS, [ticket_point(item) for item in items])
    watched = Verifier(made)

    class Died(BaseException):
        pass

    async def die() -> None:
        raise Died

    run = await watched.begin(repair=True)
    watched.index.before["upsert"] = die
    with pytest.raises(Died):
        await watched.perform(run)
    assert Counter(row["state"] for row in await made.rows(tables.documents) if row["claimed_by"]) == {"stale": 4}
    ended = await watched.perform(await watched.take(run.run))
    assert (ended.state, ended.report["agree"]) == ("succeeded", True)
    assert sorted(watched.index.written[4:]) == sorted(("upsert", ticket_point(item)) for item in items)
    assert await made.differences() == []


async def test_a_worker_that_lost_its_run_removes_nothing(made: Rig) -> None:
    """The run was taken over while the first worker looked: that one raises, and the index stays as it was."""
    model = await stored(made, ticket_point((await ready(made))[0]))
    await made.app.index.upsert(TICKETS, [replace(model, id=uuid4(), payload={})])
    watched = Verifier(made)
    run = await watched.begin(repair=True)
    watched.index.before["scroll"] = lambda: watched.take(run.run)
    with pytest.raises(LeaseLost):
        await watched.perform(run)
    assert watched.index.written == []


async def test_damage_to_the_record_is_named_and_mended(made: Rig) -> None:
    """Documents, sync log and checkpoint that cannot be are named; a repair and a sync later all copies agree."""
    item, gone, *_ = await ready(made)
    async with made.app.record.transaction() as tx:
        rows = tables.documents.c
        await tx.execute(delete(tables.documents).where(rows.collection == TICKETS, rows.item_id == item))
        await tx.execute(delete(tables.tickets).where(tables.tickets.c.external_id == int(gone)))
        log = {"collection": TICKETS, "item_type": "ticket", "synced_at": made.app.clock()}
        await tx.execute(insert(tables.sync_logs).values(item_id="424242", **log))
    looked = await verified(made)
    named = [(one["what"], one["item_id"]) for one in looked.report["record"]["items"]]
    expected = [
        ("tombstone", gone),
        ("undocumented", item),
        ("log", gone),
        ("log", "424242"),
        ("checkpoint", "tickets"),
    ]
    assert sorted(named) == sorted(expected)
    assert found(looked) == [("extra", str(ticket_point(item)), item)]
    mended = await verified(made, repair=True)
    assert (mended.state, mended.report["mended"]["record"]) == ("succeeded", 5)
    again = await verified(made, repair=True)
    assert (again.state, again.report["record"]["findings"], again.counts["indexed"]) == ("succeeded", 0, 0)
    assert (await made.sync()).counts["created"] == 1  # the ticket that was lost is read again
    assert await made.differences() == []


async def test_the_source_is_asked_too_and_what_was_lost_is_read_and_published(made: Rig) -> None:
    """With the source in it: a ticket that the record lost without a trace is named, read, and found again."""
    gone = (await ready(made))[0]
    async with made.app.record.transaction() as tx:
        rows, logs = tables.documents.c, tables.sync_logs.c
        await tx.execute(delete(tables.documents).where(rows.collection == TICKETS, rows.item_id == gone))
        await tx.execute(delete(tables.tickets).where(tables.tickets.c.external_id == int(gone)))
        await tx.execute(delete(tables.sync_logs).where(logs.item_id == gone))
    made.desk.clock.advance(3600)
    await made.sync()
    looked = await verified(made, source_check=True, collection=TICKETS)
    told = looked.report["source"]["freshdesk"]["tickets"]["missing"]
    assert (looked.state, [one["key"] for one in told["items"]]) == ("partial", [gone])
    assert (await verified(made, source_check=True, collection=TICKETS, repair=True)).state == "succeeded"
    assert gone in await ready(made)
    assert await made.differences() == []


async def test_a_source_that_is_down_does_not_hide_what_is_wrong_in_the_index(made: Rig) -> None:
    """Its streams are named as not compared and the run is partial; index and record are compared all the same."""
    lost = (await ready(made))[0]
    await made.app.index.delete(TICKETS, [ticket_point(lost)])
    made.desk.faults.add(Fault(match="/api/v2/tickets", kind="500", times=None))
    run = await verified(made, source_check=True, repair=True, collection=TICKETS)
    assert (run.state, run.report["agree"], found(run)) == (
        "partial",
        False,
        [("missing", str(ticket_point(lost)), lost)],
    )
    assert (len(run.errors), run.errors[0].startswith("freshdesk tickets could not be compared: ")) == (1, True)
    made.desk.faults.clear()
    assert (await verified(made, source_check=True, collection=TICKETS)).state == "succeeded"


# ------------------------------------------------------------------------------------------------- an ordinary run


async def test_an_ordinary_run_notices_that_points_are_missing_or_too_many(made: Rig) -> None:
    """With nothing to read, a run counts both sides and says where they disagree; after the repair it is content."""
    items = await ready(made)
    await made.app.index.delete(TICKETS, [ticket_point(item) for item in items[:3]])
    run = await made.sync()
    sentence = (
        f'Index "support_tickets" holds {len(items) - 3} of {len(items)} published documents of freshdesk. '
        "Mend it: deskloom verify --repair"
    )
    assert (run.state, run.errors, run.counts["fetched"]) == ("partial", [sentence], 0)
    assert (await verified(made, repair=True)).state == "succeeded"
    model = await stored(made, ticket_point(items[0]))
    extra = [replace(model, id=uuid4(), payload={"source": "freshdesk"}) for _ in range(2)]
    await made.app.index.upsert(TICKETS, extra)
    run = await made.sync()
    sentence = (
        f'Index "support_tickets" holds {len(items) + 2} points of freshdesk, of which {len(items)} documents were '
        "published. Mend it: deskloom verify --repair"
    )
    assert (run.state, run.errors) == ("partial", [sentence])
    assert (await verified(made, repair=True)).state == "succeeded"
    assert (await made.sync()).errors == []


async def test_what_waits_or_failed_is_not_counted_as_missing(install: Install) -> None:
    """Runs with a limit, an empty ticket, one that the model refuses, and documents made stale: no run complains."""
    desk = generate(seed=1, tickets=12, articles=1)
    desk.clock.advance(60)
    async with install(desk) as made:
        first, second, *_ = (row["id"] for row in desk.tickets)
        desk.tickets.change(first, subject="xyzzy plugh")
        made.embedder.poison = "plugh"
        for _ in range(4):
            run = await made.sync(limit=5)
            assert [error for error in run.errors if "Index" in error] == []
        desk.clock.advance(60)
        desk.bump(second, subject="plugh, too")  # it was published: now its point goes
        desk.clock.advance(60)
        run = await made.sync()
        assert f"Failed to process ticket {second}: the model cannot take this text" in run.errors
        assert [error for error in run.errors if "Index" in error] == []
        async with made.app.record.transaction() as tx:
            await tx.execute(update(tables.documents).values(state="stale").where(tables.documents.c.state == "ready"))
        sentence = await count_points(made.app.record, made.app.index, TICKETS, "freshdesk")
        assert sentence is None
