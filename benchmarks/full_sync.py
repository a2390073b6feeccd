"""The real account, taken whole: calls beside the least possible, record beside source, a second sync, peak memory.

Serves the real Thunderbird tickets and articles with the sandbox, runs `deskloom sync tickets --full` and
`sync kb --full`, compares the record with the source field by field, and syncs again.

Run: python -m benchmarks.full_sync [--tickets 2000 --tickets 20000] [--index qdrant]   (20000: all of them)

With `--index qdrant` the points go to a stand-in for a Qdrant server, a process of its own whose memory is not counted:
what the embedded index (`edge`) keeps of each ticket in memory is left out then.
"""

from __future__ import annotations

import argparse
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Any

import httpx
from benchmarks.rigs import ROOT, Measured, command, sandbox, table, thunderbird
from tests.indexes.qdrant_stub import QdrantStub

ALL = 20_000
PAGE = 100
DID = ("fetched", "created", "updated", "embedded", "indexed", "failed")


def rows_of(url: str, kind: str) -> Iterator[dict[str, Any]]:
    """Every row of a kind, as the source has it."""
    after = 0
    while True:
        answer = httpx.get(f"{url}/_sandbox/state/{kind}", params={"after": after, "limit": 1000}, timeout=60).json()
        yield from answer["rows"]
        if not answer["next"]:
            return
        after = answer["next"]


def calls(url: str) -> dict[str, Any]:
    """What was asked of the sandbox since the last time, by its own count."""
    counted: dict[str, Any] = httpx.post(f"{url}/_sandbox/calls", timeout=60).json()
    return counted


def least_calls(url: str) -> dict[str, int]:
    """The fewest calls in which each stream can be read: full pages, one child list a ticket, every folder once."""
    threads: dict[int, int] = {}
    for row in rows_of(url, "conversations"):
        threads[row["ticket_id"]] = threads.get(row["ticket_id"], 0) + 1
    tickets = [row["id"] for row in rows_of(url, "tickets")]
    people = sum(ceil(len(list(rows_of(url, kind))) / PAGE) or 1 for kind in ("contacts", "companies", "agents"))
    reference = people + 1 + 1  # deleted contacts, ticket fields
    lists = ceil(len(tickets) / PAGE) + 2  # deleted, spam
    children = sum(max(1, ceil(threads.get(id, 0) / PAGE)) for id in tickets)
    folders: dict[int, int] = {row["id"]: 0 for row in rows_of(url, "folders")}
    for row in rows_of(url, "articles"):
        folders[row["folder_id"]] += 1
    categories = len(list(rows_of(url, "categories")))
    kb = 2 + categories + sum(ceil(count / PAGE) or 1 for count in folders.values())
    return {"tickets": reference + lists + children, "kb": kb}


def compare(url: str, home: Path) -> list[list[Any]]:
    """Record beside source, row for row: rows, rows that differ, rows that one side lacks."""
    found = [["kind", "rows at the source", "rows in the record", "differing"]]
    with sqlite3.connect(home / "deskloom.db") as record:
        record.row_factory = sqlite3.Row
        for kind, query, fields in (
            ("tickets", "SELECT * FROM tickets", ("subject", "status", "priority", "type", "requester_id")),
            ("conversations", "SELECT * FROM messages", ("private", "incoming")),
            ("articles", "SELECT * FROM articles", ("title", "folder_id")),
        ):
            ours = {row["external_id"]: row for row in record.execute(query)}
            count = differing = 0
            for truth in rows_of(url, kind):
                count += 1
                row = ours.get(truth["id"])
                body = {"tickets": "description", "conversations": "body", "articles": "description"}[kind]
                kept = {"tickets": "description_html"}.get(kind, "body_html")
                same = row is not None and row[kept] == truth[body]
                same = same and all(row[name] == truth.get(name) for name in fields)  # type: ignore[index]
                differing += not same
            found.append([kind, count, len(ours), differing])
    return found


def counts(measured: Measured) -> dict[str, float]:
    """The counts of the one run a command made."""
    answer = measured.answer
    runs = answer if isinstance(answer, list) else answer.get("runs", [answer])
    total: dict[str, float] = {}
    for run in runs:
        for name, value in run["counts"].items():
            total[name] = total.get(name, 0) + value
    return total


@contextmanager
def chosen(index: str) -> Iterator[dict[str, str]]:
    """The settings of an index, which is served as long as this lasts."""
    if index == "edge":
        yield {}
        return
    words = [sys.executable, "-m", "benchmarks.full_sync", "--serve-index"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield {"DESKLOOM_INDEX": "qdrant", "QDRANT_URL": server.stdout.readline().strip()}
        server.stdin.close()


def serve_index() -> None:
    """Be the stand-in for a Qdrant server until the input ends."""
    with QdrantStub() as stub:
        print(stub.url, flush=True)
        sys.stdin.read()


def measure(tickets: int, index: str, folder: Path) -> None:
    data = thunderbird(folder / "data", None if tickets >= ALL else tickets)
    home = folder / "home"
    with sandbox(data) as url, chosen(index) as extra:
        least = least_calls(url)
        calls(url)
        rows = [["step", "calls", "credits", "least", "ratio", *DID, "seconds", "own MB", "peak MB"]]
        for step, words in (("first", ["--full"]), ("second", [])):
            for stream in ("tickets", "kb"):
                measured = command(home, url, "sync", stream, *words, "--json", extra=extra)
                asked, did = calls(url), counts(measured)
                floor = least[stream] if step == "first" else None
                ratio = f"{asked['total'] / floor:.3f}" if floor else ""
                rows.append(
                    [f"{step} {stream}", asked["total"], asked["credits"], floor or "", ratio]
                    + [int(did[name]) for name in DID]
                    + [measured.seconds, measured.own, measured.peak]
                )
        table(f"{tickets} tickets, index {index}: what each step did", rows)
        table("Record beside source", compare(url, home))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tickets", type=int, action="append")
    parser.add_argument("--index", choices=("edge", "qdrant"), default="edge")
    parser.add_argument("--serve-index", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve_index:
        return serve_index()
    for tickets in options.tickets or [ALL]:
        with tempfile.TemporaryDirectory() as folder:
            measure(tickets, options.index, Path(folder))


if __name__ == "__main__":
    main()
