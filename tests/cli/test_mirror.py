"""The copy of the sync log, as a command without a server leaves it."""

from __future__ import annotations

import asyncio

from tests.cli.terminal import Terminal
from tests.sync.postgrest import KEY, supabase


async def test_a_command_copies_what_it_synced_before_it_ends(terminal: Terminal) -> None:
    """A sync from cron has copied its entries when it ends; a project that refuses changes nothing about its end."""
    async with supabase() as project:
        given = {"SUPABASE_URL": project.url}
        refused = await asyncio.to_thread(terminal.run, "sync", "kb", **given, SUPABASE_KEY="wrong")
        assert (refused.status, project.rows) == (0, {})
        assert "wrong" not in refused.out + refused.err
        synced = await asyncio.to_thread(terminal.run, "sync", "tickets", **given, SUPABASE_KEY=KEY)
        assert synced.status == 0
        assert {row["collection"] for row in project.rows.values()} == {"support_tickets", "kb_procedures"}
    half = await asyncio.to_thread(terminal.run, "status", **given)
    assert (half.status, half.err.startswith("SUPABASE_KEY is not set, but its counterpart is.")) == (2, True)
