"""A sandbox help desk, and a terminal that is set up for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.terminal import Terminal

from deskloom.sandbox import Desk, SandboxServer, generate


@pytest.fixture
def desk(request: pytest.FixtureRequest) -> Desk:
    """The help desk, with as many tickets as the test's parameter says."""
    return generate(seed=3, tickets=getattr(request, "param", 8), articles=3)


@pytest.fixture
def terminal(desk: Desk, tmp_path: Path) -> Iterator[Terminal]:
    """Commands run against the desk, in an empty folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    with SandboxServer(desk) as server:
        made = Terminal(
            folder,
            {
                "DESKLOOM_HOME": str(tmp_path / "home"),
                "FRESHDESK_DOMAIN": server.url,
                "FRESHDESK_API_KEY": desk.key,
                "DESKLOOM_RETRIES": "0",
            },
        )
        yield made
        made.close()
