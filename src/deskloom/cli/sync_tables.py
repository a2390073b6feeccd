"""`deskloom sync item` and `deskloom sync stats`: one row of a table, and where the tables stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from deskloom.cli import exits
from deskloom.cli.connection import connect
from deskloom.cli.output import clean, notice, say, say_json, say_table

if TYPE_CHECKING:
    from deskloom.settings import Settings


async def sync_item(settings: Settings, table: str, id: str, *, as_json: bool) -> int:
    """Sync one row now, and say what that did."""
    async with connect(settings, "sync item") as desk:
        done = await desk.call("POST", f"/sync/items/{quote(table, safe='')}/{quote(id, safe='')}")
    if as_json:
        say_json(done)
    else:
        say(clean(f"{done['table']} {done['id']}: {done['did']} (run {done['run_id']})"))
    for error in done["errors"]:
        notice(clean(error))
    return exits.PARTIAL if done["errors"] else exits.DONE


async def tell_stats(settings: Settings, *, as_json: bool) -> int:
    """Where every table stands. With `as_json` the body of GET /api/v1/sync/stats is printed."""
    async with connect(settings, "sync stats") as desk:
        tables = await desk.call("GET", "/sync/stats")
    status = exits.FAILED if any(table["detail"] for table in tables) else exits.DONE
    if as_json:
        say_json(tables)
        return status
    if not tables:
        from deskloom.cli.sync import NO_TABLE

        say(NO_TABLE)
        return exits.DONE
    names = ("table", "follow", "rows", "documents", "pending", "failures")
    titles = (*names, "last full", "last sync", "rows/s")
    say_table(titles, [[*(_cell(table[name]) for name in names), *_times(table)] for table in tables])
    for table in tables:
        for sentence in [*filter(None, [table["detail"]]), *table["warnings"]]:
            notice(clean(f"{table['table']}: {sentence}"))
    return status


def _cell(value: object) -> object:
    return f"{value:,}" if isinstance(value, int) else value


def _times(table: dict[str, Any]) -> list[object]:
    busy = [run["rows_per_second"] for run in table["runs"] if run["fetched"]]
    told = [(table[name] or "never")[:19] for name in ("last_full_sync", "last_incremental_sync")]
    return [*told, f"{busy[0]:,.0f}" if busy else ""]
