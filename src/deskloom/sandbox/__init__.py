"""A small, faithful help desk of our own, to try integrations against: state, API, faults, clock, generated content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deskloom.sandbox.clock import Clock
from deskloom.sandbox.faults import Fault
from deskloom.sandbox.freshdesk import Desk, Switches
from deskloom.sandbox.generate import generate
from deskloom.sandbox.server import SandboxServer, run
from deskloom.sandbox.sumo import load_sumo

__all__ = ["Clock", "Desk", "Fault", "SandboxServer", "Switches", "generate", "load_sumo", "main", "run"]

PRODUCTS = ("freshdesk",)


def main(
    product: str = "freshdesk",
    from_folder: str | Path | None = None,
    port: int = 8800,
    plan: str = "none",
    seed: int = 1,
    tickets: int = 120,
    articles: int = 24,
    key: str = "sandbox",
    *,
    host: str = "127.0.0.1",
    ready: Callable[[str], None] | None = None,
) -> None:
    """Make an account and serve it until interrupted; `ready` gets the URL once it answers.

    Raises `ValueError` for a product or plan there is not, `FileNotFoundError` for a folder without the data,
    `OSError` for a port that is taken.
    """
    if product not in PRODUCTS:
        raise ValueError(f"The sandbox has no product {product!r}; choose one of {', '.join(PRODUCTS)}.")
    if from_folder is not None:
        desk = load_sumo(from_folder, plan=plan, key=key)
    else:
        desk = generate(seed, tickets, articles, plan=plan, key=key)
    run(desk, host, port, ready)
