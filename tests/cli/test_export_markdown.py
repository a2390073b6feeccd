"""`deskloom export markdown`: a tree that follows the record."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.terminal import Terminal

from deskloom.sandbox import Desk
from deskloom.sandbox.freshdesk.edits import perform


def documents(folder: Path) -> dict[str, str]:
    """Every document of the tree."""
    return {path.relative_to(folder).as_posix(): path.read_text() for path in sorted(folder.rglob("*.md"))}


def export(terminal: Terminal, *options: str, status: int = 0) -> dict[str, object]:
    done = terminal.run("export", "markdown", "docs", *options, "--json")
    assert done.status == status, done.err
    found: dict[str, object] = done.json()
    return {name: found[name] for name in ("documents", "written", "unchanged", "removed", "held", "kept")}


def test_the_tree_follows_the_record(terminal: Terminal, desk: Desk) -> None:
    """A second run writes nothing; a changed ticket is written, a deleted one removed; what was edited is kept."""
    terminal.run("sync", "tickets")
    folder = terminal.folder / "docs"
    first = terminal.run("export", "markdown", "docs")
    made = documents(folder)
    count = len(made)
    assert (first.status, first.err) == (0, "")
    assert first.out == f"{count} tickets: {count} written, 0 unchanged, 0 removed in docs\n"
    assert export(terminal) == {
        "documents": count,
        "written": 0,
        "unchanged": count,
        "removed": 0,
        "held": 0,
        "kept": [],
    }
    assert documents(folder) == made

    one, two, *_ = sorted(desk.tickets.ids("updated", "live"))
    perform(desk, {"method": "PUT", "path": f"tickets/{one}", "body": {"subject": "Called otherwise"}})
    perform(desk, {"method": "DELETE", "path": f"tickets/{two}"})
    terminal.run("sync", "tickets")
    foreign = folder / "mine.md"
    foreign.write_text("mine")
    assert export(terminal) == {
        "documents": count - 1,
        "written": 1,
        "unchanged": count - 2,
        "removed": 1,
        "held": 0,
        "kept": [],
    }
    foreign.unlink()
    after = documents(folder)
    [gone] = made.keys() - after.keys()
    [changed] = [path for path in after if after[path] != made[path]]
    assert (gone.endswith(f"/Ticket_{two}.md"), changed.endswith(f"/Ticket_{one}.md")) == (True, True)
    assert "# Called otherwise\n" in after[changed]

    edited = folder / changed
    edited.write_text("my own words")
    perform(desk, {"method": "PUT", "path": f"tickets/{one}", "body": {"subject": "Once more"}})
    terminal.run("sync", "tickets")
    told = terminal.run("export", "markdown", "docs")
    assert (told.status, told.err) == (
        3,
        f"Left alone: {changed} is not what was written there. Move it away to have the document again.\n",
    )
    assert edited.read_text() == "my own words"


def test_everything_gone_is_held_until_a_word(terminal: Terminal, tmp_path: Path) -> None:
    """Another, empty data folder removes nothing; `--allow` does; filters and times leave the rest alone."""
    terminal.run("sync", "tickets")
    made = export(terminal, "--notes")
    empty = {"DESKLOOM_HOME": str(tmp_path / "another")}
    held = terminal.run("export", "markdown", "docs", **empty)
    assert (held.status, held.out.split(":")[0]) == (3, "0 tickets")
    assert held.err.startswith(f"Not removing {made['documents']} files: ")
    assert terminal.run("export", "markdown", "docs", "--since", "2999-01-01", **empty).status == 0
    assert len(documents(terminal.folder / "docs")) == made["documents"]
    done = terminal.run("export", "markdown", "docs", "--allow", "--json", **empty)
    assert (done.status, json.loads(done.out)["removed"]) == (0, made["documents"])
    assert [path.name for path in (terminal.folder / "docs").iterdir() if path.is_dir()] == []


def test_what_cannot_be_exported_is_told(terminal: Terminal) -> None:
    """Usage errors end 2 and a folder that is none ends 1, each in a sentence."""
    (terminal.folder / "file").write_text("x")
    for options, status, words in (
        (("docs", "--source", "acme"), 2, 'There is no source "acme"'),
        (("docs", "--company", "none"), 1, 'No company has the account number "none"'),
        (("file",), 1, "file cannot be written to"),
    ):
        done = terminal.run("export", "markdown", *options)
        assert (done.status, words in done.err, done.out) == (status, True, "")
