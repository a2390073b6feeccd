"""The real Thunderbird data, served and copied: the record equals the source, field by field, row for row."""

from __future__ import annotations

import gzip
import os
from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from tests.rig import Install

from deskloom.record import tables
from deskloom.sandbox.freshdesk import state
from deskloom.sandbox.sumo import load_sumo

DATA = Path(os.environ.get("DESKLOOM_DATA", Path(__file__).parents[3] / "shared" / "data")) / "sumo-thunderbird"
SLICE = {"tickets.jsonl.gz": 90, "tickets_without_replies.jsonl.gz": 30, "kb_articles.jsonl.gz": 40}

TICKET = {
    "subject": "subject",
    "description_html": "description",
    "description_text": "description_text",
    "status": "status",
    "priority": "priority",
    "channel": "source",
    "type": "type",
    "requester_id": "requester_id",
    "responder_id": "responder_id",
    "company_id": "company_id",
    "tags": "tags",
    "custom_fields": "custom_fields",
    "created_at": "created_at",
    "updated_at": "updated_at",
}
MESSAGE = {
    "ticket_id": "ticket_id",
    "private": "private",
    "incoming": "incoming",
    "body_html": "body",
    "body_text": "body_text",
    "from_email": "from_email",
    "to_emails": "to_emails",
    "author_id": "user_id",
    "created_at": "created_at",
    "updated_at": "updated_at",
}
ARTICLE = {
    "title": "title",
    "body_html": "description",
    "body_text": "description_text",
    "folder_id": "folder_id",
    "category_id": "category_id",
    "author_id": "agent_id",
    "tags": "tags",
    "created_at": "created_at",
    "updated_at": "updated_at",
}
STATS = ("first_responded_at", "resolved_at", "closed_at")


def ours(row: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a row of the record."""
    return {name: row[name] for name in fields}


def theirs(row: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """The same fields as the source has them, times read."""
    return {name: moment(row[at]) if name.endswith("_at") else row[at] for name, at in fields.items()}


def moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


@pytest.mark.data
async def test_the_record_equals_the_source_field_by_field(install: Install, tmp_path: Path) -> None:
    """Every ticket, reply and article of a slice of the real data stands in the record as the source has it."""
    if not DATA.is_dir():
        pytest.skip(f"no real data at {DATA}; set DESKLOOM_DATA")
    folder = tmp_path / "slice"
    folder.mkdir()
    for name, count in SLICE.items():
        with gzip.open(DATA / name, "rt", encoding="utf-8") as lines, gzip.open(folder / name, "wt") as out:
            out.writelines(islice(lines, count))
    desk = load_sumo(folder)
    async with install(desk) as made:
        for stream in ("tickets", "kb"):
            run = await made.sync(stream, mode="full")
            assert run.state == "succeeded", run.errors
        tickets = {row["external_id"]: row for row in await made.rows(tables.tickets)}
        stats = dict.fromkeys(STATS)
        assert {key: ours(row, TICKET) | {name: row[name] for name in STATS} for key, row in tickets.items()} == {
            row["id"]: theirs(row, TICKET) | {name: moment(row["stats"][name]) for name in stats}
            for row in state.whole(desk, "tickets")
        }
        assert {row["external_id"]: ours(row, MESSAGE) for row in await made.rows(tables.messages)} == {
            row["id"]: theirs(row, MESSAGE) for row in state.whole(desk, "conversations")
        }
        assert {row["external_id"]: ours(row, ARTICLE) for row in await made.rows(tables.articles)} == {
            row["id"]: theirs(row, ARTICLE) for row in state.whole(desk, "articles")
        }
        assert await made.differences() == []
