"""`deskloom search`: asks a question and shows what answers it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from deskloom.cli import exits
from deskloom.cli.options import Json, parse_hits, parse_time

if TYPE_CHECKING:
    from deskloom.settings import Settings

Values = list[str] | None


def search(
    query: Annotated[str, typer.Argument(help="The question, in words.")],
    within: Annotated[
        Values, typer.Option("--in", metavar="NAME", help="tickets, kb or a table's collection; all without it.")
    ] = None,
    vector: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Ask one vector only: symptom, cause, resolution, intent or procedure."),
    ] = None,
    mode: Annotated[str, typer.Option(metavar="MODE", help="hybrid, semantic or keyword.")] = "hybrid",
    status: Annotated[Values, typer.Option(help="Only this status; may be repeated, as the filters below.")] = None,
    priority: Annotated[Values, typer.Option(help="Only this priority.")] = None,
    company: Annotated[Values, typer.Option(help="Only this customer.")] = None,
    source: Annotated[Values, typer.Option(help="Only this source.")] = None,
    tag: Annotated[Values, typer.Option(help="Only with this tag.")] = None,
    language: Annotated[Values, typer.Option(help="Only in this language, for example en.")] = None,
    updated_since: Annotated[
        str | None, typer.Option(parser=parse_time, metavar="TIME", help="Only what changed at or after this ISO time.")
    ] = None,
    limit: Annotated[int, typer.Option(parser=parse_hits, metavar="1..100", help="Most hits.")] = 10,
    as_json: Json = False,
) -> int:
    """Find what answers a question, by meaning and by word.

    With --json the body of GET /api/v1/search is printed.
    """
    from deskloom.cli.running import run
    from deskloom.cli.startup import start

    settings = start()
    if not query.strip():
        raise exits.Ended(exits.USAGE, 'The question is empty. Ask with some words: deskloom search "printer offline"')
    params = {
        "q": query,
        "in": within,
        "vector": vector,
        "mode": mode,
        "status": status,
        "priority": priority,
        "company": company,
        "source": source,
        "tag": tag,
        "language": language,
        "updated_since": updated_since,
        "limit": limit,
    }
    return run(_search(settings, params, as_json=as_json))


async def _search(settings: Settings, params: dict[str, Any], *, as_json: bool) -> int:
    from deskloom.cli.connection import connect
    from deskloom.cli.output import say_json

    async with connect(settings, "search") as desk:
        answer = await desk.call("GET", "/search", params=params)
        empty = not answer["hits"] and await _nothing_synced(desk)
    if as_json:
        say_json(answer)
    else:
        tell(answer, empty=empty)
    return exits.DONE


async def _nothing_synced(desk: Any) -> bool:
    status = await desk.call("GET", "/sync/status")
    return not any(stream["items"] for stream in status["streams"])


def tell(answer: dict[str, Any], *, empty: bool = False) -> None:
    """The hits of a search answer, best first."""
    from deskloom.cli.output import counted, say

    if not answer["hits"]:
        say("Nothing has been synced yet. Start with: deskloom sync all" if empty else "Nothing was found.")
        return
    for place, hit in enumerate(answer["hits"], start=1):
        tell_hit(place, hit)
    say(f"{counted(len(answer['hits']), 'hit')} in {answer['took_ms']:.0f} ms")


def tell_hit(place: int, hit: dict[str, Any]) -> None:
    """One hit: its title, the passage that fits, and what found it."""
    from rich.text import Text

    from deskloom.cli.output import clean, console

    kind = {"support_tickets": "ticket", "kb_procedures": "article"}.get(hit["collection"], hit["collection"])
    facts = [f"{kind} {hit['id']}", *_facts(hit["payload"]), "by " + ", ".join(hit["matched"])]
    out = console()
    out.print(Text(f"{place:>2}. ").append(clean(hit["title"]) or "(no title)", style="bold"), soft_wrap=True)
    out.print(Text("    " + clean(hit["snippet"])), soft_wrap=True)
    out.print(Text("    " + clean(" · ".join(facts)), style="dim"), soft_wrap=True)
    if hit["url"]:
        out.print(Text("    " + clean(hit["url"]), style="dim"), soft_wrap=True)


def _facts(payload: dict[str, Any]) -> list[str]:
    """Status, language and day of what was found, as far as it has them."""
    facts = [str(payload[name]) for name in ("status", "language") if payload.get(name)]
    return [*facts, str(payload["updated_at"])[:10]] if payload.get("updated_at") else facts
