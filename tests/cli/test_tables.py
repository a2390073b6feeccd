"""The team's own tables from the command line: declared, synced, followed, rebuilt, checked."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests import postgres
from tests.cli.terminal import Terminal, line_with, wait

from deskloom.examples import tables_sql, tables_toml

REFERENCE = """INSERT INTO "KnowledgeReference" (id, title, content) VALUES ($1, $2, $3)"""


@pytest.fixture(scope="module")
def logical() -> Iterator[postgres.Server]:
    with postgres.running(settings=["wal_level=logical", "synchronous_commit=on"]) as server:
        yield server


@pytest.fixture
async def team(logical: postgres.Server, tmp_path: Path) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the team's application, to a database with the example tables."""
    async with postgres.database(logical) as url:
        connection = await asyncpg.connect(url)
        await connection.execute(tables_sql())
        yield connection
        for slot in await connection.fetch("SELECT slot_name FROM pg_replication_slots"):
            await connection.execute("SELECT pg_drop_replication_slot($1)", slot["slot_name"])
        await connection.close()


@pytest.fixture
def shop(team: asyncpg.Connection, logical: postgres.Server, tmp_path: Path) -> Terminal:
    """An empty folder, with nothing set but where the tables are."""
    folder = tmp_path / "here"
    folder.mkdir()
    url = logical.url(database_of(team))
    return Terminal(folder, {"DESKLOOM_HOME": str(tmp_path / "home"), "SOURCE_DATABASE_URL": f"{url}?schema=public"})


@pytest.fixture
def declared(shop: Terminal) -> Terminal:
    (shop.folder / "deskloom.toml").write_text(tables_toml())
    return shop


def database_of(team: asyncpg.Connection) -> str:
    return str(team._params.database)


def found(shop: Terminal, query: str, *options: str) -> list[str]:
    done = shop.run("search", query, "--json", *options)
    assert done.status == 0, done.err
    return [f"{hit['collection']} {hit['id']}" for hit in done.json()["hits"]]


@pytest.mark.slow
def test_a_newcomer_declares_syncs_and_finds(shop: Terminal, team: asyncpg.Connection) -> None:
    """From an empty folder: the proposal is shown, taken, synced, found, and every command tells the same story."""
    assert shop.run("table", "list").out.startswith("No table is declared.")
    refused = shop.run("sync", "tables")
    assert (refused.status, refused.err) == (
        2,
        "No table is declared. Declare one: deskloom table add NAME --table TABLE\n",
    )
    shown = shop.run("table", "add", "references", "--table", "KnowledgeReference")
    assert (shown.status, shown.out.splitlines()[-1]) == (
        0,
        "Nothing was changed. Take it with --yes, or write it into deskloom.toml yourself.",
    )
    added = shop.run("table", "add", "references", "--table", "KnowledgeReference", "--yes", "--json")
    told = added.json()
    assert (added.status, told["added"], told["facts"]["rows"]) == (0, True, 5), added.err
    assert [(one["stream"], one["mode"]) for one in told["schedules"]] == [
        ("rows", "incremental"),
        ("rows", "sweep"),
        ("verify", "verify"),
    ]
    checked = shop.run("table", "check")
    assert (checked.status, checked.out) == (
        0,
        'references: ok; "public"."KnowledgeReference", 5 rows, followed by column\n',
    )
    synced = shop.run("sync", "all")
    assert (synced.status, synced.err) == (0, "")
    assert synced.out.splitlines()[-1].startswith("references rows: succeeded. 5 fetched, 5 created")
    assert found(shop, "anggaran rumah tangga", "--in", "references")[0] == "references ref-budget"
    status = shop.run("status").out
    assert re.search(r"^references +rows +13 +0 +0 ", status, re.M), status
    assert shop.run("doctor").out.splitlines()[-1].startswith('ok    references  "public"."KnowledgeReference" can be')
    stats = shop.run("sync", "stats")
    assert (stats.status, stats.out.splitlines()[1].split()[:5]) == (0, ["references", "column", "5", "13", "0"])


@pytest.mark.slow
async def test_one_row_a_sweep_and_a_full_sync(declared: Terminal, team: asyncpg.Connection) -> None:
    """One row is synced at once; a sweep finds what was removed or changed without a new stamp; full rebuilds."""
    first = declared.run("sync", "incremental", "--json")
    assert [(run["source"], run["state"]) for run in first.json_lines()] == [
        ("knowledge_references", "succeeded"),
        ("journey_templates", "succeeded"),
    ]
    await team.execute("""UPDATE "JourneyTemplate" SET description = 'Gliding over the Alps' WHERE id = 2""")
    one = declared.run("sync", "item", "journey_templates", "2")
    assert (one.status, one.out.split(" (run")[0]) == (0, "journey_templates 2: updated")
    assert found(declared, "gliding alps")[0] == "journey_templates 2"
    missing = declared.run("sync", "item", "journey_templates", "99")
    assert (missing.status, missing.err) == (1, 'Neither side has row "99" of "journey_templates".\n')

    await team.execute("""DELETE FROM "KnowledgeReference" WHERE id = 'ref-exam'""")
    await team.execute("""UPDATE "KnowledgeReference" SET category = 'finance' WHERE id = 'ref-budget'""")
    held = declared.run("sweep", "tables", "--source", "knowledge_references", DESKLOOM_MAX_DELETE_SHARE="0.1")
    assert held.status == 3
    assert "deskloom sweep tables --source knowledge_references --allow" in held.err
    swept = declared.run("sweep", "tables", "--source", "knowledge_references", "--allow")
    assert (swept.status, "1 gone, 1 removed" in swept.out) == (0, True), swept.out
    hit = declared.run("search", "household budget", "--json").json()["hits"][0]
    assert (hit["id"], hit["payload"]["category"]) == ("ref-budget", "finance")

    full = declared.run("sync", "full", "--source", "knowledge_references")
    assert (full.status, full.out.splitlines()[-1].split(". ")[0]) == (0, "knowledge_references rows: succeeded")
    assert declared.run("verify", "--deep", "--source").status == 0
    added = declared.run("schedules", "add", "tables", "*/5 * * * *", "--source", "journey_templates", "--mode", "full")
    assert (added.status, added.out.startswith("journey_templates rows full: ")) == (0, True)
    assert declared.run("failures").out == "Nothing has failed.\n"
    assert {run["mode"] for run in declared.run("runs", "--json").json()["items"]} >= {"single", "sweep", "full"}


@pytest.mark.slow
@pytest.mark.parametrize("way", ["triggers", "replication"])
async def test_a_server_follows_the_table_by_itself(declared: Terminal, team: asyncpg.Connection, way: str) -> None:
    """A row that the team writes is found soon after, one that it removes is gone, without any sync being asked for."""
    installed = declared.run("table", "install", "knowledge_references", "--way", way)
    assert installed.status == 0, installed.err
    server = declared.start("serve", "--port", "0")
    try:
        line_with(server, "Deskloom serves")
        await team.execute(REFERENCE, "ref-new", json.dumps({"en": "Zeppelin rides"}), json.dumps({"en": "Over lakes"}))
        assert until(declared, "zeppelin", "knowledge_references ref-new", there=True)
        await team.execute("""DELETE FROM "KnowledgeReference" WHERE id = 'ref-new'""")
        assert until(declared, "zeppelin", "knowledge_references ref-new", there=False)
    finally:
        ended = wait(server, signal.SIGTERM)
    assert ended.status == 0, ended.err
    removed = declared.run("table", "remove", "knowledge_references")
    words = {"triggers": "triggers", "replication": "replication slot"}[way]
    assert (removed.status, removed.out) == (0, f'Removed: the {words} of "knowledge_references".\n')
    assert declared.run("table", "check", "knowledge_references").out.endswith("followed by column\n")


def until(shop: Terminal, query: str, hit: str, *, there: bool) -> bool:
    """Ask again and again; False after a minute."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if (hit in found(shop, query, "--mode", "keyword")) == there:
            return True
    return False


@pytest.mark.slow
async def test_a_full_sync_that_is_killed_leaves_the_old_copy_serving(
    declared: Terminal, team: asyncpg.Connection
) -> None:
    """Killed while it builds, search answers as before from the old copy, and the next full sync completes."""
    rows = [
        (f"r{n:03}", json.dumps({"en": f"Remedy {n}"}), json.dumps({"en": f"Turn it {n} times"})) for n in range(150)
    ]
    await team.executemany(REFERENCE, rows)
    only = ("--source", "knowledge_references")
    assert declared.run("sync", "tables", *only).status == 0
    await team.execute("""UPDATE "KnowledgeReference" SET title = '{"en": "Panacea"}', "updatedAt" = now()
                          WHERE id = 'r007'""")
    process = declared.start("sync", "full", *only, DESKLOOM_PUBLISH_BATCH="1")
    line_with(process, "building knowledge_references")
    during = found(declared, "turn it times", "--limit", "50", "--in", "knowledge_references")
    assert wait(process, signal.SIGKILL).status == -signal.SIGKILL
    after = found(declared, "turn it times", "--limit", "50", "--in", "knowledge_references")
    assert (len(during), sorted(after)) == (50, sorted(during))
    done = declared.run("sync", "full", *only, "--json")
    (run,) = done.json_lines()
    assert (done.status, run["state"], run["takeovers"], run["report"]["points"]) == (0, "succeeded", 1, 163), done.err
    assert found(declared, "panacea", "--mode", "keyword")[0] == "knowledge_references r007"
    assert declared.run("verify", "--deep").status == 0


@pytest.mark.parametrize(("answer", "there"), [("n", False), ("y", True)])
def test_on_a_terminal_it_asks(shop: Terminal, answer: str, there: bool) -> None:
    """The declaration stands before the question; only yes writes it, and the schedules are asked for by themselves."""
    ours, theirs = pty.openpty()
    left_out = ("DESKLOOM_", "FRESHDESK_", "SOURCE_DATABASE_URL")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    models = {"DESKLOOM_MODELS": os.environ["DESKLOOM_MODELS"]} if "DESKLOOM_MODELS" in os.environ else {}
    process = subprocess.Popen(
        [sys.executable, "-m", "deskloom", "table", "add", "templates", "--table", "JourneyTemplate"],
        env=inherited | models | shop.settings | {"TERM": "xterm", "COLUMNS": "160"},
        cwd=shop.folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = _read(ours, "Declare it like this in deskloom.toml? [Y/n]: ")
    assert 'texts = ["description"]' in seen
    os.write(ours, f"{answer}\n".encode())
    if there:
        _read(ours, "Sync it by the clock like this? [Y/n]: ")
        os.write(ours, b"n\n")
    seen = _read(ours, None)
    assert (process.wait(60), (shop.folder / "deskloom.toml").exists()) == (0, there)
    assert ("deskloom schedules add tables '*/5 * * * *' --source templates --jitter 30" in seen) == there
    os.close(ours)


def _read(screen: int, words: str | None) -> str:
    seen = ""
    while words is None or words not in seen:
        try:
            part = os.read(screen, 4096)
        except OSError:  # Linux says so when the other end is closed
            part = b""
        if not part:
            assert words is None, seen
            break
        seen += part.decode(errors="replace")
    return seen


@pytest.mark.parametrize(
    ("arguments", "settings", "status", "sentence"),
    [
        (["sync", "item", "7"], {}, 2, "One row is synced by its table and its key: deskloom sync item templates 7"),
        (
            ["sync", "tables"],
            {"SOURCE_DATABASE_URL": ""},
            2,
            "Tables are declared, but SOURCE_DATABASE_URL is",
        ),
        (["table", "check"], {"SOURCE_DATABASE_URL": "mysql://h/x"}, 2, "SOURCE_DATABASE_URL is not the address of a"),
        (
            ["table", "check"],
            {"SOURCE_DATABASE_URL": "postgresql://u:s3cret@127.0.0.1:1/x"},
            1,
            'Database "x" on 127.0',
        ),
        (["table", "install", "other"], {}, 2, 'There is no table "other". Tables: knowledge_references'),
        (["table", "add", "x", "--table", "JourneyTemplat"], {}, 2, 'There is no table "JourneyTemplat". Did you mean'),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_done_is_told_in_one_sentence(
    declared: Terminal, arguments: list[str], settings: dict[str, Any], status: int, sentence: str
) -> None:
    """A wrong setting, name or address ends in sentences that say which, without the password, and never in a trace."""
    done = declared.run(*arguments, **settings)
    assert (done.status, done.err.startswith(sentence)) == (status, True), done.err
    assert "s3cret" not in done.err
    assert "Traceback" not in done.err
