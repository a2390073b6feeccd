"""`reindex`: its price, its question, another real model end to end, the way back, and what is refused."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.terminal import Terminal, line_with, wait
from tests.embedders.made import BGE_M3, Made, make_bge_m3, make_transformer, save_modules

from deskloom.sandbox import Desk


@pytest.fixture
def folder(terminal: Terminal) -> Path:
    """A small sentence model of BERT's kind, in the folder that commands run in."""
    made = terminal.folder / "model"
    make_transformer(made, Made(family="bert", positions=512))
    save_modules(made, "mean", normalize=True)
    return made


@pytest.fixture
def synced(terminal: Terminal) -> Terminal:
    assert terminal.run("sync", "all").status == 0
    return terminal


def answers(terminal: Terminal, **settings: str) -> int:
    """How many hits a question has that is asked by meaning."""
    done = terminal.run("search", "VPN drops", "--mode", "semantic", "--limit", "5", "--json", **settings)
    assert done.status == 0, done.err
    return len(done.json()["hits"])


def texts(out: str) -> list[int]:
    """The texts that the table of costs tells, by collection."""
    return [int(found) for found in re.findall(r"^(?:support_tickets|kb_procedures) +\S+ +\d+ +(\d+)", out, re.M)]


def test_the_price_is_told_and_nothing_starts_without_a_word(synced: Terminal, folder: Path) -> None:
    """`--estimate` ends 0; without a terminal and without --yes it ends 1 and says so; neither starts a run."""
    told = synced.run("reindex", "--embedder", "./model", "--estimate")
    assert (told.status, told.err) == (0, "")
    assert [line.split()[:2] for line in told.out.splitlines()[1:3]] == [
        ["support_tickets", str(folder)],
        ["kb_procedures", str(folder)],
    ]
    shown = synced.run("reindex", "--embedder", "model", "--estimate", "--json").json()["items"]
    assert [cost["texts"] for cost in shown] == texts(told.out)
    for asked in (["reindex", "--embedder", "./model"], ["reindex", "--embedder", "./model", "--json"]):
        refused = synced.run(*asked)
        assert (refused.status, refused.err) == (
            1,
            "Nothing was started: say --yes to start it where nobody can be asked.\n",
        )
    listed = synced.run("runs", "--json").json()["items"]
    assert {run["mode"] for run in listed} == {"incremental"}


@pytest.mark.slow
def test_another_model_takes_over_for_good(synced: Terminal, folder: Path, desk: Desk) -> None:
    """What was told is what is embedded; status, verify, sync and search go on, whatever the old setting still says;
    the way back writes nothing, and what was kept can be dropped."""
    done = synced.run("reindex", "--embedder", "./model", "--yes")
    assert (done.status, done.err) == (0, "")
    assert re.findall(r"succeeded\. \d+ points in the new copy; (\d+) texts embedded", done.out) == [
        str(number) for number in texts(done.out)
    ]
    assert done.out.splitlines()[-2:] == [
        f"Set DESKLOOM_EMBEDDER={folder}: the settings still name minilm.",
        "The replaced copy is kept. Go back to it: deskloom reindex --back. Remove it: deskloom reindex --drop-kept",
    ]
    status = synced.run("status")
    assert f"DESKLOOM_EMBEDDER={folder} to keep it" in status.err
    assert re.search(rf"^support_tickets +\d+ +{folder} +minilm$", status.out, re.M)

    new = {"DESKLOOM_EMBEDDER": "./model"}
    assert synced.run("status", **new).err == ""
    again = synced.run("sync", "all", "--json", **new)
    assert [(run["state"], run["counts"]["embedded"]) for run in again.json_lines()] == [("succeeded", 0)] * 3
    assert synced.run("verify", "--deep", **new).status == 0
    assert (answers(synced), answers(synced, **new)) == (5, 5)

    back = synced.run("reindex", "--back", "--yes", "--json")
    counts = ("embedded", "indexed")
    assert [[run["counts"][name] for name in counts] for run in back.json_lines()] == [[0, 0], [0, 0]]
    assert synced.run("status").err == ""
    assert synced.run("verify", "--deep").status == 0
    dropped = synced.run("reindex", "--drop-kept")
    assert dropped.out.splitlines() == [
        "The replaced copy of kb_procedures is removed.",
        "The replaced copy of support_tickets is removed.",
    ]
    assert synced.run("reindex", "--drop-kept").out == "No replaced copy is kept.\n"
    gone = synced.run("reindex", "--back", "--yes")
    assert (gone.status, gone.err.startswith("No earlier copy of support_tickets or ")) == (1, True)


@pytest.mark.slow
@pytest.mark.parametrize("desk", [60], indirect=True, ids=["60 tickets"])
def test_search_answers_while_it_is_built_and_a_kill_costs_no_text(synced: Terminal, desk: Desk) -> None:
    """BGE-M3 in small: questions are answered meanwhile, a second reindex ends 4, and killed it is taken up again."""
    make_bge_m3(synced.folder / "m3", Made(positions=BGE_M3.positions, layers=24))
    settings = {"DESKLOOM_PUBLISH_BATCH": "2"}
    first = synced.start("reindex", "--embedder", "./m3", "--collection", "support_tickets", "--yes", **settings)
    line_with(first, "building support_tickets")
    found = answers(synced)
    second = synced.run("reindex", "--embedder", "./m3", "--collection", "support_tickets", "--yes")
    shown = synced.run("status").out
    assert wait(first, signal.SIGKILL).status == -signal.SIGKILL
    assert (found, second.status) == (5, 4), second.err
    assert second.err.startswith('Reindex of "support_tickets" already in progress (run ')
    assert re.search(rf"^support_tickets +\d+ +minilm +{synced.folder / 'm3'}$", shown, re.M)

    assert answers(synced) == 5
    (cost,) = synced.run(
        "reindex", "--embedder", "./m3", "--collection", "support_tickets", "--estimate", "--json"
    ).json()["items"]
    assert cost["cached"] > 0
    ended = synced.run("reindex", "--embedder", "./m3", "--collection", "support_tickets", "--yes", "--json")
    (run,) = ended.json_lines()
    assert (ended.status, run["state"], run["takeovers"]) == (0, "succeeded", 1)
    assert f"Going on with run {run['id']} (* support_tickets) that was interrupted.\n" in ended.err
    # A batch that was cached, but not counted before the kill, is not embedded again: two tickets of up to three texts.
    assert cost["texts"] - 2 * 3 <= run["counts"]["embedded"] <= cost["texts"]
    assert answers(synced) == 5
    assert synced.run("verify", "--deep").status == 0


@pytest.mark.parametrize(("answer", "status", "words"), [("n", 1, "Nothing was started."), ("y", 0, "succeeded.")])
def test_on_a_terminal_it_asks(synced: Terminal, folder: Path, answer: str, status: int, words: str) -> None:
    """The question stands after the price; while it stands, other commands are answered; only yes starts it."""
    ours, theirs = pty.openpty()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DESKLOOM_", "FRESHDESK_"))}
    models = {"DESKLOOM_MODELS": os.environ["DESKLOOM_MODELS"]} if "DESKLOOM_MODELS" in os.environ else {}
    command = [sys.executable, "-m", "deskloom", "reindex", "--embedder", "./model", "--collection", "kb_procedures"]
    process = subprocess.Popen(
        command,
        env=inherited | models | synced.settings | {"TERM": "xterm", "COLUMNS": "160"},
        cwd=synced.folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = read_until(ours, "Build it? [y/N]: ")
    assert "kb_procedures" in seen
    assert synced.run("status").status == 0
    os.write(ours, f"{answer}\n".encode())
    seen = read_until(ours, words)
    read_until(ours, None)
    assert process.wait(60) == status
    os.close(ours)
    runs = json.loads(synced.run("runs", "--json").out)["items"]
    assert [run["mode"] for run in runs].count("reindex") == (answer == "y")


def read_until(screen: int, words: str | None) -> str:
    """What is shown up to some words, or to the end."""
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
    ("arguments", "words"),
    [
        (["--embedder", "minlm"], 'Did you mean "minilm"?'),
        (["--embedder", "./nowhere"], "There is no model folder"),
        (["--collection", "tickets"], "Collections: support_tickets, kb_procedures"),
        (["--back", "--embedder", "minilm"], "--back goes with --collection, --yes and --json only."),
    ],
)
def test_what_does_not_exist_is_wrong_usage(terminal: Terminal, arguments: list[str], words: str) -> None:
    """2, in one sentence that names the choices."""
    done = terminal.run("reindex", *arguments, "--yes")
    assert (done.status, done.out, done.err.count("\n"), words in done.err) == (2, "", 1, True), done.err
