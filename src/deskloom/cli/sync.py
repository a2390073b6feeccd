"""`deskloom sync`: starts runs and watches them to their end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from deskloom.cli import exits
from deskloom.cli.options import ROWS, Json, SourceName, parse_limit, parse_time, streams_of

if TYPE_CHECKING:
    from deskloom.cli.connection import Connection
    from deskloom.cli.progress import Run, Watch
    from deskloom.settings import Settings

POLLED_EVERY = 0.25
ERRORS_SHOWN = 10
WORKER_WITHIN = 10.0
"""Seconds after which a run that nobody takes is worth a word."""


class What(StrEnum):
    """What to sync."""

    TICKETS = "tickets"
    KB = "kb"
    HOURS = "hours"
    TABLES = "tables"
    ALL = "all"
    INCREMENTAL = "incremental"
    FULL = "full"
    STATS = "stats"
    ITEM = "item"

    def streams(self, settings: Settings, source: str | None) -> list[str]:
        """The streams that are meant: of `all` those that something configured has."""
        if self is What.ALL:
            return streams_of(settings, ["tickets", "kb", "hours", ROWS], source)
        return [ROWS] if self in (What.TABLES, What.FULL, What.INCREMENTAL) else [self.value]


def sync(
    what: Annotated[
        What,
        typer.Argument(
            help="Tickets with customers and agents, help articles, time entries, your tables, or all of them. "
            "incremental and full are for tables: what changed, or everything, rebuilt beside what serves. stats says "
            "where tables stand; item TABLE ID syncs one row."
        ),
    ],
    row: Annotated[
        list[str] | None, typer.Argument(metavar="[TABLE ID]", help="Of item: the table, and the row's key.")
    ] = None,
    source: SourceName = None,
    since: Annotated[
        str | None,
        typer.Option(parser=parse_time, metavar="TIME", help="Only what changed at or after this ISO time."),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Read everything again, whatever is stored.")] = False,
    limit: Annotated[
        int | None,
        typer.Option(parser=parse_limit, metavar="1..500", help="Most items to take; the next sync goes on."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for the end, or leave the run to a running server.")
    ] = True,
    as_json: Json = False,
) -> int:
    """Copy what changed at the helpdesk and in your tables into the record and the index.

    With --json the run objects are printed, one a line, when they have ended; of stats and item what the API answers.
    """
    from deskloom.cli.running import run
    from deskloom.cli.startup import start
    from deskloom.home import find_owner

    if (what is What.ITEM) != bool(row) or (row and len(row) != 2):
        raise exits.Ended(exits.USAGE, "One row is synced by its table and its key: deskloom sync item templates 7")
    settings = start()
    if what in (What.ITEM, What.STATS):
        from deskloom.cli import sync_tables

        if row:
            return run(sync_tables.sync_item(settings, *row, as_json=as_json))
        return run(sync_tables.tell_stats(settings, as_json=as_json))
    asked = Request(
        streams=what.streams(settings, source),
        source=source,
        since=since,
        mode="full" if full or what is What.FULL else "incremental",
        limit=limit,
    )
    if find_owner(settings.home) is None:  # a running server may know what we do not
        _require_source(settings, asked)
    return run(_sync(settings, asked, wait=wait, as_json=as_json))


def _require_source(settings: Settings, asked: Request) -> None:
    if asked.streams == [ROWS] and not settings.tables:
        raise exits.Ended(exits.USAGE, NO_TABLE)
    if asked.streams != [ROWS] and not settings.helpdesks():
        raise exits.Ended(exits.USAGE, NO_SOURCE)


NO_TABLE = "No table is declared. Declare one: deskloom table add NAME --table TABLE"
NO_SOURCE = (
    "No helpdesk is configured: FRESHDESK_DOMAIN and FRESHDESK_API_KEY are not set, nor are FRESHSERVICE_DOMAIN and "
    "FRESHSERVICE_API_KEY. Set both of one in the environment or in .env, for example FRESHDESK_DOMAIN=acme "
    "FRESHDESK_API_KEY=your-key, or add it: deskloom source add acme --domain acme.freshservice.com"
)


@dataclass(slots=True)
class Request:
    """What was asked for, and how far it has got."""

    streams: list[str]
    source: str | None
    since: str | None
    mode: str
    limit: int | None
    runs: dict[str, Run] = field(default_factory=dict)
    refused: list[int] = field(default_factory=list)

    def open(self) -> list[str]:
        return [id for id, run in self.runs.items() if is_going(run)]


async def _sync(settings: Settings, asked: Request, *, wait: bool, as_json: bool) -> int:
    from deskloom.cli.connection import OwnerGone, connect
    from deskloom.cli.output import notice, say_json
    from deskloom.cli.progress import watch

    owned = False
    with watch(silent=as_json) as shown:
        try:
            while asked.streams or asked.open():
                async with connect(settings, "sync", recover=wait) as desk:
                    owned = desk.owned
                    try:
                        await _work(desk, asked, shown, wait=wait)
                    except OwnerGone:
                        notice("The process that ran this has ended; going on from where it stopped.")
                if not wait:
                    break
        except asyncio.CancelledError:
            for id in asked.open():
                notice(_left(id, owned))
            raise
    for run in asked.runs.values():
        if as_json:
            say_json(run)
            tell_errors(run)
        else:
            tell_end(run)
    return exits.worst([*asked.refused, exits.of_runs(asked.runs.values()) if wait else exits.DONE])


async def _work(desk: Connection, asked: Request, shown: Watch, *, wait: bool) -> None:
    """Take up what was interrupted, start what was asked for, and watch both to the end."""
    if desk.owned and not wait:
        raise exits.Ended(
            exits.USAGE,
            "--no-wait leaves the run to a running server, and none is running. Start one (deskloom serve), "
            "or leave --no-wait out.",
        )
    asked.runs |= await _read(desk, {*asked.open(), *desk.resumed})
    await follow(desk, asked.runs, shown)
    while asked.streams:
        stream = asked.streams[0]
        if not any(_is(run, asked, stream) for run in asked.runs.values()):
            asked.runs |= await start_runs(desk, asked, stream)
        asked.streams.pop(0)
    if wait:
        await follow(desk, asked.runs, shown)


async def start_runs(desk: Connection, asked: Request, stream: str) -> dict[str, Run]:
    """Start what was asked for on one stream; what is in progress already is told and counted as refused."""
    from deskloom.cli.output import notice

    body = {
        "source": asked.source,
        "stream": stream,
        "mode": asked.mode,
        "since": asked.since,
        "limit": asked.limit,
        "requested_by": "cli",
    }
    try:
        started = await desk.call("POST", "/runs", body=body)
    except exits.Problem as problem:
        if problem.status != exits.ALREADY_RUNNING:
            raise
        notice(f"{problem.sentence.rstrip('.')} (run {problem.facts.get('run_id')}).")
        asked.refused.append(problem.status)
        return {}
    return {run["id"]: run for run in started}


def _is(run: Run, asked: Request, stream: str) -> bool:
    """Whether an interrupted run that has now ended is just what was asked for."""
    wanted = (stream, asked.mode, asked.limit, asked.since)
    return (run["stream"], run["mode"], run["limit"], run["since"]) == wanted and asked.source in (None, run["source"])


async def _read(desk: Connection, ids: Iterable[str]) -> dict[str, Run]:
    return {id: await desk.call("GET", f"/runs/{id}") for id in ids}


async def follow(desk: Connection, runs: dict[str, Run], shown: Watch) -> dict[str, Run]:
    """Show runs until all of them have ended; `runs` is kept up to date meanwhile, and returned."""
    from deskloom.cli.output import notice

    begun, told = asyncio.get_running_loop().time(), False
    while going := [id for id, run in runs.items() if is_going(run)]:
        runs |= await _read(desk, going)
        for id in going:
            shown.show(runs[id])
        waited = asyncio.get_running_loop().time() - begun
        if not told and waited > WORKER_WITHIN and any(runs[id]["state"] == "queued" for id in going):
            told = True
            notice("No worker has taken the run yet. Start one: deskloom worker")
        if any(is_going(runs[id]) for id in going):
            await asyncio.sleep(POLLED_EVERY)
    return runs


def is_going(run: Run) -> bool:
    """Whether a run has not ended yet."""
    return run["state"] in ("queued", "running")


def _left(id: str, owned: bool) -> str:
    if owned:
        return f"Run {id} stopped at a page; the next deskloom sync or serve goes on with it."
    return f"Run {id} goes on in the process that owns the data folder. Watch it: deskloom runs {id}"


def tell_end(run: Run) -> None:
    """How a run ended: its counts, its first errors, and what to do about them."""
    from deskloom.cli.output import counted, say
    from deskloom.cli.progress import title

    if is_going(run):
        say(f"{title(run)}: run {run['id']} has started. Watch it: deskloom runs {run['id']}")
        return
    counts = run["counts"]
    names = ("fetched", "created", "updated", "unchanged", "deleted", "failed")
    numbers = ", ".join(f"{counts[name]:,} {name}" for name in names)
    spent = f"{counts['embedded']:,} embedded; {counted(counts['api_calls'], 'API call')}"
    say(f"{title(run)}: {run['state']}. {numbers}; {spent}; {seconds(run):.1f} s")
    tell_errors(run)


def tell_errors(run: Run) -> None:
    """The first errors of a run, on standard error, and for one that failed the sentence that says why."""
    from deskloom.cli.output import clean, notice

    errors, total = list(run["errors"]), run["error_count"]
    why = errors.pop() if run["state"] == "failed" and errors else None
    items = total - (why is not None)
    for error in errors[:ERRORS_SHOWN]:
        notice(clean(error))
    if (more := items - len(errors[:ERRORS_SHOWN])) > 0:
        notice(f"… and {more:,} more")
    if items > 0 and run["counts"]["failed"]:
        notice("What failed is tried again by later runs. See it: deskloom failures")
    if why:
        notice(clean(why))


def seconds(run: Run) -> float:
    """How long a run has taken, from its first start to its end."""
    from datetime import datetime

    if not (run["started_at"] and run["finished_at"]):
        return 0.0
    return (datetime.fromisoformat(run["finished_at"]) - datetime.fromisoformat(run["started_at"])).total_seconds()
