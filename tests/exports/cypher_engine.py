"""A server that executes openCypher and speaks Bolt: ArcadeDB, from the wheel `arcadedb-embedded`, Java included.

Neo4j itself cannot be had from a package registry. Where one is at hand, `NEO4J_URI` (with `NEO4J_USER` and
`NEO4J_PASSWORD`) has the same tests run against it too.
"""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from deskloom.exports.neo4j import Target

PASSWORD = "only-for-tests"
DATABASE = "neo4j"
READER = "reader"
"""A user who may read and write nothing."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A running server. `own`: it was started here, holds nothing else, and has the user `READER`."""

    target: Target
    own: bool


def _installed() -> Path | None:
    found = importlib.util.find_spec("arcadedb_embedded")
    places: Sequence[str] = found.submodule_search_locations or () if found else ()
    return next((Path(place) for place in places if (Path(place) / "jre" / "bin" / "java").exists()), None)


@contextmanager
def running(folder: Path) -> Iterator[Engine]:
    """An empty server on free ports of loopback, with its files in `folder`."""
    package = _installed()
    if package is None:
        why = "arcadedb-embedded, which executes openCypher, has no wheel for this machine"
        assert "DESKLOOM_CI" not in os.environ, why
        pytest.skip(why)
    bolt, http = _free_ports(2)
    settings = {
        "server.rootPath": folder,
        "server.rootPassword": PASSWORD,
        "server.defaultDatabases": f"{DATABASE}[root]",
        "server.plugins": "Bolt:com.arcadedb.bolt.BoltProtocolPlugin",
        "bolt.host": "127.0.0.1",
        "bolt.port": bolt,
        "server.httpIncomingHost": "127.0.0.1",
        "server.httpIncomingPort": http,
    }
    process = subprocess.Popen(
        [
            str(package / "jre" / "bin" / "java"),
            *("-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "--add-modules", "jdk.incubator.vector"),
            *(f"-Darcadedb.{name}={value}" for name, value in settings.items()),
            *("-cp", f"{package / 'jars'}/*", "com.arcadedb.server.ArcadeDBServer"),
        ],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    reading: threading.Thread | None = None
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if "ArcadeDB Server started" in line:
                break
        else:
            raise AssertionError("the server ended:\n" + "".join(said))
        reading = threading.Thread(target=process.stdout.read, daemon=True)
        reading.start()
        user = {"name": READER, "password": PASSWORD, "databases": {DATABASE: [READER]}}
        made = httpx.post(
            f"http://127.0.0.1:{http}/api/v1/server",
            json={"command": f"create user {json.dumps(user)}"},
            auth=("root", PASSWORD),
            trust_env=False,
        )
        made.raise_for_status()
        yield Engine(Target(f"bolt://127.0.0.1:{bolt}", "root", PASSWORD, DATABASE), own=True)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()
        if reading is not None:
            reading.join()
        if process.stdout is not None:
            process.stdout.close()


def given() -> Engine | None:
    """The Neo4j that the environment names, if it names one."""
    if not (uri := os.environ.get("NEO4J_URI")):
        return None
    user, password = os.environ.get("NEO4J_USER", "neo4j"), os.environ.get("NEO4J_PASSWORD", "")
    return Engine(Target(uri, user, password, os.environ.get("NEO4J_DATABASE")), own=False)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
