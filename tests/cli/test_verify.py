"""`verify`: what differs is told with its reason, mended on request, and the exit status says how it stands."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.cli.terminal import Terminal, line_with, wait

from deskloom.documents import TICKETS, point_id
from deskloom.home import own_home
from deskloom.indexes.edge import EdgeIndex
from deskloom.protocols import Schema
from deskloom.sandbox import Desk, Fault


def lose(home: Path, *items: str) -> None:
    """Delete points of tickets behind the program's back."""

    async def work() -> None:
        index = EdgeIndex(home / "index")
        schema = await index.schema(TICKETS)
        assert isinstance(schema, Schema)
        await index.delete(TICKETS, [point_id(TICKETS, "freshdesk", item, "") for item in items])
        await index.aclose()

    held = own_home(home, "test")
    asyncio.run(work())
    held.release()


def test_damage_is_told_and_mended(terminal: Terminal, desk: Desk) -> None:
    """0 if the copies agree; 3, with the item and the reason, if not; 0 once it is mended; and a sync notices."""
    terminal.run("sync", "all")
    sound = terminal.run("verify")
    assert (sound.status, sound.err) == (0, "")
    assert sound.out.splitlines()[-1].startswith("The copies agree; ")

    items = sorted(str(row["id"]) for row in desk.tickets if not row.get("deleted") and not row.get("spam"))
    lose(terminal.home, items[0])
    synced = terminal.run("sync", "tickets")
    noticed = f'Index "{TICKETS}" holds {len(items) - 1} of {len(items)} published documents of freshdesk.'
    assert (synced.status, synced.err) == (3, f"{noticed} Mend it: deskloom verify --repair\n")

    looked = terminal.run("verify", "--deep")
    assert looked.status == 3
    told = looked.out.splitlines()
    assert f"{TICKETS}: {len(items)} documents, {len(items) - 1} points; 1 missing" in told
    assert f"  missing {items[0]}: ticket {items[0]} was published, and the index has no point for it" in told
    assert looked.err.endswith("Mend it: deskloom verify --repair\n")

    mended = terminal.run("verify", "--repair", "--source", "--json")
    run = mended.json()
    assert (mended.status, run["report"]["agree"], run["report"]["mended"]["published"]) == (0, True, 1)
    assert run["report"]["source"]["freshdesk"]["tickets"]["listed"] == len(items)
    again = terminal.run("verify", "--repair", "--only", "freshdesk", "--collection", TICKETS)
    assert (again.status, again.out.splitlines()[-1][:16]) == (0, "The copies agree")
    assert terminal.run("sync", "tickets").status == 0


def test_another_one_in_progress_ends_4_and_what_does_not_exist_2(terminal: Terminal, desk: Desk) -> None:
    """The run in progress is named; a source or collection that does not exist is wrong usage."""
    terminal.run("sync", "kb", "--limit", "1")
    desk.faults.add(Fault(match="GET", kind="slow", times=None, seconds=1.0))
    first = terminal.start("verify", "--source")
    line_with(first, "listing agents")
    second = terminal.run("verify")
    assert (second.status, second.err.startswith("Verify already in progress (run ")) == (4, True)
    wrong = terminal.run("verify", "--only", "nowhere")
    assert (wrong.status, wrong.err) == (2, 'There is no source "nowhere". Configured: freshdesk\n')
    desk.faults.clear()
    assert wait(first).status in (0, 3)
