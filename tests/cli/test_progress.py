"""How runs are told where nobody watches."""

from __future__ import annotations

from typing import Any

from deskloom.cli.output import clean
from deskloom.cli.progress import Lines


def run(phase: str, fetched: int = 0, *, state: str = "running", total: int | None = None) -> dict[str, Any]:
    return {
        "id": "1",
        "source": "acme",
        "stream": "tickets",
        "state": state,
        "progress": {"done": fetched, "total": total, "phase": phase},
        "counts": {"fetched": fetched, "indexed": 0, "embedded": 0, "api_calls": 1},
    }


def test_a_line_is_an_event() -> None:
    """A new phase, ten seconds of work and the end are told; standing still and counting down are not."""
    now, told = [0.0], list[str]()
    lines = Lines(clock=lambda: now[0], out=told.append)
    for seconds, state in [
        (0, run("reading tickets")),
        (1, run("reading tickets", 50)),
        (11, run("reading tickets", 100, total=200)),
        (30, run("reading tickets", 100, total=200)),
        (31, run("waiting 34 s for acme's rate limit", 100)),
        (32, run("waiting 33 s for acme's rate limit", 100)),
        (70, run("", 200, state="succeeded")),
    ]:
        now[0] = seconds
        lines.show(state)
    assert told == [
        "acme tickets: reading tickets; 0 items, 0 embedded, 1 API call",
        "acme tickets: reading tickets; 100 of 200 items, 0 embedded, 1 API call",
        "acme tickets: waiting 34 s for acme's rate limit; 100 items, 0 embedded, 1 API call",
        "acme tickets: succeeded; 200 items, 0 embedded, 1 API call",
    ]


def test_text_from_outside_cannot_steer_the_terminal() -> None:
    """Escape sequences, carriage returns and direction overrides of a ticket do not reach the screen."""
    assert clean("a\x1b[2Jb\rc\u202ed\x9be\nf") == "a [2Jb c d e f"
