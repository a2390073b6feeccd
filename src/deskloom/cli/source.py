"""`deskloom source`: the configured helpdesks, and whether they can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from deskloom.cli import exits
from deskloom.cli.options import Json

if TYPE_CHECKING:
    from deskloom.settings import Settings

source = typer.Typer(help="The configured helpdesks.", no_args_is_help=True)


@source.command("list")
def list_sources(as_json: Json = False) -> int:
    """Show the configured sources."""
    from deskloom.cli.output import say, say_json, say_table
    from deskloom.cli.startup import start
    from deskloom.cli.sync import NO_SOURCE

    rows = [{"name": one.name, "kind": one.kind, "domain": one.domain} for one in start().helpdesks()]
    if as_json:
        say_json({"items": rows})
    elif rows:
        say_table(("name", "kind", "domain"), [list(row.values()) for row in rows])
    else:
        say(NO_SOURCE)
    return exits.DONE


@source.command("check")
def check(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this source.")] = None,
    as_json: Json = False,
) -> int:
    """Prove that each source can be read with its key, without reading its data."""
    from deskloom.cli.running import run
    from deskloom.cli.startup import start
    from deskloom.cli.sync import NO_SOURCE

    settings = start()
    chosen = [one for one in settings.helpdesks() if name in (None, one.name)]
    if not chosen:
        known = ", ".join(one.name for one in settings.helpdesks())
        raise exits.Ended(exits.USAGE, f'There is no source "{name}". Sources: {known}' if known else NO_SOURCE)
    return run(_check(settings, chosen, as_json=as_json))


@source.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the source will be called, for example acme.")],
    domain: Annotated[str, typer.Option("--domain", metavar="DOMAIN", help="acme, acme.freshservice.com or a URL.")],
    kind: Annotated[
        str | None,
        typer.Option("--kind", metavar="KIND", help="freshdesk or freshservice; default: as the domain says."),
    ] = None,
    api_key: Annotated[
        str | None, typer.Option("--api-key", metavar="KEY", help="Its API key; - reads it from standard input.")
    ] = None,
    api_key_env: Annotated[
        str | None,
        typer.Option("--api-key-env", metavar="VARIABLE", help="The environment variable that holds its API key."),
    ] = None,
    account_field: Annotated[
        str | None,
        typer.Option("--account-field", metavar="FIELD", help="The company field that holds the account number."),
    ] = None,
    yes: Annotated[
        bool | None, typer.Option("--yes/--no", help="Take the proposed schedules, or none, without asking.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Add a helpdesk account to deskloom.toml, once its key has been proved, and propose schedules for it.

    Without --yes, and without a terminal to ask on, the commands that add the schedules are printed.
    """
    from deskloom.cli.adding import Asked, add_source
    from deskloom.cli.startup import start

    return add_source(start(), Asked(name, kind, domain, api_key, api_key_env, account_field, yes, as_json))


async def _check(settings: Settings, chosen: list[Any], *, as_json: bool) -> int:
    from deskloom.cli.output import clean, notice, say, say_json
    from deskloom.errors import DeskloomError
    from deskloom.sources import open_source

    status = exits.DONE
    rows: list[dict[str, Any]] = []
    for one in chosen:
        try:
            opened = open_source(one, settings)
            try:
                facts = await opened.check()
            finally:
                await opened.aclose()
        except DeskloomError as error:
            status = exits.worst([status, exits.of_code(error.code)])
            rows.append({"name": one.name, "ok": False, "code": error.code, "detail": error.message})
            if not as_json:
                notice(error.message)
        else:
            rows.append({"name": one.name, "ok": True, "facts": facts})
            told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items() if _plain(value))
            if not as_json:
                say(clean(f"{one.name}: ok{'; ' if told else ''}{told}"))
                for warning in facts.get("warnings", []):
                    notice(clean(warning))
    if as_json:
        say_json({"items": rows})
    return status


def _plain(value: object) -> bool:
    return isinstance(value, str | int | float) and value != ""
