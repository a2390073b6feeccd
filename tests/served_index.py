"""An index that several processes share: the embedded one, served on loopback by the process of the test.

It stands in for a Qdrant server where workers of their own processes are tested. What is called is sent as it is
(pickled: both ends are this test), and answered once the engine has done it.
"""

from __future__ import annotations

import asyncio
import inspect
import pickle
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from deskloom.errors import DeskloomError, IndexUnavailable
from deskloom.indexes.edge import EdgeIndex


class ServedIndex:
    """A `VectorIndex` at a URL: every method is the one of the index that is served there."""

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, trust_env=False, timeout=60)

    def __getattr__(self, name: str) -> Any:
        async def call(*given: Any, **named: Any) -> Any:
            try:
                answer = await self._client.post("/", content=pickle.dumps((name, given, named)))
            except httpx.TransportError as error:
                raise IndexUnavailable("The served index does not answer.") from error
            said = pickle.loads(answer.content)
            if isinstance(said, DeskloomError):
                raise said
            return said

        return call

    async def scroll(self, *given: Any, **named: Any) -> AsyncIterator[Any]:
        for batch in await self.__getattr__("scroll")(*given, **named):
            yield batch

    async def aclose(self) -> None:
        await self._client.aclose()


def _answering(index: EdgeIndex) -> Callable[..., Awaitable[None]]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        name, given, named = pickle.loads(body)
        said: Any
        try:
            found = getattr(index, name)(*given, **named)
            said = [batch async for batch in found] if inspect.isasyncgen(found) else await found
        except DeskloomError as error:
            said = error
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": pickle.dumps(said)})

    return app


@contextmanager
def served_index(folder: Path) -> Any:
    """The URL of an index over `folder`, served from a thread."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(100)
    index = EdgeIndex(folder)
    server = uvicorn.Server(uvicorn.Config(_answering(index), log_config=None, lifespan="off", access_log=False))

    def serve() -> None:
        async def until_stopped() -> None:
            await server.serve(sockets=[listening])
            await index.aclose()

        asyncio.run(until_stopped())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
