"""`deskloom reindex`: changes the model of the index, or builds it anew, while search goes on."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deskloom.cli import exits
from deskloom.cli.options import Json

if TYPE_CHECKING:
    from deskloom.cli.connection import Connection
    from deskloom.cli.progress import Run, Watch
    from deskloom.settings import Settings


def reindex(
    embedder: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="minilm, bge-m3, a model folder, openai or openai:MODEL; without it the model of the settings.",
        ),
    ] = None,
    collection: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this collection; all of them without it.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    only_estimate: Annotated[bool, typer.Option("--estimate", help="Show what it would cost, and end.")] = False,
    back: Annotated[bool, typer.Option("--back", help="Let the copy that was kept serve again.")] = False,
    drop_kept: Annotated[bool, typer.Option("--drop-kept", help="Remove the copies that were replaced.")] = False,
    as_json: Json = False,
) -> int:
    """Build the index anew beside the one that serves, and exchange them at once when the new one is complete.

    What that costs is shown first. It may be interrupted: what was embedded is not embedded again. The replaced copy is
    kept until --drop-kept. With --json each run is printed on a line, and nobody is asked.
    """
    from deskloom.cli.running import run
    from deskloom.cli.startup import start
    from deskloom.embedders.choice import choose

    if back and (embedder or drop_kept or only_estimate):
        raise exits.Ended(exits.USAGE, "--back goes with --collection, --yes and --json only.")
    settings = start()
    if drop_kept:
        return run(_drop(settings, collection))
    if embedder is not None:  # a server that does the work may stand in another folder
        embedder = str(choose(settings, embedder))
    asked = {"collection": collection, "embedder": embedder, "back": back, "requested_by": "cli"}
    return run(_reindex(settings, asked, yes=yes, only_estimate=only_estimate, as_json=as_json))


async def _reindex(settings: Settings, asked: dict[str, Any], *, yes: bool, only_estimate: bool, as_json: bool) -> int:
    from deskloom.cli.connection import connect
    from deskloom.cli.output import say_json
    from deskloom.cli.progress import watch

    async with connect(settings, "reindex", recover=not only_estimate) as desk:
        if not asked["back"]:
            params = {"collection": asked["collection"], "embedder": asked["embedder"]}
            costs = await desk.call("GET", "/reindex/estimate", params=params)
            if only_estimate and as_json:
                say_json({"items": costs})
                return exits.DONE
            if not as_json:
                _tell(costs)
            if only_estimate:
                return exits.DONE
        if not (yes or await _agreed(as_json)):
            return exits.FAILED
        with watch(silent=as_json) as shown:
            runs, refused = await _ended(desk, asked, shown)
        for run in runs:
            if as_json:
                say_json(run)
            else:
                _tell_end(run)
        if runs and not as_json:
            await _tell_next(desk)
    return exits.worst([*refused, exits.of_runs(runs)])


async def _ended(desk: Connection, asked: dict[str, Any], shown: Watch) -> tuple[list[Run], list[int]]:
    """What was asked for, from start to end, and the statuses of what was refused.

    Runs that were interrupted are finished first, and may be just that.
    """
    from deskloom.cli.output import notice
    from deskloom.cli.sync import follow, is_going

    resumed = {id: await desk.call("GET", f"/runs/{id}") for id in desk.resumed}
    runs = {id: run for id, run in resumed.items() if run["mode"] == "reindex"}
    refused: list[int] = []
    try:
        await follow(desk, runs, shown)
        for name in await _meant(desk, asked):
            if any(run["stream"] == name and run["options"]["back"] == asked["back"] for run in runs.values()):
                continue
            try:
                started = await desk.call("POST", "/reindex", body=asked | {"collection": name})
            except exits.Problem as problem:
                if problem.status != exits.ALREADY_RUNNING:
                    raise
                notice(f"{problem.sentence.rstrip('.')} (run {problem.facts.get('run_id')}).")
                refused.append(problem.status)
            else:
                runs |= {run["id"]: run for run in started}
        await follow(desk, runs, shown)
    except asyncio.CancelledError:
        if any(is_going(run) for run in runs.values()):
            notice(_LEFT if desk.owned else "The reindex goes on in the process that owns the data folder.")
        raise
    return list(runs.values()), refused


_LEFT = (
    "The reindex stopped, and the old copy serves. The next deskloom reindex, sync or serve goes on with it; no text "
    "is embedded twice."
)


async def _meant(desk: Connection, asked: dict[str, Any]) -> list[str | None]:
    """The collections to build; to go back, those that keep a copy. None: let the answer say that none does."""
    if asked["collection"] is not None:
        return [asked["collection"]]
    listed = (await desk.call("GET", "/collections"))["items"]
    names: list[str | None] = [one["name"] for one in listed if one["kept"] or not asked["back"]]
    return names or [None]


async def _drop(settings: Settings, collection: str | None) -> int:
    from deskloom.cli.connection import connect
    from deskloom.cli.output import say

    async with connect(settings, "reindex") as desk:
        listed = await desk.call("GET", "/collections")
        names = [one["name"] for one in listed["items"] if one["kept"] and collection in (None, one["name"])]
        for name in names:
            await desk.call("DELETE", f"/collections/{name}/kept")
            say(f"The replaced copy of {name} is removed.")
    if not names:
        say("No replaced copy is kept.")
    return exits.DONE


def _tell(costs: list[dict[str, Any]]) -> None:
    from deskloom.cli.output import say, say_table

    columns = ("collection", "model", "documents", "texts", "cached", "tokens", "time", "disk")
    rows = [
        (
            cost["collection"],
            cost["embedder"],
            f"{cost['documents']:,}",
            f"{cost['texts']:,}",
            f"{cost['cached']:,}",
            f"{cost['tokens']:,}",
            _duration(cost["seconds"]),
            f"{cost['bytes'] / 1e6:,.1f} MB",
        )
        for cost in costs
    ]
    say_table(columns, rows)
    sampled = sum(cost["sampled"] for cost in costs)
    say(f"Told from {sampled:,} documents; time as measured on this machine. Search goes on meanwhile.")


async def _agreed(as_json: bool) -> bool:
    """Ask on the terminal; other commands, which this process may serve, are answered meanwhile."""
    from deskloom.cli.output import interactive, notice

    if as_json or not (interactive() and sys.stdin.isatty()):
        notice("Nothing was started: say --yes to start it where nobody can be asked.")
        return False
    typer.echo("Build it? [y/N]: ", nl=False)
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        loop.remove_reader(sys.stdin)
        if not answered.done():
            answered.set_result(sys.stdin.readline())

    loop.add_reader(sys.stdin, read)
    try:
        answer = await answered
    finally:
        loop.remove_reader(sys.stdin)
    if answer.strip().lower() in ("y", "yes"):
        return True
    notice("Nothing was started.")
    return False


def _tell_end(run: Run) -> None:
    from deskloom.cli.output import counted, say
    from deskloom.cli.sync import seconds, tell_errors

    spent = f"{counted(run['counts']['embedded'], 'text')} embedded; {seconds(run):.1f} s"
    if (report := run["report"]) is None:
        say(f"{run['stream']}: {run['state']}; the copy before goes on serving. {spent}")
    else:
        say(f"{run['stream']}: {run['state']}. {counted(report['points'], 'point')} in the new copy; {spent}")
    tell_errors(run)


async def _tell_next(desk: Connection) -> None:
    from deskloom.cli.output import say

    listed = (await desk.call("GET", "/collections"))["items"]
    for one in listed:
        if one["embedder"] != one["configured"]:
            say(f"Set DESKLOOM_EMBEDDER={one['embedder']}: the settings still name {one['configured']}.")
            break
    if any(one["kept"] for one in listed):
        say(
            "The replaced copy is kept. Go back to it: deskloom reindex --back. Remove it: deskloom reindex --drop-kept"
        )


def _duration(seconds: float) -> str:
    if seconds < 1:
        return "< 1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
