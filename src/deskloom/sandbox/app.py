"""The ASGI application: reads a request, lets hooks and faults act, has the product answer, and sends it.

Plain ASGI rather than a framework's router: what counts, what is charged and what fails is decided in one order for
every path, known or not, and a fault must be able to break the connection itself.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from email.utils import format_datetime
from ipaddress import ip_address
from typing import Any, Protocol

from deskloom.sandbox.answers import Answer
from deskloom.sandbox.calls import Calls
from deskloom.sandbox.clock import Clock
from deskloom.sandbox.faults import Fault, Faults

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

CONTROL = "/_sandbox"
_TITLES = {"500": "Internal Server Error", "502": "Bad Gateway", "503": "Service Unavailable", "504": "Gateway Timeout"}
_PAGE = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"


class Account(Protocol):
    """What the application needs of a product's state."""

    clock: Clock
    faults: Faults
    calls: Calls
    lock: threading.RLock

    def settle(self) -> None: ...

    def answer(
        self, verb: str, path: str, query: str, headers: Mapping[str, str], body: bytes, base: str
    ) -> tuple[Answer, str, int]:
        """The answer, the endpoint's name, the credits used. Never raises."""
        ...

    def control(self, verb: str, path: str, query: str, body: bytes) -> Answer: ...


class SandboxApp:
    """One account behind ASGI. `close` releases requests that hang on purpose."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._closing = asyncio.Event()

    def close(self) -> None:
        self._closing.set()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        verb, path = scope["method"], scope["path"]
        query = scope["query_string"].decode("latin-1")
        body = b"" if verb == "GET" else await _read(receive)
        if path == CONTROL or path.startswith(CONTROL + "/"):
            await _send(send, self._control(scope, verb, path, query, body), self.account.clock)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        base = f"{scope['scheme']}://{headers.get('host', 'localhost')}"
        answer, fault = self._answer(verb, path, query, headers, body, base)
        if fault is not None and fault.kind in ("hang", "slow"):
            await self._wait(fault.seconds, receive, until_gone=fault.kind == "hang")
        if fault is not None and fault.kind in ("hang", "reset"):
            await _reset(receive, send)
        elif fault is not None and fault.kind == "cut":
            await _cut(send, receive, answer, self.account.clock)
        else:
            await _send(send, answer, self.account.clock)

    def _answer(
        self, verb: str, path: str, query: str, headers: Mapping[str, str], body: bytes, base: str
    ) -> tuple[Answer, Fault | None]:
        account = self.account
        line = f"{verb} {path}?{query}" if query else f"{verb} {path}"
        with account.lock:
            account.faults.run_hooks(line)
            account.settle()
            fault = account.faults.take(line)
            spoiled = _instead(fault) if fault else None
            if spoiled is not None or (fault and fault.kind in ("hang", "reset")):
                answer, name, cost = spoiled or Answer(), f"{verb} (fault)", 0
            else:
                answer, name, cost = account.answer(verb, path, query, headers, body, base)
            if fault and fault.kind == "truncate":
                whole = answer.encode()
                answer.body = whole[: max(len(whole) // 2, 1)]
            outcome = f"fault {fault.kind}" if fault else str(answer.status)
            account.calls.note(name, line, outcome, cost, account.clock.stamp())
        return answer, fault

    def _control(self, scope: Message, verb: str, path: str, query: str, body: bytes) -> Answer:
        client = scope.get("client")
        if client and not ip_address(client[0]).is_loopback:
            return Answer(403, {"error": "The sandbox is controlled from its own machine only."})
        with self.account.lock:
            return self.account.control(verb, path.removeprefix(CONTROL).strip("/"), query, body)

    async def _wait(self, seconds: float, receive: Receive, *, until_gone: bool) -> None:
        """Wait out a fault, or until the server stops, or (for a hang) until the client has gone away."""
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._closing.wait())]
        if until_gone:
            waits.append(asyncio.ensure_future(_gone(receive)))
        _, pending = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()


def _instead(fault: Fault) -> Answer | None:
    """The answer a fault gives in place of the right one; None when it lets the product answer."""
    if fault.kind == "403":
        return Answer(403, {"code": fault.code, "message": "You are not authorized to perform this action."})
    if fault.kind == "404":
        return Answer(404)
    if fault.kind == "429":
        headers = {"retry-after": str(fault.retry_after)} if fault.retry_after is not None else {}
        return Answer(429, {"message": "You have exceeded the limit of requests per minute"}, headers)
    if fault.kind in _TITLES:
        page = _PAGE.format(f"{fault.kind} {_TITLES[fault.kind]}").encode()
        headers = {"retry-after": str(fault.retry_after)} if fault.retry_after is not None else {}
        return Answer(int(fault.kind), page, headers, "text/html; charset=utf-8")
    if fault.kind == "html":
        return Answer(200, _PAGE.format("Sign in").encode(), {}, "text/html; charset=utf-8")
    return None


async def _read(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _head(answer: Answer, length: int, clock: Clock) -> Message:
    headers = {
        "date": format_datetime(clock.now(), usegmt=True),
        "content-length": str(length),
        **({"content-type": answer.content_type} if length else {}),
        **answer.headers,
    }
    if answer.status == 204:
        del headers["content-length"]
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http.response.start", "status": answer.status, "headers": raw}


async def _send(send: Send, answer: Answer, clock: Clock) -> None:
    body = answer.encode()
    await send(_head(answer, len(body), clock))
    await send({"type": "http.response.body", "body": body})


def _transport(send: Send) -> asyncio.Transport | None:
    """The connection below uvicorn's `send`; ASGI itself has no way to break a connection."""
    return getattr(getattr(send, "__self__", None), "transport", None)


async def _reset(receive: Receive, send: Send) -> None:
    """Break the connection without an answer: SO_LINGER 0 makes the system send RST rather than FIN."""
    transport = _transport(send)
    if transport is None:
        raise ConnectionResetError("a fault asked for a reset")
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await _gone(receive)


async def _cut(send: Send, receive: Receive, answer: Answer, clock: Clock) -> None:
    """Announce the whole body, send half of it, close the connection."""
    body = answer.encode()
    await send(_head(answer, len(body), clock))
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    transport = _transport(send)
    if transport is not None:
        transport.close()
        await _gone(receive)
