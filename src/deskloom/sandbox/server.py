"""Serves a sandbox over real HTTP: in a thread for tests and demos, or in the foreground."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any

import uvicorn

from deskloom.sandbox.app import Account, SandboxApp


class _Server(uvicorn.Server):
    """uvicorn that says when it is ready, and frees hanging requests before it stops."""

    def __init__(self, config: uvicorn.Config, app: SandboxApp, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._sandbox = app
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._sandbox.close()
        await super().shutdown(sockets)


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises `OSError` with the address in its text when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol must be named: asyncio sets TCP_NODELAY only on sockets that say they are TCP, and without it every
    # answer waits some 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"The sandbox cannot listen on {host}:{port}: {error.strerror}") from error
    return listener


def _config(app: SandboxApp) -> uvicorn.Config:
    settings: dict[str, Any] = {
        "log_config": None,
        "access_log": False,
        "lifespan": "off",
        "ws": "none",
        "proxy_headers": False,
        "date_header": False,
        "server_header": False,
        "timeout_graceful_shutdown": 1,
        "timeout_keep_alive": 75,
    }
    return uvicorn.Config(app, **settings)


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class SandboxServer:
    """A sandbox in a background thread. `with SandboxServer(desk) as sandbox: … sandbox.url …`

    `desk` may be set to another account between requests: a running server then serves that one.
    """

    def __init__(self, desk: Account, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._desk = desk
        self._app: SandboxApp | None = None
        self._host, self._port = host, port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self.url = ""

    @property
    def desk(self) -> Account:
        return self._desk

    @desk.setter
    def desk(self, desk: Account) -> None:
        self._desk = desk
        if self._app is not None:
            self._app.account = desk

    def start(self) -> SandboxServer:
        """Listen and answer; returns once requests are accepted. Raises `OSError` when the port is taken."""
        listener = _listen(self._host, self._port)
        ready = threading.Event()
        made: list[_Server] = []

        def work() -> None:
            async def serve() -> None:
                app = self._app = SandboxApp(self._desk)
                server = _Server(_config(app), app, ready.set)
                made.append(server)
                await server.serve(sockets=[listener])

            try:
                asyncio.run(serve())
            finally:
                listener.close()
                ready.set()

        self._thread = threading.Thread(target=work, name="sandbox", daemon=True)
        self._thread.start()
        ready.wait()
        self._server = made[0]
        self.url = _address(listener)
        return self

    def stop(self) -> None:
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join()
        self._server = self._thread = None

    def __enter__(self) -> SandboxServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def run(desk: Account, host: str = "127.0.0.1", port: int = 8800, ready: Callable[[str], None] | None = None) -> None:
    """Serve in the foreground until interrupted; `ready` gets the URL once requests are accepted."""

    async def serve() -> None:
        listener = _listen(host, port)
        app = SandboxApp(desk)
        url = _address(listener)
        await _Server(_config(app), app, lambda: ready(url) if ready else None).serve(sockets=[listener])
        listener.close()

    asyncio.run(serve())
