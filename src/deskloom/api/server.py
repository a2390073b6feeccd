"""Serves the API from within a running event loop, and stops without losing anything."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator

import uvicorn

from deskloom.api import create_api
from deskloom.api.access import Authority
from deskloom.api.events import Pace
from deskloom.errors import SettingInvalid
from deskloom.http.networks import is_loopback
from deskloom.wiring import App

PATIENCE = 5
"""Seconds that requests under way have to end when the server stops."""


class Server:
    """An app's API on a socket.

    The address is taken when it is made, so that `url` can be announced before the first request is answered. Stopping
    takes no new requests, ends what is under way, and then stops the runs at a page; they go on at the next start.
    """

    def __init__(self, app: App, *, host: str = "127.0.0.1", port: int = 0, pace: Pace | None = None) -> None:
        """Port 0: any free one. Raises `SettingInvalid` for an address that may not or cannot be served."""
        self.app = app
        self._socket = _listen(host, port)
        name, number = self._socket.getsockname()[:2]
        self.url = f"http://[{name}]:{number}" if ":" in name else f"http://{name}:{number}"
        self._pace = pace or Pace()
        self._server: _Uvicorn | None = None
        self._serving: asyncio.Task[None] | None = None

    def start(self, *, token: str | None = None, authority: Authority | None = None) -> None:
        """Begin to answer. `token` is what the owner of the home announced."""
        api = create_api(self.app, token=token, authority=authority, pace=self._pace)
        self._server = _Uvicorn(
            uvicorn.Config(
                api,
                log_config=None,
                log_level="warning",
                access_log=False,
                lifespan="off",
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=PATIENCE,
            )
        )
        # The socket listens already, so whoever calls before the task has begun waits, and is answered.
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="serve the API")

    async def wait(self) -> None:
        """Until the server has stopped, whoever stopped it."""
        if self._serving is not None:
            await asyncio.wait({self._serving})
            self._serving.result()

    async def stop(self) -> None:
        """Stop gracefully. May be repeated."""
        self._pace.closing.set()
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await asyncio.wait({self._serving})
        self._socket.close()
        await self.app.dispatcher.stop()


class _Uvicorn(uvicorn.Server):
    """Uvicorn without signal handlers of its own: signals are the command's to handle."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    if not is_loopback(host):
        raise SettingInvalid(
            f"Not serving on {host}: without API keys every caller would be admin, so only this machine is served. "
            "Use DESKLOOM_HOST=127.0.0.1",
            setting="DESKLOOM_HOST",
        )
    # A loopback name is not looked up: a name server could send it elsewhere.
    address = "127.0.0.1" if host.endswith("localhost") else host
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # Named as TCP, because asyncio sets TCP_NODELAY only on sockets that say so; without it each answer waits 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(2048)
    except OSError as error:
        listening.close()
        raise SettingInvalid(_why_not(error, address, port), setting="DESKLOOM_PORT") from error
    listening.setblocking(False)
    return listening


def _why_not(error: OSError, address: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} of {address} is in use by another program. Choose another one: DESKLOOM_PORT={port + 1}"
    if error.errno == errno.EACCES:
        return f"Port {port} is not ours to use. Choose one above 1023, for example DESKLOOM_PORT=8000"
    return f"{address}:{port} cannot be served: {error.strerror}. Choose another address with DESKLOOM_HOST."
