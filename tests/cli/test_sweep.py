"""`deskloom sweep`: shown, held, allowed."""

from __future__ import annotations

from tests.cli.terminal import Terminal

from deskloom.sandbox import Desk
from deskloom.sandbox.freshdesk.edits import perform


def test_a_deletion_is_shown_held_allowed_and_done(terminal: Terminal, desk: Desk) -> None:
    """A dry run names what would go; a sweep that would remove too much ends with 3; a word does it, once."""
    assert terminal.run("sync", "tickets").status == 0
    gone = [str(key) for key in sorted(desk.tickets.ids("updated", "live"))[:4]]
    for key in gone:
        perform(desk, {"purge": int(key)})

    dry = terminal.run("sweep", "tickets", "--dry-run")
    assert (dry.status, dry.err) == (0, "")
    lines = dry.out.splitlines()
    assert [line for line in lines if line.startswith("  ")] == [
        f"  {key}: the source says that it does not exist" for key in gone
    ]
    assert lines[-1].startswith("Not removing 4 of ")

    held = terminal.run("sweep", "tickets")
    assert held.status == 3
    assert "deskloom sweep tickets --source freshdesk --allow" in held.err
    listed = terminal.run("sweep", "--list")
    assert listed.out.startswith("freshdesk tickets, held since ")
    assert terminal.run("sweep", "--list", "--json").json()["items"][0]["keys"] == gone
    assert "held since" in terminal.run("status").err

    done = terminal.run("sweep", "tickets", "--allow", "--json")
    assert (done.status, done.json()["counts"]["deleted"], done.json()["report"]["removed"]) == (0, 4, 4)
    assert terminal.run("sweep", "--list").out == "Nothing is held.\n"


def test_everything_is_swept_stream_by_stream(terminal: Terminal) -> None:
    """Without a name every stream is compared, and where nothing is gone nothing is done."""
    terminal.run("sync", "all")
    done = terminal.run("sweep", "--json")
    assert done.status == 0
    assert [(run["stream"], run["state"], run["report"]["gone"]) for run in done.json_lines()] == [
        (stream, "succeeded", []) for stream in ("agents", "companies", "contacts", "tickets", "kb")
    ]


def test_a_dry_run_has_nothing_to_allow(terminal: Terminal) -> None:
    """Both at once is a mistake: 2, with the reason."""
    refused = terminal.run("sweep", "kb", "--dry-run", "--allow")
    assert (refused.status, refused.err.count("Give one of them")) == (2, 1)
