"""A day: 500 changes on 10,000 tickets, and what each engine does about them.

70 % of the changes set another status, 20 % add a private note, 8 % are new tickets, 2 % deleted ones. What had to be
embedded is computed apart from any engine: the texts of all sections before and after, made in a home of its own. The
first sync is not measured here (see `benchmarks.cold`); each engine begins the day in a fresh process.

Run: python -m benchmarks.delta [--tickets 3000] [--changes 500] [--peers [NAME …]]   (in full: --tickets 10000)
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from benchmarks.peers import PEERS, Item, from_json, installed, versions
from benchmarks.processes import OURS, PEER, Ended, peers_argument, run, scratch, tickets_of
from benchmarks.rigs import table

STATUSES = (2, 3, 4, 5)
SHARES = (("status", 0.70), ("note", 0.20), ("new", 0.08), ("deleted", 0.02))


def changes(url: str, count: int, seed: int = 3) -> list[dict[str, Any]]:
    """The day's edits as requests, in a random order; no ticket is changed twice."""
    dice = random.Random(seed)
    tickets = {row["id"]: row for row in rows(url, "tickets") if not (row.get("deleted") or row.get("spam"))}
    ids = dice.sample(sorted(tickets), sum(round(count * share) for kind, share in SHARES if kind != "new"))
    made: list[dict[str, Any]] = []
    for kind, share in SHARES:
        for number in range(round(count * share)):
            if kind == "new":
                body = {
                    "email": f"person{number}@example.com",
                    "subject": f"Question {number} of the day",
                    "description": f"<p>Since this morning number {number} blinks {dice.randint(2, 99)} times.</p>",
                    "status": 2,
                    "priority": 1,
                }
                made.append({"method": "POST", "path": "/api/v2/tickets", "body": body})
                continue
            id = ids.pop()
            path = f"/api/v2/tickets/{id}"
            if kind == "status":
                other = dice.choice([status for status in STATUSES if status != tickets[id]["status"]])
                made.append({"method": "PUT", "path": path, "body": {"status": other}})
            elif kind == "note":
                body = {"body": f"<p>Looked into {id}: cause {dice.randint(1, 10**6)} found.</p>", "private": True}
                made.append({"method": "POST", "path": f"{path}/notes", "body": body})
            else:
                made.append({"method": "DELETE", "path": path, "body": None})
    dice.shuffle(made)
    return made


def rows(url: str, kind: str) -> list[dict[str, Any]]:
    """Every row of a kind, as the sandbox has it."""
    found: list[dict[str, Any]] = []
    after = 0
    while True:
        page = httpx.get(f"{url}/_sandbox/state/{kind}", params={"after": after, "limit": 1000}, timeout=60).json()
        found += page["rows"]
        if not (after := page["next"]):
            return found


def do(url: str, steps: Sequence[dict[str, Any]]) -> None:
    """Let the day happen."""
    httpx.post(f"{url}/_sandbox/clock", json={"advance": 3600}, timeout=60).raise_for_status()
    httpx.post(f"{url}/_sandbox/edit", json={"do": list(steps)}, timeout=300).raise_for_status()
    httpx.post(f"{url}/_sandbox/clock", json={"advance": 60}, timeout=60).raise_for_status()


def least(before: Sequence[Item], after: Sequence[Item]) -> tuple[int, int]:
    """The texts that are new on this day, and the items (points of a peer) that are new, changed or gone."""
    old = {item.id: item for item in before}
    texts = {item.text for item in after} - {item.text for item in before}
    touched = sum(old.get(item.id) != item for item in after) + len(old.keys() - {item.id for item in after})
    return len(texts), touched


def tickets_touched(before: Sequence[Item], after: Sequence[Item]) -> int:
    """The points that Deskloom has to write or remove: one for each ticket."""

    def by_ticket(items: Sequence[Item]) -> dict[str, list[Item]]:
        found: dict[str, list[Item]] = {}
        for item in items:
            found.setdefault(item.id.partition(":")[0], []).append(item)
        return found

    old, new = by_ticket(before), by_ticket(after)
    return sum(old.get(id) != new.get(id) for id in old.keys() | new.keys())


def measure(tickets: int, count: int, peers: Sequence[str], folder: Path) -> None:
    before, after = folder / "before.json", folder / "after.json"
    home = folder / "home"
    with tickets_of(folder, tickets) as url:
        first = run(OURS, home, url, "--items", before)
        assert first.answer, first.why
        do(url, changes(url, count))
        httpx.post(f"{url}/_sandbox/calls", timeout=60)
        day = run(OURS, home, url)
        calls = httpx.get(f"{url}/_sandbox/calls", timeout=60).json()
        reference = run(OURS, folder / "reference", url, "--items", after)
        assert day.answer, day.why
        assert reference.answer, reference.why
        checked = run(OURS, home, url, "--check", after).answer
    texts, touched = least(items(before), items(after))
    print(f"{tickets} tickets, {len(items(before))} sections, {count} changes")
    table(
        f"The helpdesk: {count} changes read by Deskloom",
        [["calls", "credits", "tickets read", "calls a change"],
         [calls["total"], calls["credits"], int(day.answer["counts"]["fetched"]), calls["total"] / count]],
    )  # fmt: skip
    head = ["engine", "texts embedded", "ideal", "writes", "needed", "wrong after", "seconds", "own MB", "peak MB"]
    lines: list[list[Any]] = [head, line("Deskloom", day, checked, texts, tickets_touched(items(before), items(after)))]
    for name in peers:
        filled = run(PEER, name, folder / name, before)
        assert filled.answer, filled.why
        ran = run(PEER, name, folder / name, after)
        looked = run(PEER, name, folder / name, after, "--check").answer  # apart, or looking would count as memory
        lines.append(line(PEERS[name].title, ran, looked, texts, touched))
    table("The day", lines)
    print(
        "  Deskloom has one point a ticket and reads the helpdesk within its seconds; peers have one a section, and are"
    )
    print("  handed all texts ready made. Opening is not timed: the store of peers loads itself into memory then.")


def items(file: Path) -> list[Item]:
    return from_json(json.loads(file.read_text("utf-8")))


def line(title: str, ran: Ended, checked: Any, texts: int, needed: int) -> list[Any]:
    """A line of the table."""
    if ran.answer is None:
        return [title, ran.why, texts, "", needed, "", "", ran.own, ran.peak]
    wrong = checked["missing"] + checked["stale"] + checked["extra"]
    said = ran.answer
    return [title, said["texts"], texts, said["writes"], needed, wrong, said["seconds"], ran.own, ran.peak]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tickets", type=int, default=3000)
    parser.add_argument("--changes", type=int, default=500)
    peers_argument(parser)
    options = parser.parse_args()
    peers = installed(options.peers)
    with scratch() as folder:
        measure(options.tickets, options.changes, peers, folder)
    print(f"  {versions(peers)}")


if __name__ == "__main__":
    main()
