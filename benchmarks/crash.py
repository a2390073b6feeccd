"""Crashes: each engine syncs the same tickets and is killed with -9 again and again until it is done.

Counted are the texts that the model was given more often than in an undisturbed sync (each is noted before it is
answered, so the notes outlive the kill), and the points that are wrong at the end: missing, of another text or other
metadata, or belonging to nothing. The kills are spread over the work at random: one comes when so many of all texts
have been embedded at least once, and a random moment more, so that it meets embedding, writing and reading alike.

Run: python -m benchmarks.crash [--tickets 2000] [--kills 20] [--peer-kills 4] [--peers [NAME …]]
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fixed import text_key
from benchmarks.peers import OFFLINE, PEERS, installed, versions
from benchmarks.processes import OURS, PEER, peers_argument, run, scratch, tickets_of
from benchmarks.rigs import table

COST = 0.001
PATIENCE = 120.0
UNFORKABLE = ("cocoindex",)
"""Peers that start threads when they are imported: a process forked after that hangs."""
LINE = len(text_key("")) + 1


def work(module: str, words: Sequence[str], errors: str) -> None:
    """What a killed process runs; what it says goes to a file."""
    with open(errors, "a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    importlib.import_module(module).main(words)


@dataclass(slots=True)
class Crashed:
    """How an engine fared: `sizes` are lines of notes after each process; `answer` is what the last one said."""

    title: str
    kills: int = 0
    sizes: list[int] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)
    answer: Any = None
    seconds: float = 0.0
    stuck: str = ""

    def repeated(self, undisturbed: int) -> int:
        """Texts embedded beyond those of an undisturbed sync."""
        return max(0, len(self.noted) - undisturbed)

    def worst(self) -> int:
        """The most texts of one process that later ones embedded again."""
        starts = [0, *self.sizes]
        parts = [set(self.noted[begin:end]) for begin, end in zip(starts, self.sizes, strict=False)]
        return max((len(part & set(self.noted[end:])) for part, end in zip(parts, self.sizes, strict=True)), default=0)


class Victim:
    """Starts an engine over one folder again and again. Processes are forked from one that has imported everything."""

    def __init__(self, context: Any, module: str, words: Sequence[Any], folder: Path) -> None:
        self._context, self._module, self._folder = context, module, folder
        self.notes, self._answer = folder / "notes.txt", folder / "answer.json"
        self._errors = folder / "errors.txt"
        self.notes.touch()
        self._known: set[bytes] = set()
        self._read = 0
        self._words = [*map(str, words), "--cost", str(COST), "--notes", str(self.notes)]

    def start(self, *words: Any) -> Any:
        self._answer.unlink(missing_ok=True)
        process = self._context.Process(
            target=work,
            args=(self._module, [*self._words, *map(str, words), "--answer", str(self._answer)], str(self._errors)),
        )
        process.start()
        return process

    def lines(self) -> int:
        return self.notes.stat().st_size // LINE

    def embedded(self) -> int:
        """How many texts were embedded at least once until now."""
        with open(self.notes, "rb") as file:
            file.seek(self._read)
            fresh = file.read()
        whole = len(fresh) // LINE * LINE
        self._read += whole
        self._known.update(fresh[:whole].split())
        return len(self._known)

    def kill(self, texts: int, dice: random.Random) -> bool:
        """Start, and kill when so many texts have been embedded and a moment more; False if it ended before.

        If they have been already it dies while it begins: it opens, reads, and takes up what was left.
        """
        begun, process = self.embedded() >= texts, self.start()
        until = time.monotonic() + PATIENCE
        while process.is_alive() and self.embedded() < texts and time.monotonic() < until:
            time.sleep(0.002)
        process.join(dice.uniform(0, 1.0 if begun else 0.1))
        process.kill()
        process.join()
        return bool(process.exitcode == -9)

    def why(self) -> str:
        """The last line of what was said."""
        lines = self._errors.read_text("utf-8", "replace").split("\n") if self._errors.exists() else []
        return next((line for line in reversed(lines) if line.strip()), "no word of why")

    def finish(self, *words: Any) -> Any:
        """Start, and let it end; what it said, or None if it failed or never ended."""
        process = self.start(*words)
        process.join(PATIENCE)
        process.kill()
        process.join()
        with suppress(FileNotFoundError):
            return json.loads(self._answer.read_text("utf-8"))
        return None


def suffer(title: str, victim: Victim, texts: int, kills: int, check: Sequence[Any]) -> Crashed:
    """Kill an engine so many times, then let it finish and compare. `texts` is how many different ones there are."""
    crashed, dice = Crashed(title), random.Random(11)
    began = time.perf_counter()
    for point in sorted(dice.randint(1, texts - 1) for _ in range(kills)):
        crashed.kills += victim.kill(point, dice)
        crashed.sizes.append(victim.lines())
    crashed.answer = victim.finish(*check)
    crashed.seconds = time.perf_counter() - began
    crashed.noted = victim.notes.read_text("ascii").split()
    if crashed.answer is None:
        crashed.stuck = f"never done: {victim.why()}"
    return crashed


def measure(tickets: int, kills: int, peer_kills: int, peers: Sequence[str], folder: Path) -> None:
    os.environ.update(OFFLINE)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([OURS, PEER, *(f"benchmarks.peers.{PEERS[name].module}" for name in peers
                                                       if name not in UNFORKABLE)])  # fmt: skip
    items = folder / "items.json"
    head: list[Any] = ["engine", "kills", "texts undisturbed", "embedded again", "÷ kills", "by one kill, at most",
                       "missing", "stale", "extra", "seconds in all"]  # fmt: skip
    rows: list[list[Any]] = [head]
    with tickets_of(folder, tickets) as url:
        reference = run(OURS, folder / "reference", url, "--items", items)
        assert reference.answer, reference.why
        texts = reference.answer["texts"]
        different = len({row[1] for row in json.loads(items.read_text("utf-8"))})
        (folder / "ours").mkdir()
        victim = Victim(context, OURS, [folder / "ours" / "home", url], folder / "ours")
        rows.append(row(suffer("Deskloom", victim, different, kills, ["--check", items]), texts))
    print(f"{tickets} tickets, {len(json.loads(items.read_text('utf-8')))} sections, {different} different texts")
    for name in peers:
        undisturbed = run(PEER, name, folder / f"{name}-reference", items)
        assert undisturbed.answer, undisturbed.why
        home = folder / name
        home.mkdir()
        chosen = multiprocessing.get_context("spawn") if name in UNFORKABLE else context
        victim = Victim(chosen, PEER, [name, home / "data", items], home)
        crashed = suffer(PEERS[name].title, victim, different, peer_kills, ["--check"])
        rows.append(row(crashed, undisturbed.answer["texts"]))
    table("Killed with -9, and started again until done", rows)
    if peer_kills != kills and peers:
        print(f"  peers are killed {peer_kills} times to save time; --peer-kills {kills} for as often as Deskloom")
    print(
        f"  {COST * 1000:g} ms a text; a batch of Deskloom is 128 tickets (DESKLOOM_PUBLISH_BATCH); "
        "all files are in memory"
    )


def row(crashed: Crashed, undisturbed: int) -> list[Any]:
    """A line of the table."""
    wrong: Counter[str] = Counter(crashed.answer or {})
    again = crashed.repeated(undisturbed)
    each = again / crashed.kills if crashed.kills else 0.0
    ends = [wrong["missing"], wrong["stale"], wrong["extra"]] if crashed.answer else [crashed.stuck, "", ""]
    return [crashed.title, crashed.kills, undisturbed, again, each, crashed.worst(), *ends, crashed.seconds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tickets", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--peer-kills", type=int, default=4, help="how often peers are killed (default: 4)")
    peers_argument(parser)
    options = parser.parse_args()
    peers = installed(options.peers)
    with scratch() as folder:
        measure(options.tickets, options.kills, options.peer_kills, peers, folder)
    print(f"  {versions(peers)}")


if __name__ == "__main__":
    main()
