"""Tickets as documents over HTTP: one by one, and as a listing with texts on request."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_asyncio
from tests.api.conftest import Shared
from tests.api.desks import ACCOUNT, NOTE, REPLY, TEXTS

pytestmark = pytest.mark.asyncio(loop_scope="session")
LISTING = "/api/v1/exports/markdown"


@pytest_asyncio.fixture(loop_scope="session")
async def first(shared: Shared) -> int:
    """The ticket with a reply and a private note."""
    items = (await shared.client.get("/api/tickets")).json()["items"]
    return next(item["id"] for item in items if item["subject"] == TEXTS[0][0])


async def listed(shared: Shared, role: str = "agent", **params: Any) -> list[dict[str, Any]]:
    answer = await shared.get(LISTING, role, **params)
    assert answer.headers["content-type"] == "application/x-ndjson", answer.text
    *lines, end = [json.loads(line) for line in answer.text.splitlines()]
    assert end == {"end": True, "count": len(lines)}
    return lines


@pytest.mark.parametrize("prefix", ["/api", "/api/v1"])
async def test_a_ticket_is_a_markdown_document(shared: Shared, first: int, prefix: str) -> None:
    """Text, with the description and what was answered; no word of the note."""
    answer = await shared.client.get(f"{prefix}/tickets/freshdesk/{first}/markdown")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/markdown; charset=utf-8")
    assert answer.text.startswith(f'---\nsource: "freshdesk"\nticket_id: {first}\ntitle: "{TEXTS[0][0]}"\n')
    assert [part in answer.text for part in (TEXTS[0][1], "### ← Outgoing", REPLY, "Internal notes", NOTE)] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert f'url: "{shared.rig.app.sources["freshdesk"].link("ticket", str(first))}"' in answer.text


async def test_notes_need_a_role_and_to_be_asked_for(shared: Shared, first: int) -> None:
    """An agent gets them on request; a viewer is told which role it takes, and gets the rest."""
    path = f"/api/tickets/freshdesk/{first}/markdown"
    plain = await shared.get(path, "viewer")
    assert plain.text == (await shared.get(path, "agent")).text
    noted = await shared.get(path, "agent", notes="true")
    assert noted.text.startswith(plain.text)
    assert NOTE in noted.text
    refused = await shared.get(path, "viewer", notes="true")
    assert (refused.status_code, refused.json()["role"], "zebrafinch" in refused.text) == (403, "agent", False)


@pytest.mark.parametrize(
    "ticket", ["acme/1", "freshdesk/99999", "freshdesk/first", "freshdesk/99999999999999999999999"]
)
async def test_what_is_not_there_has_no_document(shared: Shared, ticket: str) -> None:
    """404 in the one shape."""
    answer = await shared.client.get(f"/api/tickets/{ticket}/markdown")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_the_listing_tells_where_every_document_belongs(shared: Shared) -> None:
    """One line for each ticket with a mark, then the end; the same marks when nothing has changed."""
    found = await listed(shared)
    tickets = {item["id"]: item for item in (await shared.client.get("/api/tickets")).json()["items"]}
    assert [{name: line[name] for name in line if name != "mark"} for line in found] == [
        {
            "path": f"Mill_Sons/Ticket_{number}.md",
            "source": "freshdesk",
            "id": number,
            "account_number": ACCOUNT,
        }
        for number in sorted(tickets)
    ]
    assert await listed(shared) == found
    noted = await listed(shared, notes="true")
    assert {line["mark"] for line in noted}.isdisjoint(line["mark"] for line in found)


async def test_the_listing_knows_filters(shared: Shared, first: int) -> None:
    """By source, customer and time of change; what they name has to be there."""
    found = await listed(shared)
    assert await listed(shared, source="freshdesk", company=ACCOUNT, since="2000-01-01") == found
    assert await listed(shared, since="2999-01-01") == []
    for query, status, member in (
        ({"source": "acme"}, 422, ("parameter", "source")),
        ({"company": "none"}, 404, ("code", "not_found")),
        ({"since": "soon"}, 422, ("parameter", "since")),
    ):
        answer = await shared.get(LISTING, "agent", **query)
        assert (answer.status_code, answer.json()[member[0]]) == (status, member[1])


async def test_texts_are_those_of_the_single_documents(shared: Shared, first: int) -> None:
    """Asked for together, with and without notes; tickets that are not there are missing."""
    for notes in (False, True):
        body = {"tickets": [{"source": "freshdesk", "id": first}, {"source": "x", "id": 1}], "notes": notes}
        answer = await shared.client.post(LISTING, json=body)
        single = await shared.client.get(f"/api/tickets/freshdesk/{first}/markdown", params={"notes": notes})
        assert answer.json() == {"documents": [{"source": "freshdesk", "id": first, "text": single.text}]}


async def test_the_tree_is_for_agents(shared: Shared) -> None:
    """403 for a viewer; wrong bodies are refused."""
    assert (await shared.get(LISTING, "viewer")).status_code == 403
    headers = {"X-API-Key": "viewer"}
    assert (await shared.keyed.post(LISTING, json={"tickets": []}, headers=headers)).status_code == 403
    for body in ({"tickets": [{"source": "x", "id": 1}] * 201}, {"tickets": [], "more": 1}, {"tickets": [{"id": "x"}]}):
        assert (await shared.client.post(LISTING, json=body)).status_code == 422
