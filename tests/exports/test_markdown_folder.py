"""The folder of documents: what is written, what is left alone, and what a kill leaves behind."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from deskloom.errors import AlreadyRunning, FolderUnusable
from deskloom.exports.markdown_folder import JOURNAL, LOCK, Outcome, Place, open_folder

ACME = Place(path="Acme/Ticket_1.md", kind="ticket", source="desk", id=1, account_number="7", mark="m1")
MILL = Place(path="Mill/Ticket_2.md", kind="ticket", source="desk", id=2, account_number=None, mark="m2")


def tree(root: Path) -> dict[str, str]:
    """Every document in the folder."""
    return {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name not in (JOURNAL, LOCK)
    }


def fill(root: Path, *documents: tuple[Place, str]) -> None:
    with open_folder(root) as folder:
        for place, text in documents:
            assert folder.write(place, text) is Outcome.WRITTEN


def test_what_was_written_is_known_again(tmp_path: Path) -> None:
    """The second time nothing needs a look; a changed mark, path or a missing file does."""
    fill(tmp_path, (ACME, "one\n"), (MILL, "two\n"))
    assert tree(tmp_path) == {"Acme/Ticket_1.md": "one\n", "Mill/Ticket_2.md": "two\n"}
    with open_folder(tmp_path) as folder:
        assert folder.places() == [ACME, MILL]
        assert [folder.is_current(place) for place in (ACME, MILL)] == [True, True]
        assert not folder.is_current(replace(ACME, mark="m3"))
        assert not folder.is_current(replace(ACME, path="Acme_2/Ticket_1.md"))
        (tmp_path / MILL.path).unlink()
        assert not folder.is_current(MILL)
        assert folder.write(MILL, "two\n") is Outcome.WRITTEN


def test_an_equal_text_is_not_written_again(tmp_path: Path) -> None:
    """A new mark over the same text leaves the file as it is, to the nanosecond."""
    fill(tmp_path, (ACME, "one\n"))
    before = (tmp_path / ACME.path).stat().st_mtime_ns
    os.utime(tmp_path / ACME.path, ns=(before - 10**9, before - 10**9))
    with open_folder(tmp_path) as folder:
        assert folder.write(replace(ACME, mark="m9"), "one\n") is Outcome.UNCHANGED
    assert (tmp_path / ACME.path).stat().st_mtime_ns == before - 10**9
    with open_folder(tmp_path) as folder:
        assert folder.is_current(replace(ACME, mark="m9"))


def test_a_document_moves_and_leaves_no_empty_folder(tmp_path: Path) -> None:
    """Written where it belongs now, taken away from where it was; folders with other files stay."""
    fill(tmp_path, (ACME, "one\n"), (MILL, "two\n"))
    (tmp_path / "Mill" / "mine.txt").write_text("mine")
    with open_folder(tmp_path) as folder:
        assert folder.write(replace(ACME, path="New/deep/Ticket_1.md"), "one\n") is Outcome.WRITTEN
        assert folder.remove(MILL) is Outcome.REMOVED
        assert folder.left == []
    assert tree(tmp_path) == {"Mill/mine.txt": "mine", "New/deep/Ticket_1.md": "one\n"}
    assert not (tmp_path / "Acme").exists()


def test_two_documents_change_places(tmp_path: Path) -> None:
    """Each ends where the other was, in one run."""
    fill(tmp_path, (ACME, "one\n"), (MILL, "two\n"))
    with open_folder(tmp_path) as folder:
        folder.write(replace(ACME, path=MILL.path), "one\n")
        folder.write(replace(MILL, path=ACME.path), "two\n")
        assert folder.left == []
    assert tree(tmp_path) == {MILL.path: "one\n", ACME.path: "two\n"}


@pytest.mark.parametrize("known", [True, False])
def test_what_somebody_else_wrote_is_left_alone(tmp_path: Path, known: bool) -> None:
    """An edited document and a foreign file in its place both stay, are named, and are asked about again."""
    if known:
        fill(tmp_path, (ACME, "one\n"))
    (tmp_path / "Acme").mkdir(exist_ok=True)
    (tmp_path / ACME.path).write_text("my own words\n")
    newer = replace(ACME, mark="m9")
    for _ in range(2):
        with open_folder(tmp_path) as folder:
            assert not folder.is_current(newer)
            assert (folder.write(newer, "one, changed\n"), folder.left) == (Outcome.KEPT, [ACME.path])
    assert tree(tmp_path) == {ACME.path: "my own words\n"}


def test_an_edited_document_is_not_removed_nor_moved(tmp_path: Path) -> None:
    """It becomes its editor's: named once, and from then on none of ours."""
    fill(tmp_path, (ACME, "one\n"), (MILL, "two\n"))
    for place in (ACME, MILL):
        (tmp_path / place.path).write_text("mine\n")
    with open_folder(tmp_path) as folder:
        assert folder.remove(ACME) is Outcome.KEPT
        assert folder.write(replace(MILL, path="New/Ticket_2.md"), "two\n") is Outcome.WRITTEN
        assert folder.left == [ACME.path, MILL.path]
    assert tree(tmp_path) == {ACME.path: "mine\n", MILL.path: "mine\n", "New/Ticket_2.md": "two\n"}
    with open_folder(tmp_path) as folder:
        assert [place.path for place in folder.places()] == ["New/Ticket_2.md"]


def test_a_lost_journal_costs_nothing_where_texts_are_equal(tmp_path: Path) -> None:
    """Files that hold what would be written are taken over."""
    fill(tmp_path, (ACME, "one\n"))
    (tmp_path / JOURNAL).unlink()
    with open_folder(tmp_path) as folder:
        assert folder.write(ACME, "one\n") is Outcome.UNCHANGED
    with open_folder(tmp_path) as folder:
        assert folder.is_current(ACME)


@pytest.mark.parametrize("cut", [0, 1, 20])
@pytest.mark.parametrize("done", range(7))
def test_a_kill_at_any_place_is_mended_by_the_next_run(tmp_path: Path, done: int, cut: int) -> None:
    """Whatever of the journal and the files was written, the next run ends where an undisturbed one does."""
    fill(tmp_path, (ACME, "one\n"), (MILL, "two\n"))
    wanted = (
        (replace(ACME, path="New/Ticket_1.md", mark="m3"), "one, new\n"),
        (replace(MILL, mark="m4"), "two, new\n"),
    )
    journal = tmp_path / JOURNAL
    before = journal.read_bytes()
    with open_folder(tmp_path) as folder:
        for place, text in wanted:
            folder.write(place, text)
        lines = journal.read_bytes().removeprefix(before).splitlines(keepends=True)
    # One after another: a line, the file that it tells of, the old file gone, the line that tells it, a line, its file.
    told = sum(done > step for step in (0, 3, 4))
    journal.write_bytes(before + b"".join(lines[:told]) + b"".join(lines[told : told + 1])[:cut])
    if done < 2:
        (tmp_path / "New" / "Ticket_1.md").unlink()
    if done < 3:
        (tmp_path / "Acme").mkdir()
        (tmp_path / ACME.path).write_text("one\n")
    if done < 6:
        (tmp_path / MILL.path).write_text("two\n")
    with open_folder(tmp_path) as folder:
        for place, text in wanted:
            if not folder.is_current(place):
                folder.write(place, text)
    assert (len(lines), folder.left) == (3, [])
    assert tree(tmp_path) == {"New/Ticket_1.md": "one, new\n", MILL.path: "two, new\n"}
    with open_folder(tmp_path) as folder:
        assert all(folder.is_current(place) for place, _ in wanted)


def test_two_exports_do_not_meet(tmp_path: Path) -> None:
    """The second is told to wait."""
    with open_folder(tmp_path), pytest.raises(AlreadyRunning), open_folder(tmp_path):
        pass


@pytest.mark.parametrize("line", ["{}", "[1]", "\x00", '{"deskloom": "markdown", "version": 99}', '{"path": 3}'])
def test_a_journal_of_somebody_else_stops_the_export(tmp_path: Path, line: str) -> None:
    """The line is named, and what to do."""
    (tmp_path / JOURNAL).write_text(f"{line}\n{line}\n")
    with pytest.raises(FolderUnusable, match="Line 1 of"), open_folder(tmp_path):
        pass


@pytest.mark.parametrize("path", ["../out.md", "/etc/out.md", "a//b.md", "a/./b.md"])
def test_nothing_outside_the_folder_is_reached(tmp_path: Path, path: str) -> None:
    """Not even by a journal that was tampered with."""
    with open_folder(tmp_path) as folder, pytest.raises(FolderUnusable):
        folder.write(replace(ACME, path=path), "x")


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    """A file in its place, or in the place of a customer's folder."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(FolderUnusable, match="file cannot be written to"), open_folder(tmp_path / "file"):
        pass
    (tmp_path / "Acme").write_text("x")
    with pytest.raises(FolderUnusable), open_folder(tmp_path) as folder:
        folder.write(ACME, "one\n")
