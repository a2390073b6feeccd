"""Lays a folder of real support questions (Mozilla Support, CC BY-SA 3.0) over a Freshdesk or Freshservice account.

A question becomes a ticket with the question's id; its answers become replies (incoming: by the asker); the most
frequent helpers become agents, everyone else a contact; articles stand in categories and folders by product and topic.
Freshservice's account has customers with account numbers, private notes and time entries besides, all of them made up.
"""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from deskloom.sandbox import freshservice
from deskloom.sandbox.clock import Clock
from deskloom.sandbox.freshdesk import Desk, Switches
from deskloom.sandbox.freshdesk.fields import ticket_fields
from deskloom.sandbox.freshservice import FreshserviceDesk
from deskloom.sandbox.generate.customers import add_customers, add_notes
from deskloom.sandbox.generate.freshservice import lay_over
from deskloom.sandbox.rows import Row

FILES = ("tickets.jsonl.gz", "tickets_without_replies.jsonl.gz", "kb_articles.jsonl.gz")
_AGENTS = 50
_FIRST_PERSON = 15_000_000_001
_FIRST_SOLUTION = 60_000_000_001
_MADE = "2022-01-03T08:00:00Z"
_ARTICLES_MADE = "2026-01-05T08:00:00Z"


def load_sumo(
    folder: str | Path,
    *,
    clock: Clock | None = None,
    switches: Switches | None = None,
    plan: str = "none",
    key: str = "sandbox",
) -> Desk:
    """The account made of the folder's files. Raises `FileNotFoundError` naming what is missing."""
    where = Path(folder)
    missing = [name for name in FILES if not (where / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{where} lacks {', '.join(missing)}. The sandbox reads a folder that holds {', '.join(FILES)}."
        )
    desk = Desk(clock=clock, switches=switches, plan=plan, key=key, name="Sumo")
    names = {"cf_topic": None, "cf_locale": None, "cf_url": None}
    desk.ticket_fields = ticket_fields(names)
    questions = [*_lines(where / FILES[0]), *_lines(where / FILES[1])]
    questions.sort(key=lambda question: int(question["id"]))
    people = _people(desk, questions)
    desk.tickets.fill(_ticket(question, people) for question in questions)
    desk.conversations.fill(message for question in questions for message in _messages(question, people))
    _articles(desk, list(_lines(where / FILES[2])))
    return desk


def load_sumo_freshservice(
    folder: str | Path,
    *,
    seed: int = 1,
    msp: bool = False,
    clock: Clock | None = None,
    switches: freshservice.Switches | None = None,
    plan: str = "none",
    key: str = "sandbox",
) -> FreshserviceDesk:
    """The same questions at Freshservice, with customers, notes and hours by seed. Raises `FileNotFoundError` too."""
    desk = FreshserviceDesk(clock=clock, switches=switches, plan=plan, key=key, name="Sumo", msp=msp)
    told = load_sumo(folder, clock=desk.clock)
    chance = random.Random(f"deskloom sandbox sumo {seed}")
    add_customers(told, chance)
    add_notes(told, chance)
    return lay_over(told, desk, chance)


def _lines(path: Path) -> Iterator[Row]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)
    except (ValueError, EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def _stamp(text: str) -> str:
    """`2023-01-01 05:24:31 +0000` as Freshdesk writes it."""
    return f"{text[:10]}T{text[11:19]}Z"


def _people(desk: Desk, questions: list[Row]) -> dict[str, int]:
    """Person → id. Agents and contacts share one number space; agents come first."""
    helpers: Counter[str] = Counter()
    seen: dict[str, str] = {}
    for question in questions:
        for entry in (question, *question["answers"]):
            at = _stamp(entry["created"])
            seen[entry["author"]] = min(seen.get(entry["author"], at), at)
            if entry.get("role") == "helper":
                helpers[entry["author"]] += 1
    staff = [name for name, _ in sorted(helpers.items(), key=lambda item: (-item[1], item[0]))[:_AGENTS]]
    ids = {name: _FIRST_PERSON + number for number, name in enumerate([*staff, *sorted(set(seen) - set(staff))])}
    desk.agents.fill(
        {
            "id": ids[name],
            "_admin": number == 0,
            "created_at": _MADE,
            "updated_at": _MADE,
            "contact": {"name": name, "email": f"{name}@staff.example", "created_at": _MADE, "updated_at": _MADE},
        }
        for number, name in enumerate(staff)
    )
    desk.contacts.fill(
        {"id": ids[name], "name": name, "email": f"{name}@people.example", "created_at": at, "updated_at": at}
        for name, at in seen.items()
        if ids[name] >= _FIRST_PERSON + len(staff)
    )
    return ids


def _ticket(question: Row, people: dict[str, int]) -> Row:
    answers = question["answers"]
    newest = max([_stamp(question["updated"]), *(_stamp(a["updated"] or a["created"]) for a in answers)])
    by_staff = [answer for answer in answers if answer["role"] == "helper"]
    by_asker = [answer for answer in answers if answer["role"] == "requester"]
    solution = next((a for a in answers if a["is_solution"] or a["id"] == question["solution_id"]), None)
    solved = _stamp((solution or answers[-1])["created"]) if question["is_solved"] and answers else None
    status = (
        5 if question["is_locked"] else 4 if question["is_solved"] else 3 if answers and answers[-1] in by_staff else 2
    )
    stats = {
        "agent_responded_at": _stamp(by_staff[-1]["created"]) if by_staff else None,
        "first_responded_at": _stamp(by_staff[0]["created"]) if by_staff else None,
        "requester_responded_at": _stamp(by_asker[-1]["created"]) if by_asker else None,
        "resolved_at": solved,
        "closed_at": solved if question["is_locked"] else None,
        "status_updated_at": solved,
    }
    last = people[by_staff[-1]["author"]] if by_staff else None
    return {
        "id": int(question["id"]),
        "subject": question["title"],
        "description": question["content_html"],
        "type": "Question",
        "status": status,
        "source": 2,
        "requester_id": people[question["author"]],
        "responder_id": last if last is not None and last < _FIRST_PERSON + _AGENTS else None,
        "tags": [*question["tags"], *(["is_spam"] if question["is_spam"] else [])],
        "custom_fields": {"cf_topic": question["topic"], "cf_locale": question["locale"], "cf_url": question["url"]},
        "created_at": _stamp(question["created"]),
        "updated_at": newest,
        "stats": {name: value for name, value in stats.items() if value},
    }


def _messages(question: Row, people: dict[str, int]) -> Iterator[Row]:
    for answer in question["answers"]:
        yield {
            "id": int(answer["id"]),
            "ticket_id": int(question["id"]),
            "body": answer["content_html"],
            "incoming": answer["role"] == "requester",
            "user_id": people[answer["author"]],
            "source": 0,
            "created_at": _stamp(answer["created"]),
            "updated_at": _stamp(answer["updated"] or answer["created"]),
        }


def _articles(desk: Desk, articles: list[Row]) -> None:
    """Category = first product, folder = first topic in it; ids of articles are those of the data."""
    made: dict[tuple[str, ...], Row] = {}

    def place(*names: str) -> Row:
        if names not in made:
            row: Row = {"id": _FIRST_SOLUTION + len(made), "name": names[-1].replace("-", " ").capitalize()}
            made[names] = row | {"created_at": _MADE, "updated_at": _ARTICLES_MADE, "description": None}
        return made[names]

    rows: list[Row] = []
    for article in articles:
        product = (article.get("products") or ["general"])[0]
        topic = (article.get("topics") or ["other"])[0]
        category = place(product)
        folder = place(product, topic)
        folder |= {"category_id": category["id"], "visibility": 1, "parent_folder_id": None}
        rows.append(
            {
                "id": int(article["id"]),
                "title": article["title"],
                "description": article.get("html") or article.get("text") or "",
                "status": 2,
                "folder_id": folder["id"],
                "agent_id": _FIRST_PERSON,
                "tags": article.get("topics") or [],
                "seo_data": {"meta_title": article["title"], "meta_description": article.get("summary") or ""},
                "created_at": _ARTICLES_MADE,
                "updated_at": _ARTICLES_MADE,
            }
        )
    desk.categories.fill(row for names, row in made.items() if len(names) == 1)
    desk.folders.fill(row for names, row in made.items() if len(names) == 2)
    desk.articles.fill(rows)
