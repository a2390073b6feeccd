"""A small HTTP server that answers as a script says, on a real socket, and a clock that passes when someone sleeps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from deskloom.http import Timing

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


@dataclass
class FakeTime:
    """Seconds since `START`. A sleep takes no time; it moves the clock, never back."""

    seconds: float = 0
    sleeps: list[float] = field(default_factory=list)
    luck: float = 0

    def timing(self) -> Timing:
        return Timing(now=self.now, monotonic=lambda: self.seconds, sleep=self.sleep, chance=lambda: self.luck)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    async def sleep(self, seconds: float) -> None:
        until = self.seconds + seconds
        self.sleeps.append(seconds)
        for _ in range(1000):  # what is on its way arrives first, as it would in so long a time
            await asyncio.sleep(0)
        self.seconds = max(self.seconds, until)


@dataclass
class Reply:
    """One answer. `cut` ends the connection after so many bytes of the body; `reset` aborts it; `hang` says nothing."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    cut: int | None = None
    reset: bool = False
    hang: bool = False

    def head_and_body(self) -> tuple[bytes, bytes]:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        headers = {"Content-Type": self.content_type, "Content-Length": str(len(body))} | self.headers
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {self.status} X\r\n{lines}\r\n".encode(), body


@dataclass
class Request:
    target: str
    headers: dict[str, str]


Script = Callable[[Request], Reply]


def in_turn(*replies: Reply) -> Script:
    """The replies one after another; the last one for ever."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


@dataclass
class Serving:
    url: str
    requests: list[Request]
    most_at_once: int = 0


@asynccontextmanager
async def serve(script: Script) -> AsyncIterator[Serving]:
    """Serve on loopback until the block ends."""
    serving = Serving("", [])
    writers: set[asyncio.StreamWriter] = set()
    done = asyncio.Event()
    busy = 0

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal busy
        writers.add(writer)
        try:
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                busy += 1
                serving.most_at_once = max(serving.most_at_once, busy)
                try:
                    pairs = (line.split(": ", 1) for line in lines[1:] if line)
                    request = Request(lines[0].split(" ")[1], {name.lower(): value for name, value in pairs})
                    serving.requests.append(request)
                    reply = script(request)
                    for _ in range(20):  # long enough for others to arrive meanwhile
                        await asyncio.sleep(0)
                    if reply.hang:
                        await done.wait()
                    if reply.reset or reply.hang:
                        writer.transport.abort()
                        return
                    head, body = reply.head_and_body()
                finally:
                    busy -= 1
                writer.write(head + body[: reply.cut])
                await writer.drain()
                if reply.cut is not None:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()
            writers.discard(writer)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    serving.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield serving
    finally:
        done.set()
        server.close()
        for writer in list(writers):
            writer.close()
        await server.wait_closed()
        await asyncio.sleep(0)
