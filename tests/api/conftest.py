"""An app over a sandbox help desk, served for real on a free port, and clients of it.

Tests that only read share one installation; those that stop or break something take one of their own (`served`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from tests.api.desks import small_desk
from tests.rig import Rig, rig

from deskloom.api.access import Authority, Caller, Role
from deskloom.api.server import Server
from deskloom.errors import Unauthenticated
from deskloom.sandbox.faults import Fault

TOKEN = "the-token-of-the-owner"


class Roles:
    """An authority that knows one key for each role, as one with keys configured will."""

    async def identify(self, credential: str | None) -> Caller:
        if credential is None or credential.upper() not in Role.__members__:
            raise Unauthenticated("There is no such key.")
        return Caller(credential, Role[credential.upper()])


@dataclass(slots=True)
class Served:
    """An app, its API, and a client of it."""

    rig: Rig
    server: Server
    client: httpx.AsyncClient

    def hold(self) -> Fault:
        """Make the help desk answer slowly, so that a run stays in progress."""
        return self.rig.desk.faults.add(Fault(match="GET", kind="slow", times=None, seconds=0.5))

    async def ended(self, run_id: str) -> dict[str, Any]:
        """The run once it has ended."""
        self.rig.desk.faults.clear()
        await self.rig.app.dispatcher.wait(UUID(run_id))
        found: dict[str, Any] = (await self.client.get(f"/api/v1/runs/{run_id}")).json()
        return found


@dataclass(slots=True)
class Shared(Served):
    """An installation with everything synced, served to the local caller and, elsewhere, to callers with roles."""

    keyed: httpx.AsyncClient

    async def get(self, path: str, role: str, **params: Any) -> httpx.Response:
        """What a caller with this role is answered."""
        return await self.keyed.get(path, params=params, headers={"Authorization": f"Bearer {role}"})


@asynccontextmanager
async def serving(
    made: Rig, *, token: str | None = None, authority: Authority | None = None
) -> AsyncIterator[tuple[Server, httpx.AsyncClient]]:
    """The API of an open app on a free port."""
    server = Server(made.app)
    server.start(token=token, authority=authority)
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        yield server, client
    await server.stop()


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """An installation of one's own, nothing synced yet, served to the local caller."""
    async with rig(small_desk(), tmp_path / "home") as made, serving(made, token=TOKEN) as (server, client):
        yield Served(made, server, client)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shared]:
    """The installation that tests share which leave everything as it was."""
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(rig(small_desk(), tmp_path_factory.mktemp("api") / "home"))
        for stream in ("tickets", "kb"):
            run = await made.sync(stream)
            assert run.state == "succeeded", run.errors
        _, keyed = await stack.enter_async_context(serving(made, authority=Roles()))
        server, client = await stack.enter_async_context(serving(made, token=TOKEN))
        yield Shared(made, server, client, keyed)
