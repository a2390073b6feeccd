"""`deskloom source add`: proves a helpdesk account, writes it into `deskloom.toml` and proposes its schedules."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError

from deskloom.cli import exits
from deskloom.cli.connection import connect
from deskloom.cli.output import clean, interactive, notice, say, say_json
from deskloom.cli.proposals import Proposal, propose
from deskloom.cli.running import run
from deskloom.cli.schedules import tell
from deskloom.cli.toml import add_table, restore
from deskloom.errors import DeskloomError, SettingInvalid
from deskloom.home import find_owner
from deskloom.model import Json
from deskloom.settings import Settings, SourceSettings, load_settings
from deskloom.sources import KINDS, open_source

TOML = Path("deskloom.toml")


@dataclass(frozen=True, slots=True)
class Asked:
    """What `source add` was given. `kind` None: the one whose domain it is, or Freshdesk. `yes`: take the proposed
    schedules; None: ask, where there is somebody to ask."""

    name: str
    kind: str | None
    domain: str
    api_key: str | None
    api_key_env: str | None
    account_field: str | None
    yes: bool | None
    as_json: bool

    def entry(self) -> dict[str, str]:
        """The source as the file holds it, without its name."""
        if self.api_key and self.api_key_env:
            raise exits.Ended(exits.USAGE, "Give either --api-key or --api-key-env, not both.")
        entry = {"kind": self.kind or self._guessed(), "domain": self.domain}
        if self.account_field is not None:
            entry["account_field"] = self.account_field
        if self.api_key_env:
            return entry | {"api_key_env": self.api_key_env}
        return entry | {"api_key": _key(self.name, self.api_key)}

    def _guessed(self) -> str:
        return next((kind for kind in KINDS if f".{kind}.com" in self.domain.lower()), "freshdesk")


def add_source(settings: Settings, asked: Asked) -> int:
    """Add a source; returns the exit status. What cannot be read or is configured already leaves no trace.

    Questions are asked between the event loops: within one, Ctrl-C would not reach them.
    """
    entry = asked.entry()
    one = _read(asked, entry)
    if one.name in {other.name for other in settings.helpdesks()}:
        raise exits.Ended(exits.USAGE, f'There is a source "{one.name}" already. Give the new one another name.')
    facts, streams = run(_prove(one, settings))
    before = add_table(TOML, ("sources", one.name), entry)
    try:
        changed = _reloaded(settings, one.name)
        proposals = propose(one.name, streams, settings.check_interval)
        if not asked.as_json:
            _tell(one, facts)
        made = offer_schedules(changed, proposals, yes=asked.yes, as_json=asked.as_json)
    except DeskloomError as error:
        if error.facts.get("setting") == one.name:  # the record knows another account under this name
            restore(TOML, before)
        raise
    if asked.as_json:
        shown = {"name": one.name, "kind": one.kind, "domain": one.domain, "facts": facts, "schedules": made}
        say_json(shown | {"proposed": [] if made else [proposal.body() for proposal in proposals]})
    return exits.DONE


def _key(name: str, given: str | None) -> str:
    if given == "-":
        given = sys.stdin.readline().strip()
    elif given is None and sys.stdin.isatty():
        given = typer.prompt(f"API key of {name}", hide_input=True)
    if not given:
        raise exits.Ended(
            exits.USAGE, "An API key is needed: --api-key-env VARIABLE, or --api-key - to read it from standard input."
        )
    return given


def _read(asked: Asked, entry: dict[str, str]) -> SourceSettings:
    if entry["kind"] not in KINDS:
        raise exits.Ended(exits.USAGE, f'There is no kind of source "{entry["kind"]}". Kinds: {", ".join(KINDS)}')
    try:
        return SourceSettings.model_validate({"name": asked.name} | entry)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        if first["loc"] == ("name",):
            sentence = "A source's name has small letters, digits, - and _, at most 63, for example acme."
        else:
            sentence = f"{'.'.join(str(part) for part in first['loc']) or 'source'}: {first['msg']}."
        raise exits.Ended(exits.USAGE, sentence.replace("Value error, ", "")) from None


async def _prove(one: SourceSettings, settings: Settings) -> tuple[Json, list[str]]:
    """What the account says of itself, and its streams. Raises for one that cannot be read or is known already."""
    opened = open_source(one, settings)
    try:
        for other in settings.helpdesks():
            known = open_source(other, settings)
            await known.aclose()
            if (known.kind, known.account, other.domain) == (opened.kind, opened.account, one.domain):
                raise exits.Ended(exits.USAGE, f'{one.domain} is configured already, as source "{other.name}".')
        return await opened.check(), list(opened.streams)
    finally:
        await opened.aclose()


def _reloaded(settings: Settings, name: str) -> Settings:
    """The settings with the new source; every other one must still be there."""
    changed = load_settings(toml=TOML)
    expected = {one.name for one in settings.helpdesks()} | {name}
    if {one.name for one in changed.helpdesks()} != expected:
        raise SettingInvalid(
            f"{TOML} would hide the sources of DESKLOOM_SOURCES. Move them into the file, or add the new one there.",
            setting=name,
        )
    return changed


def _tell(one: SourceSettings, facts: Json) -> None:
    warnings = facts.get("warnings", [])
    told = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in facts.items() if isinstance(v, str | int) and v != "")
    say(clean(f"{one.name}: ok; {told}"))
    for warning in warnings if isinstance(warnings, list) else []:
        notice(clean(warning))
    say(f'Source "{one.name}" is now in {TOML}.')


def offer_schedules(settings: Settings, proposals: list[Proposal], *, yes: bool | None, as_json: bool) -> list[Any]:
    """Make the proposed schedules if they are wanted (None: ask), else say how; returns those that were made."""
    if find_owner(settings.home) is not None:  # it read its settings when it started
        notice("A running Deskloom knows the new source only when it is started again.")
        title = "Then it can be synced by the clock:"
    elif yes is False or not (yes or _agreed(proposals, as_json=as_json)):
        title = "To sync it by the clock, while deskloom serve runs:"
    else:
        made = run(_make(settings, proposals))
        if not as_json:
            for each in made:
                say(tell(each))
            say("Schedules are started while deskloom serve runs. Change them: deskloom schedules")
        return made
    if not as_json:
        say(title)
        for proposal in proposals:
            say(f"  {proposal.command()}")
    return []


async def _make(settings: Settings, proposals: list[Proposal]) -> list[Any]:
    async with connect(settings, "source add") as desk:
        known = {(s["source"], s["stream"], s["mode"]) for s in (await desk.call("GET", "/schedules"))["items"]}
        new = [each for each in proposals if (each.source, each.stream, each.mode) not in known]
        return [await desk.call("POST", "/schedules", body=each.body()) for each in new]


def _agreed(proposals: list[Proposal], *, as_json: bool) -> bool:
    if as_json or not (interactive() and sys.stdin.isatty()):
        return False
    for each in proposals:
        say(f"  {each.line()}")
    return typer.confirm("Sync it by the clock like this?", default=True)
