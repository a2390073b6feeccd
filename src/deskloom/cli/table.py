"""`deskloom table`: the team's own PostgreSQL tables, declared in `deskloom.toml`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from deskloom.cli import exits
from deskloom.cli.options import Json

if TYPE_CHECKING:
    from deskloom.settings import Settings
    from deskloom.table_settings import TableSettings

table = typer.Typer(help="The team's own PostgreSQL tables.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME", help="What the table is called here, for example templates.")]
NO_DATABASE = (
    "SOURCE_DATABASE_URL is not set. Set it to the database that the tables are in, for example "
    "postgresql://reader@db.example.com/shop"
)


@table.command("list")
def list_tables(as_json: Json = False) -> int:
    """Show the declared tables."""
    from deskloom.cli.output import say, say_json, say_table
    from deskloom.cli.startup import start

    rows = [
        {"name": one.name, "table": one.table, "collection": one.into, "follow": one.follow} for one in start().tables
    ]
    if as_json:
        say_json({"items": rows})
    elif rows:
        say_table(("name", "table", "collection", "follow"), [list(row.values()) for row in rows])
    else:
        say("No table is declared. Declare one: deskloom table add NAME --table TABLE")
    return exits.DONE


@table.command("add")
def add(
    name: Name,
    named: Annotated[
        str | None, typer.Option("--table", metavar="TABLE", help="The table in the database; default: NAME.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Take the proposed declaration and schedules without asking.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Look at a table, propose what to search in it, and declare it in deskloom.toml.

    Without --yes, and without a terminal to ask on, the proposal is only shown.
    """
    from deskloom.cli.declaring import add_table
    from deskloom.cli.startup import start

    return add_table(_with_database(start()), name, named or name, yes=yes, as_json=as_json)


@table.command("check")
def check(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this table.")] = None,
    as_json: Json = False,
) -> int:
    """Prove that each declared table can be read, and say what works but not well."""
    from deskloom.cli.declaring import check_tables
    from deskloom.cli.running import run
    from deskloom.cli.startup import start

    settings = start()
    chosen = [one for one in settings.tables if name in (None, one.name)]
    if not chosen:
        raise exits.Ended(exits.USAGE, _unknown(settings, name))
    return run(check_tables(settings, chosen, as_json=as_json))


class Way(StrEnum):
    """What a database can be prepared for."""

    TRIGGERS = "triggers"
    REPLICATION = "replication"


@table.command("install")
def install(
    name: Name,
    way: Annotated[
        Way | None, typer.Option("--way", help="Default: as declared by follow, else triggers, which every server has.")
    ] = None,
    reader: Annotated[
        str | None,
        typer.Option("--reader", metavar="ROLE", help="Let this role read table and changes, if it is another."),
    ] = None,
) -> int:
    """Prepare the database, as the table's owner, to tell every change, so that rows arrive within seconds.

    Triggers note changes in a schema of their own called deskloom; replication makes a publication and a slot.
    """
    from deskloom.cli.declaring import install as prepare
    from deskloom.cli.running import run

    settings, declared = _one(name)
    return run(prepare(settings, declared, _chosen(declared, way), reader))


@table.command("remove")
def remove(name: Name) -> int:
    """Take what install made away again, triggers or slot. The declaration stays."""
    from deskloom.cli.declaring import remove as take_away
    from deskloom.cli.running import run

    return run(take_away(*_one(name)))


@table.command("example")
def example(
    toml: Annotated[bool, typer.Option("--toml", help="Print the declarations instead, for deskloom.toml.")] = False,
) -> int:
    """Print a SQL script that makes and fills two example tables: psql "$SOURCE_DATABASE_URL" takes it."""
    from deskloom.cli.output import say
    from deskloom.examples import tables_sql, tables_toml

    say((tables_toml() if toml else tables_sql()).rstrip("\n"))
    return exits.DONE


def _one(name: str) -> tuple[Settings, TableSettings]:
    from deskloom.cli.startup import start

    settings = _with_database(start())
    declared = next((one for one in settings.tables if one.name == name), None)
    if declared is None:
        raise exits.Ended(exits.USAGE, _unknown(settings, name))
    return settings, declared


def _chosen(declared: TableSettings, way: Way | None) -> str:
    """The way that was asked for; it must not be another than the declared one, which would not use it."""
    if declared.follow == "auto":
        return (way or Way.TRIGGERS).value
    if way is None and declared.follow != "column":
        return declared.follow
    if way is None or way.value != declared.follow:
        raise exits.Ended(
            exits.USAGE,
            f'Table "{declared.name}" is declared with follow = "{declared.follow}". Change that first.',
        )
    return way.value


def _unknown(settings: Settings, name: str | None) -> str:
    known = ", ".join(one.name for one in settings.tables)
    if not known:
        return "No table is declared. Declare one: deskloom table add NAME --table TABLE"
    return f'There is no table "{name}". Tables: {known}'


def _with_database(settings: Settings) -> Settings:
    if settings.source_database_url is None:
        raise exits.Ended(exits.USAGE, NO_DATABASE)
    return settings
