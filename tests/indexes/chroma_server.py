"""A Chroma server of the tests' own: `chroma run` on a free port of loopback, killed and started again at will."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx


class ChromaServer:
    """A server over a folder; it is running after `start` (or `with`), until `kill` or `stop`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = Path(sys.executable).with_name("chroma")
        command = [program, "run", "--host", "127.0.0.1", "--port", str(self.port), "--path", str(self.folder)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, env={**os.environ, "ANONYMIZED_TELEMETRY": "False"}, **quiet)
        deadline = time.monotonic() + 60
        while True:  # there is nothing to be told by
            try:
                httpx.get(f"{self.url}/api/v2/heartbeat", trust_env=False).raise_for_status()
                return
            except httpx.HTTPError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("chroma run did not start") from None
                time.sleep(0.05)

    def empty(self) -> None:
        """Remove every collection: the next test finds a new place."""
        every = f"{self.url}/api/v2/tenants/default_tenant/databases/default_database/collections"
        with httpx.Client(trust_env=False) as asking:
            for collection in asking.get(every).json():
                asking.delete(f"{every}/{collection['name']}").raise_for_status()

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    def __enter__(self) -> ChromaServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
