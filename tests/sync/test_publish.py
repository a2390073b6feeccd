"""Publishing: one bad item never stops the others, and says its name."""

from __future__ import annotations

from tests.rig import Install

from deskloom.sandbox.clock import Clock
from deskloom.sandbox.generate import generate


async def test_an_empty_ticket_is_recorded_not_indexed_and_named(install: Install) -> None:
    """The wording callers rely on: Failed to process ticket N: Empty content."""
    desk = generate(seed=1, tickets=5, articles=1, clock=Clock())
    ticket = next(row for row in desk.tickets if not row.get("deleted") and not row.get("spam"))
    desk.tickets.change(ticket["id"], subject="", description="<p> </p>", description_text=" ")
    for row in [row for row in desk.conversations if row["ticket_id"] == ticket["id"]]:
        desk.conversations.drop(row["id"])
    desk.clock.advance(60)
    async with install(desk) as made:
        run = await made.sync("tickets")
        assert (run.state, run.errors) == ("partial", [f"Failed to process ticket {ticket['id']}: Empty content"])
        assert await made._record_against_source() == await made._articles_against_source()
        again = await made.sync("tickets")
        assert (again.state, again.counts["fetched"]) == ("succeeded", 0)


async def test_a_text_the_model_refuses_sets_one_ticket_aside(install: Install) -> None:
    """Every other ticket of the batch is published."""
    desk = generate(seed=1, tickets=12, articles=1, clock=Clock())
    ticket = next(row for row in desk.tickets if not row.get("deleted") and not row.get("spam"))
    desk.tickets.change(ticket["id"], subject="xyzzy plugh")
    desk.clock.advance(60)
    async with install(desk) as made:
        made.embedder.poison = "plugh"
        run = await made.sync("tickets")
        assert run.state == "partial"
        assert run.errors == [f"Failed to process ticket {ticket['id']}: the model cannot take this text"]
        assert await made._index_against_record() == []
