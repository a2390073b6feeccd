"""`deskloom export graph`: the record as a graph, into Neo4j or into files."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deskloom.cli import exits
from deskloom.cli.options import Json, parse_whole

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from deskloom.cli.connection import Connection
    from deskloom.exports.graph_files import Written
    from deskloom.exports.neo4j import Pushed, Target
    from deskloom.settings import Settings


class Format(StrEnum):
    """What files the graph is written as."""

    GRAPHML = "graphml"
    CSV = "csv"


def parse_similar(text: str) -> int:
    return parse_whole(text, least=0, most=50, example=5)


def parse_share(text: str) -> float:
    """A number from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number <= 1:
        raise typer.BadParameter(f'"{text}" is not a number from 0 to 1, for example 0.7')
    return number


def graph(
    uri: Annotated[
        str | None,
        typer.Option(metavar="URI", help="A Neo4j server: bolt://127.0.0.1:7687. Default: DESKLOOM_NEO4J_URI."),
    ] = None,
    to: Annotated[Path | None, typer.Option(metavar="DIR", help="A folder for files, in place of a server.")] = None,
    format: Annotated[Format, typer.Option(help="What files: for any graph program, or for neo4j-admin.")] = (
        Format.GRAPHML
    ),
    similar: Annotated[
        int,
        typer.Option(parser=parse_similar, metavar="0..50", help="Relate each ticket and article to so many alike."),
    ] = 0,
    at_least: Annotated[
        float | None,
        typer.Option("--at-least", parser=parse_share, metavar="0..1", help="How alike they must be; default 0.7."),
    ] = None,
    notes: Annotated[bool, typer.Option("--notes", help="Internal notes too, in the documents.")] = False,
    company: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="Only the customer with this account number.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Export companies, contacts, tickets, articles and their documents as a graph.

    Into Neo4j it may be done again and again: only what changed changes, and what is gone is removed (not with
    --company). The password is DESKLOOM_NEO4J_PASSWORD, the user DESKLOOM_NEO4J_USER.
    """
    from deskloom.cli.running import run
    from deskloom.cli.startup import start

    settings = start()
    if uri and to:
        raise exits.Ended(exits.USAGE, "Give --uri or --to, not both: the graph goes to a server or into files.")
    asked = {"similar": similar, "at_least": at_least, "notes": notes, "company": company}
    if to is not None:
        return run(_write(settings, asked, to, format, as_json=as_json))
    return run(_push(settings, asked, _target(settings, uri), as_json=as_json))


def _target(settings: Settings, uri: str | None) -> Target:
    from deskloom.exports.neo4j import Target

    uri = uri or settings.neo4j_uri
    if uri is None:
        raise exits.Ended(
            exits.USAGE,
            "Say where to: deskloom export graph --uri bolt://127.0.0.1:7687, or --to DIR --format graphml|csv",
        )
    if settings.neo4j_password is None:
        raise exits.Ended(exits.USAGE, "The password of Neo4j is not set: DESKLOOM_NEO4J_PASSWORD=…")
    return Target(uri, settings.neo4j_user, settings.neo4j_password.get_secret_value(), settings.neo4j_database)


async def _write(settings: Settings, asked: dict[str, Any], folder: Path, format: Format, *, as_json: bool) -> int:
    from deskloom.cli.connection import connect
    from deskloom.cli.output import clean, counted, say, say_json
    from deskloom.exports.graph_files import write_files
    from deskloom.exports.graph_lines import read_items

    async with connect(settings, "export graph") as desk:
        made: Written = await write_files(read_items(_parts(desk, asked)), folder, format.value)
    if as_json:
        files = [str(file) for file in made.files]
        say_json({"files": files, "nodes": made.nodes, "relations": made.relations})
    else:
        files_of = counted(len(made.files), "file")
        say(f"{counted(made.nodes, 'node')}, {counted(made.relations, 'relation')}: {files_of} in {clean(folder)}")
    return exits.DONE


async def _push(settings: Settings, asked: dict[str, Any], target: Target, *, as_json: bool) -> int:
    from deskloom.cli import connection
    from deskloom.cli.output import clean, counted, say, say_json
    from deskloom.exports import neo4j
    from deskloom.exports.graph_lines import read_items

    async with neo4j.connect(target) as database, connection.connect(settings, "export graph") as desk:
        made: Pushed = await neo4j.push(read_items(_parts(desk, asked)), database)
    removed = {"nodes": made.removed_nodes, "relations": made.removed_relations}
    if as_json:
        say_json({"nodes": made.nodes, "relations": made.relations, "removed": removed})
        return exits.DONE
    say(f"{counted(made.nodes, 'node')} and {counted(made.relations, 'relation')} in Neo4j at {clean(target.place)}")
    if made.removed_nodes or made.removed_relations:
        gone = counted(made.removed_relations or 0, "relation")
        say(f"Removed what is gone: {counted(made.removed_nodes or 0, 'node')}, {gone}.")
    return exits.DONE


async def _parts(desk: Connection, asked: dict[str, Any]) -> AsyncIterator[Any]:
    """The lines of the answer; one that says what went wrong on the way ends the command with it."""
    async for line in desk.lines("/exports/graph", params=asked):
        if "error" in line:
            raise exits.Problem(line["error"])
        yield line
