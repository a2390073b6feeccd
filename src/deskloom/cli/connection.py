"""How a command reaches the parts: over HTTP, from the process that owns the home, which may be this one.

There is one code path: whoever owns the home serves the API on loopback, and every command is a client of it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from deskloom.cli.exits import FAILED, Ended, Problem
from deskloom.cli.output import notice
from deskloom.errors import HomeInUse
from deskloom.home import Owner, find_owner
from deskloom.settings import Settings

if TYPE_CHECKING:
    from deskloom.cli.serving import Serving

ANNOUNCED_WITHIN = 300.0
"""Seconds that an owner may take before it says where it can be reached: it may have to fetch the model first."""
TOLD_AFTER = 2.0
ANSWERED_WITHIN = 60.0
"""Seconds for one answer: SQLite may make a writer wait, a search may wait for a batch to be embedded."""


class OwnerGone(Ended):
    """The process that served us has ended; connect again."""

    def __init__(self) -> None:
        super().__init__(FAILED, "The Deskloom process that did this work has ended. Run the command again.")


@dataclass(slots=True)
class Connection:
    """The API of the home's owner. `resumed`: ids of interrupted runs that this process took up again."""

    client: httpx.AsyncClient
    owner: Owner
    owned: bool
    resumed: list[str] = field(default_factory=list)

    async def call(
        self, method: str, path: str, *, params: Mapping[str, Any] | None = None, body: Any | None = None
    ) -> Any:
        """The JSON answer of `/api/v1` + path. Raises `Problem` for a refusal and `OwnerGone` if nobody answers."""
        given = {name: value for name, value in (params or {}).items() if value not in (None, ())}
        try:
            response = await self.client.request(method, f"/api/v1{path}", params=given, json=body)
        except httpx.TransportError as error:
            raise OwnerGone from error
        if response.status_code == 204:
            return None
        try:
            answer = response.json()
        except ValueError:
            raise Ended(FAILED, f"What answers at {self.owner.url} is not Deskloom.") from None
        if response.is_error:
            raise Problem(answer if isinstance(answer, dict) else {})
        return answer

    async def lines(self, path: str, *, params: Mapping[str, Any] | None = None) -> AsyncIterator[Any]:
        """The JSON lines of `/api/v1` + path, the last of which says `end`. Raises what `call` raises, and `OwnerGone`
        for an answer that stops before it."""
        given = {name: value for name, value in (params or {}).items() if value not in (None, ())}
        ended = False
        try:
            async with self.client.stream("GET", f"/api/v1{path}", params=given) as response:
                if response.is_error:
                    await response.aread()
                    raise Problem(response.json())
                async for line in response.aiter_lines():
                    entry = json.loads(line)
                    ended = bool(entry.get("end"))
                    yield entry
        except httpx.TransportError as error:
            raise OwnerGone from error
        if not ended:
            raise Ended(FAILED, "The answer broke off before its end. Nothing was made of what is missing.")


@asynccontextmanager
async def connect(settings: Settings, command: str, *, recover: bool = False) -> AsyncIterator[Connection]:
    """A connection to the owner of the home; where there is none, this process becomes it for as long as this lasts.

    `recover`: as the owner, go on with runs that were interrupted. An owner ends only when the runs that others
    started through it have ended too.
    """
    waiting = _Patience(settings)
    while True:
        owner = await asyncio.to_thread(find_owner, settings.home)
        if owner is not None and await _answers(owner):
            async with _client(owner) as client:
                yield Connection(client, owner, owned=False)
            return
        if owner is None:
            async with AsyncExitStack() as stack:
                serving = await _become_owner(stack, settings, command)
                if serving is not None:
                    resumed = await serving.recover() if recover else []
                    client = await stack.enter_async_context(_client(serving.owner))
                    yield Connection(client, serving.owner, owned=True, resumed=resumed)
                    await serving.drain()
                    return
        await waiting.wait(owner)


async def _become_owner(stack: AsyncExitStack, settings: Settings, command: str) -> Serving | None:
    """Own the home and serve it until `stack` closes; None if another process was faster."""
    from deskloom.cli.serving import owning  # everything heavy hangs on this import

    try:
        return await stack.enter_async_context(owning(settings, command, host="127.0.0.1", port=0))
    except HomeInUse:
        return None


class _Patience:
    """Waits for an owner that has not said yet where it can be reached, says so, and gives up in the end."""

    def __init__(self, settings: Settings) -> None:
        self.home = settings.home
        self.since: float | None = None
        self.told = False

    async def wait(self, owner: Owner | None) -> None:
        now = asyncio.get_running_loop().time()
        self.since = self.since or now
        waited = now - self.since
        who = f"process {owner.pid} (deskloom {owner.command})" if owner else "another process"
        if waited > ANNOUNCED_WITHIN:
            raise Ended(FAILED, f"{self.home} is in use by {who}, which does not answer. Wait for it, or stop it.")
        if waited > TOLD_AFTER and not self.told:
            self.told = True
            notice(f"{self.home} is in use by {who}; waiting until it answers.")
        await asyncio.sleep(0.1)


async def _answers(owner: Owner) -> bool:
    if owner.url is None:
        return False
    async with _client(owner) as client:
        try:
            return (await client.get("/health/live")).is_success
        except httpx.TransportError:
            return False


def _client(owner: Owner) -> httpx.AsyncClient:
    """A client of this machine: proxies and certificates of the environment have no part in it."""
    return httpx.AsyncClient(
        base_url=owner.url or "",
        headers={"Authorization": f"Bearer {owner.token}"},
        timeout=httpx.Timeout(ANSWERED_WITHIN, connect=5),
        trust_env=False,
    )
