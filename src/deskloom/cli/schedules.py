"""`deskloom schedules`: what is started when, while `deskloom serve` or a worker runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from deskloom.cli import exits
from deskloom.cli.options import Json, parse_whole, stream_named

if TYPE_CHECKING:
    from deskloom.settings import Settings

schedules = typer.Typer(help="Runs that the clock starts: list, add, set, remove, run.", invoke_without_command=True)


def parse_jitter(text: str) -> int:
    """Seconds of jitter, as the API takes them."""
    return parse_whole(text, least=0, most=86_400, example=60)


Id = Annotated[str, typer.Argument(metavar="ID", help="Id as `schedules list` shows it.")]
CronArgument = Annotated[
    str, typer.Argument(metavar="CRON", help='Five fields, quoted: minute hour day month weekday, as "*/10 * * * *".')
]
Zone = Annotated[
    str | None, typer.Option("--timezone", metavar="ZONE", help="IANA time zone of the fields, as Europe/Berlin.")
]
Jitter = Annotated[
    int | None,
    typer.Option(parser=parse_jitter, metavar="SECONDS", help="Start up to so many seconds late, by chance."),
]
Repair = Annotated[bool | None, typer.Option("--repair/--no-repair", help="verify only: also mend what differs.")]


@schedules.callback()
def default(context: typer.Context) -> int | None:
    """Runs that the clock starts, while `deskloom serve` or a worker runs: list them (the default), add, change."""
    return list_schedules() if context.invoked_subcommand is None else None


@schedules.command("list")
def list_schedules(as_json: Json = False) -> int:
    """Show every schedule: when it was last started, when it is next, and what stood in its way.

    With --json the body of GET /api/v1/schedules is printed.
    """
    return _run(_list, as_json)


@schedules.command("add")
def add(
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="tickets, kb, hours, tables or verify.")],
    cron: CronArgument,
    source: Annotated[
        str | None, typer.Option("--source", metavar="NAME", help="The source; not needed where there is one.")
    ] = None,
    mode: Annotated[
        str | None, typer.Option("--mode", metavar="MODE", help="incremental (default), full or sweep.")
    ] = None,
    timezone: Zone = None,
    jitter: Jitter = None,
    repair: Repair = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="Keep it, but do not start it yet.")] = False,
    as_json: Json = False,
) -> int:
    """Add a schedule. Without --timezone its fields are UTC."""
    given = {"source": source, "mode": mode, "timezone": timezone, "jitter_seconds": jitter, "repair": repair}
    body = {"stream": stream_named(stream), "cron": cron, "enabled": not disabled}
    return _run(_write, "POST", "/schedules", body | _asked(given), as_json)


@schedules.command("set")
def change(
    id: Id,
    cron: Annotated[str | None, typer.Option("--cron", metavar="CRON", help="Another cron expression.")] = None,
    timezone: Zone = None,
    jitter: Jitter = None,
    enabled: Annotated[bool | None, typer.Option("--enable/--disable", help="Start it by the clock, or not.")] = None,
    repair: Repair = None,
    as_json: Json = False,
) -> int:
    """Change a schedule; what is not named stays."""
    given = {"cron": cron, "timezone": timezone, "jitter_seconds": jitter, "enabled": enabled, "repair": repair}
    if not (body := _asked(given)):
        raise exits.Ended(exits.USAGE, 'Say what to change, for example: deskloom schedules set ID --cron "0 7 * * *"')
    return _run(_write, "PATCH", f"/schedules/{id}", body, as_json)


@schedules.command("remove")
def remove(ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids as `schedules list` shows.")]) -> int:
    """Remove schedules. Runs that they started go on."""
    return _run(_remove, ids)


@schedules.command("run")
def run_now(id: Id, as_json: Json = False) -> int:
    """Start a schedule's run now and watch it to its end. With --json the ended run is printed."""
    return _run(_run_now, id, as_json)


def _run(work: Any, *arguments: Any) -> int:
    from deskloom.cli.running import run
    from deskloom.cli.startup import start

    status: int = run(work(start(), *arguments))
    return status


def _asked(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


async def _list(settings: Settings, as_json: bool) -> int:
    from deskloom.cli.connection import connect
    from deskloom.cli.output import say, say_json, say_table

    async with connect(settings, "schedules") as desk:
        answer = await desk.call("GET", "/schedules")
    if as_json:
        say_json(answer)
    elif not answer["items"]:
        say('Nothing is scheduled. Add a schedule: deskloom schedules add tickets "*/10 * * * *"')
    else:
        columns = ("id", "source", "stream", "mode", "cron", "zone", "next", "last", "error")
        say_table(columns, [_row(item) for item in answer["items"]])
    return exits.DONE


def _row(item: dict[str, Any]) -> tuple[object, ...]:
    upcoming = (item["next_at"] or "")[:19] if item["enabled"] else "disabled"
    facts = (item[name] for name in ("id", "source", "stream", "mode", "cron", "timezone"))
    return (*facts, upcoming, (item["last_at"] or "")[:19], item["last_error"])


async def _write(settings: Settings, method: str, path: str, body: dict[str, Any], as_json: bool) -> int:
    from deskloom.cli.connection import connect
    from deskloom.cli.output import notice, say, say_json

    async with connect(settings, "schedules") as desk:
        made = await desk.call(method, path, body=body)
        alone = desk.owned
    if as_json:
        say_json(made)
    else:
        say(tell(made))
    if alone and made["enabled"]:
        notice("Schedules are started while deskloom serve (or a worker) runs; none is running on this data folder.")
    return exits.DONE


def tell(made: dict[str, Any]) -> str:
    """A schedule in one line."""
    from deskloom.cli.output import clean

    upcoming = f"next at {made['next_at'][:19]}Z" if made["enabled"] else "disabled"
    what = f"{made['source']} {made['stream']} {made['mode']}"
    return clean(f'{what}: "{made["cron"]}" {made["timezone"]}, {upcoming} (schedule {made["id"]})')


async def _remove(settings: Settings, ids: list[str]) -> int:
    from deskloom.cli.connection import connect
    from deskloom.cli.output import counted, say

    async with connect(settings, "schedules remove") as desk:
        for id in ids:
            await desk.call("DELETE", f"/schedules/{id}")
    say(f"{counted(len(ids), 'schedule')} removed.")
    return exits.DONE


async def _run_now(settings: Settings, id: str, as_json: bool) -> int:
    from deskloom.cli.connection import connect
    from deskloom.cli.output import say_json
    from deskloom.cli.progress import watch
    from deskloom.cli.sync import follow, tell_end

    async with connect(settings, "schedules run") as desk:
        started = await desk.call("POST", f"/schedules/{id}/run")
        with watch(silent=as_json) as shown:
            ended = (await follow(desk, {started["id"]: started}, shown))[started["id"]]
    if as_json:
        say_json(ended)
    else:
        tell_end(ended)
    return exits.of_runs([ended])
