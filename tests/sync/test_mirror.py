"""The copy of the sync log at Supabase: complete in the end, whatever fails, and never in anybody's way."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import select
from tests.rig import Install
from tests.sync.postgrest import KEY, Fault, supabase

from deskloom.errors import SettingInvalid
from deskloom.record import Record, tables
from deskloom.record.checkpoints import load_checkpoint
from deskloom.record.logs import log_items
from deskloom.sandbox.generate import generate
from deskloom.settings import Settings
from deskloom.sync.mirror import BOOKMARK, LONGEST_PAUSE, Mirror, SupabaseTable

NOW = datetime(2025, 3, 3, 12, tzinfo=UTC)


async def add(record: Record, first: int, count: int) -> None:
    async with record.transaction() as tx:
        await log_items(tx, "tickets", [(str(first + number), "ticket") for number in range(count)], now=NOW)


async def kept(record: Record) -> dict[int, dict[str, Any]]:
    """The sync log of the record, as the other side should show it."""
    async with record.reading() as tx:
        rows = [dict(row) for row in (await tx.execute(select(tables.sync_logs))).mappings()]
    return {row["id"]: row | {"synced_at": row["synced_at"].isoformat()} for row in rows}


def mirror_to(record: Record, table: SupabaseTable, *, name: str = "project", batch: int = 4) -> Mirror:
    return Mirror(record, table.push, name=name, clock=lambda: NOW, batch=batch)


async def test_entries_are_copied_in_batches_and_once(record: Record) -> None:
    """Everything arrives in order, batch by batch; a second look sends only what is new, and a new process likewise."""
    async with supabase() as project, aclosing(SupabaseTable(project.url, KEY)) as table:
        await add(record, 0, 10)
        mirror = mirror_to(record, table)
        assert await mirror.attempt()
        assert (project.rows, project.batches) == (await kept(record), [4, 4, 2])
        await add(record, 10, 3)
        assert await mirror_to(record, table).attempt()
        assert await mirror.attempt()
        assert (project.rows, project.batches) == (await kept(record), [4, 4, 2, 3])
        async with record.reading() as tx:
            assert await load_checkpoint(tx, *BOOKMARK) == {"to": "project", "id": max(project.rows)}


async def test_another_project_gets_everything(record: Record) -> None:
    """The bookmark is that of one project; the next one starts at the beginning."""
    await add(record, 0, 3)
    async with supabase() as first, supabase() as second:
        for project in (first, second):
            async with aclosing(SupabaseTable(project.url, KEY)) as table:
                assert await mirror_to(record, table, name=project.url).attempt()
        assert first.rows == second.rows == await kept(record)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("503", "Supabase did not take entries of sync_logs (PGRST001). It is tried again."),
        ("proxy", "Supabase did not take entries of sync_logs (502). It is tried again."),
        ("table", "The Supabase project has no table sync_logs (PGRST205). Make it as docs/supabase.md says."),
        ("reset", "Supabase cannot be reached. Check SUPABASE_URL; it is tried again."),
        ("lost", "Supabase cannot be reached. Check SUPABASE_URL; it is tried again."),
        ("hang", "Supabase did not answer in time. It is tried again."),
    ],
)
async def test_a_fault_delays_and_loses_nothing(sqlite_record: Record, fault: Fault, told: str) -> None:
    """It is told in one sentence without a row; the next look copies what is left, and the trouble is over."""
    await add(sqlite_record, 0, 10)
    async with supabase() as project, aclosing(SupabaseTable(project.url, KEY, timeout=0.3)) as table:
        mirror = mirror_to(sqlite_record, table)
        usual = mirror.pause
        assert await mirror.copy()
        project.faults.append(fault)
        assert (await mirror.attempt(), mirror.trouble, mirror.pause) == (False, told, 2 * usual)
        assert await mirror.attempt()
        assert (mirror.trouble, mirror.pause, project.rows) == (None, usual, await kept(sqlite_record))


async def test_a_wrong_key_is_told_and_not_shown(sqlite_record: Record) -> None:
    """401 names the setting; the pause grows to its limit."""
    await add(sqlite_record, 0, 1)
    async with supabase() as project, aclosing(SupabaseTable(project.url, "wrong-key")) as table:
        mirror = mirror_to(sqlite_record, table)
        for _ in range(12):
            assert not await mirror.attempt()
        told = "Supabase refused the key or its rights (401). Set the service-role key as SUPABASE_KEY."
        assert (mirror.trouble, mirror.pause, project.rows) == (told, LONGEST_PAUSE, {})


async def test_nobody_listening_is_no_error(sqlite_record: Record) -> None:
    """Neither a look nor the end of the process raises, and the bookmark stays."""
    await add(sqlite_record, 0, 1)
    async with aclosing(SupabaseTable("http://127.0.0.1:1", KEY)) as table:
        mirror = mirror_to(sqlite_record, table)
        await mirror.flush(timedelta(seconds=5))
        assert mirror.trouble == "Supabase cannot be reached. Check SUPABASE_URL; it is tried again."
        async with sqlite_record.reading() as tx:
            assert await load_checkpoint(tx, *BOOKMARK) is None


async def test_the_end_of_a_process_waits_only_so_long(sqlite_record: Record) -> None:
    """A project that does not answer holds nobody up."""
    await add(sqlite_record, 0, 1)
    async with supabase("hang") as project, aclosing(SupabaseTable(project.url, KEY)) as table:
        await mirror_to(sqlite_record, table).flush(timedelta(milliseconds=50))
        assert project.rows == {}


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_an_id_that_is_committed_late_is_not_passed_over(record: Record, record_url: str) -> None:
    """While a transaction is open that took a lower id, higher ones wait; a rolled-back id is skipped."""
    late, dropped = [await asyncpg.connect(record_url) for _ in range(2)]
    insert = "INSERT INTO sync_logs (collection, item_id, item_type, synced_at) VALUES ('tickets', $1, 'ticket', now())"
    try:
        async with supabase() as project, aclosing(SupabaseTable(project.url, KEY)) as table:
            mirror = mirror_to(record, table)
            slow, void = late.transaction(), dropped.transaction()
            await slow.start()
            await late.execute(insert, "late")
            await void.start()
            await dropped.execute(insert, "void")
            await add(record, 0, 2)
            for _ in range(3):
                assert await mirror.attempt()
                assert project.rows == {}
            await void.rollback()
            assert (await mirror.attempt(), project.rows) == (True, {})
            await slow.commit()
            assert await mirror.attempt()
            assert (project.rows, len(project.rows)) == (await kept(record), 3)
    finally:
        await late.close()
        await dropped.close()


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_many_writers_and_many_faults_leave_two_equal_logs(record: Record) -> None:
    """Writers that commit in any order, and a project that fails again and again, agree in the end."""
    faults: list[Fault] = ["503", "lost", "reset", "proxy", "lost", "503"]

    async def write(number: int) -> None:
        for turn in range(10):
            async with record.transaction() as tx:
                await log_items(tx, "tickets", [(f"{number}.{turn}", "ticket")] * 2, now=NOW)
                await asyncio.sleep(0.001 * ((number * 7 + turn) % 5))

    async with supabase(*faults) as project, aclosing(SupabaseTable(project.url, KEY)) as table:
        mirror = mirror_to(record, table, batch=15)
        writing = asyncio.gather(*(write(number) for number in range(4)))
        while not writing.done():
            await mirror.attempt()
        await writing
        while not await mirror.attempt() or len(project.rows) < 80:
            assert len(project.faults) < len(faults)
        assert project.rows == await kept(record)


async def test_a_sync_knows_nothing_of_a_mirror_that_fails(install: Install) -> None:
    """With a project that refuses everything the run is as without; once it takes rows, it has all of them."""
    async with supabase() as project:
        wrong: dict[str, Any] = {"supabase_url": project.url, "supabase_key": "wrong"}
        async with install(generate(seed=4, tickets=6, articles=2), **wrong) as made:
            assert made.app.mirror is not None
            copying = asyncio.create_task(made.app.mirror.run_forever())
            run = await made.sync("tickets")
            await made.app.mirror.attempt()
            assert (run.state, run.errors, project.rows) == ("succeeded", [], {})
            assert "SUPABASE_KEY" in str(made.app.mirror.trouble)
            project.key = "wrong"
            assert await made.app.mirror.attempt()
            copying.cancel()
            await asyncio.wait({copying})
            assert len(project.rows) >= 6
            assert project.rows == await kept(made.app.record)


@pytest.mark.parametrize(
    ("given", "setting"),
    [
        ({"supabase_url": "https://abcd.supabase.co"}, "SUPABASE_KEY is not set"),
        ({"supabase_key": "key"}, "SUPABASE_URL is not set"),
        ({"supabase_url": "abcd", "supabase_key": "key"}, "SUPABASE_URL is not the address"),
        ({"supabase_url": "http://abcd.supabase.co", "supabase_key": "key"}, "SUPABASE_URL is not the address"),
    ],
)
def test_half_a_setting_is_refused(given: dict[str, str], setting: str) -> None:
    """One without the other, or no address, stops the start with its name and an example."""
    with pytest.raises(SettingInvalid, match=rf"^{setting}.*https://abcd"):
        Settings(_env_file=None, **given).supabase()  # type: ignore[arg-type]


def test_without_settings_nothing_is_copied() -> None:
    """Blank values count as unset."""
    assert Settings(_env_file=None, supabase_url="", supabase_key=" ").supabase() is None  # type: ignore[arg-type]
