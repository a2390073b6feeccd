"""A way to a PostgreSQL server that counts its answers and can be cut, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType

READY = b"Z"
"""The message with which the server ends an answer (ReadyForQuery)."""


class Proxy:
    """Passes everything on to a server on loopback. `left` answers more are passed on, then every connection is cut."""

    def __init__(self, port: int) -> None:
        self.answers = 0
        self.connections = 0
        self.left: int | None = None
        self.port = 0
        self._server_port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        opening = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(opening, self._loop).result(10)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        for _ in range(3):  # a task that is cancelled before its first step closes nothing
            await asyncio.sleep(0)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(3):  # what was aborted says goodbye in the loop's next rounds
            await asyncio.sleep(0)

    async def _serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self.connections += 1
        writers = [back]
        tasks: list[asyncio.Future[None]] = []
        try:
            server, forth = await asyncio.open_connection("127.0.0.1", self._server_port)
            writers.append(forth)
            tasks = [asyncio.ensure_future(self._ask(client, forth)), asyncio.ensure_future(self._answer(server, back))]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for writer in writers:
                writer.transport.abort()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, client: asyncio.StreamReader, forth: asyncio.StreamWriter) -> None:
        while (data := await client.read(65_536)) and self.left != 0:
            forth.write(data)
            await forth.drain()

    async def _answer(self, server: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        while True:
            head = await server.readexactly(5)  # the kind of message, and its length with the length itself
            body = await server.readexactly(int.from_bytes(head[1:]) - 4)
            back.write(head + body)
            if head[:1] != READY:
                continue
            self.answers += 1
            if self.left is not None:
                self.left = max(0, self.left - 1)
            await back.drain()
