"""From one worker to many: publishing with an embedding server of fixed latency, and three sources at once.

Counts first, then texts a second beside one worker of the same run, and the wall time of three sources beside the
slowest of them alone. Workers are real `deskloom worker` processes on PostgreSQL; the index is the embedded one, served
on loopback, so that it needs no Qdrant server.

Use: python -m benchmarks.scale [--tickets 600] [--latency 1.0] [--workers 1 2 4]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
from benchmarks.embedding_server import EmbeddingServer
from benchmarks.rigs import ROOT, sandbox
from sqlalchemy import delete
from tests import postgres
from tests.served_index import ServedIndex, served_index

from deskloom.cli import exits
from deskloom.cli.running import run
from deskloom.cli.worker import work
from deskloom.dispatch.queue import scripts
from deskloom.record import documents, open_record, tables, upgrade
from deskloom.record import runs as record_runs
from deskloom.record.queue import upgrade_queue
from deskloom.record.runs import Run
from deskloom.settings import load_settings
from deskloom.wiring import App, open_app

COLLECTION = "support_tickets"
BATCH = 16
ENDED = ("succeeded", "partial", "failed", "cancelled")


@contextmanager
def surroundings(folder: Path, sources: dict[str, str], embedder: str) -> Iterator[str]:
    """PostgreSQL and an index, and the settings of everybody in the environment; yields the index's address."""
    with postgres.running() as server, served_index(folder / "index") as index:
        named = [
            {"name": name, "kind": "freshdesk", "domain": url, "api_key": "sandbox"} for name, url in sources.items()
        ]
        os.environ |= {
            "DATABASE_URL": server.url("postgres"),
            "DESKLOOM_HOME": str(folder / "home"),
            "DESKLOOM_DISPATCH": "procrastinate",
            "DESKLOOM_EMBEDDER": "openai",
            "DESKLOOM_EMBEDDER_URL": f"{embedder}/v1",
            "DESKLOOM_EMBEDDER_MODEL": "stub-embed",
            "DESKLOOM_PUBLISH_BATCH": str(BATCH),
            "DESKLOOM_RATE_SHARE": "1.0",
            "DESKLOOM_SOURCES": httpx.Response(200, json=named).text,
        }
        yield index


@asynccontextmanager
async def submitting(index: str) -> AsyncIterator[App]:
    """What `deskloom serve` is among workers: it submits and looks on."""
    settings = load_settings()
    record = open_record(settings.record_url())
    await upgrade(record)
    await upgrade_queue(record, scripts())
    await record.aclose()
    async with open_app(settings, index=ServedIndex(index)) as app:
        yield app


@contextmanager
def workers(count: int, concurrency: int, index: str) -> Iterator[None]:
    """So many worker processes, ready."""
    command = [sys.executable, "-m", "benchmarks.scale", "--worker", str(concurrency), index]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT) for _ in range(count)
    ]
    try:
        for each in started:
            assert each.stdout is not None
            if not each.stdout.readline().startswith(b"Worker ready"):
                sys.exit("A worker did not start.")
        yield
    finally:
        for each in started:
            each.terminate()
        for each in started:
            each.wait(60)


async def sync(app: App, names: Sequence[str]) -> list[Run]:
    """Runs of these sources at once, as they ended."""
    begun = [await app.dispatcher.submit(source=name, stream="tickets") for name in names]
    ended: list[Run] = []
    for one in begun:
        while True:
            async with app.record.reading() as tx:
                now = await record_runs.get_run(tx, one.id)
            if now.state in ENDED:
                break
            await asyncio.sleep(0.05)
        if now.state != "succeeded":
            sys.exit(f"A run {now.state}: {now.errors}")
        ended.append(now)
    return ended


async def forget(app: App, *, everything: bool) -> None:
    """As if nothing had been published, or as if nothing had been read either."""
    async with app.record.transaction() as tx:
        await tx.execute(delete(tables.embeddings))
        await documents.unpublish(tx, COLLECTION)
        if everything:
            for table in (tables.checkpoints, tables.documents, tables.messages, tables.tickets, tables.budgets):
                await tx.execute(delete(table))


async def publishing(index: str, counts: Sequence[int], server: EmbeddingServer) -> None:
    async with submitting(index) as app:
        latency, server.latency = server.latency, 0
        with workers(1, 1, index):
            await sync(app, ["one"])
        server.latency = latency
        alone = 0.0
        for count in counts:
            await forget(app, everything=False)
            with workers(count, 1, index):
                began = time.perf_counter()
                (ended,) = await sync(app, ["one"])
                seconds = time.perf_counter() - began
            texts = ended.counts["embedded"]
            rate = texts / seconds
            alone = alone or rate
            print(
                f"{count} worker{'s' * (count > 1):1}  {texts:6,} texts embedded  {ended.counts['indexed']:6,} points  "
                f"{seconds:6.1f} s  {rate:7.1f} texts/s  × {rate / alone:.2f}",
                flush=True,
            )


async def at_once(index: str, names: Sequence[str]) -> None:
    async with submitting(index) as app:
        with workers(1, len(names), index):
            await sync(app, names)  # what a worker does once, at its first run, is not measured
            walls: list[float] = []
            for which in [*([name] for name in names), list(names)]:
                await forget(app, everything=True)
                began = time.perf_counter()
                ended = await sync(app, which)
                walls.append(time.perf_counter() - began)
                calls = sum(each.counts["api_calls"] for each in ended)
                fetched = sum(each.counts["fetched"] for each in ended)
                title = which[0] if len(which) == 1 else f"{len(which)} at once"
                print(f"{title:10} {fetched:6,} tickets  {calls:6,.0f} calls  {walls[-1]:6.1f} s", flush=True)
    print(f"{len(names)} sources at once take {walls[-1] / max(walls[:-1]):.2f} × the slowest of them alone")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tickets", type=int, default=600)
    parser.add_argument("--latency", type=float, default=1.0, help="seconds for each answer of the embedding server")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, EmbeddingServer(latency=asked.latency) as server:
        with (
            sandbox(tickets=asked.tickets) as url,
            surroundings(Path(folder) / "publish", {"one": url}, server.url) as index,
        ):
            print(f"Publishing {asked.tickets:,} tickets; the embedding server takes {asked.latency} s for an answer")
            asyncio.run(publishing(index, asked.workers, server))
        server.latency = 0.05
        with ExitStack() as stack:
            sources = {
                name: stack.enter_context(sandbox(tickets=asked.tickets // 3)) for name in ("one", "two", "three")
            }
            index = stack.enter_context(surroundings(Path(folder) / "sources", sources, server.url))
            print(f"Syncing sources of {asked.tickets // 3:,} tickets each")
            asyncio.run(at_once(index, list(sources)))


def be_worker(concurrency: str, index: str) -> None:
    given: dict[str, Any] = {"index": ServedIndex(index)}
    try:
        run(work(load_settings(), int(concurrency), **given))
    except exits.Stopped:
        return


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        be_worker(*sys.argv[2:])
    else:
        main()
