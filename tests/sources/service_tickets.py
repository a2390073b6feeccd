"""Tickets of a Freshservice account in the sandbox, and the rig of the source contract over them and their hours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from tests.sources.desk import put_entry, put_message, put_ticket, stamp, timing_of
from tests.sources.freshdesk_rig import _Hasty
from tests.sources.servicedesk import empty_service, open_service, put_workspace

from deskloom.protocols import Source
from deskloom.sandbox import Fault, SandboxServer
from deskloom.sandbox.freshservice import FreshserviceDesk, Switches


@dataclass
class TicketRig:
    """One account whose stream `tickets`, or `hours`, is read; every request goes over real HTTP to the sandbox."""

    stream: str
    desk: FreshserviceDesk
    url: str
    source: Source
    step: float = 600

    def expected(self) -> set[str]:
        if self.stream == "hours":
            return {str(row["id"]) for row in self.desk.time_entries}
        return {str(key) for key in self.desk.tickets.ids("updated", "live")}

    def change(self) -> str:
        self.pass_time()
        if self.stream == "hours":
            self.desk.time_entries.change(1021, time_spent="04:00")
        else:
            self.desk.perform({"method": "PUT", "path": "tickets/21", "body": {"priority": 4}})
        self.pass_time()
        return "21"

    def remove(self) -> str:
        if self.stream == "hours":
            self.desk.time_entries.drop(1017)
            return "1017"
        self.desk.perform({"method": "DELETE", "path": "tickets/17"})
        self.pass_time()
        return "17"

    def break_down(self, after: int) -> None:
        self.pass_time()  # so that the workspaces are asked for again
        self.desk.faults.clear()
        self.desk.faults.add(Fault(match=".", kind="503", times=None, skip=after))

    def break_part(self) -> str | None:
        if self.stream == "hours":
            return None
        self.desk.faults.add(Fault(match=r"/tickets/23/conversations", kind="500", times=None))
        return "23"

    def limit_rate(self, seconds: int) -> None:
        self.desk.faults.add(Fault(match=".", kind="429", skip=1, retry_after=seconds))

    def refuse_key(self) -> None:
        self.desk.key = "another key"

    def pass_time(self) -> None:
        self.desk.clock.advance(self.step)

    def impatient(self) -> Source:
        hasty = _Hasty()
        timing = replace(timing_of(self.desk), sleep=hasty.sleep, monotonic=hasty.monotonic)
        return open_service(self.desk, self.url, timing=timing)

    def seconds(self) -> float:
        return self.desk.clock.now().timestamp()

    def calls(self) -> int:
        return self.desk.calls.total


def desk_of_tickets(*, live: int = 26, spaces: int = 1, msp: bool = False, **switches: Any) -> FreshserviceDesk:
    """More than a page of tickets, most of them changed in the same second, and most of them deleted (they cost least).

    They were not made in the order in which they changed. `spaces`: so many workspaces; 1: none is listed.
    """
    desk = empty_service(switches=Switches(**switches), msp=msp)
    homes = (2, 3, 7, 8)[:spaces]
    for home in homes if spaces > 1 or msp else ():
        put_workspace(desk, home, f"Space {home}", kind="client" if msp else "workspace")
    for key in range(1, live + 1):
        at = {"created_at": stamp(-key * 7 % 101), "workspace_id": homes[0] if key % 4 else homes[-1]}
        put_ticket(desk, key, [500, 501, key][0 if key > 20 else 1 if key > 10 else 2], **at)
        if key % 3 == 0:
            put_message(desk, 1000 + key, key, private=key % 2 == 0)
        put_entry(desk, 1000 + key, key, stamp(key))
    for key in range(101, 206):
        put_ticket(desk, key, 500 + key % 2, created_at=stamp(-key * 7 % 101), deleted=True, workspace_id=homes[0])
    put_ticket(desk, 301, 8, spam=True, workspace_id=homes[-1])
    return desk


@asynccontextmanager
async def ticketed(stream: str = "tickets", *, step: float = 600, **options: Any) -> AsyncIterator[TicketRig]:
    desk = desk_of_tickets(**options)
    with SandboxServer(desk) as sandbox:
        source = open_service(desk, sandbox.url)
        [batch async for batch in source.listing("tickets")]  # what the account takes is found out once
        try:
            yield TicketRig(stream, desk, sandbox.url, source, step)
        finally:
            await source.aclose()
