"""Engines in processes of their own, to be measured from outside, and killed: what the benchmarks with peers share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers import INSTALL, PEERS
from benchmarks.rigs import DATA, ROOT, Sampler, sandbox, thunderbird

OURS = "benchmarks.workers.ours"
PEER = "benchmarks.workers.peer"
MEMORY = Path("/dev/shm")


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards; in memory where the system has that, or the disk's commits are measured."""
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        yield Path(folder)


@dataclass(frozen=True, slots=True)
class Ended:
    """What a worker said last (None: it failed, and `why` is its last line of errors), and what it took.

    `peak` and `own` are MB: all memory, and without the pages of mapped files.
    """

    answer: Any
    why: str
    seconds: float
    peak: float
    own: float


def run(module: str, *words: Any) -> Ended:
    """Run a worker to its end."""
    with tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=ROOT,
        )
        sampler = Sampler(process.pid)
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        own = sampler.stop()
        errors.seek(0)
        said = errors.read().strip().splitlines()
    failed = process.returncode != 0 or not lines
    why = (said[-1] if said else f"exit code {process.returncode}") if failed else ""
    answer = None if failed else json.loads(lines[-1])
    return Ended(answer, why, time.perf_counter() - began, usage.ru_maxrss / 1024, own)


def tickets_of(folder: Path, count: int) -> Any:
    """A sandbox with real tickets where the data set is there, else with made-up ones; says which."""
    if (DATA / "sumo-thunderbird").is_dir():
        return sandbox(thunderbird(folder / "data", count))
    print(f"The real data is not at {DATA}: the tickets are made up, and many share texts.")
    return sandbox(tickets=count)


def peers_argument(parser: Any) -> None:
    """The argument that chooses peers."""
    parser.add_argument(
        "--peers", nargs="*", choices=list(PEERS), help=f"which peers; default: all that are installed ({INSTALL})"
    )
