"""Generated and loaded accounts: the same every time, sensible, with the odd rows real accounts have."""

from __future__ import annotations

import gzip
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deskloom.sandbox import Clock, Desk, generate, load_sumo

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
KINDS = ("tickets", "conversations", "contacts", "companies", "agents", "folders", "articles", "time_entries")


def test_generator_is_deterministic() -> None:
    """The same seed and time give the same account, another seed another one."""
    first, second, other = (generate(seed, 50, 24, clock=Clock(NOW)) for seed in (1, 1, 2))
    assert [first.state(kind) for kind in KINDS] == [second.state(kind) for kind in KINDS]
    assert first.state("tickets") != other.state("tickets")


def test_default_size() -> None:
    """The demo's account: 120 tickets, 24 articles, 40 contacts, 12 companies with account numbers, 5 agents."""
    desk = generate(clock=Clock(NOW))
    sizes = (len(desk.tickets), len(desk.articles), len(desk.contacts), len(desk.companies), len(desk.agents))
    numbers = [row["custom_fields"]["account_number"] for row in desk.state("companies")]
    languages = {row["language"] for row in desk.state("articles")}
    assert (sizes, languages) == ((120, 24, 40, 12, 5), {"en", "de", "ko", "ja", "ar"})
    assert numbers.count(None) == 1
    assert all(len(number) == 6 for number in numbers if number)


def test_nothing_is_in_the_future() -> None:
    """No row is newer than the clock, and no ticket older than its own messages."""
    desk = generate(clock=Clock(NOW))
    now = desk.clock.stamp()
    newest: dict[int, str] = {}
    for row in desk.state("conversations"):
        newest[row["ticket_id"]] = max(newest.get(row["ticket_id"], ""), row["updated_at"])
    for row in desk.state("tickets"):
        assert row["created_at"] <= row["updated_at"] <= now
        assert newest.get(row["id"], "") <= row["updated_at"]


def test_questions_find_answers() -> None:
    """A person who asks about the VPN finds tickets whose notes tell the cause, and an article."""
    desk = generate(clock=Clock(NOW))
    about = {row["id"] for row in desk.state("tickets") if "VPN drops" in (row["subject"] or "")}
    notes = [row["body"] for row in desk.state("conversations") if row["ticket_id"] in about and row["private"]]
    assert any("re-key" in note or "session ticket" in note for note in notes)
    assert any(row["title"] == "Reset the VPN profile" for row in desk.state("articles"))


def test_odd_rows() -> None:
    """Empty and null subjects, null lists, null authors, foreign scripts, shared stamps, custom statuses, big ids."""
    desk = generate(clock=Clock(NOW))
    tickets = desk.state("tickets")
    messages = desk.state("conversations")
    stamps = [row["updated_at"] for row in tickets]
    assert [(tickets[i]["subject"], tickets[i]["description"]) for i in (2, 3)] == [
        ("", tickets[2]["description"]),
        (None, None),
    ]
    assert {str(row["cc_emails"]) for row in tickets} == {"None", "[]"}
    assert tickets[5]["description_text"].startswith("\u00a0")
    assert any(stamps.count(stamp) >= 5 for stamp in stamps)
    assert {6, 7, 8} & {row["status"] for row in tickets}
    assert any(row["user_id"] is None for row in messages)
    assert {next(iter({"size", "file_size"} & set(a))) for r in [*tickets, *messages] for a in r["attachments"]} == {
        "size",
        "file_size",
    }
    assert all(row["org_contact_id"] > 2**53 for row in desk.state("contacts"))
    assert {row["id"] for row in desk.state("contacts")}.isdisjoint(row["id"] for row in desk.state("agents"))


def test_many_articles() -> None:
    """More articles than guides become variants with their own titles."""
    desk = generate(tickets=1, articles=200, clock=Clock(NOW))
    titles = [row["title"] for row in desk.state("articles") if row["language"] == "en"]
    assert (len(titles), len(set(titles))) == (200, 200)


def _folder(path: Path) -> Path:
    """Two questions and an article in the data's form."""
    answer = {
        "id": 9,
        "created": "2026-01-02 10:00:00 +0000",
        "updated": "2026-01-03 10:00:00 +0000",
        "author": "h",
        "role": "helper",
        "content_html": "<p>Try this</p>",
        "is_spam": False,
        "helpful": 1,
        "unhelpful": 0,
        "is_solution": True,
    }
    thanks = {
        **answer,
        "id": 10,
        "created": "2026-01-02 11:00:00 +0000",
        "updated": "2026-01-02 11:00:00 +0000",
        "author": "q",
        "role": "requester",
        "is_solution": False,
    }
    question = {
        "id": 5,
        "url": "https://example.org/5",
        "created": "2026-01-01 10:00:00 +0000",
        "updated": "2026-01-01 10:00:00 +0000",
        "locale": "it",
        "product": "mail",
        "topic": "other",
        "tags": ["other"],
        "title": "Why?",
        "content_html": "<p>Why</p>",
        "author": "q",
        "is_solved": True,
        "solution_id": 9,
        "is_spam": False,
        "is_locked": False,
        "num_votes": 1,
        "metadata": {},
        "answers": [answer, thanks],
    }
    other = {**question, "id": 4, "answers": [], "is_solved": None, "solution_id": None, "is_spam": True, "author": "h"}
    article = {
        "id": 7,
        "slug": "a",
        "title": "How",
        "summary": "S",
        "products": ["mail"],
        "topics": ["other"],
        "html": "<p>So</p>",
    }
    rows: dict[str, Any] = {"tickets": question, "tickets_without_replies": other, "kb_articles": article}
    for name, row in rows.items():
        with gzip.open(path / f"{name}.jsonl.gz", "wt", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")
    return path


def test_sumo_lays_over_freshdesk(tmp_path: Path) -> None:
    """Questions keep their ids and become tickets; frequent helpers become agents, spam stays visible as a tag."""
    desk = load_sumo(_folder(tmp_path), clock=Clock(NOW))
    four, five = desk.state("tickets")
    helper, asker = desk.state("agents")[0]["id"], desk.state("contacts")[0]["id"]
    assert (four["id"], four["status"], four["tags"], four["spam"]) == (4, 2, ["other", "is_spam"], False)
    assert (five["id"], five["status"], five["updated_at"]) == (5, 4, "2026-01-03T10:00:00Z")
    assert (five["stats"]["resolved_at"], five["stats"]["closed_at"]) == ("2026-01-02T10:00:00Z", None)
    assert (five["requester_id"], five["responder_id"], four["requester_id"]) == (asker, helper, helper)
    assert [(m["id"], m["user_id"], m["incoming"]) for m in desk.state("conversations")] == [
        (9, helper, False),
        (10, asker, True),
    ]
    assert [(a["id"], a["title"], a["description_text"]) for a in desk.state("articles")] == [(7, "How", "So")]


def test_sumo_names_a_damaged_file(tmp_path: Path) -> None:
    """A file that cannot be read is named."""
    (_folder(tmp_path) / "kb_articles.jsonl.gz").write_bytes(b"not gzip")
    with pytest.raises(ValueError, match=r"kb_articles\.jsonl\.gz cannot be read"):
        load_sumo(tmp_path)


@pytest.mark.data
@pytest.mark.slow
def test_sumo_whole() -> None:
    """All 20,000 questions with all their answers and the 321 articles are served, none hidden."""
    root = Path(os.environ.get("DESKLOOM_DATA", Path(__file__).parents[3] / "shared" / "data"))
    folder = root / "sumo-thunderbird"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set DESKLOOM_DATA")
    desk: Desk = load_sumo(folder, clock=Clock(NOW))
    assert (len(desk.tickets.order("updated", "live")), len(desk.articles), len(desk.agents)) == (20_000, 321, 50)
    people = {row["id"] for row in desk.contacts} | {row["id"] for row in desk.agents}
    assert all(row["requester_id"] in people for row in desk.tickets)
    assert all(row["user_id"] in people and row["ticket_id"] in desk.tickets for row in desk.conversations)
