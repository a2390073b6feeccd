"""A Freshservice account in the sandbox, and a source that reads it; what is kept of it is in `desk.Shelf`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from tests.sources.desk import NOW, stamp, timing_of

from deskloom.http import Client, normalise
from deskloom.sandbox import Clock, SandboxServer
from deskloom.sandbox.freshservice import FreshserviceDesk
from deskloom.sources.freshservice import FreshserviceSource

MADE = {"created_at": stamp(0), "updated_at": stamp(0)}


def empty_service(**options: Any) -> FreshserviceDesk:
    """An account with an administrator, a plain agent, and nothing else; its clock stands still at `NOW`."""
    desk = FreshserviceDesk(clock=Clock(NOW), **options)
    for number, admin in ((1, True), (2, False)):
        row = {"id": number, "first_name": "Agent", "last_name": str(number), "email": f"agent{number}@example.com"}
        desk.agents.put({**row, "active": True, "workspace_ids": [2], **MADE, "_admin": admin})
    return desk


def put_workspace(desk: FreshserviceDesk, key: int, name: str, *, kind: str = "workspace", **fields: Any) -> None:
    """A workspace; `fields` are a client's custom ones."""
    row = {"id": key, "name": name, "type": kind, "primary": key == 2, "metadata": {"custom_fields": fields}}
    desk.workspaces.put({**row, **MADE})


def put_department(desk: FreshserviceDesk, key: int, name: str, *, workspace: int = 2, **fields: Any) -> None:
    """A department; `fields` are its custom ones."""
    row = {"id": key, "name": name, "domains": [], "custom_fields": fields, "workspace_id": workspace}
    desk.departments.put({**row, **MADE})


def put_requester(desk: FreshserviceDesk, key: int, name: str, **members: Any) -> None:
    row = {"id": key, "first_name": name, "last_name": None, "primary_email": f"p{key}@example.com"}
    desk.requesters.put({**row, "department_ids": [], "active": True, **MADE, **members})


def open_service(desk: FreshserviceDesk, url: str, **options: Any) -> FreshserviceSource:
    own = {name: options.pop(name) for name in ("account_field", "hours_days") if name in options}
    key = options.pop("key", desk.key)
    options = {"timing": timing_of(desk), "timeout": timedelta(seconds=5), "concurrency": 8} | options
    return FreshserviceSource(
        "acme", Client(normalise(url, "Freshservice"), key, product="Freshservice", **options), **own
    )


@asynccontextmanager
async def reading_service(desk: FreshserviceDesk, **options: Any) -> AsyncIterator[FreshserviceSource]:
    """A source over a served account, closed in the end."""
    with SandboxServer(desk) as sandbox:
        source = open_service(desk, sandbox.url, **options)
        try:
            yield source
        finally:
            await source.aclose()
