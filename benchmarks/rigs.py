"""What the benchmarks share: a slice of the real data, the sandbox as its own process, the command line measured."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("DESKLOOM_DATA", ROOT.parent / "shared" / "data"))
DESKLOOM = (sys.executable, "-m", "deskloom")
FILES = ("tickets.jsonl.gz", "tickets_without_replies.jsonl.gz", "kb_articles.jsonl.gz")


def thunderbird(folder: Path, tickets: int | None) -> Path:
    """The real Thunderbird tickets: the whole set, or a folder with about `tickets` of them in the same proportion."""
    whole = DATA / "sumo-thunderbird"
    if not whole.is_dir():
        sys.exit(f"The real data is not at {whole}. Set DESKLOOM_DATA to the folder that holds sumo-thunderbird.")
    if tickets is None:
        return whole
    folder.mkdir(parents=True)
    for name, share in zip(FILES, (0.75, 0.25, None), strict=True):
        with gzip.open(whole / name, "rt", encoding="utf-8") as lines:
            kept = list(islice(lines, None if share is None else round(tickets * share)))
        with gzip.open(folder / name, "wt", encoding="utf-8", compresslevel=1) as out:
            out.writelines(kept)
    return folder


@contextmanager
def sandbox(
    data: Path | None = None, *, tickets: int = 0, product: str = "freshdesk", plan: str = "none"
) -> Iterator[str]:
    """The sandbox help desk over `data`, or with `tickets` made up, as a process of its own; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    content = ("--tickets", str(tickets), "--articles", "0") if data is None else ("--from", str(data))
    process = subprocess.Popen(
        [*DESKLOOM, "sandbox", "--product", product, "--plan", plan, *content, "--port", str(port)],
        stdout=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            if process.poll() is not None:
                sys.exit("The sandbox did not start.")
            try:
                httpx.get(f"{url}/_sandbox/calls")
                break
            except httpx.TransportError:
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait()


@dataclass(frozen=True)
class Measured:
    """What one command did: its JSON, its seconds, its peak memory in MB.

    `own` is memory of its own; `peak` also counts the pages of mapped files (the index), which the system takes back
    when it needs them.
    """

    answer: Any
    seconds: float
    peak: float
    own: float
    status: int


class Sampler:
    """Watches the anonymous memory of a process, ten times a second."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._peak = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            try:
                lines = self._status.read_text().splitlines()
            except OSError:
                return
            own = next((line.split()[1] for line in lines if line.startswith("RssAnon")), "0")
            self._peak = max(self._peak, int(own))

    def stop(self) -> float:
        """The peak, in MB."""
        self._over.set()
        self._thread.join()
        return self._peak / 1024


def command(
    home: Path, url: str, *words: str, extra: Mapping[str, str] | None = None, product: str = "freshdesk"
) -> Measured:
    """Run a `deskloom` command against the sandbox and measure it from outside."""
    environment = os.environ | {
        "DESKLOOM_HOME": str(home),
        f"{product.upper()}_DOMAIN": url,
        f"{product.upper()}_API_KEY": "sandbox",
        "DESKLOOM_RATE_SHARE": "1",
        **(extra or {}),
    }
    began = time.perf_counter()
    process = subprocess.Popen([*DESKLOOM, *words], stdout=subprocess.PIPE, env=environment, text=True)
    assert process.stdout is not None
    sampler = Sampler(process.pid)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Measured(
        json.loads(output) if output.strip() else None,
        time.perf_counter() - began,
        usage.ru_maxrss / 1024,
        sampler.stop(),
        process.returncode,
    )


def table(title: str, rows: list[list[Any]]) -> None:
    """Print rows under a title; the first row is the head."""
    texts = [[f"{cell:,.1f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in texts) for column in range(len(texts[0]))]
    print(f"\n{title}")
    for row in texts:
        print("  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
