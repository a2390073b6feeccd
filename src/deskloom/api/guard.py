"""What every request passes first: whose name it called, where its page came from, and a net under it for bugs."""

from __future__ import annotations

from urllib.parse import urlsplit
from uuid import uuid4

import structlog
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from deskloom.api.errors import answer, answer_bug
from deskloom.errors import Forbidden, TooLarge
from deskloom.http.networks import is_loopback

log = structlog.get_logger(__name__)

MOST_BYTES = 1 << 20
READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """Refuses what a page of another site makes a browser send, since the local caller is trusted.

    A name that is not a loopback name means DNS rebinding; a foreign `Origin` on a write or a WebSocket means
    cross-site request forgery. A bug in a route becomes a 500 with a request id, and the trace goes to the log.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        if refusal := _refusal(scope):
            await _refuse(scope, receive, send, answer(refusal))
            return
        if scope["type"] == "http" and _has_body(scope):
            try:
                receive = await _read(receive)
            except TooLarge as error:
                await _refuse(scope, receive, send, answer(error))
                return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception:  # a bug ends one request, not the server
            request_id = uuid4().hex
            log.exception("request failed", request_id=request_id, path=scope["path"])
            if started:
                raise
            await _refuse(scope, receive, send, answer_bug(request_id))


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


async def _read(receive: Receive) -> Receive:
    """Take in the body, and give a `receive` that hands it on. Raises `TooLarge`, having read on for a while:
    a client that is still sending when the connection closes would not see the answer."""
    body, size, more = bytearray(), 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        more = message.get("more_body", False)
        size += len(message.get("body", b""))
        if size <= MOST_BYTES:
            body += message.get("body", b"")
        elif size > MOST_BYTES * 16:
            break
    if size > MOST_BYTES:
        raise TooLarge(f"The body is too large: at most {MOST_BYTES >> 20} MB is read.")
    read = False

    async def again() -> Message:
        nonlocal read
        if read:
            return await receive()
        read = True
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    return again


async def _refuse(scope: Scope, receive: Receive, send: Send, response: Response) -> None:
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(response)
    else:
        await response(scope, receive, send)


def _refusal(scope: Scope) -> Forbidden | None:
    headers = Headers(scope=scope)
    host = headers.get("host", "")
    if not is_loopback(urlsplit(f"//{host}").hostname if _sane(host) else None):
        return Forbidden("Call this server by a loopback name, for example http://127.0.0.1:8000", header="Host")
    origin = headers.get("origin")
    writing = scope["type"] == "websocket" or scope["method"] not in READING
    if writing and origin is not None and (not _sane(origin) or urlsplit(origin).netloc != host):
        return Forbidden("A page of another site may not do this. Call from this server's own pages.", header="Origin")
    return None


def _sane(text: str) -> bool:
    """Whether `urlsplit` takes it: brackets that do not match make it raise."""
    try:
        urlsplit(text if "//" in text else f"//{text}")
    except ValueError:
        return False
    return True
