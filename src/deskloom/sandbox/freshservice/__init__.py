"""A small, faithful Freshservice: its state, its rules and its API."""

from __future__ import annotations

from deskloom.sandbox.freshservice.desk import FreshserviceDesk as _State
from deskloom.sandbox.freshservice.edits import Editor
from deskloom.sandbox.freshservice.routes import ROUTES
from deskloom.sandbox.freshservice.state import tables
from deskloom.sandbox.freshservice.switches import Switches
from deskloom.sandbox.product import Product
from deskloom.sandbox.routes import ticket_credits

__all__ = ["FreshserviceDesk", "Switches"]


class FreshserviceDesk(_State):
    """One Freshservice account with its API and its control API; what `SandboxServer` serves."""

    product = Product(
        name="freshservice",
        realm="Freshservice",
        headers={
            "x-freshservice-api-version": "latest=v2; requested=v2",
            "x-fw-ratelimiting-managed": "true",
            "server": "fwe",
        },
        routes=ROUTES,
        credits=ticket_credits,
        too_many="The API rate limit allotted for your Freshservice domain has been exhausted",
        refuses_passwords=True,
        tables=tables,
        editor=Editor,
    )
