"""The rig of `tests/contracts/source.py` for Freshservice: a sandbox account a stream, and hands that spoil it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from tests.sources.desk import timing_of
from tests.sources.freshdesk_rig import _Hasty
from tests.sources.servicedesk import (
    MADE,
    empty_service,
    open_service,
    put_department,
    put_requester,
    put_workspace,
)

from deskloom.protocols import Source
from deskloom.sandbox import Fault, SandboxServer
from deskloom.sandbox.freshservice import FreshserviceDesk, Switches

_PATHS = {"companies": "departments/{}", "contacts": "requesters/{}", "kb": "solutions/articles/{}"}
_CHANGES: dict[str, dict[str, Any]] = {
    "companies": {"name": "Aaron Renamed"},
    "contacts": {"first_name": "Aaron"},
    "kb": {"title": "Changed"},
}
A_DAY = 86_400 + 600


@dataclass
class FreshserviceRig:
    """One account whose `stream` is read; every request goes over real HTTP to the sandbox."""

    stream: str
    desk: FreshserviceDesk
    url: str
    source: Source
    spare: list[int] = field(default_factory=list)

    def expected(self) -> set[str]:
        if self.stream == "companies":
            clients = [-row["id"] for row in self.desk.workspaces] if self.desk.msp else []
            return {str(key) for key in [*clients, *(row["id"] for row in self.desk.departments)]}
        if self.stream == "contacts":
            return {str(row["id"]) for row in self.desk.requesters if row["active"]}
        return {f"{row['id']}:und" for row in self.desk.articles}

    def change(self) -> str:
        self.pass_time()
        self.desk.perform({"method": "PUT", "path": self._path(1041), "body": _CHANGES[self.stream]})
        return self._key(1041)

    def remove(self) -> str:
        self.desk.perform({"method": "DELETE", "path": self._path(1017)})
        self.pass_time()
        return self._key(1017)

    def break_down(self, after: int) -> None:
        self.pass_time()  # so that nothing is answered from what was read a moment ago
        self.desk.faults.clear()
        self.desk.faults.add(Fault(match=".", kind="503", times=None, skip=after))

    def break_part(self) -> str | None:
        return None

    def limit_rate(self, seconds: int) -> None:
        self.desk.faults.add(Fault(match=".", kind="429", skip=1, retry_after=seconds))

    def refuse_key(self) -> None:
        self.desk.key = "another key"

    def pass_time(self) -> None:
        """A day and some minutes: lists without an update filter are read once a day."""
        self.desk.clock.advance(A_DAY)

    def impatient(self) -> Source:
        hasty = _Hasty()
        timing = replace(timing_of(self.desk), sleep=hasty.sleep, monotonic=hasty.monotonic)
        return open_service(self.desk, self.url, timing=timing)

    def seconds(self) -> float:
        return self.desk.clock.now().timestamp()

    def calls(self) -> int:
        return self.desk.calls.total

    def _path(self, key: int) -> str:
        return _PATHS[self.stream].format(key)

    def _key(self, key: int) -> str:
        return f"{key}:und" if self.stream == "kb" else str(key)


def service_of(stream: str, *, msp: bool = False, **switches: Any) -> FreshserviceDesk:
    """More than a page of objects, most of them changed in the same second; in MSP mode of three clients."""
    desk = empty_service(switches=Switches(**switches), msp=msp)
    if msp:
        for key in (2, 3, 7):
            put_workspace(desk, key, f"Client {key}", kind="client")
    homes = (2, 3, 7) if msp else (2,)
    if stream == "companies":
        for key in range(1, 211):
            put_department(desk, 1000 + key, f"Department {key:03}", workspace=homes[key % len(homes)])
    elif stream == "contacts":
        for key in range(1, 211):
            put_requester(desk, 1000 + key, f"Person {key:03}", workspace_id=homes[key % len(homes)])
        desk.requesters.change(1005, active=False)
    else:
        desk.categories.put({"id": 44, "name": "Network", "workspace_id": 3 if msp else 2, **MADE})
        for folder, parent in ((55, None), (56, None), (57, 56)):
            row = {"id": folder, "name": f"Folder {folder}", "category_id": 44, "parent_folder_id": parent}
            desk.folders.put({**row, "visibility": 1, **MADE})
        for key in range(1, 121):
            row = {"id": 1000 + key, "title": f"Article {key}", "description": f"<p>Text {key}</p>", "status": 2}
            desk.articles.put({**row, "agent_id": 1, "folder_id": 55 if key < 106 else 57, **MADE})
    return desk


@asynccontextmanager
async def serviced(stream: str, **options: Any) -> AsyncIterator[FreshserviceRig]:
    desk = service_of(stream, **options)
    with SandboxServer(desk) as sandbox:
        source = open_service(desk, sandbox.url)
        yield FreshserviceRig(stream, desk, sandbox.url, source)
        await source.aclose()
