"""Drift: points removed, altered and added behind the engine's back; what is found, what is mended, what looking costs.

Every peer fills its own store with the same tickets, suffers the same damage (5 % of the points removed, 5 % altered,
2 % foreign ones added), and is then asked to find it and to mend it, each in the best way it offers. Half of what is
altered is replaced whole, as another writer would; half keeps its hash and has other content, which only a look at
contents can find. Vectors are made of the texts' hashes: the store and the record are real, the model is not.

Run: python -m benchmarks.drift [--tickets 10000] [--width 384] [--peers [NAME …]]
     python -m benchmarks.drift --look --tickets 100000   (only what looking costs, over rows and points written raw)
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import random
import resource
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
from benchmarks.peers import installed
from benchmarks.processes import peers_argument
from benchmarks.rigs import Sampler, table
from sqlalchemy import insert, select

from deskloom.documents import TICKETS, point_id
from deskloom.indexes.edge import EdgeIndex
from deskloom.model import Message, Ticket
from deskloom.protocols import Point, Purpose, Vectors
from deskloom.record import open_record, tables, upgrade
from deskloom.record import runs as record_runs
from deskloom.record.documents import mark_stale
from deskloom.record.engine import Record
from deskloom.record.runs import Run
from deskloom.record.sources import bind_source
from deskloom.record.store import store
from deskloom.sync.compare import Comparison
from deskloom.sync.publish import Publisher
from deskloom.sync.runs import ActiveRun
from deskloom.sync.verify import verify

REMOVED, ALTERED, FOREIGN = 0.05, 0.05, 0.02
SEED = 7
SOURCE = "desk"
PAGE = 1000
LOOKS = 3
WORDS = tuple(
    "printer mail login vpn outage invoice calendar battery keyboard network account password update driver screen "  # noqa: SIM905
    "server folder backup attachment message signature spam profile proxy certificate address filter archive".split()
)


@dataclass(frozen=True, slots=True)
class Damage:
    """Which tickets lose their point, whose are replaced whole, whose content alone is changed; how many are added."""

    removed: tuple[int, ...]
    replaced: tuple[int, ...]
    edited: tuple[int, ...]
    foreign: int


@dataclass(slots=True)
class Outcome:
    """What a peer found and mended, by the kind of damage, and what it cost. `wrongly`: sound points it named."""

    name: str
    found: dict[str, int] = field(default_factory=dict)
    mended: dict[str, int] = field(default_factory=dict)
    wrongly: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    embedded: int = 0
    clean: bool = False


Peer = Callable[[Sequence[Ticket], Damage, int, Path], Awaitable[Outcome]]
"""Fills a store in a folder with the tickets, at a vector width, suffers the damage, and tells how it went."""


def make_tickets(count: int) -> list[Ticket]:
    """Invented tickets of about 40 words, every second one with a note."""
    dice = random.Random(SEED)
    began = datetime(2025, 1, 1, tzinfo=UTC)
    made = []
    for number in range(1, count + 1):
        text = " ".join(dice.choices(WORDS, k=30))
        at = began + timedelta(minutes=number)
        note = Message(
            external_id=number, private=True, incoming=False, kind="note", body_text=f"Cause {number}: {text[:60]}",
            created_at=at,
        )  # fmt: skip
        made.append(
            Ticket(
                external_id=number,
                stamp=str(number),
                subject=f"Ticket {number} {text[:30]}",
                description_text=f"{text} {number}",
                status=2,
                priority=1,
                created_at=at,
                updated_at=at,
                messages=(note,) if number % 2 else (),
            )
        )
    return made


def make_damage(count: int) -> Damage:
    """The same for every peer."""
    numbers = random.Random(SEED).sample(range(1, count + 1), round(count * (REMOVED + ALTERED)))
    first, second = round(count * REMOVED), round(count * (REMOVED + ALTERED / 2))
    return Damage(tuple(numbers[:first]), tuple(numbers[first:second]), tuple(numbers[second:]), round(count * FOREIGN))


# ---------------------------------------------------------------------------------------------------------- Deskloom


class HashEmbedder:
    """Vectors made of a text's hash; counts the texts it was given."""

    name = "hash"
    max_tokens = 512
    languages: frozenset[str] | None = None

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self.texts = 0

    async def embed(self, texts: Sequence[str], purpose: Purpose = "document") -> Vectors:
        self.texts += len(texts)
        return np.stack([self._vector(text) for text in texts])

    def _vector(self, text: str) -> Vectors:
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
        row = np.random.default_rng(seed).standard_normal(self.dimensions).astype(np.float32)
        return row / np.linalg.norm(row)

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        return [(0, len(text))]

    async def aclose(self) -> None:
        return None


class CountingIndex(EdgeIndex):
    """Counts what is written."""

    written = 0

    async def upsert(self, collection: str, points: Sequence[Point]) -> None:
        self.written += len(points)
        await super().upsert(collection, points)

    async def delete(self, collection: str, ids: Sequence[UUID]) -> None:
        self.written += len(ids)
        await super().delete(collection, ids)


class Desk:
    """A record, an index and a publisher, without a help desk behind them."""

    def __init__(self, record: Record, index: CountingIndex, embedder: HashEmbedder) -> None:
        self.record, self.index, self.embedder = record, index, embedder

        async def embedder_of(collection: str) -> Any:
            return embedder

        self.publisher = Publisher(record, index, embedder_of)

    async def run(self, mode: str, **options: Any) -> ActiveRun:
        """A run that is taken."""
        now = datetime.now(UTC)
        async with self.record.transaction() as tx:
            run = await record_runs.create_run(
                tx, source=SOURCE if mode == "full" else "*", stream=mode, mode=mode, requested_by="benchmark",
                since=None, limit=None, now=now, options=options,
            )  # fmt: skip
            until = now + timedelta(hours=1)
            taken = await record_runs.take_run(tx, run.id, owner="benchmark", now=now, lease_until=until)
        assert taken is not None
        lease = timedelta(hours=1)
        return ActiveRun(taken, record=self.record, clock=lambda: datetime.now(UTC), lease=lease)

    async def fill(self, tickets: Sequence[Ticket]) -> None:
        """Store and publish everything, by the ordinary steps."""
        await self.publisher.prepare(TICKETS)
        now = datetime.now(UTC)
        for start in range(0, len(tickets), PAGE):
            part = tickets[start : start + PAGE]
            async with self.record.transaction() as tx:
                await bind_source(tx, SOURCE, "freshdesk", "benchmark")
                await store(tx, SOURCE, part, now=now)
                await mark_stale(tx, TICKETS, SOURCE, [(one.key, "") for one in part], now=now)
        run = await self.run("full")
        pulled, fresh = asyncio.Event(), asyncio.Event()
        pulled.set()
        await self.publisher.publish(run, SOURCE, TICKETS, pulled=pulled, fresh=fresh)
        await run.finish("succeeded")

    async def fill_raw(self, count: int) -> None:
        """Rows and points as `fill` makes them, copied from one that it made: enough to look at, not to mend."""
        await self.fill(make_tickets(1))
        async with self.record.reading() as tx:
            ticket = dict((await tx.execute(select(tables.tickets))).mappings().one())
            document = dict((await tx.execute(select(tables.documents))).mappings().one())
        (held,) = (await self.index.vectors(TICKETS, [_id(1)])).values()
        (payload,) = (await self.index.retrieve(TICKETS, [_id(1)])).values()
        row = {"symptom_vec": np.asarray(held["symptom_vec"])[None]}
        for start in range(2, count + 1, PAGE):
            numbers = range(start, min(start + PAGE, count + 1))
            async with self.record.transaction() as tx:
                await tx.execute(insert(tables.tickets), [ticket | {"external_id": one} for one in numbers])
                await tx.execute(insert(tables.documents), [document | {"item_id": str(one)} for one in numbers])
            points = [
                Point(id=_id(one), vectors=row, words={}, payload=dict(payload) | {"ticket_id": one}) for one in numbers
            ]
            await self.index.upsert(TICKETS, points)

    async def verify(self, **options: Any) -> tuple[Run, float]:
        """A whole verify run, and its seconds."""
        run = await self.run("verify", **options)
        began = time.perf_counter()
        state = await verify(run, sources={}, publisher=self.publisher, collections=(TICKETS,), max_delete_share=1.0)
        await run.finish(state)
        seconds = time.perf_counter() - began
        async with self.record.reading() as tx:
            return await record_runs.get_run(tx, run.run.id), seconds

    async def names(self, *, deep: bool) -> Counter[tuple[str, UUID]]:
        """Every difference, by kind and point."""
        comparison = Comparison(self.record, self.index, collection=TICKETS, embedder=self.embedder.name, deep=deep)
        return Counter([(one.what, one.id) async for one in comparison])

    async def scroll(self) -> float:
        """Seconds of the floor: reading every id and hash of the index, and doing nothing with them."""
        began = time.perf_counter()
        async for _ in self.index.scroll(TICKETS, ("hash",)):
            pass
        return time.perf_counter() - began


async def hurt(desk: Desk, damage: Damage, tickets: int) -> dict[str, set[UUID]]:
    """Do the damage through another handle on the same store; returns the points by kind of damage."""
    named: dict[str, set[UUID]] = {
        "removed": {_id(number) for number in damage.removed},
        "replaced": {_id(number) for number in damage.replaced},
        "edited": {_id(number) for number in damage.edited},
        "foreign": {uuid4() for _ in range(damage.foreign)},
    }
    dice = random.Random(SEED)
    await desk.index.delete(TICKETS, list(named["removed"]))
    for kind in ("replaced", "edited"):
        ids = sorted(named[kind])
        for start in range(0, len(ids), PAGE):
            part = ids[start : start + PAGE]
            held = await desk.index.retrieve(TICKETS, part)
            payloads = {id: dict(held[id]) | {"subject": "Something else wrote this"} for id in part}
            if kind == "replaced":
                payloads = {id: value | {"hash": uuid4().hex * 2} for id, value in payloads.items()}
            await desk.index.set_payload(TICKETS, payloads)
    row = await desk.embedder.embed(["foreign"])
    desk.embedder.texts -= 1
    points = [Point(id=id, vectors={"symptom_vec": row}, words={}, payload={"n": dice.random()})
              for id in named["foreign"]]  # fmt: skip
    for start in range(0, len(points), PAGE):
        await desk.index.upsert(TICKETS, points[start : start + PAGE])
    desk.index.written = 0
    return named


def _id(number: int) -> UUID:
    return point_id(TICKETS, SOURCE, str(number), "")


async def deskloom(tickets: Sequence[Ticket], damage: Damage, width: int, folder: Path) -> Outcome:
    """Deskloom: the cheap look, the deep look, the repair, and a last look."""
    outcome = Outcome("deskloom verify")
    record = open_record(f"sqlite:///{folder / 'deskloom.db'}")
    await upgrade(record)
    index = CountingIndex(folder / "index")
    desk = Desk(record, index, HashEmbedder(width))
    try:
        outcome.seconds["fill"] = await _timed(desk.fill(tickets))
        outcome.seconds["scroll"] = statistics.median([await desk.scroll() for _ in range(LOOKS)])
        before = _own()
        sampler = Sampler(os.getpid())
        outcome.seconds["compare"] = statistics.median([await _timed(desk.names(deep=False)) for _ in range(LOOKS)])
        checks = [await desk.verify() for _ in range(LOOKS)]
        memory = sampler.stop() - before
        outcome.seconds["check"] = statistics.median(seconds for _, seconds in checks)
        assert all(run.state == "succeeded" for run, _ in checks)
        (run, outcome.seconds["deep"]) = await desk.verify(deep=True)
        assert run.state == "succeeded", run.report
        points = await hurt(desk, damage, len(tickets))
        cheap, outcome.seconds["damaged"] = await _named(desk, deep=False)
        deep, outcome.seconds["damaged deep"] = await _named(desk, deep=True)
        told = {id: what for what, id in deep}
        outcome.found = {kind: sum(id in told for id in ids) for kind, ids in points.items()}
        outcome.wrongly = len(set(told) - set().union(*points.values()))
        texts = desk.embedder.texts
        run, outcome.seconds["repair"] = await desk.verify(repair=True, deep=True)
        outcome.embedded = desk.embedder.texts - texts
        left = {id for _, id in await desk.names(deep=True)}
        outcome.mended = {kind: sum(id not in left for id in ids) for kind, ids in points.items()}
        written, index.written = index.written, 0
        last, outcome.seconds["clean"] = await desk.verify(repair=True)
        outcome.clean = last.state == "succeeded" and not index.written
        seen = {id for _, id in cheap}
        kinds = [[kind, len(ids), sum(id in seen for id in ids), outcome.found[kind], outcome.mended[kind]]
                 for kind, ids in points.items()]  # fmt: skip
        table(
            f"deskloom verify, {len(tickets):,} points: what was done, named and mended",
            [["damage", "points", "named by ids and hashes", "named by --deep", "mended"], *kinds],
        )
        print(f"  sound points named: {outcome.wrongly}; repair: {written:,} points written or removed for "
              f"{sum(map(len, points.values())):,} damaged, {outcome.embedded} texts embedded; "
              f"afterwards clean: {outcome.clean}")  # fmt: skip
        floor = outcome.seconds["scroll"]
        rows = [["look", "seconds", "÷ bare scroll"]] + [
            [name, f"{outcome.seconds[key]:.2f}", f"{outcome.seconds[key] / floor:.1f}"]
            for name, key in (
                ("floor: bare scroll of ids and hashes", "scroll"),
                ("index against documents, ids and hashes", "compare"),
                ("verify (and the record with itself)", "check"),
                ("verify of the damaged index, ids and hashes", "damaged"),
                ("verify --deep", "deep"),
                ("verify --deep of the damaged index", "damaged deep"),
                ("verify --deep --repair, and looking again", "repair"),
                ("verify once more", "clean"),
            )
        ]
        table("What it costs", rows)
        print(f"  memory of the check above what was there: {memory:.0f} MB; peak of the process "
              f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB; "
              f"filling took {outcome.seconds['fill']:.1f} s")  # fmt: skip
    finally:
        await index.aclose()
        await record.aclose()
    return outcome


async def look(count: int, width: int, folder: Path) -> None:
    """What looking costs, beside a bare scroll, over many points; 5 % of them removed, and 2 % foreign ones added."""
    record = open_record(f"sqlite:///{folder / 'deskloom.db'}")
    await upgrade(record)
    index = CountingIndex(folder / "index")
    desk = Desk(record, index, HashEmbedder(width))
    try:
        filled = await _timed(desk.fill_raw(count))
        floor = statistics.median([await desk.scroll() for _ in range(LOOKS)])
        before = _own()
        sampler = Sampler(os.getpid())
        compared = statistics.median([await _timed(desk.names(deep=False)) for _ in range(LOOKS)])
        run, checked = await desk.verify()
        memory = sampler.stop() - before
        assert run.state == "succeeded", run.report
        damage = make_damage(count)
        points = await hurt(desk, Damage(damage.removed, (), (), damage.foreign), count)
        named, damaged = await _named(desk, deep=False)
        ids = {id for _, id in named}
        found = len(ids & set().union(*points.values()))
        table(
            f"Looking at {count:,} points of width {width}",
            [
                ["look", "seconds", "÷ bare scroll"],
                ["floor: bare scroll of ids and hashes", f"{floor:.2f}", "1.0"],
                ["index against documents, ids and hashes", f"{compared:.2f}", f"{compared / floor:.1f}"],
                ["verify (and the record with itself)", f"{checked:.2f}", f"{checked / floor:.1f}"],
                ["index against documents, damaged", f"{damaged:.2f}", f"{damaged / floor:.1f}"],
            ],
        )
        print(f"  named {found:,} of {sum(map(len, points.values())):,} damaged, and {len(ids) - found} sound ones; "
              f"memory of the check above what was there: {memory:.0f} MB; filling took {filled:.1f} s")  # fmt: skip
    finally:
        await index.aclose()
        await record.aclose()


async def _named(desk: Desk, *, deep: bool) -> tuple[Counter[tuple[str, UUID]], float]:
    began = time.perf_counter()
    named = await desk.names(deep=deep)
    return named, time.perf_counter() - began


async def _timed(work: Awaitable[Any]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


def _own() -> float:
    """Memory of this process's own, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("RssAnon"))) / 1024


# ------------------------------------------------------------------------------------------------------------- peers

PEERS: Sequence[Peer] = (deskloom,)
"""Every engine that is always measured; the optional ones follow in `others`."""


def others(wanted: Sequence[str] | None) -> list[Peer]:
    """The peers of the optional group that are installed."""
    from benchmarks.peers.drift import drifting  # it needs what stands above

    return [drifting(name) for name in installed(wanted)]


async def main() -> None:
    """Run every peer and print the figures beside each other."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tickets", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--look", action="store_true", help="only what looking costs")
    peers_argument(parser)
    options = parser.parse_args()
    if options.look:
        with tempfile.TemporaryDirectory() as folder:
            await look(options.tickets, options.width, Path(folder))
        return
    tickets, damage = make_tickets(options.tickets), make_damage(options.tickets)
    outcomes = []
    for peer in (*PEERS, *others(options.peers)):
        with tempfile.TemporaryDirectory() as folder:
            outcomes.append(await peer(tickets, damage, options.width, Path(folder)))
    kinds = list(outcomes[0].found)
    rows: list[list[Any]] = [["engine", *(f"{kind}: found, mended" for kind in kinds), "texts embedded", "clean after"]]
    for one in outcomes:
        figures = [f"{one.found.get(kind, 0):,}, {one.mended.get(kind, 0):,}" for kind in kinds]
        rows.append([one.name, *figures, one.embedded, "yes" if one.clean else "no"])
    table("Every engine, the same tickets and the same damage", rows)


if __name__ == "__main__":
    asyncio.run(main())
