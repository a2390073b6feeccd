"""How fast the record takes tickets: rows and statements first, seconds second, beside bare sqlite3 with the same rows.

Use: python benchmarks/record.py [tickets] [--url postgresql://…]
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sqlite3
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import event, text

from deskloom.model import Kind, Message, Ticket
from deskloom.record import Record, open_record, upgrade
from deskloom.record.documents import mark_stale
from deskloom.record.logs import log_items
from deskloom.record.store import stamps, store

PAGE = 100
EACH = 3
START = datetime(2025, 1, 1, tzinfo=UTC)
WORDS = (
    "printer",
    "invoice",
    "login",
    "password",
    "network",
    "order",
    "account",
    "update",
    "screen",
    "folder",
    "toner",
)


def make_tickets(count: int, seed: int = 7) -> list[Ticket]:
    """Invented tickets of about the size of real ones (1 kB of text each, and 700 bytes a message)."""
    random_words = random.Random(seed)
    made = []
    for number in range(1, count + 1):
        moment = START + timedelta(seconds=number)
        said = tuple(
            Message(
                external_id=number * 10 + place,
                private=place == 2,
                incoming=place == 0,
                kind="reply",
                body_html="<p>" + (body := " ".join(random_words.choices(WORDS, k=50))) + "</p>",
                body_text=body,
                from_email="someone@example.com",
                to_emails=("support@example.com",),
                author_id=number,
                created_at=moment + timedelta(minutes=place),
                updated_at=moment + timedelta(minutes=place),
                raw={"id": number * 10 + place, "body_text": body, "attachments": []},
            )
            for place in range(EACH)
        )
        asked = " ".join(random_words.choices(WORDS, k=80))
        made.append(
            Ticket(
                external_id=number,
                stamp=moment.isoformat(),
                subject=asked[:60],
                description_html=f"<p>{asked}</p>",
                description_text=asked,
                status=2,
                priority=1,
                requester_id=number,
                tags=("a", "b"),
                created_at=moment,
                updated_at=moment,
                messages=said,
                raw={"id": number, "description_text": asked, "spam": False},
            )
        )
    return made


async def bench(record: Record, tickets: list[Ticket]) -> dict[str, tuple[int, float]]:
    """Statements and seconds of a first pass, a second with equal tickets, one with a new status, and the stamps."""
    statements = 0

    def count(*_: object) -> None:
        nonlocal statements
        statements += 1

    event.listen(record._engine.sync_engine, "before_cursor_execute", count)
    figures: dict[str, tuple[int, float]] = {}
    changed = [_with_status(ticket) for ticket in tickets]
    for name, items in (("store", tickets), ("store again, equal", tickets), ("store again, new status", changed)):
        statements, before = 0, time.perf_counter()
        for start in range(0, len(items), PAGE):
            async with record.transaction() as tx:
                await store(tx, "bench", items[start : start + PAGE], now=START)
        figures[name] = (statements, time.perf_counter() - before)
    statements, before = 0, time.perf_counter()
    for start in range(0, len(tickets), PAGE):
        async with record.transaction() as tx:
            page = tickets[start : start + PAGE]
            await mark_stale(tx, "support_tickets", "bench", [(item.key, "") for item in page], now=START)
            await log_items(tx, "support_tickets", [(item.key, "ticket") for item in page], now=START)
    figures["mark stale and log"] = (statements, time.perf_counter() - before)
    statements, before = 0, time.perf_counter()
    for start in range(0, len(tickets), PAGE):
        async with record.reading() as tx:
            await stamps(tx, "bench", Kind.TICKET, [item.key for item in tickets[start : start + PAGE]])
    figures["look up stamps"] = (statements, time.perf_counter() - before)
    return figures


def _with_status(ticket: Ticket) -> Ticket:
    return replace(ticket, status=4, stamp=f"{ticket.stamp}b")


def floor(source: Path, target: Path) -> float:
    """Seconds bare sqlite3 takes to insert the rows the record holds, in transactions of as many tickets."""
    old = sqlite3.connect(source)
    new = sqlite3.connect(target, isolation_level=None)
    new.execute("PRAGMA journal_mode=WAL")
    new.execute("PRAGMA synchronous=NORMAL")
    for (sql,) in old.execute(
        "SELECT sql FROM sqlite_master WHERE tbl_name IN ('tickets', 'messages') AND sql IS NOT NULL AND type != 'view'"
    ).fetchall():
        new.execute(sql)
    tickets = old.execute("SELECT * FROM tickets ORDER BY external_id").fetchall()
    messages = old.execute("SELECT * FROM messages ORDER BY ticket_id, external_id").fetchall()
    old.close()
    holes = [",".join("?" * len(rows[0])) for rows in (tickets, messages)]
    before = time.perf_counter()
    for start in range(0, len(tickets), PAGE):
        new.execute("BEGIN IMMEDIATE")
        new.executemany(f"INSERT INTO tickets VALUES ({holes[0]})", tickets[start : start + PAGE])
        new.executemany(f"INSERT INTO messages VALUES ({holes[1]})", messages[start * EACH : (start + PAGE) * EACH])
        new.execute("COMMIT")
    seconds = time.perf_counter() - before
    new.close()
    return seconds


async def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("tickets", nargs="?", type=int, default=20_000)
    parser.add_argument("--url")
    options = parser.parse_args()
    tickets = make_tickets(options.tickets)
    rows = options.tickets * (1 + EACH)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "record.db"
        record = open_record(options.url or f"sqlite:///{path}")
        await upgrade(record)
        figures = await bench(record, tickets)
        async with record.reading() as tx:
            stored = [
                (await tx.execute(text(f"SELECT count(*) FROM {name}"))).scalar() for name in ("tickets", "messages")
            ]
        await record.aclose()
        print(f"{stored[0]} tickets, {stored[1]} messages, pages of {PAGE}, {record.dialect}")
        for name, (statements, seconds) in figures.items():
            print(f"{name:26}{statements:8} statements {seconds:8.2f} s {rows / seconds:10.0f} rows/s")
        if record.dialect == "sqlite":
            bare = floor(path, Path(folder) / "bare.db")
            print(f"{'floor: bare sqlite3':26}{'':8}            {bare:8.2f} s {rows / bare:10.0f} rows/s")
            print(f"store ÷ floor: {figures['store'][1] / bare:.1f}")


if __name__ == "__main__":
    asyncio.run(main())
