"""An embedding server on loopback that behaves like OpenAI, text-embeddings-inference, Ollama or vLLM, faults included.

It has no model: vectors are sums of words hashed, so texts that share words are near. It speaks HTTP on a real socket,
in a thread of its own, and counts what it is asked. Benchmarks give it a fixed latency.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any, Literal

import numpy as np

Dialect = Literal["openai", "tei", "ollama", "vllm"]
Kind = Literal[
    "status", "hang", "reset", "truncate", "html", "count", "nan", "null", "zero", "width", "twice", "ragged", "words"
]
"""status: an error (`status`, `retry_after`) · hang: no answer · reset: the connection is reset · truncate: the
connection ends in mid-body · html: 200 with a page · count: a vector too few · nan, zero: in the vector of the text
(without one: of the first) · null: in the first vector · width: a number too few in each · twice: one index twice ·
ragged: vectors of two widths · words: words instead of numbers."""

TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass
class Fault:
    """Spoils the next `times` answers; with `text`, the answers to requests with a text that holds it, for good."""

    kind: Kind
    times: int = 1
    text: str | None = None
    status: int = 500
    retry_after: str | None = None
    code: str | None = None


@dataclass
class EmbeddingServer:
    """`with EmbeddingServer() as server: … server.url …`, where `url` has no `/v1`.

    `latency` is seconds an answer; `slots` how many requests are computed at once, the others queue (None: all).
    """

    dialect: Dialect = "openai"
    model: str = "stub-embed"
    key: str | None = None
    dimensions: int = 64
    max_tokens: int = 512
    latency: float = 0
    slots: int | None = None
    as_base64: bool = False
    shuffled: bool = True
    seed: str = ""
    """Another seed is another model: its vectors have nothing to do with those of the first."""
    port: int = 0

    url: str = field(default="", init=False)
    faults: list[Fault] = field(default_factory=list, init=False)
    requests: int = field(default=0, init=False)
    sizes: list[int] = field(default_factory=list, init=False)
    """Texts of each request, refused ones too."""
    embedded: Counter[str] = field(default_factory=Counter, init=False)
    """How often each text was answered with a vector."""
    asked: Counter[str] = field(default_factory=Counter, init=False)
    """How often each other path was asked."""
    keys: Counter[str] = field(default_factory=Counter, init=False)
    arrived: threading.Event = field(default_factory=threading.Event, init=False)
    """Set by every request; whoever waits for the next one clears it."""
    busy: int = field(default=0, init=False)
    most_at_once: int = field(default=0, init=False)

    # ------------------------------------------------------------------------------------------------- start and stop

    def start(self) -> EmbeddingServer:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def stop(self) -> None:
        """Refuse connections from now on; `start` listens at the same address again."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join()

    def __enter__(self) -> EmbeddingServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def forget(self) -> None:
        """Set the counters to nothing."""
        self.requests = self.most_at_once = 0
        self.arrived.clear()
        self.sizes.clear()
        self.embedded.clear()
        self.asked.clear()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        self._slots = asyncio.Semaphore(self.slots or 1_000_000)
        open_connections: set[asyncio.Task[Any]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(self._converse(reader, writer))
            open_connections.add(task)
            task.add_done_callback(open_connections.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        ready.set()
        await self._over.wait()
        server.close()
        for task in open_connections:
            task.cancel()
        await asyncio.gather(*open_connections, return_exceptions=True)
        await server.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, path, _ = lines[0].split(" ")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
                content = await reader.readexactly(int(headers.get("content-length", "0")))
                answer = await self._answer(method, path, headers, content)
                if answer is None:
                    writer.transport.abort()
                    return
                writer.write(answer.head() + answer.body[: answer.cut])
                await writer.drain()
                if answer.cut is not None:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    # ------------------------------------------------------------------------------------------------------- answers

    async def _answer(self, method: str, path: str, headers: dict[str, str], content: bytes) -> Answer | None:
        if (method, path) != ("POST", "/v1/embeddings"):
            self.asked[path] += 1
            return self._about(path)
        self.requests += 1
        self.arrived.set()
        self.busy += 1
        self.most_at_once = max(self.most_at_once, self.busy)
        try:
            asked = json.loads(content)
            texts: list[str] = asked["input"]
            self.sizes.append(len(texts))
            self.keys[headers.get("authorization", "")] += 1
            if self.key and headers.get("authorization") != f"Bearer {self.key}":
                return self._error(401, "invalid_api_key")
            if asked["model"] != self.model and self.dialect != "tei":
                return self._error(404, "model_not_found")
            fault = self._fault(texts)
            if fault is not None and fault.kind == "hang":
                await self._over.wait()
            async with self._slots:
                await asyncio.sleep(self.latency)
                return self._embed(texts, fault)
        finally:
            self.busy -= 1

    def _embed(self, texts: list[str], fault: Fault | None) -> Answer | None:
        kind = fault.kind if fault else None
        if kind in ("reset", "hang"):
            return None
        if fault and kind == "status":
            extra = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            return self._error(fault.status, fault.code or "server_error", **extra)
        if kind == "html":
            return Answer(200, b"<html><body>Sign in to the network</body></html>", {"Content-Type": "text/html"})
        if refusal := self._refusal(texts):
            return refusal
        rows = [self._vector(text) for text in texts]
        if kind in ("nan", "zero"):
            at = next((place for place, text in enumerate(texts) if fault and fault.text and fault.text in text), 0)
            rows[at] = rows[at] * (np.nan if kind == "nan" else 0)
        data = [
            {"object": "embedding", "index": place, "embedding": self._shown(row)} for place, row in enumerate(rows)
        ]
        _spoil(data, kind)
        if self.shuffled:
            data = data[1::2] + data[::2]
        usage = {"prompt_tokens": sum(len(TOKEN.findall(text)) + 2 for text in texts)}
        body = {"object": "list", "model": self.model, "data": data, "usage": usage}
        answer = Answer(200, json.dumps(body).encode())
        if kind == "truncate":
            answer.cut = len(answer.body) // 2
        if kind is None:
            self.embedded.update(texts)
        return answer

    def _refusal(self, texts: list[str]) -> Answer | None:
        """What this kind of server does not take."""
        if any(not text for text in texts):
            return self._error(400, "empty_input")
        if self.dialect == "tei" and len(texts) > 32:
            return self._error(413, "Validation")
        if any(len(TOKEN.findall(text)) + 2 > self.max_tokens for text in texts):
            return self._error(413 if self.dialect == "tei" else 400, "context_length_exceeded")
        return None

    def _about(self, path: str) -> Answer:
        """What the server says of itself, where its kind says it."""
        if self.dialect == "tei" and path == "/info":
            return _json({"model_id": self.model, "max_input_length": self.max_tokens, "max_client_batch_size": 32})
        if self.dialect == "vllm" and path == "/v1/models":
            return _json({"object": "list", "data": [{"id": self.model, "max_model_len": self.max_tokens}]})
        if self.dialect == "ollama" and path == "/api/show":
            facts = {"general.architecture": "bert", "bert.context_length": 8192}
            return _json({"parameters": f'stop "x"\nnum_ctx    {self.max_tokens}', "model_info": facts})
        return self._error(404, "not_found")

    def _error(self, status: int, code: str, **headers: str) -> Answer:
        """An error in the words of this kind of server. Like real ones it may quote the text; nobody must repeat it."""
        message = f"input quoted: {code} CONFIDENTIAL WORDS OF A CUSTOMER"
        if self.dialect == "tei":
            body: Any = {"message": message, "code": status, "type": code}
        elif self.dialect == "ollama":
            body = {"error": {"message": message, "type": "api_error", "param": None, "code": None}}
        else:
            body = {"error": {"message": message, "type": "invalid_request_error", "code": code}}
        return _json(body, status, **headers)

    def _fault(self, texts: list[str]) -> Fault | None:
        for fault in self.faults:
            if fault.text is not None:
                if any(fault.text in text for text in texts):
                    return fault
            else:
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
                return fault
        return None

    def _vector(self, text: str) -> np.ndarray[Any, Any]:
        words = TOKEN.findall(text.casefold()) or [text]
        return np.sum([_direction(self.seed, word, self.dimensions) for word in words], axis=0)

    def _shown(self, row: np.ndarray[Any, Any]) -> Any:
        return base64.b64encode(row.astype("<f4").tobytes()).decode() if self.as_base64 else row.tolist()


@dataclass
class Answer:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None

    def head(self) -> bytes:
        headers = {"Content-Type": "application/json", "Content-Length": str(len(self.body))} | self.headers
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {self.status} X\r\n{lines}\r\n".encode()


def _json(body: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(status, json.dumps(body).encode(), headers)


def _spoil(data: list[dict[str, Any]], kind: Kind | None) -> None:
    if kind == "count":
        data.pop()
    elif kind == "null":
        data[0]["embedding"][0] = None
    elif kind == "width":
        for row in data:
            row["embedding"] = row["embedding"][:-1]
    elif kind == "twice":
        data[-1]["index"] = 0
    elif kind == "ragged":
        data[-1]["embedding"] = data[-1]["embedding"][:-1]
    elif kind == "words":
        data[0]["embedding"] = ["half"] * len(data[0]["embedding"])


@lru_cache(maxsize=100_000)
def _direction(seed: str, word: str, dimensions: int) -> np.ndarray[Any, Any]:
    """The direction of a word, of no particular length: an embedder has to make vectors of unit length itself."""
    digest = sha256(f"{seed}/{word}".encode("utf-8", "replace")).digest()
    return np.random.default_rng(int.from_bytes(digest[:8])).normal(size=dimensions)
