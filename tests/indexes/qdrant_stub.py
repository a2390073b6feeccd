"""A Qdrant server on loopback for tests: the REST interface, answered by the client's own engine.

It proves the requests: they come from the real client over a real socket, their bodies are read with the client's own
models, which refuse unknown fields, and faults can be put in their way. It says nothing of the real server's engine.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import uvicorn
from pydantic import BaseModel, TypeAdapter
from qdrant_client import AsyncQdrantClient, models
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Answer = tuple[int, Any]
_INSERT: TypeAdapter[Any] = TypeAdapter(models.PointInsertOperations)
_SELECT: TypeAdapter[Any] = TypeAdapter(models.PointsSelector)


@dataclass(slots=True)
class Fault:
    """What happens instead of an answer to the next `times` requests of the method whose call ends so."""

    ending: str
    status: int = 500
    reason: str | None = None
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1
    skip: int = 0
    """So many requests pass before."""
    method: str = ""
    hang: bool = False
    applied: bool = False
    """The request is carried out all the same: only its answer is lost."""

    def meets(self, called: str) -> bool:
        return called.startswith(self.method) and called.endswith(self.ending)


class QdrantStub:
    """`with QdrantStub() as stub:` serves at `stub.url` until the end; `stop` and `start` in between keep the data."""

    def __init__(self, *, key: str | None = None) -> None:
        self.engine = AsyncQdrantClient(":memory:")
        self.aliases: Callable[..., Awaitable[bool]] = self.engine.update_collection_aliases
        """What changes aliases; a test puts there what a dying server does."""
        self.key = key
        self.version = "1.20.0"
        self.keeps_metadata = True
        self.largest = 32 << 20
        self.faults: list[Fault] = []
        self.seen: list[tuple[str, dict[str, str]]] = []
        """Method and path of every request, and its query."""
        self.port = 0
        self._closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Serve, at the port of before if there was one."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen()
        self.port = listener.getsockname()[1]
        self._closing.clear()
        app = Starlette(routes=[Route("/{path:path}", self._serve, methods=["GET", "PUT", "POST", "PATCH", "DELETE"])])
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", ws="none"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]})
        self._thread.start()

    def stop(self) -> None:
        self._closing.set()
        self._server.should_exit = True
        self._thread.join()

    async def _serve(self, request: Request) -> Response:
        called = f"{request.method} {request.url.path}"
        self.seen.append((called, dict(request.query_params)))
        body = await request.body()
        fault = next((one for one in self.faults if one.times and one.meets(called)), None)
        if fault is not None and fault.skip:
            fault.skip -= 1
            fault = None
        if fault is not None:
            fault.times -= 1
            if fault.applied:
                await self._answer(called, body)
            if fault.hang:
                await asyncio.to_thread(self._closing.wait)
            text = fault.body if fault.body is not None else json.dumps({"status": {"error": fault.reason}})
            return Response(text, fault.status, fault.headers)
        if self.key is not None and request.headers.get("api-key") != self.key:
            return Response("Must provide an API key or an Authorization bearer token", 401)
        if len(body) > self.largest:
            return JSONResponse({"status": {"error": "Payload error: JSON payload is larger than allowed"}}, 413)
        status, result = await self._answer(called, body)
        return JSONResponse(result, status)

    async def _answer(self, called: str, body: bytes) -> Answer:
        method, path = called.split(" ")
        if path == "/":
            return 200, {"title": "qdrant - vector search engine", "version": self.version}
        try:
            handle, name = self._handler(method, path)
            return 200, {"result": _json(await handle(name, body)), "status": "ok", "time": 0.0}
        except (ValueError, KeyError) as error:
            status = 404 if "not found" in str(error) else 400
            return status, {"status": {"error": f"Wrong input: {error}"}, "time": 0.0}

    def _handler(self, method: str, path: str) -> tuple[Callable[[str, bytes], Awaitable[Any]], str]:
        parts = path.strip("/").split("/")
        if parts == ["aliases"]:
            return lambda _, __: self.engine.get_aliases(), ""
        if parts == ["collections", "aliases"]:
            return self._aliases, ""
        if parts == ["collections"]:
            return lambda _, __: self.engine.get_collections(), ""
        table: dict[str, Callable[[str, bytes], Awaitable[Any]]] = {
            "GET": self._info,
            "PUT": self._create,
            "PATCH": self._update,
            "DELETE": lambda name, _: self.engine.delete_collection(name),
            "GET exists": self._exists,
            "PUT index": self._index,
            "PUT points": self._upsert,
            "POST points": self._retrieve,
            "POST points/batch": self._batch,
            "POST points/delete": lambda name, body: self.engine.delete(name, _SELECT.validate_json(body)),
            "POST points/query": self._query,
            "POST points/scroll": self._scroll,
            "POST points/count": self._count,
        }
        return table[" ".join(filter(None, (method, "/".join(parts[2:]))))], parts[1]

    async def _aliases(self, _: str, body: bytes) -> bool:
        changes = models.ChangeAliasesOperation.model_validate_json(body)
        return await self.aliases(changes.actions)

    async def _info(self, name: str, _: bytes) -> Any:
        info = await self.engine.get_collection(name)
        if not self.keeps_metadata:
            info.config.metadata = None
        return info

    async def _exists(self, name: str, _: bytes) -> Any:
        return {"exists": await self.engine.collection_exists(name)}

    async def _create(self, name: str, body: bytes) -> bool:
        asked = models.CreateCollection.model_validate_json(body)
        return await self.engine.create_collection(name, asked.vectors, asked.sparse_vectors, metadata=asked.metadata)

    async def _update(self, name: str, body: bytes) -> bool:
        asked = models.UpdateCollection.model_validate_json(body)
        return await self.engine.update_collection(name, metadata=asked.metadata)

    async def _index(self, name: str, body: bytes) -> Any:
        models.CreateFieldIndex.model_validate_json(body)  # the engine in memory has none
        return models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED)

    async def _upsert(self, name: str, body: bytes) -> Any:
        return await self.engine.upsert(name, _INSERT.validate_json(body).points)

    async def _batch(self, name: str, body: bytes) -> Any:
        asked = models.UpdateOperations.model_validate_json(body)
        return await self.engine.batch_update_points(name, asked.operations)

    async def _retrieve(self, name: str, body: bytes) -> Any:
        asked = models.PointRequest.model_validate_json(body)
        return await self.engine.retrieve(name, asked.ids, asked.with_payload or False, asked.with_vector or False)

    async def _query(self, name: str, body: bytes) -> Any:
        asked = models.QueryRequest.model_validate_json(body)
        return await self.engine.query_points(
            name, asked.query, using=asked.using, query_filter=asked.filter, limit=asked.limit or 10, with_payload=False
        )

    async def _scroll(self, name: str, body: bytes) -> Any:
        asked = models.ScrollRequest.model_validate_json(body)
        records, following = await self.engine.scroll(
            name, limit=asked.limit or 10, offset=asked.offset, with_payload=asked.with_payload or False
        )
        return {"points": _json(records), "next_page_offset": following}

    async def _count(self, name: str, body: bytes) -> Any:
        asked = models.CountRequest.model_validate_json(body)
        return await self.engine.count(name, asked.filter, exact=True)


def _json(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list):
        return [_json(one) for one in value]
    return value
