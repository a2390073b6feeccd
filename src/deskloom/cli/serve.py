"""`deskloom serve`: the API, until it is told to stop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from deskloom.cli import exits
from deskloom.cli.options import parse_port

if TYPE_CHECKING:
    from deskloom.settings import Settings


def serve(
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Loopback address to listen on; default DESKLOOM_HOST.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(parser=parse_port, metavar="PORT", help="Port to listen on; default DESKLOOM_PORT, 0 a free one."),
    ] = None,
) -> int:
    """Serve the API, and go on with runs that were interrupted. Ends 0 on SIGTERM or Ctrl-C."""
    from deskloom.cli.running import run
    from deskloom.cli.startup import start

    settings = start(verbose=True)
    try:
        run(_serve(settings, host or settings.host, settings.port if port is None else port))
    except exits.Stopped:
        from deskloom.cli.output import say

        say("Stopped. Runs that were under way go on when deskloom starts again.")
    return exits.DONE


async def _serve(settings: Settings, host: str, port: int) -> None:
    from deskloom.cli.output import say
    from deskloom.cli.serving import owning
    from deskloom.errors import HomeInUse

    try:
        async with owning(settings, "serve", host=host, port=port) as serving:
            url = serving.server.url
            say(f"Deskloom serves {settings.home} at {url}")
            say(f"The API is described at {url}/api/v1/openapi.json")
            say("No API key is configured: only this machine can reach it, and whoever does may do everything.")
            await serving.recover()
            watching = asyncio.create_task(serving.app.dispatcher.run_forever())
            scheduling = asyncio.create_task(serving.app.scheduler.run_forever())
            following = asyncio.create_task(serving.app.follower.run_forever(serving.app.sources.values()))
            try:
                await serving.server.wait()
            finally:  # nothing is started any more once the runs are being stopped
                for task in (going := {watching, scheduling, following}):
                    task.cancel()
                await asyncio.wait(going)
    except HomeInUse as error:
        raise exits.Ended(exits.ALREADY_RUNNING, error.message) from error
