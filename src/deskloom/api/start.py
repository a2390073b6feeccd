"""Starts runs: which sources a request means, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from deskloom import documents
from deskloom.errors import AlreadyRunning, InvalidRequest
from deskloom.record.runs import Run
from deskloom.wiring import App

COLLECTIONS = {"tickets": documents.TICKETS, "kb": documents.ARTICLES}
"""The collection of a stream whose objects are searchable."""
NOUNS = {"tickets": "Ticket", "kb": "KB", "hours": "Hours", "rows": "Table"}
"""The streams that callers may start."""
ROWS = "rows"
SKEW = timedelta(minutes=5)
"""How far ahead of our clock a caller's may be."""


@dataclass(slots=True)
class Started:
    """Runs that were started, and those that were in progress already and stood in the way of another."""

    runs: list[Run] = field(default_factory=list)
    refused: list[AlreadyRunning] = field(default_factory=list)


async def start_runs(
    app: App,
    *,
    stream: str,
    source: str | None,
    full: bool,
    since: datetime | None,
    limit: int | None,
    requested_by: str,
) -> Started:
    """Start one run for each source meant. A source that is being synced already is left out.

    Raises `AlreadyRunning` (fact `run_id`) when that leaves none, `InvalidRequest` for a wrong `source` or `since`,
    `RecordUnavailable` or `IndexUnavailable` before anything is started.
    """
    if since is not None and since > app.clock() + SKEW:
        raise InvalidRequest("since lies in the future: nothing can have changed after it.", parameter="since")
    names = sources_of(app, source, stream)
    await app.record.check()
    collections = {name: app.sources[name].streams[stream].collection for name in names}
    for collection in {one for one in collections.values() if one}:
        await app.index.count(collection)
    started = Started()
    for name in names:
        try:
            run = await app.dispatcher.submit(
                source=name,
                stream=stream,
                mode="full" if full else "incremental",
                requested_by=requested_by,
                since=since,
                limit=limit,
                options={"rebuilds": collections[name]} if full and stream == ROWS else None,
            )
        except AlreadyRunning as error:
            started.refused.append(error)
        else:
            started.runs.append(run)
    if not started.runs:
        run_id = started.refused[0].facts.get("run_id")
        raise AlreadyRunning(f"{NOUNS[stream]} sync already in progress", run_id=run_id, stream=stream)
    return started


def sources_of(app: App, asked: str | None, stream: str) -> Sequence[str]:
    """The configured sources that a `source` parameter means: a name, every account of a kind, or all of them."""
    having = [name for name, source in app.sources.items() if stream in source.streams]
    if asked is None:
        chosen = having
    elif asked in having:
        chosen = [asked]
    else:
        chosen = [name for name in having if app.sources[name].kind == asked]
    if chosen:
        return chosen
    if not having and stream == ROWS:
        raise InvalidRequest(
            "No table is declared. Declare one: deskloom table add NAME --table TABLE, and start again.",
            parameter="source",
        )
    if not having:
        raise InvalidRequest(
            "No helpdesk is configured. Set FRESHDESK_DOMAIN and FRESHDESK_API_KEY, or FRESHSERVICE_DOMAIN and "
            "FRESHSERVICE_API_KEY, and start again.",
            parameter="source",
        )
    raise InvalidRequest(
        f'There is no source "{asked}". Configured: {", ".join(having)}', parameter="source", sources=having
    )
