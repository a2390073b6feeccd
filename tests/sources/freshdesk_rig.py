"""The rig of `tests/contracts/source.py` for Freshdesk: a sandbox account per stream, and the hands that spoil it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from tests.sources.desk import empty_desk, open_source, put_entry, put_message, put_ticket, stamp, timing_of

from deskloom.protocols import Source
from deskloom.sandbox import Desk, Fault, SandboxServer, Switches
from deskloom.sandbox.freshdesk.edits import perform


class _Hasty:
    """A clock of one's own that runs ahead: whoever waits by it does not wait at all."""

    def __init__(self) -> None:
        self.at = 0.0

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


@dataclass
class FreshdeskRig:
    """One account whose `stream` is read; every request goes over real HTTP to the sandbox."""

    stream: str
    desk: Desk
    url: str
    source: Source
    spare: list[int] = field(default_factory=list)

    def expected(self) -> set[str]:
        if self.stream == "tickets":
            return {str(key) for key in self.desk.tickets.ids("updated", "live")}
        if self.stream == "contacts":
            return {str(key) for key in self.desk.contacts.ids("name", "live")}
        if self.stream == "hours":
            return {str(row["id"]) for row in self.desk.time_entries if not row["timer_running"]}
        return {f"{row['id']}:en" for row in self.desk.articles}

    def change(self) -> str:
        self.pass_time()
        if self.stream == "tickets":
            perform(self.desk, {"method": "PUT", "path": "tickets/41", "body": {"priority": 4}})
            self.pass_time()
            return "41"
        if self.stream == "contacts":
            perform(self.desk, {"method": "PUT", "path": "contacts/1041", "body": {"name": "Aaron Renamed"}})
            return "1041"
        if self.stream == "hours":
            perform(self.desk, {"method": "PUT", "path": "time_entries/81041", "body": {"note": "Changed"}})
            return "2026-10-01T00:00:00+00:00/2026-11-01T00:00:00+00:00"
        perform(self.desk, {"method": "PUT", "path": "solutions/articles/741", "body": {"title": "Changed"}})
        return "741:en"

    def remove(self) -> str:
        path, key = {
            "tickets": ("tickets/17", "17"),
            "contacts": ("contacts/1017", "1017"),
            "hours": ("time_entries/81017", "81017"),
            "kb": ("solutions/articles/717", "717:en"),
        }[self.stream]
        perform(self.desk, {"method": "DELETE", "path": path})
        self.pass_time()
        return key

    def break_down(self, after: int) -> None:
        self.desk.faults.clear()
        self.desk.faults.add(Fault(match=".", kind="503", times=None, skip=after))

    def break_part(self) -> str | None:
        if self.stream != "tickets":
            return None
        self.desk.faults.add(Fault(match=r"/tickets/23/conversations", kind="500", times=None))
        return "23"

    def limit_rate(self, seconds: int) -> None:
        self.desk.faults.add(Fault(match=".", kind="429", skip=1, retry_after=seconds))

    def refuse_key(self) -> None:
        self.desk.key = "another key"

    def pass_time(self) -> None:
        self.desk.clock.advance(600)

    def impatient(self) -> Source:
        hasty = _Hasty()
        timing = replace(timing_of(self.desk), sleep=hasty.sleep, monotonic=hasty.monotonic)
        return open_source(self.desk, self.url, timing=timing)

    def seconds(self) -> float:
        return self.desk.clock.now().timestamp()

    def calls(self) -> int:
        return self.desk.calls.total


def desk_of(stream: str, switches: Switches) -> Desk:
    """More than a page of objects, most of them changed in the same second, and some that are gone."""
    desk = empty_desk(switches=switches)
    if stream == "tickets":
        for key in range(1, 107):
            put_ticket(desk, key, 500 if key > 3 else key)
            if key % 3 == 0:
                put_message(desk, 1000 + key, key, private=key % 2 == 0)
        put_ticket(desk, 201, 7, deleted=True)
        put_ticket(desk, 202, 8, spam=True)
    elif stream == "contacts":
        for key in range(1, 351):
            row = {"id": 1000 + key, "name": f"Person {key:03}", "email": f"p{key}@example.com"}
            desk.contacts.put(row | {"created_at": stamp(0), "updated_at": stamp(key // 90)})
        desk.contacts.change(1005, deleted=True)
    elif stream == "hours":
        for key in range(1, 21):
            put_ticket(desk, key, key)
        for key in range(1, 251):
            put_entry(desk, 81_000 + key, key % 20 + 1, _worked(key), timer_running=key % 50 == 0)
    else:
        made = {"created_at": stamp(0), "updated_at": stamp(0)}
        desk.categories.put({"id": 44, "name": "Network", "description": None, **made})
        for folder, parent in ((55, None), (56, None), (57, 56)):
            row = {"id": folder, "name": f"Folder {folder}", "category_id": 44, "parent_folder_id": parent}
            desk.folders.put({**row, "visibility": 1, **made})
        for key in range(701, 821):
            row = {
                "id": key,
                "title": f"Article {key}",
                "description": f"<p>Text {key}</p>",
                "status": 2,
                "agent_id": 1,
            }
            folder = 55 if key < 806 else 57
            desk.articles.put({**row, "folder_id": folder, "category_id": 44, **made})
    return desk


def _worked(key: int) -> str:
    """Most of it in October, more than a page of it in one second; some months ago and some to come."""
    if key <= 150:
        return stamp(86_400)
    if key <= 200:
        return stamp(15_000 * (key - 150))
    return f"{2026 + key % 2}-{key % 12 + 1:02}-01T00:00:00Z"


@asynccontextmanager
async def rigged(stream: str, **switches: object) -> AsyncIterator[FreshdeskRig]:
    desk = desk_of(stream, Switches(**switches))  # type: ignore[arg-type]
    with SandboxServer(desk) as sandbox:
        source = open_source(desk, sandbox.url)
        try:
            yield FreshdeskRig(stream, desk, sandbox.url, source)
        finally:  # a check may be skipped
            await source.aclose()
