"""What `deskloom table` does in the team's database: looks at a table, proves it, and prepares it to be followed."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError

from deskloom.cli import exits, toml
from deskloom.cli.output import clean, interactive, notice, say, say_json
from deskloom.cli.running import run
from deskloom.errors import DeskloomError
from deskloom.home import find_owner
from deskloom.settings import Settings, load_settings
from deskloom.sources.postgres import Database, TableSource, triggers
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
    if wanted:
        before = toml.add_table(TOML, ("tables", name), proposal)
        try:
            load_settings(toml=TOML)
        except DeskloomError:
            toml.restore(TOML, before)
            raise
    if as_json:
        say_json({"name": name, "added": wanted, "declaration": proposal, "facts": facts})
    elif wanted:
        say(f'Table "{name}" is now in {TOML}. Change it there as you like. Then: deskloom sync tables')
        if find_owner(settings.home) is not None:
            notice("A running Deskloom knows the new table only when it is started again.")
    else:
        say(f"Nothing was changed. Take it with --yes, or write it into {TOML} yourself.")
    return exits.DONE


async def _proposed(settings: Settings, name: str, named: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The proposed declaration as the file holds it, and what the table is like with it."""
    async with _database(settings) as database:
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
    async with _database(settings) as database:
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


async def change_triggers(settings: Settings, declared: TableSettings, what: str) -> int:
    """Install or remove the triggers of a table."""
    async with _database(settings) as database:
        found = await TableSource(declared, database).declared()
        if what == "install":
            await triggers.install(database, found)
            say(f"{found.table.quoted} notes its changes in {triggers.SCHEMA}.outbox from now on.")
        else:
            await triggers.remove(database, found)
            say(f"The triggers of {found.table.quoted} are removed.")
    return exits.DONE


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Database]:
    assert settings.source_database_url is not None
    database = Database(
        settings.source_database_url.get_secret_value(), pool=1, statement_timeout=settings.source_timeout
    )
    try:
        yield database
    finally:
        await database.aclose()
