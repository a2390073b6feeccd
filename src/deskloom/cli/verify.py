"""`deskloom verify`: whether source, record and index agree, what differs and why, and mending it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from deskloom.cli import exits
from deskloom.cli.options import Json

if TYPE_CHECKING:
    from deskloom.cli.connection import Connection
    from deskloom.cli.progress import Run, Watch
    from deskloom.settings import Settings

ITEMS_SHOWN = 20
DIFFERENCES = ("missing", "stale", "extra", "orphaned", "payload")
AT_SOURCE = ("missing", "stale", "extra")


def verify(
    repair: Annotated[bool, typer.Option("--repair", help="Mend exactly what differs, and compare once more.")] = False,
    source_check: Annotated[
        bool, typer.Option("--source", help="Also compare with the helpdesk's complete lists (API calls).")
    ] = False,
    collection: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this collection; all of them without it.")
    ] = None,
    only: Annotated[
        str | None, typer.Option("--only", metavar="SOURCE", help="Only what is of this source; all without it.")
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also compare contents and vectors, not only ids and hashes.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Compare index and record, and the record with itself; say what differs and why.

    Ends 0 if the copies agree, or were all mended, and 3 if they do not. With --json the run object is printed; its
    report has the first 100 items of each kind.
    """
    from deskloom.cli.running import run
    from deskloom.cli.startup import start

    asked = {"repair": repair, "collection": collection, "source_check": source_check, "deep": deep}
    return run(_verify(start(), asked, only, as_json=as_json))


async def _verify(settings: Settings, asked: dict[str, Any], only: str | None, *, as_json: bool) -> int:
    from deskloom.cli.connection import connect
    from deskloom.cli.output import notice, say_json
    from deskloom.cli.progress import watch
    from deskloom.cli.sync import tell_errors

    async with connect(settings, "verify", recover=True) as desk:
        with watch(silent=as_json) as shown:
            try:
                run = await _ended(desk, asked, only, shown)
            except exits.Problem as problem:
                if problem.status != exits.ALREADY_RUNNING:
                    raise
                notice(f"{problem.sentence.rstrip('.')} (run {problem.facts.get('run_id')}).")
                return problem.status
    if as_json:
        say_json(run)
    elif run["report"] is None:
        tell_errors(run)
    else:
        _tell(run)
    return exits.of_runs([run])


async def _ended(desk: Connection, asked: dict[str, Any], only: str | None, shown: Watch) -> Run:
    """What was asked for, from start to end. One that was interrupted is finished first, and may be just that."""
    from deskloom.cli.sync import follow

    resumed = {id: await desk.call("GET", f"/runs/{id}") for id in desk.resumed}
    verifying = {id: run for id, run in resumed.items() if run["mode"] == "verify"}
    for run in (await follow(desk, verifying, shown)).values():
        if run["options"] == asked and run["source"] == (only or "*"):
            return run
    started = await desk.call("POST", "/sync/verify", body=asked | {"source": only, "requested_by": "cli"})
    return (await follow(desk, {started["id"]: started}, shown))[started["id"]]


def _tell(run: Run) -> None:
    """The report: each copy with its counts and its items, what was mended, and how it stands now."""
    from deskloom.cli.output import counted, notice, say
    from deskloom.cli.sync import seconds

    report = run["report"]
    _tell_found(report)
    mended = report["mended"]
    if any(mended.values()):
        say(
            f"Mended: {counted(mended['published'], 'document')} published, {counted(mended['deleted'], 'point')} "
            f"removed, {mended['record']:,} in the record; {counted(run['counts']['embedded'], 'text')} embedded."
        )
    if report["agree"]:
        say(f"{'Now the copies agree' if any(mended.values()) else 'The copies agree'}; {seconds(run):.1f} s")
        return
    if report["left"]:
        say("Afterwards there was still:")
        _tell_found(report["left"])
    for error in run["errors"]:
        notice(error)


def _tell_found(report: dict[str, Any]) -> None:
    from deskloom.cli.output import counted, say

    for name, streams in (report.get("source") or {}).items():
        for stream, told in streams.items():
            wrong = {what: told[what]["count"] for what in AT_SOURCE}
            items = [
                item | {"what": what, "item_id": item["key"]} for what in AT_SOURCE for item in told[what]["items"]
            ]
            say(f"{name} {stream}: {told['listed']:,} at the source, {told['known']:,} here; {_counts(wrong)}")
            _tell_items(items)
    findings = report["record"]["findings"]
    say(f"record: {counted(findings, 'contradiction') if findings else 'no contradiction'}")
    _tell_items(report["record"]["items"])
    for name, told in report["collections"].items():
        waiting = f", {told['pending']:,} waiting" if told["pending"] else ""
        counts = f"{counted(told['documents'], 'document')}{waiting}, {counted(told['points'], 'point')}"
        say(f"{name}: {counts}; {_counts({what: told[what] for what in DIFFERENCES})}")
        _tell_items(told["items"])


def _counts(wrong: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {what}" for what, number in wrong.items() if number) or "no difference"


def _tell_items(items: list[dict[str, Any]]) -> None:
    """The first items of each kind."""
    from deskloom.cli.output import clean, say

    told: dict[str, int] = {}
    for item in items:
        what = item["what"]
        told[what] = told.get(what, 0) + 1
        if told[what] <= ITEMS_SHOWN:
            say(f"  {what} {clean(item['item_id'] or item['id'])}: {clean(item['why'])}")
    for what, number in told.items():
        if number > ITEMS_SHOWN:
            say(f"  … and more that are {what}. All of the first 100: deskloom verify --json")
