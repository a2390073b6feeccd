"""`deskloom doctor`: looks at every part and says what is wrong with it and what to do."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from deskloom.cli import exits
from deskloom.cli.options import Json

if TYPE_CHECKING:
    from deskloom.settings import Settings

Level = Literal["ok", "warn", "fail"]
ROOM_LOW, ROOM_OUT = 1 << 30, 100 << 20
"""Bytes of free disk space below which we warn, and below which nothing can be done."""
MARKER = "deskloom.home"
NOTHING_YET = "Nothing is there yet; the first sync makes it."
EARLIEST = datetime(2025, 1, 1, tzinfo=UTC)
"""A clock before this one is wrong: the program is younger."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at one part has shown; `detail` holds the remedy if it is not ok."""

    part: str
    level: Level
    detail: str


def doctor(as_json: Json = False) -> int:
    """Look at every part and say what is wrong with it.

    Ends 1 if a part cannot work; a warning is not a failure.
    """
    from deskloom.cli.running import run
    from deskloom.cli.startup import start

    return run(_doctor(start(), as_json=as_json))


async def _doctor(settings: Settings, *, as_json: bool) -> int:
    from deskloom.cli.output import clean, say, say_json

    found: list[Finding] = []
    async for finding in _look(settings):
        found.append(finding)
        if not as_json:
            say(f"{finding.level:<4}  {finding.part:<9}  {clean(finding.detail)}")
    if as_json:
        say_json({"items": [asdict(finding) for finding in found]})
    return exits.FAILED if any(finding.level == "fail" for finding in found) else exits.DONE


async def _look(settings: Settings) -> AsyncIterator[Finding]:
    """Every part in turn; one that fails does not keep the others from being looked at."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding("python", "ok", f"{version} at {sys.executable}")
    yield _clock(datetime.now(UTC))
    yield _room(settings)
    home = await asyncio.to_thread(_home, settings)
    yield home
    record = await _try("record", partial(_record, settings))
    yield record
    model = await _try("model", partial(_model, settings))
    yield model
    if not (settings.home / MARKER).exists():
        yield Finding("index", "ok", NOTHING_YET)
    elif "fail" in (home.level, record.level, model.level):
        yield Finding("index", "warn", "Not looked at: it needs the parts above.")
    else:
        yield await _try("index", partial(_index, settings))
    for one in settings.helpdesks():
        warnings: list[str] = []
        finding = await _try(one.name, partial(_source, settings, one, warnings))
        yield finding if not warnings else Finding(one.name, "warn", f"{finding.detail}. {' '.join(warnings)}")
    for table in settings.tables:
        warnings = []
        finding = await _try(table.name, partial(_table, settings, table, warnings))
        yield finding if not warnings else Finding(table.name, "warn", f"{finding.detail}. {' '.join(warnings)}")
    if not (settings.helpdesks() or settings.tables):
        from deskloom.cli.sync import NO_SOURCE

        yield Finding("source", "warn", NO_SOURCE)


async def _try(part: str, look: Callable[[], Awaitable[str]]) -> Finding:
    from deskloom.errors import DeskloomError

    try:
        return Finding(part, "ok", await look())
    except DeskloomError as error:
        return Finding(part, "fail", error.message)
    except exits.Ended as ended:
        return Finding(part, "fail", ended.sentence)


def _clock(now: datetime) -> Finding:
    told = now.strftime("%Y-%m-%d %H:%M:%S UTC")
    if now < EARLIEST:
        return Finding("clock", "fail", f"It says {told}. Set it: what changed since the last sync is told by time.")
    return Finding("clock", "ok", told)


def _room(settings: Settings) -> Finding:
    folder = settings.home.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    told = f"{free / (1 << 30):,.1f} GiB free at {folder}"
    if free < ROOM_OUT:
        return Finding("disk", "fail", f"{told}. Make room, or name another folder in DESKLOOM_HOME.")
    return Finding("disk", "warn" if free < ROOM_LOW else "ok", told + (". Make room." if free < ROOM_LOW else ""))


def _home(settings: Settings) -> Finding:
    from deskloom.errors import DeskloomError
    from deskloom.home import find_owner, own_home

    path = settings.home
    if (owner := find_owner(path)) is not None:
        where = f", served at {owner.url}" if owner.url else ""
        return Finding("home", "ok", f"{path} is in use by process {owner.pid} (deskloom {owner.command}){where}")
    if not path.exists():
        return Finding("home", "ok", f"{path} is made by the first sync.")
    try:
        own_home(path, "doctor").release()
    except DeskloomError as error:
        return Finding("home", "fail", error.message)
    return Finding("home", "ok", f"{path}, not in use")


async def _record(settings: Settings) -> str:
    from deskloom.record.engine import open_record
    from deskloom.record.schema import require_current

    if settings.database_url is None and not (settings.home / "deskloom.db").exists():
        return NOTHING_YET
    record = open_record(settings.record_url())
    try:
        await record.check()
        await require_current(record)
    finally:
        await record.aclose()
    kind = "SQLite in the data folder" if settings.database_url is None else "PostgreSQL of DATABASE_URL"
    return f"{kind}, with the tables of this version"


async def _model(settings: Settings) -> str:
    from deskloom.embedders import MODELS, choose, open_choice
    from deskloom.embedders.models import verify_model

    choice = choose(settings)
    if choice.kind in MODELS:
        folder = await asyncio.to_thread(verify_model, MODELS[choice.kind], settings.models)
        return f"{choice} in {folder}, intact"
    embedder = await open_choice(choice, settings)
    await embedder.aclose()
    where = f" at {choice.host}" if choice.host else ""
    return f"{choice}{where}: width {embedder.dimensions}, texts of up to {embedder.max_tokens:,} tokens"


async def _index(settings: Settings) -> str:
    """The index as the owner of the home sees it: one process at a time may open it."""
    from deskloom.cli.connection import connect

    async with connect(settings, "doctor") as desk:
        index = (await desk.client.get("/api/v1/sync/health")).json()["components"]["index"]
        if index["status"] != "ok":
            raise exits.Ended(exits.FAILED, index["detail"])
        collections = (await desk.call("GET", "/collections"))["items"]
    return f"{settings.index}: " + ", ".join(_collection(one) for one in collections)


def _collection(one: dict[str, Any]) -> str:
    building = f"; a copy of {one['building']} is being built" if one["building"] else ""
    return f"{one['points']:,} in {one['name']} ({one['embedder']}{building})"


async def _source(settings: Settings, one: Any, warnings: list[str]) -> str:
    """What the account says of itself; what should be changed goes into `warnings`."""
    from deskloom.sources import open_source

    opened = open_source(one, settings)
    try:
        facts = await opened.check()
    finally:
        await opened.aclose()
    warnings += facts.get("warnings", [])
    told = [f"{name.replace('_', ' ')} {value}" for name, value in facts.items() if isinstance(value, str | int)]
    return f"{one.domain} can be read" + (f": {', '.join(told)}" if told else "")


async def _table(settings: Settings, one: Any, warnings: list[str]) -> str:
    """How a declared table is read; what should be changed goes into `warnings`."""
    from deskloom.cli.declaring import open_database
    from deskloom.sources.postgres import TableSource

    async with open_database(settings) as database:
        facts = await TableSource(one, database).check()
    warnings += facts["warnings"]
    return f"{facts['table']} can be read: {facts['rows']:,} rows, key {facts['key']}, followed by {facts['follow']}"
