"""`deskloom worker`: performs runs that were submitted anywhere, beside any number of other workers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from deskloom.cli import exits

if TYPE_CHECKING:
    from deskloom.models import Opener
    from deskloom.protocols import VectorIndex
    from deskloom.settings import Settings


def worker(
    concurrency: Annotated[
        int, typer.Option(min=1, max=64, metavar="N", help="Runs, and helps with runs, at the same time.")
    ] = 2,
) -> int:
    """Perform runs of a PostgreSQL record, together with other workers. Ends 0 on SIGTERM or Ctrl-C.

    Needs DESKLOOM_DISPATCH=procrastinate, DATABASE_URL and an index that all workers reach. Start as many as you like,
    on any host: a worker keeps nothing in DESKLOOM_HOME and does not own it.
    """
    from deskloom.cli.running import run
    from deskloom.cli.startup import start

    settings = start(verbose=True)
    try:
        run(work(settings, concurrency))
    except exits.Stopped:
        from deskloom.cli.output import say

        say("Stopped. Runs that were under way here go on at another worker.")
    return exits.DONE


async def work(
    settings: Settings, concurrency: int, *, opener: Opener | None = None, index: VectorIndex | None = None
) -> None:
    """Be a worker until cancelled; `opener` and `index` as `open_app` takes them."""
    from deskloom.cli.files import ensure_model
    from deskloom.cli.output import say
    from deskloom.embedders import open_choice
    from deskloom.errors import SettingInvalid
    from deskloom.wiring import open_app

    if settings.dispatch != "procrastinate":
        raise SettingInvalid(
            "A worker performs what others submit, and here every process performs its own runs. Set "
            "DESKLOOM_DISPATCH=procrastinate (for deskloom serve too), or use deskloom serve alone.",
            setting="DESKLOOM_DISPATCH",
        )
    if opener is None:
        await ensure_model(settings)
    async with open_app(settings, opener=opener or open_choice, index=index, concurrency=concurrency) as app:
        say(f"Worker ready for {concurrency} at a time.")
        watching = asyncio.create_task(app.dispatcher.run_forever())
        scheduling = asyncio.create_task(app.scheduler.run_forever())
        try:
            await watching
        finally:
            watching.cancel()
            scheduling.cancel()
            await asyncio.wait({watching, scheduling})
