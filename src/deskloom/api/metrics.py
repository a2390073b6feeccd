"""`/metrics`: what this process has seen, for Prometheus. Each app has a registry of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.requests import HTTPConnection
from starlette.responses import Response

from deskloom.api.access import Viewer
from deskloom.api.errors import problems
from deskloom.api.shapes import Deskloom
from deskloom.record import documents as record_documents
from deskloom.record import runs as record_runs
from deskloom.record.runs import Run
from deskloom.wiring import App

router = APIRouter(tags=["health"])
OUTCOMES = ("created", "updated", "unchanged", "deleted", "skipped", "failed")
ENDED = frozenset({"succeeded", "partial", "failed", "cancelled"})
PAGE = 100
MARGIN = timedelta(minutes=10)
"""How far the clocks of processes that share a record may be apart."""


@dataclass(slots=True)
class Timing:
    """How long something took."""

    started: float = field(default_factory=time.perf_counter)
    ended: float | None = None

    def milliseconds(self) -> float:
        return round(((self.ended or time.perf_counter()) - self.started) * 1000, 1)


class Metrics:
    """The meters of one app.

    Runs may be another process's, so their counts are taken from the record whenever someone asks; a run that had
    ended before this process began to look counts nothing, as Prometheus expects of a counter that starts anew.
    """

    def __init__(self, since: datetime) -> None:
        self.registry = CollectorRegistry()
        self._collecting = asyncio.Lock()
        self._seen: dict[UUID, Run] = {}
        self._ended: dict[UUID, datetime] = {}
        self._since = since
        """Runs created before this, if they are not in `_seen`, have nothing more to tell."""
        run = ["source", "stream"]
        self.runs = Counter("deskloom_runs", "Runs that ended.", [*run, "state"], registry=self.registry)
        self.items = Counter(
            "deskloom_items", "Items by what became of them.", [*run, "outcome"], registry=self.registry
        )
        self.calls = Counter("deskloom_api_calls", "Calls to the helpdesk.", run, registry=self.registry)
        self.waited = Counter("deskloom_waited_seconds", "Waiting for rate limits.", run, registry=self.registry)
        self.embedded = Counter("deskloom_embedded_texts", "Texts the model was given.", run, registry=self.registry)
        self.indexed = Counter("deskloom_indexed_points", "Points written or deleted.", run, registry=self.registry)
        self.running = Gauge("deskloom_runs_active", "Runs queued or running.", run, registry=self.registry)
        self.pending = Gauge("deskloom_pending_documents", "Documents not yet published.", registry=self.registry)
        self.searches = Histogram(
            "deskloom_search_seconds",
            "Time a search took.",
            ["mode"],
            registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
        )

    @contextmanager
    def timed_search(self, mode: str) -> Iterator[Timing]:
        """Time one search that succeeds."""
        timing = Timing()
        yield timing
        timing.ended = time.perf_counter()
        self.searches.labels(mode).observe(timing.ended - timing.started)

    async def collect(self, app: App) -> bytes:
        """Look at the record, and write every meter in Prometheus' text format."""
        async with self._collecting:
            await self._look(app)
        return generate_latest(self.registry)

    async def _look(self, app: App) -> None:
        async with app.record.reading() as tx:
            active = await record_runs.open_runs(tx)
            recent: dict[UUID, Run] = {run.id: run for run in active}
            after: str | None = None
            while True:
                rows, after = await record_runs.list_runs(tx, limit=PAGE, after=after)
                recent |= {run.id: run for run in rows if run.created_at >= self._since}
                if after is None or rows[-1].created_at < self._since:
                    break
            for run_id in [run_id for run_id in self._seen if run_id not in recent]:
                recent[run_id] = await record_runs.get_run(tx, run_id)
            pending = await record_documents.pending(tx)
        for run in recent.values():
            if run.id not in self._ended:
                self._count(run)
        self._since = max(self._since, min((run.created_at for run in active), default=app.clock() - MARGIN))
        self._ended = {run_id: created for run_id, created in self._ended.items() if created >= self._since}
        self._show(active, pending)

    def _count(self, run: Run) -> None:
        """Add what a run did since it was last seen."""
        before = self._seen.pop(run.id, None)
        labels = (run.source, run.stream)

        def grown(name: str) -> float:
            return float(max(0, run.counts.get(name, 0) - (before.counts.get(name, 0) if before else 0)))

        for outcome in OUTCOMES:
            self.items.labels(*labels, outcome).inc(grown(outcome))
        self.calls.labels(*labels).inc(grown("api_calls"))
        self.waited.labels(*labels).inc(grown("waited_seconds"))
        self.embedded.labels(*labels).inc(grown("embedded"))
        self.indexed.labels(*labels).inc(grown("indexed"))
        if run.state in ENDED:
            self.runs.labels(*labels, run.state).inc()
            self._ended[run.id] = run.created_at
        else:
            self._seen[run.id] = run

    def _show(self, active: list[Run], pending: int) -> None:
        self.running.clear()
        for run in active:
            self.running.labels(run.source, run.stream).inc()
        self.pending.set(pending)


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"description": "Prometheus text format.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **problems(401, 503),
    },
)
async def read_metrics(app: Deskloom, caller: Viewer, connection: HTTPConnection) -> Response:
    """Runs, items, calls, embedded texts, pending documents and search times, for Prometheus."""
    metrics: Metrics = connection.app.state.metrics
    return Response(await metrics.collect(app), media_type=CONTENT_TYPE_LATEST)
