"""The program as people and cron run it: in a process of its own, against a sandbox help desk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LEFT_OUT = ("DESKLOOM_", "FRESHDESK_", "DATABASE_URL", "PYTHONDONTWRITEBYTECODE")
ENOUGH = 120
"""Seconds after which a command hangs."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command left: its exit status and what it printed."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def json_lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(slots=True)
class Terminal:
    """Runs commands in a folder of their own with nothing configured but `settings`."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return Path(self.settings["DESKLOOM_HOME"])

    def run(self, *arguments: str, **settings: str) -> Ended:
        return wait(self.start(*arguments, **settings))

    def start(self, *arguments: str, **settings: str) -> subprocess.Popen[str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
        models = {"DESKLOOM_MODELS": os.environ["DESKLOOM_MODELS"]} if "DESKLOOM_MODELS" in os.environ else {}
        process = subprocess.Popen(
            [sys.executable, "-m", "deskloom", *arguments],
            env=inherited | models | self.settings | settings,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def close(self) -> None:
        """Kill what a test that failed has left running: it would go on with what the next one begins."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.communicate()


def wait(process: subprocess.Popen[str], number: signal.Signals | None = None) -> Ended:
    """How a started command ended; `number` is sent to it first."""
    if number is not None:
        process.send_signal(number)
    try:
        out, err = process.communicate(timeout=ENOUGH)
    finally:
        process.kill()
    return Ended(process.returncode, out, err)


def line_with(process: subprocess.Popen[str], words: str) -> str:
    """The next line on a running command's standard output that holds these words."""
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return line.rstrip("\n")
    raise AssertionError(f"the command ended without a line with {words!r}: {process.communicate()[1]}")
