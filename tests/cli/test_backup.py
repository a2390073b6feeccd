"""`db backup` and `db restore`: a copy taken while everything goes on, and an installation made from it."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import stat
from pathlib import Path

import pytest
from tests.cli.terminal import Terminal, line_with, wait

from deskloom.sandbox import Desk, Fault

MANY = pytest.mark.parametrize("desk", [70], indirect=True, ids=["70 tickets"])


@pytest.mark.slow
@MANY
def test_a_backup_taken_during_a_sync_brings_a_lost_home_back(terminal: Terminal, desk: Desk) -> None:
    """The sync goes on meanwhile; killed and with its home removed, it goes on from the back-up; then all copies agree
    and a second back-up is the same installation again, without a text embedded."""
    desk.faults.add(Fault(match=r"GET /api/v2/tickets/\d+/conversations", kind="hang", times=1, skip=55))
    first = terminal.start("sync", "tickets")
    line_with(first, "reading tickets; 50 items")
    file = terminal.folder / "backup.db"
    backed = terminal.run("db", "backup", "backup.db")
    assert (backed.status, backed.err) == (0, "")
    assert backed.out.endswith("Restore it: deskloom db restore backup.db\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert wait(first, signal.SIGKILL).status == -signal.SIGKILL
    desk.faults.clear()
    shutil.rmtree(terminal.home)

    restored = terminal.run("db", "restore", "backup.db")
    assert (restored.status, restored.err) == (0, "")
    assert restored.out == (
        f"{terminal.home / 'deskloom.db'} is what backup.db holds. Read what has changed since, and fill the index: "
        "deskloom sync all\n"
    )
    synced = terminal.run("sync", "all", "--json")
    tickets, kb, hours = synced.json_lines()
    assert (synced.status, tickets["takeovers"], tickets["counts"]["fetched"]) == (0, 1, len(desk.tickets))
    assert (tickets["state"], kb["state"], hours["state"]) == ("succeeded",) * 3
    assert terminal.run("verify", "--deep", "--source").status == 0

    assert terminal.run("reindex", "--yes").status == 0
    terminal.run("db", "backup", "second.db")
    again = terminal.run("db", "restore", "second.db", "--replace")
    assert (again.status, (terminal.home / "index").exists()) == (0, False)
    counts = [run["counts"] for run in terminal.run("sync", "all", "--json").json_lines()]
    assert [count["embedded"] for count in counts] == [0, 0, 0]
    gone = terminal.run("reindex", "--back", "--yes")
    assert (gone.status, gone.err.startswith("No earlier copy of ")) == (1, True)
    assert terminal.run("verify", "--deep", "--source").status == 0


def test_nothing_is_overwritten_and_nothing_else_is_taken_for_a_record(terminal: Terminal, tmp_path: Path) -> None:
    """An existing file, an existing record, a file that is none of ours and a missing one: a sentence, no change."""
    assert terminal.run("sync", "kb").status == 0
    assert terminal.run("db", "backup", "one.db").status == 0
    before = (terminal.folder / "one.db").read_bytes()
    taken = terminal.run("db", "backup", "one.db")
    assert (taken.status, taken.err) == (1, "one.db exists. Name a new file.\n")
    there = terminal.run("db", "restore", "one.db")
    assert (there.status, there.err.partition(" exists. ")[2]) == (
        1,
        "Say --replace to drop it, or back it up first.\n",
    )
    (terminal.folder / "text.db").write_text("no database " * 500)
    with sqlite3.connect(terminal.folder / "other.db") as other:
        other.execute("CREATE TABLE theirs (id INTEGER)")
    other.close()
    for name, words in (("text.db", "is not a database"), ("other.db", "deskloom.db.new"), ("no.db", "no file no.db")):
        refused = terminal.run("db", "restore", name, "--replace")
        assert (refused.status in (1, 2), words in refused.err, refused.err.count("\n")) == (True, True, 1), refused.err
    assert (terminal.folder / "one.db").read_bytes() == before
    assert sorted(path.name for path in terminal.home.iterdir()) == [
        "deskloom.db", "deskloom.home", "deskloom.lock", "index",
    ]  # fmt: skip
    assert terminal.run("verify").status == 0


def test_where_there_is_nothing_nothing_is_made(terminal: Terminal) -> None:
    """A back-up of a record that is not there ends 1 and leaves no file; of PostgreSQL the right command is told."""
    none = terminal.run("db", "backup", "one.db")
    assert (none.status, none.err.startswith("There is no record at ")) == (1, True)
    url = "postgresql://u:s3cret@127.0.0.1:1/x"
    for command, tool in (("backup", "pg_dump --format=custom"), ("restore", "pg_restore --clean --if-exists")):
        told = terminal.run("db", command, "one.db", DATABASE_URL=url)
        assert (told.status, tool in told.err, "s3cret" in told.err) == (2, True, False)
    assert list(terminal.folder.iterdir()) == []


def test_a_home_in_use_is_not_replaced(terminal: Terminal, desk: Desk) -> None:
    """While another command works on the folder, a restore names it and changes nothing."""
    terminal.run("sync", "kb", "--limit", "1")
    terminal.run("db", "backup", "one.db")
    desk.faults.add(Fault(match="GET", kind="slow", times=None, seconds=1.0))
    first = terminal.start("sync", "kb", "--full")
    line_with(first, "reading kb")
    refused = terminal.run("db", "restore", "one.db", "--replace")
    assert (refused.status, "is in use by process" in refused.err) == (1, True)
    desk.faults.clear()
    assert wait(first).status == 0
