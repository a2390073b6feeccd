"""The first sync: wall time of everything beside the peers, with the same texts, embedder and store.

Once with an embedder of fixed cost, so that what the engines add shows beside the floor (texts times cost), and once
with the bundled model, on fewer tickets. Deskloom stands there three times: publishing its record to the engine of the
peers (the like of what they do, though documents are made from HTML meanwhile); the same to the index it comes with;
and the whole sync, helpdesk and record included.

Run: python -m benchmarks.cold [--tickets 2000] [--cost 1.0] [--model-tickets 150] [--peers [NAME …]]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers import PEERS, installed, versions
from benchmarks.processes import OURS, PEER, Ended, peers_argument, run, scratch, tickets_of
from benchmarks.rigs import table


def measure(tickets: int, given: Sequence[str], cost: float, peers: Sequence[str], folder: Path, title: str) -> None:
    items = folder / "items.json"
    folder.mkdir()
    lines: list[list[Any]] = [["engine", "texts", "writes", "seconds", "floor", "÷ floor", "texts/s", "own MB"]]
    with tickets_of(folder, tickets) as url:
        whole = run(OURS, folder / "whole", url, *given)
        local = run(OURS, folder / "local", url, *given, "--again", "--index", "local", "--in-memory")
        edge = run(OURS, folder / "edge", url, *given, "--again", "--items", items)
    own = [
        ("Deskloom, publishing to the peers' store", local),
        ("Deskloom, publishing to its own index", edge),
        ("Deskloom, whole sync from the helpdesk", whole),
    ]
    theirs = [(PEERS[name].title, run(PEER, name, folder / name, items, *given, "--in-memory")) for name in peers]
    for name, ran in (*own, *theirs):
        lines.append(line(name, ran, cost))
    table(f"{title}: {tickets} tickets, {len(json.loads(items.read_text('utf-8')))} sections", lines)


def line(title: str, ran: Ended, cost: float) -> list[Any]:
    """A line of the table; without a known cost there is no floor."""
    if ran.answer is None:
        return [title, ran.why, "", "", "", "", "", ran.own]
    texts, seconds = ran.answer["texts"], ran.answer["seconds"]
    floor = texts * cost
    return [
        title, texts, ran.answer["writes"], seconds, floor if cost else "",
        f"{seconds / floor:.2f}" if cost else "", texts / seconds, ran.own,
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tickets", type=int, default=2000)
    parser.add_argument("--cost", type=float, default=1.0, help="milliseconds a text")
    parser.add_argument("--model-tickets", type=int, default=150, help="with the bundled model; 0: not at all")
    peers_argument(parser)
    options = parser.parse_args()
    peers = installed(options.peers)
    with scratch() as folder:
        cost = options.cost / 1000
        given = ("--cost", str(cost))
        measure(options.tickets, given, cost, peers, folder / "fixed", f"Fixed cost, {options.cost:g} ms a text")
        if options.model_tickets:
            measure(options.model_tickets, ("--model", "real"), 0.0, peers, folder / "real", "The bundled model")
    print("  peers are handed their texts ready made; all of them, and the first line, write to qdrant-client's own")
    print(f"  engine in memory. {versions(peers)}")


if __name__ == "__main__":
    main()
