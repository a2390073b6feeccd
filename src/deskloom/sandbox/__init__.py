"""A small, faithful help desk of our own, to try integrations against: state, API, faults, clock, generated content."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deskloom.sandbox.clock import Clock
from deskloom.sandbox.faults import Fault
from deskloom.sandbox.freshdesk import Desk, Switches
from deskloom.sandbox.freshservice import FreshserviceDesk
from deskloom.sandbox.generate import generate, generate_freshservice
from deskloom.sandbox.server import SandboxServer, run
from deskloom.sandbox.sumo import load_sumo, load_sumo_freshservice

__all__ = [
    "PRODUCTS",
    "Clock",
    "Desk",
    "Fault",
    "FreshserviceDesk",
    "SandboxServer",
    "Switches",
    "generate",
    "generate_freshservice",
    "load_sumo",
    "load_sumo_freshservice",
    "main",
    "make",
    "run",
]

_GENERATORS: Mapping[str, Callable[..., Any]] = {"freshdesk": generate, "freshservice": generate_freshservice}
_LOADERS: Mapping[str, Callable[..., Any]] = {"freshdesk": load_sumo, "freshservice": load_sumo_freshservice}
PRODUCTS = tuple(_GENERATORS)


def make(
    product: str = "freshdesk",
    from_folder: str | Path | None = None,
    plan: str = "none",
    seed: int = 1,
    tickets: int = 120,
    articles: int = 24,
    key: str = "sandbox",
    *,
    msp: bool = False,
) -> Desk | FreshserviceDesk:
    """An account of a product: generated, or laid over the real questions in a folder.

    Raises `ValueError` for a product, plan or mode there is not, `FileNotFoundError` for a folder without the data.
    """
    if product not in PRODUCTS:
        raise ValueError(f"The sandbox has no product {product!r}; choose one of {', '.join(PRODUCTS)}.")
    if msp and product != "freshservice":
        raise ValueError("Only Freshservice has accounts of an MSP; choose the product freshservice.")
    mode = {"msp": True} if msp else {}
    if from_folder is not None:
        desk: Desk | FreshserviceDesk = _LOADERS[product](from_folder, plan=plan, key=key, **mode)
        return desk
    desk = _GENERATORS[product](seed, tickets, articles, plan=plan, key=key, **mode)
    return desk


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
    msp: bool = False,
    host: str = "127.0.0.1",
    ready: Callable[[str], None] | None = None,
) -> None:
    """Make an account and serve it until interrupted; `ready` gets the URL once it answers.

    Raises what `make` raises, and `OSError` for a port that is taken.
    """
    run(make(product, from_folder, plan, seed, tickets, articles, key, msp=msp), host, port, ready)
