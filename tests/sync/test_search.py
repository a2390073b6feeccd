"""Promise 6: what a role may not read, it cannot find; and what it may, it finds in one ranking."""

from __future__ import annotations

import json

import pytest
from tests.conftest import Install

from deskloom.errors import InvalidRequest
from deskloom.sandbox.freshdesk.desk import Desk
from deskloom.sandbox.generate import generate
from deskloom.search import Query, snippet

SECRET = "zanzibarite"


def desk_with_a_note() -> tuple[Desk, int]:
    """A help desk where one word stands in one private note and nowhere else."""
    desk = generate(seed=1, tickets=15, articles=6)
    note = next(
        row
        for row in desk.conversations
        if row.get("private") and not (desk.tickets.get(row["ticket_id"]) or {}).get("deleted")
    )
    desk.conversations.change(note["id"], body=f"<p>The cause is {SECRET} in the rack.</p>", body_text="")
    desk.clock.advance(3600)
    return desk, note["ticket_id"]


async def test_a_private_note_is_found_by_the_team_and_by_nobody_else(install: Install) -> None:
    """By word, by meaning and in every shown field: a role below agent meets nothing of a note."""
    desk, ticket = desk_with_a_note()
    async with install(desk) as made:
        await made.sync("tickets")
        team = await made.app.search.search(Query(text=SECRET, mode="keyword"))
        assert [hit.id for hit in team] == [str(ticket)]
        for mode in ("keyword", "semantic", "hybrid"):
            hits = await made.app.search.search(Query(text=SECRET, mode=mode, limit=100, internal=False))  # type: ignore[arg-type]
            assert SECRET not in json.dumps([(hit.snippet, hit.payload, hit.matched) for hit in hits])
            assert not any("cause_vec" in hit.matched for hit in hits)
        assert await made.app.search.search(Query(text=SECRET, mode="keyword", internal=False)) == []


async def test_drafts_are_not_found_below_agent(install: Install) -> None:
    """An article that is not published is the team's own."""
    desk = generate(seed=1, tickets=1, articles=6)
    article = next(iter(desk.articles))
    desk.articles.change(article["id"], title="zanzibarite manual", status=1)
    desk.clock.advance(3600)
    async with install(desk) as made:
        await made.sync("kb")
        query = {"text": "zanzibarite", "mode": "keyword"}
        assert [hit.id for hit in await made.app.search.search(Query(**query))] == [str(article["id"])]  # type: ignore[arg-type]
        assert await made.app.search.search(Query(**query, internal=False)) == []  # type: ignore[arg-type]


async def test_filters_hold_and_wrong_names_are_named(install: Install) -> None:
    """Every hit fulfils the filter; an unknown collection or vector is refused by name."""
    desk, _ = desk_with_a_note()
    async with install(desk) as made:
        await made.sync("tickets")
        await made.sync("kb")
        hits = await made.app.search.search(Query(text="printer", filters={"status": ["Resolved"]}, limit=50))
        assert {hit.payload["status"] for hit in hits} == {"Resolved"}
        for wrong in (Query(text="x", collections=["mail"]), Query(text="x", vector="smell"), Query(text=" ")):
            with pytest.raises(InvalidRequest):
                await made.app.search.search(wrong)


def test_a_snippet_is_the_passage_with_most_of_the_words() -> None:
    """Long texts are cut around the words asked for, and the cut is shown."""
    text = "First sentence about nothing. " * 20 + "The printer queue is stuck. " + "Last words. " * 20
    passage = snippet(text, frozenset({"printer", "queue"}))
    assert "printer queue" in passage
    assert passage.startswith("… ")
    assert passage.endswith(" …")
