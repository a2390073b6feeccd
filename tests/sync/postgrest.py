"""A small server that takes upserts into `sync_logs` as Supabase's REST interface (PostgREST) does, and can fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

Fault = Literal["503", "proxy", "table", "reset", "lost", "hang"]
KEY = "the-service-role-key"
COLUMNS = {"id", "collection", "item_id", "item_type", "synced_at"}
_BODIES: dict[str, tuple[int, bytes]] = {
    "503": (503, b'{"code":"PGRST001","message":"Could not connect with the database","details":"secret row"}'),
    "proxy": (502, b"<html>Bad gateway</html>"),
    "table": (404, b'{"code":"PGRST205","message":"Could not find the table public.sync_logs in the schema cache"}'),
}


@dataclass(slots=True)
class Supabase:
    """The project: its rows by id, the faults of the next requests, and how many rows each request brought."""

    url: str = ""
    key: str = KEY
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)

    def take(self, target: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Store the rows of a request that is as PostgREST wants it."""
        asked = urlsplit(target)
        if (headers.get("apikey"), headers.get("authorization")) != (self.key, f"Bearer {self.key}"):
            return (
                401,
                b'{"message":"Invalid API key","hint":"Double check your Supabase `anon` or `service_role` key."}',
            )
        query = parse_qs(asked.query)
        assert (asked.path, query["on_conflict"]) == ("/rest/v1/sync_logs", ["id"])
        assert "resolution=merge-duplicates" in headers["prefer"]
        assert headers["content-profile"] == "public"
        entries = json.loads(body)
        assert all(set(entry) == COLUMNS for entry in entries)
        self.batches.append(len(entries))
        self.rows |= {entry["id"]: entry for entry in entries}
        return 201, b""


@asynccontextmanager
async def supabase(*faults: Fault) -> AsyncIterator[Supabase]:
    """Serve a project on loopback until the block ends."""
    project = Supabase(faults=list(faults))
    writers: set[asyncio.StreamWriter] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            while await _answer(project, reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            writers.discard(writer)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    project.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield project
    finally:
        server.close()
        for writer in list(writers):
            writer.transport.abort()
        await server.wait_closed()
        await asyncio.sleep(0)


async def _answer(project: Supabase, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Answer one request; False if the connection is over."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    fault = project.faults.pop(0) if project.faults else None
    if fault == "hang":
        await reader.read()  # until the client gives up
        return False
    if fault == "reset":
        writer.transport.abort()
        return False
    status, answer = _BODIES[fault] if fault in _BODIES else project.take(lines[0].split(" ")[1], headers, body)
    if fault == "lost":  # taken, but the answer never arrives
        writer.transport.abort()
        return False
    writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(answer)}\r\n\r\n".encode() + answer)
    await writer.drain()
    return True
