"""`/runs/{id}/events`: a run as it goes, over a WebSocket or as server-sent events.

Both read the record, so that a run of any process can be followed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header
from starlette.requests import HTTPConnection
from starlette.responses import Response, StreamingResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from deskloom.api.access import Operator
from deskloom.api.errors import problems
from deskloom.api.runs import ENDED, RunId, RunOut, run_out
from deskloom.api.shapes import Deskloom
from deskloom.errors import NotFound, RecordUnavailable
from deskloom.record import runs as record_runs
from deskloom.wiring import App

router = APIRouter(tags=["runs"])
LAST = "end"
"""The id of a run's last event. A browser that comes back with it is told to stay away (204)."""


@dataclass(slots=True)
class Pace:
    """How often the record is asked, how often an idle stream shows that it is alive, and whether we are closing."""

    poll: timedelta = timedelta(seconds=0.3)
    heartbeat: timedelta = timedelta(seconds=15)
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    async def next(self) -> bool:
        """Wait for the next poll; False when the server closes."""
        try:
            await asyncio.wait_for(self.closing.wait(), self.poll.total_seconds())
        except TimeoutError:
            return True
        return False


async def follow(app: App, run_id: UUID, pace: Pace) -> AsyncIterator[RunOut | None]:
    """The run whenever it changed, until it has ended; None where a heartbeat is due."""
    shown: RunOut | None = None
    silent = timedelta(0)
    while True:
        try:
            async with app.record.reading() as tx:
                run = run_out(await record_runs.get_run(tx, run_id))
        except RecordUnavailable:  # it may be back at the next poll
            run = None
        if run is not None and run != shown:
            yield run
            shown, silent = run, timedelta(0)
            if run.state in ENDED:
                return
        elif silent >= pace.heartbeat:
            yield None
            silent = timedelta(0)
        if not await pace.next():
            return
        silent += pace.poll


async def _known(app: App, run_id: UUID) -> None:
    async with app.record.reading() as tx:
        await record_runs.get_run(tx, run_id)


@router.get(
    "/runs/{run_id}/events",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Events named `run`; the data of each is the run. The stream ends with the run.",
            "content": {
                "text/event-stream": {
                    "schema": {"type": "string", "contentMediaType": "application/json"},
                    "example": 'event: run\nid: 1\ndata: {"id": "0b6f5c1e-8b1f-4f5e-9d2a-3c4b5a697887", …}\n\n',
                }
            },
        },
        204: {"description": "The caller has seen the last event."},
        **problems(401, 403, 404, 503),
    },
)
async def stream_run(
    app: Deskloom,
    caller: Operator,
    connection: HTTPConnection,
    run_id: RunId,
    last_event_id: Annotated[str | None, Header(description="The id of the last event that was seen.")] = None,
) -> Response:
    """Follow a run by server-sent events: the run object now, and again whenever it changed."""
    await _known(app, run_id)
    if last_event_id == LAST:
        return Response(status_code=204)
    pace: Pace = connection.app.state.pace

    async def lines() -> AsyncIterator[str]:
        number = 0
        try:
            async for run in follow(app, run_id, pace):
                if run is None:
                    yield ": still there\n\n"
                    continue
                number += 1
                name = LAST if run.state in ENDED else str(number)
                yield f"event: run\nid: {name}\ndata: {run.model_dump_json()}\n\n"
        except NotFound:  # taken away meanwhile
            return

    return StreamingResponse(
        lines(),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


@router.websocket("/runs/{run_id}/events")
async def watch_run(socket: WebSocket, app: Deskloom, caller: Operator, run_id: RunId) -> None:
    """Follow a run over a WebSocket: the run object now, and again whenever it changed; then it is closed."""
    await _known(app, run_id)
    await socket.accept()
    pace: Pace = socket.app.state.pace
    gone = asyncio.create_task(_gone(socket))
    try:
        async for run in follow(app, run_id, pace):
            if gone.done():
                return
            if run is not None:
                await socket.send_text(run.model_dump_json())
        await socket.close(1001 if pace.closing.is_set() else 1000)
    except (WebSocketDisconnect, NotFound):
        return
    finally:
        gone.cancel()


async def _gone(socket: WebSocket) -> None:
    """Read until the other side leaves; what it sends means nothing."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
