"""The whole of "many workers" as a person starts it: PostgreSQL, a Qdrant server's interface, a server, two workers."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from tests import postgres
from tests.cli.terminal import Terminal, line_with, wait
from tests.indexes.qdrant_stub import QdrantStub


@pytest.fixture
def shared(postgres_server: postgres.Server) -> Iterator[dict[str, str]]:
    """The settings that all processes share."""
    postgres.apart(postgres.create(postgres_server, "many_workers"))
    with QdrantStub() as stub:
        yield {
            "DATABASE_URL": postgres_server.url("many_workers"),
            "DESKLOOM_DISPATCH": "procrastinate",
            "DESKLOOM_INDEX": "qdrant",
            "QDRANT_URL": stub.url,
        }


@pytest.mark.slow
def test_a_server_submits_and_workers_perform(terminal: Terminal, shared: dict[str, str]) -> None:
    """Sync, search, verify and a reindex go through them; without a worker a person is told to start one."""
    terminal.settings |= shared
    assert terminal.run("db", "upgrade").status == 0
    server = terminal.start("serve", "--port", "0")
    line_with(server, "Deskloom serves")
    waiting = terminal.start("sync", "all", "--json")
    assert waiting.stderr is not None
    assert waiting.stderr.readline() == "No worker has taken the run yet. Start one: deskloom worker\n"

    workers = [terminal.start("worker", "--concurrency", "2") for _ in range(2)]
    synced = wait(waiting)
    assert (synced.status, [run["state"] for run in synced.json_lines()]) == (0, ["succeeded"] * 3)
    for where in ("tickets", "kb"):
        assert terminal.run("search", "printer offline", "--in", where, "--json").json()["hits"]
    (verified,) = terminal.run("verify", "--deep", "--json").json_lines()
    assert (verified["state"], verified["report"]["agree"]) == ("succeeded", True)
    rebuilt = terminal.run("reindex", "--yes", "--json")
    assert (rebuilt.status, {run["counts"]["embedded"] for run in rebuilt.json_lines()}) == (0, {0})

    assert [wait(worker, signal.SIGTERM).status for worker in workers] == [0, 0]
    assert wait(server, signal.SIGTERM).status == 0
