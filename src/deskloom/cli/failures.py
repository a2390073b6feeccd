"""`deskloom failures`: the items that could not be synced, and what to do about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deskloom.cli import exits
from deskloom.cli.options import Json

if TYPE_CHECKING:
    from deskloom.settings import Settings

failures = typer.Typer(help="Items that failed: list, retry, drop.", invoke_without_command=True)
Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Ids as `failures list` shows them.")]


@failures.callback()
def default(context: typer.Context) -> int | None:
    """Items that could not be synced: list them (the default), retry them, drop them."""
    return list_failures() if context.invoked_subcommand is None else None


@failures.command("list")
def list_failures(as_json: Json = False) -> int:
    """Show the items that failed, those that failed last first.

    With --json the body of GET /api/v1/sync/failures is printed.
    """
    from deskloom.cli.running import run
    from deskloom.cli.startup import start

    return run(_list(start(), as_json=as_json))


@failures.command("retry")
def retry(ids: Ids = None, as_json: Json = False) -> int:
    """Try these items, or all of them, again now."""
    from deskloom.cli.running import run
    from deskloom.cli.startup import start

    return run(_retry(start(), ids, as_json=as_json))


@failures.command("drop")
def drop(ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids as `failures list` shows them.")]) -> int:
    """Give up on these items until they change at the source."""
    from deskloom.cli.running import run
    from deskloom.cli.startup import start

    return run(_drop(start(), ids))


async def _list(settings: Settings, *, as_json: bool) -> int:
    from deskloom.cli.connection import connect
    from deskloom.cli.output import say, say_json, say_table

    async with connect(settings, "failures") as desk:
        answer = await desk.call("GET", "/sync/failures", params={"limit": 500})
    if as_json:
        say_json(answer)
        return exits.DONE
    if not answer["items"]:
        say("Nothing has failed.")
        return exits.DONE
    columns = ("id", "source", "item", "attempts", "next attempt", "error")
    rows = [
        (
            item["id"],
            item["source"],
            f"{item['kind']} {item['item_id']}",
            item["attempts"],
            (item["next_attempt_at"] or "when it changes")[:19],
            item["error"],
        )
        for item in answer["items"]
    ]
    say_table(columns, rows)
    if answer["next"]:
        say("… and more. All of them, page by page: GET /api/v1/sync/failures")
    return exits.DONE


async def _retry(settings: Settings, ids: list[str] | None, *, as_json: bool) -> int:
    from deskloom.cli.connection import connect
    from deskloom.cli.output import counted, notice, say, say_json
    from deskloom.cli.progress import watch
    from deskloom.cli.sync import follow, tell_end

    async with connect(settings, "failures retry") as desk:
        answer = await desk.call("POST", "/sync/failures/retry", body={"ids": ids or None})
        if not as_json:
            say(f"{counted(answer['retried'], 'item')} to try again.")
        with watch(silent=as_json) as shown:
            runs = await follow(desk, {run["id"]: run for run in answer["runs"]}, shown)
    for error in answer["errors"]:
        notice(error)
    for run in runs.values():
        if as_json:
            say_json(run)
        else:
            tell_end(run)
    return exits.worst([exits.of_runs(runs.values()), exits.FAILED if answer["errors"] else exits.DONE])


async def _drop(settings: Settings, ids: list[str]) -> int:
    from deskloom.cli.connection import connect
    from deskloom.cli.output import counted, say

    async with connect(settings, "failures drop") as desk:
        for id in ids:
            await desk.call("DELETE", f"/sync/failures/{id}")
    say(f"{counted(len(ids), 'item')} dropped.")
    return exits.DONE
