"""The open record: transactions that do not deadlock, and faults said in words a person can act on."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from tests import postgres
from tests.record.made import NOW, a_ticket

from deskloom.errors import HomeForeign, RecordDamaged, RecordOutdated, RecordUnavailable, SettingInvalid
from deskloom.record import Record, open_record, upgrade
from deskloom.record.checkpoints import load_checkpoint
from deskloom.record.tickets import load_tickets, store_tickets

SECRET = "s3cret-pass"


async def fault(url: str, kind: type[Exception] = RecordUnavailable) -> str:
    """What the check of a record that cannot be used says."""
    record = open_record(url, busy=timedelta(milliseconds=50))
    try:
        with pytest.raises(kind) as caught:
            await record.check()
        assert SECRET not in repr(caught.value)
        return str(caught.value)
    finally:
        await record.aclose()


async def test_transactions_are_atomic_and_ordered(record: Record) -> None:
    """Writers that read before they write, all at once, lose no update and do not deadlock."""
    async with record.transaction() as tx:
        await tx.execute(text("INSERT INTO sync_logs VALUES (1, 'c', '0', 't', '2025-01-01T00:00:00Z')"))

    async def add() -> None:
        async with record.transaction() as tx:
            lock = " FOR UPDATE" if record.dialect == "postgresql" else ""
            value = (await tx.execute(text(f"SELECT item_id FROM sync_logs{lock}"))).scalar_one()
            await asyncio.sleep(0)
            await tx.execute(text("UPDATE sync_logs SET item_id = :value"), {"value": str(int(value) + 1)})

    await asyncio.gather(*(add() for _ in range(20)))
    async with record.reading() as tx:
        assert (await tx.execute(text("SELECT item_id FROM sync_logs"))).scalar() == "20"


async def test_reading_sees_one_moment(record: Record) -> None:
    """A reader sees the record as it was when it began, whatever is committed meanwhile, and hinders nobody."""
    async with record.reading() as reader:
        assert await load_tickets(reader, "desk", ["1"]) == {}
        async with record.transaction() as tx:
            await store_tickets(tx, "desk", [a_ticket(1)], now=NOW)
        assert await load_tickets(reader, "desk", ["1"]) == {}
    async with record.reading() as reader:
        assert set(await load_tickets(reader, "desk", ["1"])) == {"1"}


async def test_cancelled_writer_leaves_nothing(record: Record) -> None:
    """A task cancelled in the middle of a transaction leaves neither rows nor a lock behind."""
    inside = asyncio.Event()

    async def write() -> None:
        async with record.transaction() as tx:
            await store_tickets(tx, "desk", [a_ticket(1)], now=NOW)
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with record.transaction() as tx:
        assert await load_tickets(tx, "desk", ["1"]) == {}
        await store_tickets(tx, "desk", [a_ticket(2)], now=NOW)


async def test_no_statement_outlives_its_transaction(postgres_server: postgres.Server) -> None:
    """Nothing is left on a PostgreSQL connection that a pooler would hand to another client."""
    async with postgres.database(postgres_server, "deskloom_template") as url:
        record = open_record(url, pool_size=1)
        async with record.transaction() as tx:
            await store_tickets(tx, "desk", [a_ticket(1), a_ticket(2)], now=NOW)
            await load_tickets(tx, "desk", ["1"])
        async with record.reading() as tx:
            left = (
                "SELECT (SELECT count(*) FROM pg_prepared_statements WHERE name <> ''), (SELECT count(*) FROM pg_locks"
            )
            left += " WHERE locktype = 'advisory'), current_setting('transaction_read_only')"
            assert tuple((await tx.execute(text(left))).one()) == (0, 0, "on")
        async with record.transaction() as tx:
            assert (await tx.execute(text("SELECT current_setting('transaction_read_only')"))).scalar() == "off"
        await record.aclose()


async def test_wal_and_pragmas(sqlite_record: Record) -> None:
    """A SQLite record is in WAL mode and its references are enforced."""
    async with sqlite_record.reading() as tx:
        found = [(await tx.exec_driver_sql(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "foreign_keys")]
    assert found == ["wal", 1]


async def test_callers_own_errors_pass(record: Record) -> None:
    """An error of the caller inside a transaction is not taken for a fault of the database."""

    async def read_a_file() -> None:
        async with record.transaction():
            raise FileNotFoundError("theirs")

    with pytest.raises(FileNotFoundError, match="theirs"):
        await read_a_file()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "not a database URL"),
        ("mysql://u:s3cret-pass@h/d", 'begins with "mysql"'),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("postgresql://u:s3cret-pass@h:port/d", "not a database URL"),
    ],
)
def test_wrong_url(url: str, words: str) -> None:
    """A URL that cannot be is refused at once, without being repeated: it may hold a password."""
    with pytest.raises(SettingInvalid, match=words) as caught:
        open_record(url)
    assert SECRET not in str(caught.value)


async def test_server_not_there() -> None:
    """Nobody listens."""
    said = await fault(f"postgresql://me:{SECRET}@127.0.0.1:1/deskloom")
    assert said == (
        'Record "deskloom" on 127.0.0.1:1 cannot be reached. Check that the server runs and DATABASE_URL names it.'
    )


async def test_database_missing(postgres_server: postgres.Server) -> None:
    """The server is there, the database is not."""
    said = await fault(postgres_server.url("nowhere"))
    assert said == (
        f'Record "nowhere" on 127.0.0.1:{postgres_server.port} does not exist on that server. '
        "Create it (createdb) or correct DATABASE_URL."
    )


async def test_wrong_user(postgres_server: postgres.Server) -> None:
    """The server does not let this user in."""
    said = await fault(f"postgresql://stranger:{SECRET}@127.0.0.1:{postgres_server.port}/postgres")
    assert said.endswith("refused the user or password. Set the right ones in DATABASE_URL.")


async def test_wrong_password(postgres_server: postgres.Server) -> None:
    """The server asks for a password, and this one is wrong."""
    with postgres.running(password="right one") as server:
        said = await fault(f"postgresql://deskloom:{SECRET}@127.0.0.1:{server.port}/postgres")
        assert said.endswith("refused the user or password. Set the right ones in DATABASE_URL.")


async def test_server_dies(tmp_path: Path) -> None:
    """A server that goes away in the middle is reported, and is used again once it is back."""
    with postgres.running() as server:
        record = open_record(server.url("postgres"))
        await record.check()

        async def outlive() -> None:
            async with record.transaction() as tx:
                server.process.send_signal(signal.SIGQUIT)
                server.process.wait(30)
                await tx.execute(text("SELECT 1"))

        with pytest.raises(RecordUnavailable):
            await outlive()
        with pytest.raises(RecordUnavailable, match="cannot be reached"):
            await record.check()
        await record.aclose()


async def test_read_only_server(record_url: str, dialect: str) -> None:
    """Writing where only reading is allowed."""
    record = open_record(record_url)

    async def write() -> None:
        async with record.reading() if dialect == "postgresql" else record.transaction() as tx:
            if dialect == "sqlite":
                await tx.exec_driver_sql("PRAGMA query_only=ON")
            await tx.execute(text("DELETE FROM runs"))

    with pytest.raises(RecordUnavailable, match="may only be read"):
        await write()
    await record.aclose()


async def test_locked(sqlite_record: Record) -> None:
    """A SQLite file another program writes to is reported as locked after the wait."""
    other = sqlite3.connect(sqlite_record.url.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    record = open_record(str(sqlite_record.url), busy=timedelta(milliseconds=20))
    with pytest.raises(RecordUnavailable, match="is locked by another program") as caught:
        async with record.transaction():
            pass
    assert caught.value.retry_after == timedelta(seconds=5)
    other.close()
    async with record.transaction():
        pass
    await record.aclose()


async def test_own_queue_is_bounded(sqlite_record: Record) -> None:
    """A writer waits for another of its own process no longer than for a strange one."""
    record = open_record(str(sqlite_record.url), busy=timedelta(milliseconds=20))
    async with record.transaction():
        with pytest.raises(RecordUnavailable, match="is locked"):
            async with record.transaction():
                pass
    await record.aclose()


async def test_disk_full(sqlite_record: Record) -> None:
    """A page that does not fit on the disk is refused whole; what was stored before stays."""
    async with sqlite_record.transaction() as tx:
        await store_tickets(tx, "desk", [a_ticket(1)], now=NOW)

    async def overflow() -> None:
        async with sqlite_record.transaction() as tx:
            pages = (await tx.exec_driver_sql("PRAGMA page_count")).scalar_one()
            await tx.exec_driver_sql(f"PRAGMA max_page_count={pages + 1}")
            await store_tickets(tx, "desk", [a_ticket(2, description_text="x" * 1_000_000)], now=NOW)

    with pytest.raises(RecordUnavailable, match=r"its disk is full\. Free some space; nothing that was stored is lost"):
        await overflow()
    async with sqlite_record.reading() as tx:
        assert set(await load_tickets(tx, "desk", ["1", "2"])) == {"1"}


async def test_folder_missing(tmp_path: Path) -> None:
    """The folder of the file is not there."""
    said = await fault(f"sqlite:///{tmp_path}/no/such/deskloom.db")
    assert said.endswith("cannot be opened. Check that its folder exists and may be written to.")


@pytest.mark.parametrize("content", [b"This is a letter, not a database. " * 100, b"\x89PNG" + bytes(4000)])
async def test_not_a_database(tmp_path: Path, content: bytes) -> None:
    """A file that is something else is refused and left as it is."""
    path = tmp_path / "deskloom.db"
    path.write_bytes(content)
    assert (await fault(f"sqlite:///{path}", HomeForeign)).startswith(f'Record "{path}" is not a database.')
    record = open_record(f"sqlite:///{path}")
    with pytest.raises(HomeForeign):
        await upgrade(record)
    await record.aclose()
    assert path.read_bytes() == content


def _overwrite(path: Path) -> None:
    """Leave the first page of a database as it is, and nothing else."""
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))


async def test_damaged(sqlite_record: Record) -> None:
    """A file with holes in it is reported as damaged."""
    async with sqlite_record.transaction() as tx:
        await store_tickets(tx, "desk", [a_ticket(number) for number in range(1, 200)], now=NOW)
    await sqlite_record.aclose()
    _overwrite(Path(sqlite_record.url.database))
    with pytest.raises(RecordDamaged, match="Restore it from a backup"):
        async with sqlite_record.reading() as tx:
            await load_tickets(tx, "desk", ["1"])


async def test_tables_missing(empty_url: str) -> None:
    """Using a record that was never upgraded names the command that does it."""
    record = open_record(empty_url)
    with pytest.raises(RecordOutdated, match="Run: deskloom db upgrade"):
        async with record.reading() as tx:
            await load_checkpoint(tx, "desk", "tickets")
    await record.aclose()


_WRITER = """
import asyncio, sys
from deskloom.record import open_record
from deskloom.record.checkpoints import save_checkpoint
from deskloom.record.tickets import store_tickets
from tests.record.made import NOW, a_ticket

async def main() -> None:
    record = open_record(sys.argv[1])
    page = 0
    while True:
        page += 1
        async with record.transaction() as tx:
            await store_tickets(tx, "desk", [a_ticket(page * 10 + place) for place in range(10)], now=NOW)
            await save_checkpoint(tx, "desk", "tickets", {"page": page}, now=NOW, completed=False)
        print(page, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("pages", [1, 5])
async def test_killed_writer(record_url: str, pages: int) -> None:
    """After kill -9 the checkpoint and the tickets agree, and every page that was acknowledged is there."""
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{root / 'src'}"}
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _WRITER, record_url, stdout=subprocess.PIPE, env=environment, cwd=root
    )
    for _ in range(pages):
        acknowledged = int(await writer.stdout.readline())
    writer.kill()
    await writer.wait()
    record = open_record(record_url)
    async with record.reading() as tx:
        page = (await load_checkpoint(tx, "desk", "tickets"))["page"]
        stored = (await tx.execute(text("SELECT count(*) FROM tickets"))).scalar()
        said = (await tx.execute(text("SELECT count(*) FROM messages"))).scalar()
    await record.aclose()
    assert page >= acknowledged == pages
    assert (stored, said) == (page * 10, page * 20)
