"""What callers read: status, search, tickets, articles, companies."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.conftest import Shared
from tests.api.desks import ACCOUNT, NOTE, REPLY, TEXTS

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def first_ticket(shared: Shared) -> dict[str, Any]:
    items = (await shared.client.get("/api/tickets")).json()["items"]
    found: dict[str, Any] = next(item for item in items if item["subject"] == TEXTS[0][0])
    return found


async def test_the_status_tells_where_every_stream_stands(shared: Shared) -> None:
    """Every member of the contract, with what was synced."""
    status = (await shared.client.get("/api/sync/status")).json()
    streams = {stream["stream"]: stream for stream in status.pop("streams")}
    times = [status.pop(name) for name in ("last_ticket_sync", "last_kb_sync", "timestamp")]
    assert all(time.endswith("Z") for time in times)
    assert status == {
        "total_tickets": 4,
        "total_kb_articles": 2,
        "tickets_without_company": 0,
        "sync_in_progress": False,
        "service_running": True,
        "initialized": True,
        "background_tasks": 0,
        "queued_events": 0,
    }
    assert list(streams) == ["tickets", "kb", "hours"]
    tickets = streams["tickets"]
    assert isinstance(tickets.pop("checkpoint"), dict)
    assert tickets.pop("lag_seconds") >= 0
    assert tickets.pop("last_attempt") <= tickets.pop("last_success")
    assert tickets == {
        "source": "freshdesk",
        "stream": "tickets",
        "in_progress": False,
        "items": 4,
        "failed": 0,
        "pending_index": 0,
        "last_error": None,
    }


async def test_search_finds_the_ticket_and_says_why(shared: Shared) -> None:
    """A hit has every member of the contract; meaning and words both found the ticket."""
    asked = {"q": "printer stripes", "in": "tickets", "limit": 3}
    answer = (await shared.client.get("/api/search", params=asked)).json()
    assert (answer["query"], len(answer["hits"]), answer["took_ms"] > 0) == (asked["q"], 3, True)
    assert [hit["score"] for hit in answer["hits"]] == sorted((hit["score"] for hit in answer["hits"]), reverse=True)
    found = next(hit for hit in answer["hits"] if hit["title"] == TEXTS[1][0])
    assert list(found) == [
        "collection",
        "source",
        "id",
        "title",
        "snippet",
        "score",
        "matched",
        "url",
        "updated_at",
        "payload",
    ]
    assert (found["collection"], found["matched"]) == ("support_tickets", ["symptom_vec", "keyword"])
    assert found["url"].endswith(f"/a/tickets/{found['id']}")
    assert "stripes" in found["snippet"]


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ({"q": "printer", "in": "kb", "mode": "keyword"}, {"Reconnect a printer", "Repair a printer (draft)"}),
        ({"q": "printer", "in": "tickets", "mode": "keyword"}, {TEXTS[0][0], TEXTS[1][0]}),
        ({"q": "printer", "in": ["tickets,kb"], "mode": "keyword", "language": "xx"}, set()),
        ({"q": "printer", "source": "elsewhere"}, set()),
        ({"q": "printer", "updated_since": "2999-01-01"}, set()),
        ({"q": "printer", "mode": "keyword", "status": ["Open", "Closed"]}, {TEXTS[0][0], TEXTS[1][0]}),
        ({"q": "printer", "status": "Closed"}, set()),
        ({"q": "zebrafinch", "mode": "keyword"}, {TEXTS[0][0]}),
    ],
)
async def test_filters_hold(shared: Shared, query: dict[str, Any], titles: set[str]) -> None:
    """Every hit matches every filter; several values of one filter mean any of them."""
    answer = (await shared.client.get("/api/search", params=query)).json()
    assert {hit["title"] for hit in answer["hits"]} == titles


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({}, "q"),
        ({"q": ""}, "q"),
        ({"q": "  "}, "q"),
        ({"q": "x", "in": "conversations"}, "in"),
        ({"q": "x", "vector": "colour"}, "vector"),
        ({"q": "x", "mode": "keyword", "vector": "cause"}, "mode"),
        ({"q": "x", "mode": "loud"}, "mode"),
        ({"q": "x", "limit": 101}, "limit"),
        ({"q": "x", "updated_since": "monday"}, "updated_since"),
    ],
)
async def test_a_wrong_question_names_its_parameter(shared: Shared, query: dict[str, Any], parameter: str) -> None:
    """422 for each."""
    answer = await shared.client.get("/api/search", params=query)
    assert (answer.status_code, answer.json()["parameter"]) == (422, parameter)


async def test_a_viewer_finds_nothing_of_private_notes(shared: Shared) -> None:
    """A word that only a note holds is found by an agent and by no viewer; drafts likewise."""
    found = {}
    for role in ("viewer", "agent"):
        note = await shared.get("/api/search", role, q="zebrafinch", mode="keyword")
        draft = await shared.get("/api/search", role, q="printer", mode="keyword", **{"in": "kb"})
        found[role] = (len(note.json()["hits"]), len(draft.json()["hits"]))
        if role == "viewer":
            assert "zebrafinch" not in (await shared.get("/api/search", role, q="printer")).text
    assert found == {"viewer": (0, 1), "agent": (1, 2)}


async def test_a_ticket_has_everything_that_was_said(shared: Shared) -> None:
    """Replies are conversations, private notes are notes, labels are the account's own."""
    short = await first_ticket(shared)
    assert (short["status"], short["status_code"], short["priority"], short["company"]) == (
        "Open",
        2,
        "High",
        "Mill & Sons",
    )
    whole = (await shared.client.get(f"/api/tickets/freshdesk/{short['id']}")).json()
    assert {name: whole[name] for name in short} == short
    assert whole["description"].strip() == TEXTS[0][1]
    assert [(said["body"].strip(), said["private"]) for said in whole["conversations"]] == [(REPLY, False)]
    assert [(said["body"].strip(), said["private"]) for said in whole["notes"]] == [(NOTE, True)]
    assert (whole["requester_name"], whole["requester_email"]) == ("Ada Ferro", "ada@mill.example")


async def test_a_viewer_reads_a_ticket_without_its_notes(shared: Shared) -> None:
    """`notes` and custom fields are not there at all, and nothing of the note shows."""
    short = await first_ticket(shared)
    answers = [await shared.get(f"/api/tickets/freshdesk/{short['id']}", role) for role in ("viewer", "agent")]
    viewer, agent = (answer.json() for answer in answers)
    assert agent.keys() - viewer.keys() == {"notes", "custom_fields", "time_entries"}
    assert "zebrafinch" not in answers[0].text


async def test_tickets_are_listed_page_by_page_with_filters(shared: Shared) -> None:
    """Pages put together are the whole list; labels and numbers both filter."""
    whole = (await shared.client.get("/api/tickets")).json()["items"]
    pages: list[Any] = []
    after = ""
    while after is not None:
        page = (
            await shared.client.get("/api/tickets", params={"limit": 3, **({"after": after} if after else {})})
        ).json()
        pages += page["items"]
        after = page["next"]
    assert (pages, len(whole)) == (whole, 4)
    for query in ({"status": "Open"}, {"status": "2"}, {"company": ACCOUNT}, {"priority": "High"}):
        assert (await shared.client.get("/api/tickets", params=query)).json()["items"] == whole
    for query in ({"status": "Closed"}, {"tag": "none"}, {"source": "acme"}, {"updated_since": "2999-01-01"}):
        assert (await shared.client.get("/api/tickets", params=query)).json() == {"items": [], "next": None}


async def test_similar_tickets_leave_out_the_ticket_itself(shared: Shared) -> None:
    """The other printer ticket comes first."""
    short = await first_ticket(shared)
    hits = (await shared.client.get(f"/api/tickets/freshdesk/{short['id']}/similar", params={"limit": 2})).json()[
        "hits"
    ]
    assert (len(hits), hits[0]["title"]) == (2, TEXTS[1][0])
    assert str(short["id"]) not in [hit["id"] for hit in hits]


@pytest.mark.parametrize(
    "path",
    [
        "tickets/freshdesk/999999",
        "tickets/freshdesk/99999999999999999999999",
        "tickets/acme/1",
        "tickets/freshdesk/first",
        "tickets/freshdesk/999999/similar",
        "articles/freshdesk/999999",
        "companies/none",
        "companies/none/contacts",
        "companies/none/tickets",
    ],
)
async def test_what_is_not_there_is_not_found(shared: Shared, path: str) -> None:
    """404 in the one shape."""
    answer = await shared.client.get(f"/api/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_articles_are_read_by_id_and_language(shared: Shared) -> None:
    """The list is without texts, the article with them; another language is said to be missing."""
    listed = (await shared.client.get("/api/articles", params={"language": "en"})).json()["items"]
    assert {item["title"] for item in listed} == {"Reconnect a printer", "Repair a printer (draft)"}
    one = next(item for item in listed if item["published"])
    whole = (await shared.client.get(f"/api/articles/freshdesk/{one['id']}")).json()
    assert {name: whole[name] for name in one} == one
    assert (whole["languages"], "Switch it off." in whole["body"]) == (["en"], True)
    missing = await shared.client.get(f"/api/articles/freshdesk/{one['id']}", params={"language": "de"})
    assert (missing.status_code, missing.json()["languages"]) == (404, ["en"])


async def test_a_viewer_sees_no_drafts(shared: Shared) -> None:
    """Neither in the list nor by id, and the answer is that of an article that does not exist."""
    everything = (await shared.get("/api/articles", "agent")).json()["items"]
    draft = next(item for item in everything if not item["published"])
    seen = (await shared.get("/api/articles", "viewer")).json()["items"]
    assert seen == [item for item in everything if item["published"]]
    assert (await shared.get("/api/articles", "viewer", published="false")).json()["items"] == []
    assert (await shared.get(f"/api/articles/freshdesk/{draft['id']}", "viewer")).status_code == 404


async def test_companies_are_found_by_account_number(shared: Shared) -> None:
    """The list, the company and its people."""
    listed = (await shared.client.get("/api/companies")).json()
    one = (await shared.client.get(f"/api/companies/{ACCOUNT}")).json()
    people = (await shared.client.get(f"/api/companies/{ACCOUNT}/contacts")).json()
    assert (listed, one["name"], one["domains"]) == ([one], "Mill & Sons", ["mill.example"])
    assert [(person["name"], person["email"]) for person in people] == [("Ada Ferro", "ada@mill.example")]


async def test_a_company_has_its_tickets_in_the_shape_reports_expect(shared: Shared) -> None:
    """Every member of the contract, the year holds, and `notes` is there only for roles that may read them."""
    path = f"/api/companies/{ACCOUNT}/tickets"
    listed = (await shared.get(path, "agent")).json()
    assert [ticket["subject"] for ticket in listed] == [subject for subject, _ in TEXTS]
    first = listed[0]
    assert [(said["body"].strip(), said["incoming"]) for said in first["conversations"]] == [(REPLY, False)]
    assert [note["body"].strip() for note in first["notes"]] == [NOTE]
    assert (first["status"], first["priority"], first["requester_name"]) == ("Open", "High", "Ada Ferro")
    year = first["created_at"][:4]
    assert (await shared.get(path, "agent", year=year)).json() == listed
    assert (await shared.get(path, "agent", year=2001)).json() == []
    seen = (await shared.get(path, "viewer")).json()
    assert seen == [{name: value for name, value in ticket.items() if name != "notes"} for ticket in listed]
    assert (await shared.get(path, "agent", year=0)).status_code == 422


async def test_requests_that_only_read_need_nothing_of_the_help_desk(shared: Shared) -> None:
    """Health, status, search and lists make no call to the help desk."""
    before = len(shared.rig.desk.calls.log)
    for path in (
        "health/ready",
        "api/sync/health",
        "api/sync/status",
        "api/search?q=printer",
        "api/tickets",
        "metrics",
    ):
        assert (await shared.client.get(f"/{path}")).status_code == 200
    assert len(shared.rig.desk.calls.log) == before
