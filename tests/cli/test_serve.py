"""`serve`: the process that others work through."""

from __future__ import annotations

import json
import re
import signal
import urllib.request

from tests.cli.terminal import Terminal, line_with, wait


def test_a_server_is_found_by_other_commands_and_stops_when_told(terminal: Terminal) -> None:
    """It says where it is, a second one ends 4, `--no-wait` leaves a run to it, and SIGTERM ends it with 0."""
    server = terminal.start("serve", "--port", "0")
    url = re.search(r"http://\S+", line_with(server, "Deskloom serves"))
    assert url is not None
    with urllib.request.urlopen(f"{url[0]}/health/live", timeout=10) as answer:
        assert json.load(answer) == {"status": "ok"}

    second = terminal.run("serve", "--port", "0")
    assert (second.status, second.err) == (
        4,
        f"{terminal.home} is in use by process {server.pid} (deskloom serve). Wait for it, or stop it.\n",
    )

    left = terminal.run("sync", "kb", "--no-wait", "--json")
    (run,) = left.json_lines()
    assert (left.status, run["stream"]) == (0, "kb")
    followed = terminal.run("runs", run["id"])
    assert (followed.status, "freshdesk kb: succeeded." in followed.out) == (0, True)
    assert f"Served at {url[0]}" in terminal.run("status").out
    looked = terminal.run("doctor", "--json").json()["items"]
    assert {finding["level"] for finding in looked} == {"ok"}

    stopped = wait(server, signal.SIGTERM)
    assert stopped.status == 0
    assert stopped.out.endswith("Stopped. Runs that were under way go on when deskloom starts again.\n")


def test_no_wait_without_a_server_is_refused(terminal: Terminal) -> None:
    """A run that nobody would perform is not started."""
    done = terminal.run("sync", "kb", "--no-wait")
    assert done.status == 2
    assert done.err.startswith("--no-wait leaves the run to a running server, and none is running.")
    assert terminal.run("runs", "--json").json()["items"] == []


def test_only_this_machine_is_served(terminal: Terminal) -> None:
    """An address that others could reach is refused while there are no keys."""
    done = terminal.run("serve", "--host", "0.0.0.0")
    assert done.status == 2
    assert done.err.startswith("Not serving on 0.0.0.0: ")
