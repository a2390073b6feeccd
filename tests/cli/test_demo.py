"""`demo`, as a newcomer runs it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from tests.cli.terminal import Terminal

UNUSABLE = {
    "DESKLOOM_HOME": "/proc",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "FRESHDESK_DOMAIN": "acme",
}
"""Settings of a real installation, which the demo must not touch."""


@pytest.mark.slow
def test_the_demo_does_the_main_job_twice_and_what_it_suggests_works(tmp_path: Path) -> None:
    """Without a terminal, an account or a key: three answers, five lines, status 0; its own settings only."""
    terminal = Terminal(tmp_path, UNUSABLE)
    first, second = terminal.run("demo"), terminal.run("demo")
    assert (first.status, first.err) == (0, "")
    assert (second.status, second.err) == (0, "")
    assert re.search(r"[\x00-\x09\x0b-\x1f]", second.out) is None
    assert second.out.count("\nQuestion: ") == 3
    done, ask, serve, here, curl = second.out.rsplit("\n\n", 1)[1].splitlines()
    assert re.fullmatch(
        r"Done: 120 tickets and \d+ articles \(with translations\) fetched, \d+ texts embedded, \d+ API calls, "
        r"\d+\.\d seconds\.",
        done,
    )
    assert serve.endswith(" serve")
    assert "http://127.0.0.1:8000/" in here
    assert "curl 'http://127.0.0.1:8000/api/v1/search?q=" in curl

    setting, *command = shlex.split(ask.split(":", 1)[1])
    asked = terminal.run(
        *command[1:], **{"FRESHDESK_DOMAIN": "", "DATABASE_URL": ""}, DESKLOOM_HOME=setting.split("=")[1]
    )
    assert (asked.status, asked.err) == (0, "")
    assert re.search(r"^\d+ hits in \d+ ms$", asked.out, re.M)


def test_the_demo_leaves_a_folder_alone_that_it_did_not_make(tmp_path: Path) -> None:
    """Somebody's folder is neither emptied nor written to."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear")
    done = Terminal(tmp_path).run("demo", "--home", "mine")
    assert (done.status, done.err) == (
        1,
        "mine was not made by the demo and is left alone. Give another folder: deskloom demo --home FOLDER\n",
    )
    assert [path.name for path in mine.iterdir()] == ["letter.txt"]
