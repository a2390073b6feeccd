"""A generated account behind real HTTP, at a frozen time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from deskloom.sandbox import Clock, Desk, FreshserviceDesk, SandboxServer, generate, generate_freshservice

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


@pytest.fixture
def desk() -> Desk:
    return generate(seed=1, tickets=60, articles=24, clock=Clock(NOW))


@pytest.fixture
def service() -> FreshserviceDesk:
    """The same content at Freshservice, in three workspaces."""
    return generate_freshservice(seed=1, tickets=60, articles=24, clock=Clock(NOW))


@pytest.fixture
def msp() -> FreshserviceDesk:
    """The same content at Freshservice for MSPs: its workspaces are clients."""
    return generate_freshservice(seed=1, tickets=60, articles=24, msp=True, clock=Clock(NOW))


@pytest.fixture(scope="session")
def running() -> Iterator[SandboxServer]:
    """One server for all tests; each test puts its own account behind it."""
    with SandboxServer(Desk(clock=Clock(NOW))) as server:
        yield server


@pytest.fixture
def server(running: SandboxServer, desk: Desk) -> SandboxServer:
    running.desk = desk
    return running


@pytest.fixture(scope="session")
def clients(running: SandboxServer) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """A client with the administrator's key below /api/v2, and one of the control API."""
    with (
        httpx.Client(base_url=f"{running.url}/api/v2", auth=("sandbox", "X"), timeout=5) as api,
        httpx.Client(base_url=f"{running.url}/_sandbox", timeout=5) as control,
    ):
        yield api, control


@pytest.fixture
def api(server: SandboxServer, clients: tuple[httpx.Client, httpx.Client]) -> httpx.Client:
    return clients[0]


@pytest.fixture
def control(server: SandboxServer, clients: tuple[httpx.Client, httpx.Client]) -> httpx.Client:
    return clients[1]


@pytest.fixture
def fs(running: SandboxServer, service: FreshserviceDesk, clients: tuple[httpx.Client, httpx.Client]) -> httpx.Client:
    """The API of the Freshservice account."""
    running.desk = service
    return clients[0]


@pytest.fixture
def fs_msp(running: SandboxServer, msp: FreshserviceDesk, clients: tuple[httpx.Client, httpx.Client]) -> httpx.Client:
    """The API of the MSP's account."""
    running.desk = msp
    return clients[0]
