"""What a pooler in transaction mode takes away is not missed: whole syncs, kills, locks, read-only readers."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from tests import pgbouncer, postgres
from tests.crash.test_kill import Workers
from tests.record.made import NOW, a_ticket
from tests.rig import Install, Rig

from deskloom.dispatch.procrastinate import open_workers
from deskloom.dispatch.queue import scripts
from deskloom.errors import SettingInvalid
from deskloom.record import Record, open_record, require_current, upgrade
from deskloom.record.queue import upgrade_queue
from deskloom.record.tickets import load_tickets, store_tickets
from deskloom.sandbox.clock import Clock
from deskloom.sandbox.generate import generate
from deskloom.sandbox.server import SandboxServer

KILLS = 3


async def test_the_pooler_gives_each_transaction_another_connection(record_url: str, bouncer: object) -> None:
    """The tests here would miss what they look for, if a client kept one server connection."""
    clients = [await asyncpg.connect(record_url, statement_cache_size=0) for _ in range(4)]
    try:
        seen = set()
        for _ in range(4):
            seen |= {await client.fetchval("SELECT pg_backend_pid()") for client in clients}
        assert len(seen) < len(clients)
    finally:
        for client in clients:
            await client.close()


async def test_statements_are_those_of_their_own_transaction(record: Record, record_url: str) -> None:
    """Many writers on few server connections prepare, run and forget the same statements without mixing them up."""
    others = [open_record(record_url) for _ in range(3)]

    async def write(number: int, with_record: Record) -> None:
        async with with_record.transaction() as tx:
            await store_tickets(tx, "desk", [a_ticket(number)], now=NOW)
            await asyncio.sleep(0)
            assert set(await load_tickets(tx, "desk", [str(number)])) == {str(number)}

    try:
        await asyncio.gather(*(write(number, [record, *others][number % 4]) for number in range(60)))
        async with record.reading() as tx:
            assert len(await load_tickets(tx, "desk", [str(number) for number in range(60)])) == 60
    finally:
        for other in others:
            await other.aclose()


async def test_a_reader_leaves_nothing_behind_for_the_next_writer(
    postgres_server: postgres.Server, record_url: str
) -> None:
    """Read-only and repeatable read end with their transaction, although the next one has the same connection."""
    with pgbouncer.running(postgres_server, pgbouncer.find(), pool=1) as narrow:
        record = open_record(narrow.through(record_url))
        try:
            for number in range(5):
                async with record.reading() as tx:
                    shown = [
                        (await tx.execute(text(f"SHOW transaction_{name}"))).scalar()
                        for name in ("read_only", "isolation")
                    ]
                    reader = (await tx.execute(text("SELECT pg_backend_pid()"))).scalar()
                assert shown == ["on", "repeatable read"]
                async with record.transaction() as tx:
                    writer = (await tx.execute(text("SELECT pg_backend_pid()"))).scalar()
                    await store_tickets(tx, "desk", [a_ticket(number)], now=NOW + timedelta(seconds=number))
                assert reader == writer
        finally:
            await record.aclose()


async def test_locks_end_with_their_transaction(empty_url: str) -> None:
    """Processes that migrate at once, in turn behind one advisory lock, leave no lock on the pooler's connections."""
    records = [open_record(empty_url) for _ in range(6)]
    try:
        await asyncio.gather(*(upgrade(record) for record in records))
        await require_current(records[0])
        async with records[0].reading() as tx:
            held = await tx.execute(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"))
            assert held.scalar() == 0
    finally:
        for record in records:
            await record.aclose()


async def test_a_whole_sync_and_its_repetition(install: Install) -> None:
    """Both streams are synced, the copies agree, a later change arrives, and a repetition embeds nothing."""
    async with install(generate(seed=4, tickets=60, articles=8)) as made:
        for stream in ("tickets", "kb"):
            assert (await made.sync(stream)).state == "succeeded"
        assert await made.differences() == []
        embedded = made.embedder.texts
        for stream in ("tickets", "kb"):
            assert (await made.sync(stream)).state == "succeeded"
        assert (await made.differences(), made.embedder.texts) == ([], embedded)


@pytest.mark.slow
async def test_workers_are_told_that_they_need_a_session(record: Record) -> None:
    """The job queue's tables are made through the pooler; workers, who listen, are refused with what to do."""
    await upgrade_queue(record, scripts())

    async def nothing(*_: object) -> Any:
        raise AssertionError("there is nothing to do")

    options: dict[str, Any] = {"within": timedelta(seconds=1), "clock": lambda: NOW, "concurrency": 1}
    with pytest.raises(SettingInvalid, match=r"The job queue cannot be reached.*session mode") as caught:
        await open_workers(record, nothing, nothing, **options)
    assert caught.value.facts == {"setting": "DATABASE_URL"}


@pytest.mark.slow
async def test_a_process_killed_behind_the_pooler_goes_on(tmp_path: Path, database_url: str) -> None:
    """After kills and one undisturbed run the copies agree: no transaction was left open or half done."""
    desk = generate(seed=6, tickets=150, articles=6, clock=Clock())
    chance = random.Random(5)
    with SandboxServer(desk) as server:
        workers = Workers(tmp_path, desk, server.url, database_url)
        interrupted = [workers.kill(seconds=20, texts=chance.randint(1, 60)) for _ in range(KILLS)]
        workers.finish()
        assert interrupted == [True] * KILLS
        made = Rig(desk, server.url, workers.home, database_url=database_url)
        await made.open()
        try:
            assert await made.differences() == []
        finally:
            await made.close()


def test_it_is_fetched_where_the_machine_has_none() -> None:
    """The package and what it needs are unpacked in the checkout once, and found there from then on."""
    if pgbouncer.optional() or not pgbouncer.find().path.is_relative_to(pgbouncer.CACHE):
        pytest.skip("This machine has one of its own, or no apt.")
    fetched = {path: path.stat().st_mtime_ns for path in pgbouncer.CACHE.rglob("*.so.*")}
    again = pgbouncer.find()
    assert (again.path.name, bool(again.libraries)) == ("pgbouncer", True)
    assert {path: path.stat().st_mtime_ns for path in pgbouncer.CACHE.rglob("*.so.*")} == fetched
