"""A table that is written to all the time, and a process that keeps the index in step: lost rows, staleness, reads.

A PostgreSQL server of its own, and `deskloom serve` following a table while others write to it: single writes, and
transactions that stay open for up to 30 seconds. Afterwards every row is compared with the record and the index, its
vector included. One after another each way of following is measured, then CocoIndex, whose PostgreSQL source reads the
whole table in each update: its updates follow one another without a pause.

Staleness runs from the sending of a commit to the first answer of `GET /api/v1/search` that shows the row in that
version (or no longer shows a deleted one); a sample of rows is asked for, every 0.2 s. CocoIndex is not asked: the
moment its store has taken a row counts. The model is a stand-in, a server on loopback (`--latency` a request of up to
32 texts; it has no model and makes vectors by hashing words), unless `--model minilm`: the bundled one embeds a few
dozen of these texts a second on a small machine, so give it fewer rows.

Way `column` is read when the clock says so (`--every` seconds); what was deleted is found by the next complete listing,
here one in the end. Rows read are what the server's own statistics say of the table, without what the writers looked
up; of a table with a few thousand rows PostgreSQL prefers to scan all for a few keys, which is counted as well.

Run: python -m benchmarks.tables [--rows 20000] [--minutes 1] [--writes 50] [--way all] [--every 10] [--peers [NAME …]]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from benchmarks.copies import compare
from benchmarks.embedding_server import EmbeddingServer
from benchmarks.peers import PEERS, installed, versions
from benchmarks.processes import scratch
from benchmarks.rigs import DESKLOOM, ROOT, Sampler, table
from benchmarks.writes import (
    DATABASE,
    NAME,
    QUICK,
    SLOW,
    Done,
    Writers,
    Written,
    counts,
    percentile,
    prepare,
    reader_url,
    table_rows,
    team,
)
from tests import postgres

from deskloom.sources.postgres import Database, TableSource, replication, triggers
from deskloom.table_settings import TableSettings

WAYS = ("column", "triggers", "replication")
DECLARED: dict[str, Any] = {
    "name": NAME,
    "table": "articles",
    "changed": "updatedAt",
    "title": "title",
    "texts": {"body": 1},
    "tags": ["tags"],
    "fields": ["version"],
}
SAMPLED = {"column": 20, "triggers": 5, "replication": 5}
"""Of so many single writes one is asked for; of those that commit late, each fifth."""
ASKED_EVERY = 0.2
ASKED_AT_ONCE = 80
RUNS_EVERY = 5.0
PATIENCE = 180.0


@dataclass(slots=True)
class Outcome:
    """What following the table by one way came to. Seconds of staleness, by what was waited for."""

    title: str
    done: Done = field(default_factory=Done)
    rows: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    stale: dict[str, list[float]] = field(default_factory=dict)
    never: int = 0
    runs: int = 0
    rows_read: int = 0
    statements: int | None = None
    embedded: int = 0
    needed: int = 0
    own: float = 0.0
    cpu: float = 0.0
    filled: float = 0.0
    again: float | None = None
    """Seconds of the first read, and of a second one with nothing to do."""

    def count(self, statements: int | None, read: int, statements_now: int | None, read_now: int) -> None:
        """Take in what the server counted, before and now, without the rows that the writers looked up."""
        if statements is not None and statements_now is not None:
            self.statements = statements_now - statements
        self.rows_read = read_now - read - (self.done.writes - self.done.kinds.get("insert", 0))

    def seconds(self, kind: str, share: float) -> str:
        found = percentile(self.stale.get(kind, ()), share)
        return "-" if found is None else f"{found:.1f}"


# ------------------------------------------------------------------------------------------------------- the watched


@contextlib.asynccontextmanager
async def prepared(server: postgres.Server, way: str) -> AsyncIterator[None]:
    """Triggers or slot of a way, there for as long as it is measured."""
    database = Database(reader_url(server))
    declared = await TableSource(TableSettings(**DECLARED), database).declared()
    try:
        if way == "triggers":
            await triggers.install(database, declared)
        elif way == "replication":
            await replication.install(database, declared)
        yield
        if way == "triggers":
            await triggers.remove(database, NAME, declared.table)
        elif way == "replication":
            await replication.remove(database, NAME)
    finally:
        await database.aclose()


@dataclass(slots=True)
class Watch:
    """Rows whose arrival is waited for, and how long that took."""

    every: int
    held: set[str] = field(default_factory=set)
    waiting: dict[str, Written] = field(default_factory=dict)
    stale: dict[str, list[float]] = field(default_factory=dict)
    texts: int = 0
    """Rows that were written: each has a new text."""
    _seen: int = 0
    _late: int = 0

    def told(self, written: Written) -> None:
        self.texts += written.version is not None
        if written.late:
            self._late += 1
            wanted = self._late % 5 == 0
        else:
            self._seen += 1
            wanted = self._seen % self.every == 0
        if wanted:
            self.held.add(written.key)
            self.waiting[written.key] = written

    def check(self, keys: Sequence[str], found: Mapping[str, int], now: float) -> None:
        """What an answer says of the rows that were asked for."""
        for key in keys:
            written, version = self.waiting[key], found.get(key)
            there = version is None if written.version is None else version is not None and version >= written.version
            if there:
                kind = "deleted" if written.version is None else "late" if written.late else "single"
                self.stale.setdefault(kind, []).append(now - written.at)
                del self.waiting[key]
                self.held.discard(key)


class Desk:
    """`deskloom serve` over a home, followed through its API."""

    process: subprocess.Popen[str]

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self.home, self.environment = home, dict(environment)

    @contextlib.asynccontextmanager
    async def serving(self, way: str) -> AsyncIterator[httpx.AsyncClient]:
        """The process, following the table by a way; ended as it should be."""
        url = await asyncio.to_thread(self._start, way)
        try:
            async with httpx.AsyncClient(base_url=f"{url}/api/v1", timeout=120) as client:
                yield client
        finally:
            self.process.terminate()
            await asyncio.to_thread(self.process.wait, 60)

    def _start(self, way: str) -> str:
        environment = self.environment | {"DESKLOOM_TABLES": json.dumps([DECLARED | {"follow": way}])}
        log = self.home.parent / f"serve-{way}.log"
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                [*DESKLOOM, "serve", "--port", "0"], stdout=subprocess.PIPE, stderr=errors, env=environment, text=True,
                cwd=self.home.parent,
            )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if " at http" not in line:
            sys.exit(f"deskloom serve did not start: {log.read_text()[-1000:]}")
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        return line.rsplit(" at ", 1)[1].strip()


async def sync(client: httpx.AsyncClient, *, full: bool = False) -> None:
    """A sync of the table from start to end; waits for one that is under way."""
    while True:
        answer = await client.post("/sync/run", json={"table": NAME, "force_full_sync": full})
        if answer.status_code == 202 or answer.is_success:
            await ended(client, answer.json()["run_id"])
            return
        if answer.status_code != 409:
            answer.raise_for_status()
        await asyncio.sleep(0.2)


async def ended(client: httpx.AsyncClient, run: str) -> None:
    while (found := (await client.get(f"/runs/{run}")).json())["state"] in ("queued", "running"):  # noqa: ASYNC110
        await asyncio.sleep(0.1)  # nobody tells
    assert found["state"] == "succeeded", found["errors"]


async def deletions(client: httpx.AsyncClient) -> None:
    """A complete listing, by which the change column's way finds what was deleted."""
    asked = {"source": NAME, "stream": "rows"}
    while (answer := await client.post("/sync/sweep", json=asked)).status_code == 409:  # noqa: ASYNC110
        await asyncio.sleep(0.2)
    if answer.status_code == 422:  # rows cannot be swept by themselves: read them whole
        await sync(client, full=True)
    else:
        answer.raise_for_status()
        await ended(client, answer.json()[0]["id"])


async def look(client: httpx.AsyncClient, watch: Watch) -> None:
    """Ask for the rows that are waited for, again and again."""
    while True:
        keys = list(watch.waiting)
        for begin in range(0, len(keys), ASKED_AT_ONCE):
            part = keys[begin : begin + ASKED_AT_ONCE]
            answer = await client.get(
                "/search", params={"q": " ".join(part), "in": NAME, "mode": "keyword", "limit": 100}
            )
            answer.raise_for_status()
            found = {hit["id"]: hit["payload"]["version"] for hit in answer.json()["hits"]}
            watch.check(part, found, time.time())
        await asyncio.sleep(ASKED_EVERY)


async def by_the_clock(client: httpx.AsyncClient, every: float) -> None:
    """What a schedule does for the way without notifications."""
    while True:
        began = time.monotonic()
        await sync(client)
        await asyncio.sleep(max(0.0, every - (time.monotonic() - began)))


# ------------------------------------------------------------------------------------------------------- the measuring


async def measure(way: str, server: postgres.Server, desk: Desk, model: Any, options: Any) -> Outcome:
    """Follow the table by one way while it is written to, then compare."""
    outcome = Outcome(f"Deskloom, {way}" + (f" each {options.every:g} s" if way == "column" else ""))
    url = server.url(DATABASE)
    async with prepared(server, way), desk.serving(way) as client:
        began = time.perf_counter()
        await sync(client)
        outcome.filled = time.perf_counter() - began
        began = time.perf_counter()
        await sync(client)
        outcome.again = time.perf_counter() - began
        watch = Watch(SAMPLED[way])
        writers = Writers(url, rate=options.writes, told=watch.told, held=watch.held, seed=WAYS.index(way))
        await writers.open()
        statements, read = await counts(url)
        texts, cpu = model.count(), cpu_seconds(desk.process.pid)
        runs: set[str] = set()
        sampler = Sampler(desk.process.pid)
        before = {run["id"] for run in (await client.get("/runs", params={"source": NAME})).json()["items"]}
        tasks = [asyncio.create_task(look(client, watch)), asyncio.create_task(note_runs(client, runs))]
        if way == "column":
            tasks.append(asyncio.create_task(by_the_clock(client, options.every)))
        try:
            outcome.done = await during(writers.run(options.minutes * 60), tasks)
            await during(settled(client, watch, way), tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        outcome.own, outcome.cpu = sampler.stop(), cpu_seconds(desk.process.pid) - cpu
        outcome.runs = len(runs - before)
        outcome.count(statements, read, *await counts(url))
        if way == "column":
            await sync(client)
            await deletions(client)
        outcome.embedded, outcome.needed = model.count() - texts, watch.texts
        outcome.stale, outcome.never = watch.stale, len(watch.waiting)
    outcome.rows, outcome.lost = await compare(desk.home, desk.environment, NAME, url)
    return outcome


async def during(work: Any, tasks: Sequence[asyncio.Task[Any]]) -> Any:
    """Work while others go on for ever: if one of them fails, that is the end."""
    main = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({main, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    if main not in done:
        main.cancel()
        await asyncio.gather(main, return_exceptions=True)
        return next(iter(done)).result()
    return main.result()


async def settled(client: httpx.AsyncClient, watch: Watch, way: str) -> None:
    """Until what is waited for has arrived; deletions cannot, by the change column."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if way == "column":
            for key in [key for key, written in watch.waiting.items() if written.version is None]:
                del watch.waiting[key]
                watch.held.discard(key)
        if not watch.waiting:
            break
        await asyncio.sleep(ASKED_EVERY)
    await sync(client)  # what was not sampled


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def note_runs(client: httpx.AsyncClient, seen: set[str]) -> None:
    """Collect the ids of the table's runs: old ones are pruned."""
    while True:
        answer = await client.get("/runs", params={"source": NAME, "limit": 50})
        seen |= {run["id"] for run in answer.json()["items"]}
        await asyncio.sleep(RUNS_EVERY)


# ------------------------------------------------------------------------------------------------------------ the peer


async def measure_peer(server: postgres.Server, folder: Path, model: Any, options: Any) -> Outcome:
    """CocoIndex over the same table under the same writes: updates without a pause, each a scan of the table."""
    outcome = Outcome(PEERS["cocoindex"].title)
    url, told, stop = server.url(DATABASE), folder / "peer.json", folder / "stop"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.workers.table_peer", reader_url(server), str(folder), str(told), str(stop),
        stdout=subprocess.PIPE, env=os.environ | model.environment, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    began = time.perf_counter()
    if not await process.stdout.readline():  # the first update has ended
        sys.exit("CocoIndex did not start.")
    outcome.filled = time.perf_counter() - began
    written: list[Written] = []
    writers = Writers(url, rate=options.writes, told=written.append, held=set(), seed=len(WAYS))
    await writers.open()
    statements, read = await counts(url)
    texts, cpu, sampler = model.count(), cpu_seconds(process.pid), Sampler(process.pid)
    outcome.done = await writers.run(options.minutes * 60)
    outcome.own, outcome.cpu = sampler.stop(), cpu_seconds(process.pid) - cpu
    outcome.count(statements, read, *await counts(url))
    stop.touch()  # one more update, then it tells what it holds
    assert await process.wait() == 0
    answer = json.loads(told.read_text())
    outcome.embedded, outcome.needed = model.count() - texts, sum(one.version is not None for one in written)
    outcome.runs = len(answer["cycles"]) - 1
    outcome.stale = arrivals(written, answer["moments"])
    rows = await table_rows(url)
    held = answer["points"]
    outcome.rows = len(rows)
    outcome.lost = {
        "index missing": len(rows.keys() - held.keys()),
        "index wrong": sum(held[key] != [row["title"], row["body"], row["version"]]
                           for key, row in rows.items() if key in held),
        "index extra": len(held.keys() - rows.keys()),
    }  # fmt: skip
    return outcome


def arrivals(written: Sequence[Written], moments: Mapping[str, Sequence[Any]]) -> dict[str, list[float]]:
    """How long each row took, of (moment, version or None) of every write of a store, by key."""
    stale: dict[str, list[float]] = {}
    for one in written:
        for at, version in moments.get(one.key, ()):
            gone = version is None if one.version is None else version is not None and version >= one.version
            if at >= one.at and gone:
                kind = "deleted" if one.version is None else "late" if one.late else "single"
                stale.setdefault(kind, []).append(at - one.at)
                break
    return stale


# ----------------------------------------------------------------------------------------------------------- the model


class Model:
    """The model that all are given: a stand-in that counts its texts, or the bundled one."""

    def __init__(self, server: EmbeddingServer | None) -> None:
        self.server = server
        self.environment = {"DESKLOOM_EMBEDDER": "minilm"}
        if server is not None:
            self.environment = {
                "DESKLOOM_EMBEDDER": "openai",
                "DESKLOOM_EMBEDDER_URL": f"{server.url}/v1",
                "DESKLOOM_EMBEDDER_MODEL": server.model,
            }

    def count(self) -> int:
        return sum(self.server.sizes) if self.server else 0


def show(outcomes: Sequence[Outcome], options: Any) -> None:
    head = ["", "writes", "of them late", "rows", "lost or wrong", "unseen in time"]
    lines: list[list[Any]] = [head]
    for one in outcomes:
        lines.append([one.title, one.done.writes, one.done.late, one.rows, sum(one.lost.values()), one.never])
    table(f"{options.writes:g} writes a second for {options.minutes:g} minutes: lost rows", lines)
    for one in outcomes:
        if any(one.lost.values()):
            print(f"  {one.title}: {', '.join(f'{n} {what}' for what, n in one.lost.items() if n)}")
    lines = [["", "rows changed", "runs", "rows read", "a change", "statements", "a change", "texts", "needed"]]
    for one in outcomes:
        changed = max(1, one.done.rows)
        ratios = ["-" if n is None else f"{n / changed:.2f}" for n in (one.rows_read, one.statements)]
        read, asked = f"{one.rows_read:,}", "-" if one.statements is None else f"{one.statements:,}"
        texts = one.embedded if options.model == "server" else "-"
        lines.append([one.title, one.done.rows, one.runs, read, ratios[0], asked, ratios[1], texts, one.needed])
    table("Reading: rows of the table that were read, and statements on its database", lines)
    lines = [
        [
            "",
            "single p50",
            "p99",
            "late p50",
            "p99",
            "deleted p50",
            "p99",
            "samples",
            "own MB",
            "CPU s",
            "first read",
            "again",
        ]
    ]
    for one in outcomes:
        kinds = [one.seconds(kind, share) for kind in ("single", "late", "deleted") for share in (0.5, 0.99)]
        samples = sum(len(found) for found in one.stale.values())
        lines.append(
            [one.title, *kinds, samples, one.own, one.cpu, one.filled, "-" if one.again is None else one.again]
        )
    table("Staleness in seconds, and what it takes (compare, do not quote)", lines)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--writes", type=float, default=50.0, help="writes a second")
    parser.add_argument("--way", choices=[*WAYS, "none", "all"], default="all")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between syncs by the change column")
    parser.add_argument("--model", choices=["server", "minilm"], default="server")
    parser.add_argument("--latency", type=float, default=0.02, help="seconds a request of the stand-in takes")
    parser.add_argument("--peers", nargs="*", choices=["cocoindex"], help="default: CocoIndex, if it is installed")
    options = parser.parse_args()
    peers = installed(["cocoindex"] if options.peers is None else options.peers)
    ways = WAYS if options.way == "all" else [way for way in WAYS if way == options.way]
    outcomes = []
    with scratch() as folder, team() as server, EmbeddingServer(latency=options.latency, slots=2) as stand_in:
        await prepare(server, options.rows)
        model = Model(stand_in if options.model == "server" else None)
        environment = os.environ | model.environment | {"DESKLOOM_HOME": str(folder / "home")}
        desk = Desk(folder / "home", environment | {"SOURCE_DATABASE_URL": reader_url(server)})
        for way in ways:
            outcomes.append(await measure(way, server, desk, model, options))
            print(f"  {way}: done, {sum(outcomes[-1].lost.values())} lost or wrong", file=sys.stderr)
        if peers:
            (folder / "peer").mkdir()
            outcomes.append(await measure_peer(server, folder / "peer", model, options))
    stood = f"a stand-in, {options.latency * 1000:g} ms a request" if options.model == "server" else "MiniLM"
    print(f"{options.rows:,} rows at first; {QUICK} connections write one by one, {SLOW} commit late; model: {stood}")
    show(outcomes, options)
    print(f"  {versions(peers)}")


if __name__ == "__main__":
    asyncio.run(main())
