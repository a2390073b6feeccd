"""A small, faithful Freshdesk: its state, its rules and its API."""

from __future__ import annotations

from deskloom.sandbox.freshdesk.desk import Desk as _State
from deskloom.sandbox.freshdesk.edits import STEPS, Editor
from deskloom.sandbox.freshdesk.routes import ROUTES, credits_of
from deskloom.sandbox.freshdesk.state import tables
from deskloom.sandbox.freshdesk.switches import Switches
from deskloom.sandbox.product import Product
from deskloom.sandbox.rows import Row

__all__ = ["Desk", "Switches"]


def _archive(desk: _State, given: Row) -> Row:
    return {"archived": desk.archive(ids=[int(key) for key in given["ids"]])}


class Desk(_State):
    """One Freshdesk account with its API and its control API; what `SandboxServer` serves."""

    product = Product(
        name="freshdesk",
        realm="Freshdesk",
        headers={"x-freshdesk-api-version": "latest=v2; requested=v2"},
        routes=ROUTES,
        credits=credits_of,
        too_many="You have exceeded the limit of requests per minute",
        tables=tables,
        editor=Editor,
        steps=STEPS,
        controls={("POST", "archive"): _archive},
    )
