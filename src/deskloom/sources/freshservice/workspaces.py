"""How an account is divided: its workspaces, which in MSP accounts are the clients (HELPDESK-APIS 3.1, 3.8)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from deskloom.errors import AccessRefused
from deskloom.model import Json
from deskloom.sources.freshworks.reader import Absent, Reader
from deskloom.sources.freshworks.values import object_of, text

FRESH = timedelta(minutes=10)
"""How long an answer serves: all streams of one run share it."""
GLOBAL = 1
"""The workspace of an MSP account that is nobody's: it holds what is common to all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """One part of an account. `row` is what the helpdesk says of it, with the fields of a client under `metadata`."""

    id: int
    name: str | None
    client: bool
    primary: bool
    row: Json = field(default_factory=dict)

    @property
    def fields(self) -> Json:
        """The custom fields of a client; none for other workspaces."""
        return object_of(object_of(self.row.get("metadata")).get("custom_fields"))


@dataclass(frozen=True, slots=True)
class Division:
    """The workspaces of an account, the primary one first; none where there is only one (or the plan has none).

    `refused` says why they may not be read: then the account may have more parts than the one that lists show.
    """

    workspaces: tuple[Workspace, ...] = ()
    refused: str | None = None

    @property
    def msp(self) -> bool:
        """Whether the account is one of *Freshservice for MSPs*: departments and requesters belong to a client."""
        return any(one.client for one in self.workspaces)

    @property
    def clients(self) -> tuple[Workspace, ...]:
        return tuple(one for one in self.workspaces if one.client)

    def get(self, id: int | None) -> Workspace | None:
        return next((one for one in self.workspaces if one.id == id), None)


@dataclass(slots=True)
class Workspaces:
    """Reads the workspaces of one account, at most every `FRESH`: every list that is read per workspace begins here."""

    reader: Reader
    _read: Division | None = field(default=None, init=False)
    _at: datetime | None = field(default=None, init=False)
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def division(self) -> Division:
        """The workspaces as they are now, or were a moment ago."""
        async with self._asking:  # tickets are read side by side: one of them asks for all
            now = self.reader.client.now()  # which goes back by parts of a second, since answers tell whole ones
            if self._read is None or self._at is None or abs(now - self._at) >= FRESH:
                self._read, self._at = await self._ask(), self.reader.client.now()
            return self._read

    async def _ask(self) -> Division:
        try:
            rows = await self.reader.every("/workspaces", kind="workspaces", refusals=1)
        except Absent:
            return Division()
        except AccessRefused as error:
            if error.facts.get("code") == "require_feature":
                return Division()  # a plan without workspaces has one
            return Division(refused=error.message)
        found = [_workspace(row) for row in rows]
        return Division(tuple(sorted(found, key=lambda one: (not one.primary, one.id))))


def company_of_client(workspace_id: int) -> int:
    """The id that a client of an MSP account has as a company: departments and clients both count from 1."""
    return -workspace_id


def _workspace(row: Json) -> Workspace:
    id = int(row["id"])
    client = row.get("type") == "client" and id != GLOBAL
    return Workspace(id=id, name=text(row.get("name")), client=client, primary=row.get("primary") is True, row=row)
