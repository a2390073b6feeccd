"""The server: where it listens, what it refuses, how it stops."""

from __future__ import annotations

import asyncio
import json
import socket
from urllib.parse import urlsplit

import httpx
import pytest
from tests.api.conftest import Served, Shared
from websockets.asyncio.client import connect

from deskloom.api.server import Server
from deskloom.errors import SettingInvalid

together = pytest.mark.asyncio(loop_scope="session")


@together
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
async def test_a_loopback_address_is_served_on_a_free_port(shared: Shared, host: str) -> None:
    """`url` is known before the first request, and a request made before the start waits for it."""
    server = Server(shared.rig.app, host=host)
    place = urlsplit(server.url)
    assert (place.hostname, bool(place.port)) == ("127.0.0.1" if host == "localhost" else host, True)
    async with httpx.AsyncClient(trust_env=False) as client:
        early = asyncio.create_task(client.get(f"{server.url}/health/live"))
        server.start()
        assert (await early).json() == {"status": "ok"}
        server._server.should_exit = True  # type: ignore[union-attr]
        await server.wait()


@together
@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org", ""])
async def test_another_address_is_refused(shared: Shared, host: str) -> None:
    """Without keys everyone who can connect would be admin."""
    with pytest.raises(SettingInvalid, match="without API keys every caller would be admin") as refused:
        Server(shared.rig.app, host=host)
    assert refused.value.facts["setting"] == "DESKLOOM_HOST"


@together
async def test_a_port_that_is_taken_is_named(shared: Shared) -> None:
    """One sentence with the port and another one to choose."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingInvalid, match=f"Port {port} of 127.0.0.1 is in use .* DESKLOOM_PORT={port + 1}"):
            Server(shared.rig.app, port=port)


async def test_a_stop_ends_what_follows_a_run_and_pauses_the_run(served: Served) -> None:
    """Streams end, the run stays open in the record, and it goes on at the next start."""
    served.hold()
    started = await served.client.post("/api/v1/runs", json={"stream": "tickets"})
    run_id = started.json()[0]["id"]
    address = served.server.url.replace("http", "ws", 1) + f"/api/runs/{run_id}/events"
    async with connect(address, proxy=None) as socket, asyncio.timeout(10):
        await socket.recv()
        stopping = asyncio.create_task(served.server.stop())
        states = {json.loads(message)["state"] async for message in socket}
        await stopping
    assert (states <= {"queued", "running"}, socket.close_code) == (True, 1001)
    with pytest.raises(httpx.ConnectError):
        await served.client.get("/health/live")
    served.rig.desk.faults.clear()
    resumed = await served.rig.reopen()
    assert [str(run.id) for run in resumed] == [run_id]
    assert (await served.rig.run(resumed[0])).state == "succeeded"


async def test_stopping_twice_is_fine(served: Served) -> None:
    """The second stop finds nothing to do."""
    await served.server.stop()
    await served.server.stop()
