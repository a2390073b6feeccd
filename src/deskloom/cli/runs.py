"""`deskloom runs`: what was synced, what is being synced, and stopping it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deskloom.cli import exits
from deskloom.cli.options import Json

if TYPE_CHECKING:
    from deskloom.settings import Settings


def runs(
    id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Show this run, and follow it to its end.")] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="Stop this run at its next page.")] = False,
    as_json: Json = False,
) -> int:
    """List the last runs, or show one.

    With --json the bodies of GET /api/v1/runs and GET /api/v1/runs/{id} are printed, as things stand.
    """
    from deskloom.cli.running import run
    from deskloom.cli.startup import start

    if cancel and id is None:
        raise exits.Ended(exits.USAGE, "--cancel needs the id of a run: deskloom runs ID --cancel")
    settings = start()
    return run(_one(settings, id, cancel=cancel, as_json=as_json) if id else _list(settings, as_json=as_json))


async def _list(settings: Settings, *, as_json: bool) -> int:
    from deskloom.cli.connection import connect
    from deskloom.cli.output import say, say_json, say_table
    from deskloom.cli.sync import seconds

    async with connect(settings, "runs") as desk:
        answer = await desk.call("GET", "/runs", params={"limit": 20})
    if as_json:
        say_json(answer)
        return exits.DONE
    if not answer["items"]:
        say("There were no runs yet. Start one: deskloom sync all")
        return exits.DONE
    columns = ("id", "source", "stream", "mode", "state", "started", "seconds", "fetched", "embedded", "failed")
    rows = [
        (
            run["id"],
            run["source"],
            run["stream"],
            run["mode"],
            run["state"],
            (run["started_at"] or "")[:19],
            f"{seconds(run):.1f}" if run["finished_at"] else "",
            *(run["counts"].get(name, 0) for name in ("fetched", "embedded", "failed")),
        )
        for run in answer["items"]
    ]
    say_table(columns, rows)
    return exits.DONE


async def _one(settings: Settings, id: str, *, cancel: bool, as_json: bool) -> int:
    from deskloom.cli.connection import connect
    from deskloom.cli.output import say, say_json
    from deskloom.cli.progress import watch
    from deskloom.cli.sync import follow, tell_end

    async with connect(settings, "runs") as desk:
        if cancel:
            run = await desk.call("POST", f"/runs/{id}/cancel")
        else:
            run = await desk.call("GET", f"/runs/{id}")
        running = run["state"] in ("queued", "running")
        if running and not as_json and not desk.owned:
            with watch() as shown:
                run = (await follow(desk, {id: run}, shown))[id]
        interrupted = running and desk.owned and not cancel
    if as_json:
        say_json(run)
    elif interrupted:
        say(f"Run {id} ({run['source']} {run['stream']}) was interrupted; the next deskloom sync or serve goes on.")
    else:
        tell_end(run)
    return exits.DONE
