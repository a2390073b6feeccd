"""What `deskloom table` does in the team's database: looks at a table, proves it, and prepares it to be followed."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError

from deskloom.cli import exits, toml
from deskloom.cli.adding import offer_schedules
from deskloom.cli.output import clean, interactive, notice, say, say_json
from deskloom.cli.proposals import Proposal
from deskloom.cli.proposals import propose as propose_schedules
from deskloom.cli.running import run
from deskloom.errors import DeskloomError, SettingInvalid
from deskloom.settings import Settings, load_settings
from deskloom.sources.postgres import Database, TableSource, replication, triggers
from deskloom.sources.postgres.catalog import find_table
from deskloom.sources.postgres.proposing import propose
from deskloom.table_settings import TableSettings

TOML = Path("deskloom.toml")


def add_table(settings: Settings, name: str, named: str, *, yes: bool, as_json: bool) -> int:
    """Propose a declaration, and write it if it is wanted; returns the exit status."""
    if name in {*(one.name for one in settings.tables), *(one.name for one in settings.helpdesks())}:
        raise exits.Ended(exits.USAGE, f'There is a source or table "{name}" already. Give the new one another name.')
    proposal, facts = run(_proposed(settings, name, named))
    if not as_json:
        _tell(name, proposal, facts)
    wanted = yes or (
        not as_json
        and interactive()
        and sys.stdin.isatty()
        and typer.confirm(f"Declare it like this in {TOML}?", default=True)
    )
    proposals = propose_schedules(name, ["rows"], settings.check_interval, followed=facts["follow"] != "column")
    made = _declared(name, proposal, proposals, yes=yes, as_json=as_json) if wanted else []
    if as_json:
        shown = {"name": name, "added": wanted, "declaration": proposal, "facts": facts, "schedules": made}
        say_json(shown | {"proposed": [] if made else [each.body() for each in proposals]})
    elif not wanted:
        say(f"Nothing was changed. Take it with --yes, or write it into {TOML} yourself.")
    return exits.DONE


def _declared(name: str, proposal: dict[str, Any], proposals: list[Proposal], *, yes: bool, as_json: bool) -> list[Any]:
    """Write the declaration and offer its schedules; returns those that were made. What is refused leaves no trace."""
    before = toml.add_table(TOML, ("tables", name), proposal)
    try:
        changed = load_settings(toml=TOML)
        if name not in {one.name for one in changed.tables}:
            raise SettingInvalid(
                f"DESKLOOM_TABLES is set and hides {TOML}. Move its tables into the file, or add the new one there.",
                setting=name,
            )
        if not as_json:
            say(f'Table "{name}" is now in {TOML}; change it there as you like. Sync it: deskloom sync tables')
        return offer_schedules(changed, proposals, yes=yes or None, as_json=as_json)
    except DeskloomError as error:
        if str(error.facts.get("setting", "")).startswith((name, "tables", "DESKLOOM_TABLES")):
            toml.restore(TOML, before)
        raise


async def _proposed(settings: Settings, name: str, named: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The proposed declaration as the file holds it, and what the table is like with it."""
    async with open_database(settings) as database:
        async with database.reading() as connection:
            table = await find_table(connection, named, database.schema)
            found = await propose(connection, table)
        where = "" if table.schema == database.schema else f"{table.schema}."
        proposal = {"table": f"{where}{table.name}"} | found
        try:
            declared = TableSettings.model_validate({"name": name} | proposal)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            why = first["msg"].removeprefix("Value error, ")
            raise exits.Ended(exits.FAILED, f"{table.quoted} cannot be declared: {why}.") from None
        return proposal, await TableSource(declared, database).check()


def _tell(name: str, proposal: dict[str, Any], facts: dict[str, Any]) -> None:
    say(clean(f"{facts['table']} in {facts['database']}: {facts['rows']:,} rows, key {facts['key']}"))
    say(f"[tables.{name}]")
    for field, value in proposal.items():
        say(clean(f"{field} = {json.dumps(value, ensure_ascii=False)}"))
    for warning in facts["warnings"]:
        notice(clean(warning))


async def check_tables(settings: Settings, chosen: Sequence[TableSettings], *, as_json: bool) -> int:
    """Prove tables one by one; returns the worst exit status."""
    status, rows = exits.DONE, list[dict[str, Any]]()
    async with open_database(settings) as database:
        for one in chosen:
            try:
                facts = await TableSource(one, database).check()
            except DeskloomError as error:
                status = exits.worst([status, exits.of_code(error.code)])
                rows.append({"name": one.name, "ok": False, "code": error.code, "detail": error.message})
                if not as_json:
                    notice(clean(error.message))
                continue
            rows.append({"name": one.name, "ok": True, "facts": facts})
            if not as_json:
                say(clean(f"{one.name}: ok; {facts['table']}, {facts['rows']:,} rows, followed by {facts['follow']}"))
                for warning in facts["warnings"]:
                    notice(clean(warning))
    if as_json:
        say_json({"items": rows})
    return status


async def install(settings: Settings, declared: TableSettings, way: str, reader: str | None) -> int:
    """Prepare the database to tell a table's changes in this way."""
    async with open_database(settings) as database:
        found = await TableSource(declared, database).declared()
        if way == "triggers":
            await triggers.install(database, found, reader=reader)
            say(f"{found.table.quoted} notes its changes in {triggers.SCHEMA}.outbox from now on.")
        else:
            await replication.install(database, found, reader=reader)
            name = replication.slot_name(declared.name)
            say(f"The replication slot {name} keeps the changes of {found.table.quoted} from now on.")
            notice("A slot that nobody reads fills the server's disk: deskloom table remove takes it away.")
    return exits.DONE


async def remove(settings: Settings, declared: TableSettings) -> int:
    """Take away whatever the database was prepared with for a table, also where the declaration no longer fits it."""
    async with open_database(settings) as database:
        table = None
        with contextlib.suppress(SettingInvalid):  # the table is gone; a slot may be left of it
            async with database.connection() as connection:
                table = await find_table(connection, declared.table, database.schema)
        noted = await triggers.remove(database, declared.name, table)
        logged = await replication.remove(database, declared.name)
    gone = " and ".join([*(["triggers"] if noted else []), *(["replication slot"] if logged else [])])
    say(f'Removed: the {gone} of "{declared.name}".' if gone else f'Nothing was there of "{declared.name}" to remove.')
    return exits.DONE


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """The database that the tables are in, for as long as this lasts."""
    assert settings.source_database_url is not None
    database = Database(
        settings.source_database_url.get_secret_value(), pool=1, statement_timeout=settings.source_timeout
    )
    try:
        yield database
    finally:
        await database.aclose()
