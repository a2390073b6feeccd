"""How a command ends: the exit statuses, and the errors that only the command line has."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from typing import Any

DONE = 0
FAILED = 1
USAGE = 2
PARTIAL = 3
ALREADY_RUNNING = 4

_GRAVITY = (FAILED, USAGE, ALREADY_RUNNING, PARTIAL, DONE)

_OF_CODE = {
    "setting_invalid": USAGE,
    "invalid": USAGE,
    "already_running": ALREADY_RUNNING,
}
"""Errors (`DeskloomError.code`, and `code` of the API's answers) that end otherwise than with `FAILED`."""

_OF_RUN = {"succeeded": DONE, "partial": PARTIAL, "failed": FAILED, "cancelled": FAILED}


class Ended(Exception):
    """A command ends with this status, and this sentence on standard error if there is one."""

    def __init__(self, status: int, sentence: str = "") -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class Stopped(Ended):
    """A signal ended the command: status 128 + its number, as shells count (130 Ctrl-C, 143 SIGTERM)."""

    def __init__(self, number: signal.Signals, sentence: str = "") -> None:
        super().__init__(128 + number, sentence)


class Problem(Ended):
    """The API refused a request; `facts` is its whole answer (RFC 9457)."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.facts = facts
        self.code = str(facts.get("code", ""))
        sentence = str(facts.get("detail") or facts.get("title") or "The request failed.")
        super().__init__(_OF_CODE.get(self.code, USAGE if facts.get("status") == 422 else FAILED), sentence)


def of_code(code: str) -> int:
    """The status that an error of this code ends with."""
    return _OF_CODE.get(code, FAILED)


def of_runs(runs: Iterable[dict[str, Any]]) -> int:
    """The status after these runs have ended: the worst of them."""
    return worst(_OF_RUN.get(str(run["state"]), FAILED) for run in runs)


def worst(statuses: Iterable[int]) -> int:
    """The gravest of several statuses."""
    found = set(statuses)
    return next((status for status in _GRAVITY if status in found), DONE)
