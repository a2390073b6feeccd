"""Freshservice accounts as they are made: the same every time, with the odd rows; random edits; real questions."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deskloom.sandbox import Clock, FreshserviceDesk, generate_freshservice, load_sumo_freshservice, make

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
KINDS = (
    "tickets", "conversations", "time_entries", "requested_items", "requesters", "departments", "agents", "groups",
    "workspaces", "categories", "folders", "articles",
)  # fmt: skip


def _whole(desk: FreshserviceDesk) -> dict[str, Any]:
    return {kind: desk.state(kind) for kind in KINDS}


@pytest.mark.parametrize("mode", [True, False])
def test_generator_is_deterministic(mode: bool) -> None:
    """The same seed and time give the same account, another seed another one."""
    first, second, other = (generate_freshservice(seed, 50, 24, msp=mode, clock=Clock(NOW)) for seed in (1, 1, 2))
    assert _whole(first) == _whole(second)
    assert first.state("tickets") != other.state("tickets")


def test_odd_rows() -> None:
    """What real accounts hold: U+00A0 first, null departments, custom codes, agents as requesters, null lists."""
    desk = generate_freshservice(clock=Clock(NOW))
    rows = desk.state("tickets")
    agents = {row["id"] for row in desk.state("agents")}
    people = agents | {row["id"] for row in desk.state("requesters")}
    assert sum((row["description_text"] or "").startswith("\u00a0") for row in rows) > 5
    assert {8, 9, 10, 15} & {row["status"] for row in rows} >= {15}
    assert 1001 in {row["source"] for row in rows}
    assert sum(row["department_id"] is None for row in rows) > 5
    assert {str(row["cc_emails"]) for row in rows} == {"None", "[]"}
    assert any(row["requester_id"] in agents for row in rows)
    assert any(row["requester_id"] not in people for row in rows)
    assert any(row["resolution_notes"] for row in rows)
    assert {row["workspace_id"] for row in rows} == {2, 4, 5}


def test_hours() -> None:
    """Entries billable and not, some logged days after the work, some running, nothing in the future."""
    desk = generate_freshservice(clock=Clock(NOW))
    rows = desk.state("time_entries")
    late = [row for row in rows if row["created_at"][:10] > row["executed_at"][:10]]
    assert {row["billable"] for row in rows} == {True, False}
    assert (len(late) > 5, sum(row["timer_running"] for row in rows)) == (True, 3)
    assert all(row["executed_at"] <= row["created_at"] <= desk.clock.stamp() for row in rows)
    known = {row["id"] for row in desk.state("tickets")}
    assert {row["ticket_id"] for row in rows} <= known
    assert len({row["ticket_id"] for row in rows}) < len(known)


@pytest.mark.parametrize("mode", [True, False])
def test_random_edits(mode: bool) -> None:
    """Edits by seed are the same on the same account, and touch every kind of thing."""
    one, other = (generate_freshservice(1, 60, 24, msp=mode, clock=Clock(NOW)) for _ in range(2))
    done = one.edit(7, 400)
    assert (other.edit(7, 400), _whole(other)) == (done, _whole(one))
    words = " ".join(done)
    for word in ("time on", "corrected", "deleted time entry", "timer", "moved", "department", "requester", "article",
                 "reply", "note", "restored", "spam"):  # fmt: skip
        assert word in words, word


def test_steps_from_outside() -> None:
    """A ticket can be marked as spam, purged with all that belongs to it, and changed by a request."""
    desk = generate_freshservice(clock=Clock(NOW))
    desk.perform({"spam": 30})
    desk.perform({"method": "PUT", "path": "tickets/32", "body": {"priority": 4}})
    desk.perform({"purge": 14})
    rows = {row["id"]: row for row in desk.state("tickets")}
    assert (rows[30]["spam"], rows[32]["priority"], 14 in rows) == (True, 4, False)
    assert 14 not in {row["ticket_id"] for row in desk.state("conversations")}
    with pytest.raises(ValueError, match="cannot be done"):
        desk.perform({"archive": 3})


def test_making_an_account() -> None:
    """An account is made by its product's name; what there is not is said in words."""
    assert make("freshservice", tickets=5, msp=True).msp  # type: ignore[union-attr]
    for wrong, words in ((("zendesk",), "no product"), (("freshservice", None, "trial"), "no rate plan")):
        with pytest.raises(ValueError, match=words):
            make(*wrong)
    with pytest.raises(ValueError, match="Only Freshservice"):
        make("freshdesk", msp=True)


def _questions(folder: Path) -> Path:
    """Twenty small questions in the form of the real ones."""
    answer = {"role": "helper", "is_solution": True, "updated": None, "content_html": "<p>Restart it.</p>"}
    rows = [
        {
            "id": str(number), "title": f"Mail {number}", "content_html": "<p>It stopped.</p>", "topic": "mail",
            "created": f"2026-01-{number % 28 + 1:02d} 08:00:00 +0000", "locale": "en", "url": "https://x.example",
            "updated": f"2026-02-{number % 28 + 1:02d} 08:00:00 +0000", "author": f"asker{number}", "tags": [],
            "is_spam": False, "is_solved": True, "is_locked": number % 2 == 0, "solution_id": None,
            "answers": [{**answer, "id": str(1000 + number), "author": f"helper{number % 3}",
                         "created": f"2026-01-{number % 28 + 1:02d} 10:00:00 +0000"}],
        }
        for number in range(1, 41)
    ]  # fmt: skip
    articles = [{"id": "1", "title": "Mail", "html": "<p>Read</p>", "products": ["mail"], "topics": ["setup"]}]
    files = {"tickets": rows[:30], "tickets_without_replies": rows[30:], "kb_articles": articles}
    for name, lines in files.items():
        with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as out:
            out.writelines(json.dumps(line) + "\n" for line in lines)
    return folder


def test_real_questions(tmp_path: Path) -> None:
    """Questions keep their ids and words; departments, private notes and hours are laid over them by seed."""
    folder = _questions(tmp_path)
    desk, again = (load_sumo_freshservice(folder, clock=Clock(NOW)) for _ in range(2))
    assert _whole(desk) == _whole(again)
    rows = desk.state("tickets")
    numbers = [row["custom_fields"]["account_number"] for row in desk.state("departments")]
    departments = {row["department_id"] for row in rows}
    assert ([row["id"] for row in rows], rows[0]["subject"]) == (list(range(1, 41)), "Mail 1")
    assert (len(numbers), len(set(numbers)) > 20, None in departments, len(departments) > 5) == (24, True, True, True)
    assert any(row["private"] for row in desk.state("conversations"))
    assert len(desk.state("time_entries")) > 20
    assert load_sumo_freshservice(folder, seed=2, clock=Clock(NOW)).state("time_entries") != desk.state("time_entries")
