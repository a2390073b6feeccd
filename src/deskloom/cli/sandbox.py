"""`deskloom sandbox`: a small helpdesk of our own to try things against."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from deskloom.cli import exits
from deskloom.cli.options import parse_port, parse_whole

MOST = 100_000


def _number(text: str) -> int:
    return parse_whole(text, least=0, most=MOST, example=120)


def sandbox(
    product: Annotated[
        str, typer.Option(metavar="NAME", help="Which helpdesk to be: freshdesk or freshservice.")
    ] = "freshdesk",
    folder: Annotated[
        Path | None, typer.Option("--from", metavar="FOLDER", help="Serve real questions from this folder instead.")
    ] = None,
    port: Annotated[
        int, typer.Option(parser=parse_port, metavar="PORT", help="Port on 127.0.0.1; 0: a free one.")
    ] = 8800,
    plan: Annotated[
        str, typer.Option(metavar="PLAN", help="Rate limits: none, trial or starter, growth, pro, enterprise, hourly.")
    ] = "none",
    msp: Annotated[bool, typer.Option("--msp", help="Freshservice of an MSP: its workspaces are clients.")] = False,
    tickets: Annotated[int, typer.Option(parser=_number, metavar="N", help="Tickets to make up.")] = 120,
    articles: Annotated[int, typer.Option(parser=_number, metavar="N", help="Help articles to make up.")] = 24,
    seed: Annotated[int, typer.Option(metavar="N", help="Another number makes up other content.")] = 1,
) -> int:
    """Serve a made-up help desk over the API of a real one, until it is told to stop.

    Its state, faults and clock are at /_sandbox.
    """
    from deskloom import sandbox as box
    from deskloom.cli.running import run

    if product not in box.PRODUCTS:
        known = ", ".join(box.PRODUCTS)
        raise exits.Ended(exits.USAGE, f'The sandbox cannot be "{product}". Choose one of: {known}')
    try:
        run(_serve(box.make(product, folder, plan, seed, tickets, articles, msp=msp), port))
    except (ValueError, FileNotFoundError) as error:  # a plan or mode there is not, a folder without the data
        raise exits.Ended(exits.USAGE, str(error)) from error
    except OSError as error:
        raise exits.Ended(exits.FAILED, f"{error.strerror or error}. Choose another port: --port 8801") from error
    except exits.Stopped:
        pass
    return exits.DONE


async def _serve(desk: Any, port: int) -> None:
    from deskloom.cli.output import counted, say
    from deskloom.sandbox import SandboxServer

    with SandboxServer(desk, port=port) as server:
        say(f"The sandbox serves {counted(len(desk.tickets), 'ticket')} at {server.url}")
        say("Sync it from another terminal:")
        name = desk.product.name.upper()
        say(f"{name}_DOMAIN={server.url} {name}_API_KEY={desk.key} deskloom sync all")
        await asyncio.Event().wait()
