"""`deskloom status`: how record and index stand, stream by stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deskloom.cli import exits
from deskloom.cli.options import Json

if TYPE_CHECKING:
    from deskloom.settings import Settings


def status(as_json: Json = False) -> int:
    """Show what is synced, when, and what is waiting.

    With --json the body of GET /api/v1/sync/status is printed.
    """
    from deskloom.cli.running import run
    from deskloom.cli.startup import start

    return run(_status(start(), as_json=as_json))


async def _status(settings: Settings, *, as_json: bool) -> int:
    from deskloom.cli.connection import connect
    from deskloom.cli.output import clean, counted, notice, say, say_json, say_table
    from deskloom.cli.sweep import tell_hold

    async with connect(settings, "status") as desk:
        answer = await desk.call("GET", "/sync/status")
        held = [] if as_json else (await desk.call("GET", "/sync/holds"))["items"]
        collections = [] if as_json else (await desk.call("GET", "/collections"))["items"]
        where = desk.owner.url if not desk.owned else None
    if as_json:
        say_json(answer)
        return exits.DONE
    tickets, articles = answer["total_tickets"], answer["total_kb_articles"]
    say(f"In the index: {counted(tickets, 'ticket')}, {counted(articles, 'article')}.")
    if homeless := answer["tickets_without_company"]:
        say(f"Without a company: {counted(homeless, 'ticket')}.")
    say(f"Last sync: tickets {answer['last_ticket_sync'] or 'never'}, articles {answer['last_kb_sync'] or 'never'}.")
    say(f"Served at {where}" if where else "No server is running (deskloom serve).")
    if answer["streams"]:
        names = ("source", "stream", "items", "failed", "pending_index", "last_success", "in_progress")
        columns = ("source", "stream", "items", "failed", "to index", "last success", "running")
        say_table(columns, [[_cell(stream.get(name)) for name in names] for stream in answer["streams"]])
    if collections:
        shown = ("name", "points", "embedder", "kept", "building")
        titles = ("collection", "points", "model", "kept copy", "being built")
        say_table(titles, [[_cell(one[name]) for name in shown] for one in collections])
    for stream in answer["streams"]:
        if stream.get("last_error"):
            notice(f"{stream['source']} {stream['stream']}: {clean(stream['last_error'])}")
    for hold in held:
        notice(tell_hold(hold))
    return exits.DONE


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else value
