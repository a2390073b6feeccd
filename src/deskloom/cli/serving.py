"""Owning a home: its parts opened, the API served, and other commands told where."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from deskloom.api.server import Server
from deskloom.cli.files import ensure_model
from deskloom.cli.output import notice
from deskloom.home import Owner, own_home
from deskloom.settings import Settings
from deskloom.wiring import App, open_app

LAST_COPIED_WITHIN = timedelta(seconds=10)
"""How long the end of a process may wait for the last of the sync log to be copied."""


@dataclass(frozen=True, slots=True)
class Serving:
    """A served home."""

    app: App
    owner: Owner
    server: Server

    async def recover(self) -> list[str]:
        """Go on with interrupted runs, and say so; returns their ids."""
        runs = await self.app.dispatcher.recover()
        for run in runs:
            notice(f"Going on with run {run.id} ({run.source} {run.stream}) that was interrupted.")
        return [str(run.id) for run in runs]

    async def drain(self) -> None:
        """Wait until every run under way here has ended: other commands may have started some."""
        tasks = self.app.dispatcher.tasks
        if tasks:
            notice(f"Waiting for what other commands started here: run {', '.join(str(id) for id in tasks)}.")
        while tasks:
            await asyncio.wait([each.task for each in tasks.values()])


@asynccontextmanager
async def owning(settings: Settings, command: str, *, host: str, port: int) -> AsyncIterator[Serving]:
    """Own the home and serve it; in the end runs under way stop at a page and the home is given up.

    Raises `HomeInUse`, `HomeForeign`, whatever the parts raise when they are opened, and `SettingInvalid` for an
    address that may not or cannot be served.
    """
    home = await asyncio.to_thread(own_home, settings.home, command)
    try:
        await ensure_model(settings)
        async with open_app(settings, home=home.id) as app:
            server = Server(app, host=host, port=port)
            try:
                owner = home.announce(server.url)
                server.start(token=owner.token)
                async with _mirroring(app):
                    yield Serving(app, owner, server)
                    await server.stop()
            finally:
                await server.stop()
    finally:
        home.release()


@asynccontextmanager
async def _mirroring(app: App) -> AsyncIterator[None]:
    """Copy the sync log beside everything else, if that is set up; a process that ends well copies the rest first."""
    if app.mirror is None:
        yield
        return
    copying = asyncio.create_task(app.mirror.run_forever(), name="copy the sync log")
    try:
        yield
    finally:
        copying.cancel()
        await asyncio.wait({copying})
    await app.mirror.flush(LAST_COPIED_WITHIN)
