"""`deskloom sweep`: what is gone at the helpdesk or from a table, and the word that large deletions wait for."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deskloom.cli import exits
from deskloom.cli.options import ROWS, Json, SourceName, stream_named, streams_of

if TYPE_CHECKING:
    from deskloom.cli.connection import Connection
    from deskloom.cli.progress import Run
    from deskloom.settings import Settings

ITEMS_SHOWN = 20


class What(StrEnum):
    """What to sweep."""

    TICKETS = "tickets"
    KB = "kb"
    CONTACTS = "contacts"
    COMPANIES = "companies"
    AGENTS = "agents"
    TABLES = "tables"
    ALL = "all"

    def streams(self, settings: Settings, source: str | None) -> list[str]:
        """The streams that are meant: of `all` those that something configured has."""
        if self is What.ALL:
            return streams_of(settings, ["agents", "companies", "contacts", "tickets", "kb", ROWS], source)
        return [stream_named(self.value)]


def sweep(
    what: Annotated[What, typer.Argument(help="Whose complete list is compared with the record.")] = What.ALL,
    source: SourceName = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    allow: Annotated[
        bool, typer.Option("--allow", help="Remove what is held, or what a dry run just showed, however much it is.")
    ] = False,
    list_them: Annotated[bool, typer.Option("--list", help="Show deletions that wait for a word, and end.")] = False,
    as_json: Json = False,
) -> int:
    """Find what is gone at the helpdesk, or from your tables, by complete lists, and remove it here.

    Each object is asked for by its id before it is removed. What differs otherwise is read again. With --json the run
    objects are printed, one a line, and with --list the body of GET /api/v1/sync/holds.
    """
    from deskloom.cli.running import run
    from deskloom.cli.startup import start

    if dry_run and allow:
        raise exits.Ended(exits.USAGE, "--dry-run removes nothing, so --allow has no part in it. Give one of them.")
    settings = start()
    if list_them:
        return run(_list(settings, source, as_json=as_json))
    body = {"source": source, "dry_run": dry_run, "allow": allow, "requested_by": "cli"}
    return run(_sweep(settings, what.streams(settings, source), body, as_json=as_json))


async def _sweep(settings: Settings, streams: list[str], body: dict[str, Any], *, as_json: bool) -> int:
    from deskloom.cli.connection import connect
    from deskloom.cli.output import say_json
    from deskloom.cli.progress import watch
    from deskloom.cli.sync import follow, tell_errors

    statuses: list[int] = []
    async with connect(settings, "sweep") as desk:
        for stream in streams:
            started = await _start(desk, body | {"stream": stream}, statuses)
            with watch(silent=as_json) as shown:
                runs = await follow(desk, started, shown)
            statuses.append(exits.of_runs(runs.values()))
            for run in runs.values():
                if as_json:
                    say_json(run)
                    tell_errors(run)
                else:
                    _tell(run)
    return exits.worst(statuses)


async def _start(desk: Connection, body: dict[str, Any], statuses: list[int]) -> dict[str, Run]:
    from deskloom.cli.output import notice

    try:
        started = await desk.call("POST", "/sync/sweep", body=body)
    except exits.Problem as problem:
        if problem.status != exits.ALREADY_RUNNING:
            raise
        notice(f"{problem.sentence.rstrip('.')} (run {problem.facts.get('run_id')}).")
        statuses.append(problem.status)
        return {}
    return {run["id"]: run for run in started}


def _tell(run: Run) -> None:
    """What a sweep found: counts, what is gone and why, and what is held."""
    from deskloom.cli.output import clean, counted, notice, say
    from deskloom.cli.progress import title
    from deskloom.cli.sync import tell_errors

    report = run["report"]
    if report:
        gone, dry = report["gone_count"], report["dry_run"]
        done = "would be removed" if dry else "removed"
        removed = (gone - len(report.get("would_hold", ()))) if dry else report["removed"]
        differing = report["new"] + report["changed"] + report["restored"]
        say(
            f"{title(run)}: {run['state']}. {report['listed']:,} listed, {report['known']:,} known, {gone:,} gone, "
            f"{removed:,} {done}; {differing:,} {'differ' if dry else 'differed'}; "
            f"{counted(run['counts']['api_calls'], 'API call')}"
        )
        for item in report["gone"][:ITEMS_SHOWN]:
            say(f"  {clean(item['key'])}: {clean(item['why'])}")
        if gone > ITEMS_SHOWN:
            say(f"  … and {gone - ITEMS_SHOWN:,} more")
        if dry and report["held"]:
            say(clean(report["why_held"]))
    if report and report["held"]:
        for error in run["errors"]:
            notice(clean(error))
    else:
        tell_errors(run)


async def _list(settings: Settings, source: str | None, *, as_json: bool) -> int:
    from deskloom.cli.connection import connect
    from deskloom.cli.output import say, say_json

    async with connect(settings, "sweep") as desk:
        answer = await desk.call("GET", "/sync/holds", params={"source": source})
    if as_json:
        say_json(answer)
    elif not answer["items"]:
        say("Nothing is held.")
    else:
        for hold in answer["items"]:
            say(tell_hold(hold))
    return exits.DONE


def tell_hold(hold: dict[str, Any]) -> str:
    """A hold in a sentence, with what to do about it."""
    from deskloom.cli.output import clean

    return clean(f"{hold['source']} {hold['stream']}, held since {hold['held_at'][:19]}: {hold['reason']}")
