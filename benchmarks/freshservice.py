"""A Freshservice account taken whole: calls and credits beside the least possible, and beside the naive plan.

Serves the real Thunderbird tickets, laid over Freshservice with generated notes and time entries, runs
`deskloom sync tickets --full`, `sync kb --full` and `sync hours`, compares the record with the source field by field,
and syncs again. Says how long the same account takes within each plan's limits, and how long it takes a client that
makes three calls a ticket, one a second.

Run: python -m benchmarks.freshservice [--tickets 2000] [--plan growth]   (without --tickets: all 20,000)
`--plan` is a second, small account that really is held to the plan's limits, by the clock.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
from math import ceil
from pathlib import Path
from typing import Any

from benchmarks.full_sync import ALL, DID, PAGE, calls, counts, rows_of
from benchmarks.rigs import command, sandbox, table, thunderbird

PRODUCT = "freshservice"
STREAMS = ("tickets", "kb", "hours")
PLANS = {"starter": (100, 40, 50), "growth": (200, 70, 80), "pro": (400, 120, 140), "enterprise": (500, 140, 160)}
"""Credits a minute in all, list calls and views of tickets (HELPDESK-APIS 3.3)."""
NAIVE_CALLS = 3
"""View, conversations and time entries of every ticket, one call a second: 5.2 and DESIGN of the issue."""


def least(url: str) -> dict[str, int]:
    """The fewest calls for each stream: full pages, three calls a ticket that lives, every folder once.

    A root folder is asked for what lies below it as well, for nothing else tells whether there is anything (3.11).
    """
    sizes: dict[str, dict[int, int]] = {}
    for kind in ("conversations", "time_entries"):
        sizes[kind] = {}
        for row in rows_of(url, kind):
            sizes[kind][row["ticket_id"]] = sizes[kind].get(row["ticket_id"], 0) + 1
    spaces = max(1, len(list(rows_of(url, "workspaces"))))
    living: dict[int, int] = {}
    children = 0
    for row in rows_of(url, "tickets"):
        if row["deleted"] or row["spam"]:
            continue
        living[row["workspace_id"]] = living.get(row["workspace_id"], 0) + 1
        children += 1 + sum(max(1, ceil(sizes[kind].get(row["id"], 0) / PAGE)) for kind in sizes)
    lists = sum(ceil(count / PAGE) for count in living.values()) + 2 * spaces
    people = sum(ceil(len(list(rows_of(url, kind))) / PAGE) or 1 for kind in ("requesters", "departments", "agents"))
    reference = people + 1 + 2 * spaces  # workspaces; ticket fields and groups of each
    folders: dict[int, int] = {}
    roots = 0
    for row in rows_of(url, "folders"):
        folders[row["id"]] = 0
        roots += row.get("parent_id") is None
    for row in rows_of(url, "articles"):
        folders[row["folder_id"]] += 1
    categories = len(list(rows_of(url, "categories")))
    kb = 1 + categories + roots + sum(ceil(count / PAGE) or 1 for count in folders.values())
    return {"tickets": reference + lists + children, "kb": kb}


def compare(url: str, home: Path) -> list[list[Any]]:
    """Record beside source, row for row: rows, rows that differ, rows that one side lacks."""
    found = [["kind", "rows at the source", "rows in the record", "differing"]]
    wanted = (
        ("tickets", "tickets", {"description": "description_html", "subject": "subject", "status": "status"}),
        ("conversations", "messages", {"body": "body_html", "private": "private"}),
        ("time_entries", "time_entries", {"time_spent_in_seconds": "seconds", "ticket_id": "ticket_id"}),
        ("articles", "articles", {"title": "title", "description": "body_html"}),
    )
    with sqlite3.connect(home / "deskloom.db") as record:
        record.row_factory = sqlite3.Row
        dead = {row[0] for row in record.execute("SELECT external_id FROM tickets WHERE deleted_at IS NOT NULL")}
        for kind, name, fields in wanted:
            ours = {row["external_id"]: row for row in record.execute(f"SELECT * FROM {name}")}
            count = differing = 0
            for truth in rows_of(url, kind):
                if truth.get("timer_running") or truth.get("ticket_id") in dead:
                    continue
                count += 1
                row = ours.get(truth["id"])
                differing += row is None or any(
                    (row[mine] or None) != (truth[theirs] or None) for theirs, mine in fields.items()
                )
            found.append([kind, count, len(ours), differing])
    return found


def minutes(asked: dict[str, Any], plan: str) -> float:
    """How long so many calls take within a plan's limits: the narrowest one counts, and nothing else is using any."""
    total, lists, views = PLANS[plan]
    made: dict[str, int] = asked["by_endpoint"]
    return max(asked["credits"] / total, made.get("GET /tickets", 0) / lists, made.get("GET /tickets/[id]", 0) / views)


def measure(tickets: int, folder: Path) -> None:
    data = thunderbird(folder / "data", None if tickets >= ALL else tickets)
    home = folder / "home"
    with sandbox(data, product=PRODUCT) as url:
        floor = least(url)
        calls(url)
        rows = [["step", "calls", "credits", "least", "ratio", *DID, "seconds", "own MB"]]
        first: dict[str, Any] = {}
        for step, words in (("first", ["--full"]), ("second", [])):
            for stream in STREAMS:
                measured = command(
                    home, url, "sync", stream, *(words if stream != "hours" else []), "--json", product=PRODUCT
                )
                asked, did = calls(url), counts(measured)
                if (step, stream) == ("first", "tickets"):
                    first = asked
                known = floor.get(stream) if step == "first" else None
                ratio = f"{asked['total'] / known:.3f}" if known else ""
                rows.append(
                    [f"{step} {stream}", asked["total"], asked["credits"], known or "", ratio]
                    + [int(did[name]) for name in DID]
                    + [measured.seconds, measured.own]
                )
        table(f"{tickets} tickets: what each step did", rows)
        table("Record beside source", compare(url, home))
    naive = tickets * NAIVE_CALLS / 60
    table(
        "Minutes within a plan's limits, beside three calls a ticket, one a second",
        [["plan", "minutes", "naive", "factor"]]
        + [[plan, minutes(first, plan), naive, naive / minutes(first, plan)] for plan in PLANS],
    )


def prove(plan: str, folder: Path) -> None:
    """A small account that the sandbox holds to a plan's limits: seconds by the clock beside the computed ones."""
    with sandbox(tickets=150, product=PRODUCT, plan=plan) as url:
        measured = command(folder / "home", url, "sync", "tickets", "--full", "--json", product=PRODUCT)
        asked = calls(url)
    refused = asked["by_outcome"].get("429", 0)
    table(
        f"150 tickets, held to the limits of {plan}",
        [
            ["calls", "credits", "refused (429)", "seconds", "computed seconds"],
            [asked["total"], asked["credits"], refused, measured.seconds, max(0.0, minutes(asked, plan) - 1) * 60],
        ],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tickets", type=int, default=ALL)
    parser.add_argument("--plan", choices=PLANS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(options.tickets, Path(folder))
    if options.plan:
        with tempfile.TemporaryDirectory() as folder:
            prove(options.plan, Path(folder))


if __name__ == "__main__":
    main()
