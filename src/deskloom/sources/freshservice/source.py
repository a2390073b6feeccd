"""The Freshservice source: which streams there are, and which module reads each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Protocol

from deskloom.errors import InvalidRequest, NotFound
from deskloom.http import Client
from deskloom.model import Cursor, Json, Kind, Page, Record
from deskloom.protocols import Known, Listed, Stream, nothing_known
from deskloom.sources.freshservice import hours, tickets
from deskloom.sources.freshservice.codes import CodeTables
from deskloom.sources.freshservice.departments import Departments
from deskloom.sources.freshservice.hours import HoursStream
from deskloom.sources.freshservice.lists import Lists, not_read
from deskloom.sources.freshservice.messages import TicketReader
from deskloom.sources.freshservice.people import Requesters, fetch_agent, find_agents, list_agents
from deskloom.sources.freshservice.solutions import Solutions
from deskloom.sources.freshservice.tickets import TicketStream
from deskloom.sources.freshservice.workspaces import Division, Workspaces
from deskloom.sources.freshworks.articles import list_articles
from deskloom.sources.freshworks.listing import as_listed
from deskloom.sources.freshworks.lists import WholeStream
from deskloom.sources.freshworks.reader import FRESHSERVICE, Absent, Reader
from deskloom.sources.freshworks.values import iso, text

_EVERYTHING = "entire_helpdesk"
"""The scope of a role that sees all tickets."""


class _Reads(Protocol):
    def read(self, after: Cursor | None, *, limit: int | None, known: Known) -> AsyncIterator[Page]: ...


class FreshserviceSource:
    """One account, read through one client. `account_field` is the custom field with a department's account number;
    `hours_days` is how far back the stream `hours` reads time entries again."""

    kind: str = "freshservice"
    streams: Mapping[str, Stream] = {
        "codes": Stream("codes", Kind.CODES),
        "agents": Stream("agents", Kind.AGENT),
        "companies": Stream("companies", Kind.COMPANY),
        "contacts": Stream("contacts", Kind.CONTACT),
        "tickets": Stream(
            "tickets", Kind.TICKET, "support_tickets", needs=("codes", "agents", "companies", "contacts")
        ),
        "kb": Stream("kb", Kind.ARTICLE, "kb_procedures"),
        "hours": Stream("hours", Kind.HOURS),
    }

    def __init__(
        self, name: str, client: Client, *, account_field: str = "account_number", hours_days: int = 45
    ) -> None:
        self.name = name
        self.account = client.address.host
        self._client = client
        self._hours_days = hours_days
        self._reader = Reader(client, FRESHSERVICE)
        self._workspaces = Workspaces(self._reader)
        self._codes = CodeTables(self._reader, self._workspaces)
        self._departments = Departments(self._reader, self._workspaces, account_field)
        self._requesters = Requesters(self._reader, self._workspaces)
        self._solutions = Solutions(self._reader)
        self._children = TicketReader(self._reader, self._workspaces)
        self._lists = Lists(self._reader)

    async def check(self) -> Json:
        """Who the key belongs to, how the account is divided, and what the key may not read of it.

        Raises `Fatal` with the remedy where it may read nothing.
        """
        path = "/agents/me"
        try:
            me = await self._reader.one(path, kind="me", refusals=1)
        except Absent:
            raise self._reader.nowhere(path) from None
        division = await self._workspaces.division()
        return {
            "account": self.account,
            "agent": " ".join(filter(None, (text(me.get("first_name")), text(me.get("last_name"))))) or None,
            "email": text(me.get("email")),
            "mode": "MSP" if division.msp else "workspaces" if len(division.workspaces) > 1 else "plain",
            "workspaces": [space.name or str(space.id) for space in division.workspaces],
            "warnings": [*_warnings(me, division), *await self._departments.check()],
        }

    async def read(
        self, stream: str, after: Cursor | None, *, limit: int | None = None, known: Known = nothing_known
    ) -> AsyncIterator[Page]:
        """Pages of changed records; see the module of the stream for its walk."""
        async with aclosing(self._stream(stream).read(after, limit=limit, known=known)) as pages:  # type: ignore[type-var]
            async for page in pages:
                yield page

    def cursor_since(self, stream: str, when: datetime) -> Cursor:
        """The cursor from which a read yields what changed at or after `when`; lists without stamps are read whole."""
        self._stream(stream)
        match stream:
            case "tickets":
                return tickets.cursor_since(when)
            case "hours":
                return hours.cursor_since(when)
            case "kb":
                return {"since": iso(when)}
        return {}

    async def listing(self, stream: str) -> AsyncIterator[Sequence[Listed]]:
        """Every object of a stream by key and change mark; raises where a part of the account is closed to the key."""
        match stream:
            case "tickets":
                batches = self._tickets().listing()
            case "agents":
                yield as_listed(await list_agents(self._reader))
                return
            case "companies":
                yield as_listed(await self._departments.every())
                return
            case "contacts":
                batches = self._requesters.listing()
            case "kb":
                batches = list_articles(self._solutions.walk, self._reader)
            case _:
                raise NotFound(f"There is no list of all {stream} at {self.account}.", stream=stream)
        async with aclosing(batches) as listed:  # type: ignore[type-var]
            async for batch in listed:
                yield batch

    async def fetch(self, stream: str, key: str) -> Record | None:
        """One object, whole; None when it is gone. A client of an MSP account is a company with a negative id."""
        self._stream(stream)
        number = key.partition(":")[0].removeprefix("-" if stream == "companies" else "")
        if stream != "codes" and not (number.isascii() and number.isdigit()):
            raise InvalidRequest(f'"{key}" is not an id of {stream} at {self.account}.', parameter="id")
        match stream:
            case "codes":
                return await self._codes.fetch(key)
            case "agents":
                return await fetch_agent(self._reader, key)
            case "companies":
                return await self._departments.fetch(key)
            case "contacts":
                return await self._requesters.fetch(key)
            case "kb":
                return await self._solutions.fetch(key)
            case "hours":
                return await self._hours().fetch(key)
        return await self._children.fetch(key)

    def link(self, kind: Kind, key: str) -> str | None:
        """Where an agent reads the object in the helpdesk; None where it has no page of its own."""
        paths = {
            Kind.TICKET: f"/a/tickets/{key}",
            Kind.ARTICLE: f"/a/solutions/articles/{key.partition(':')[0]}",
            Kind.CONTACT: f"/itil/requesters/{key}",
            Kind.COMPANY: f"/itil/departments/{key}",
        }
        return None if kind not in paths or key.startswith("-") else self._client.address.url + paths[kind]

    async def aclose(self) -> None:
        await self._client.aclose()

    def _stream(self, stream: str) -> _Reads:
        match stream:
            case "tickets":
                return self._tickets()
            case "hours":
                return self._hours()
            case "codes":
                return WholeStream(self._reader, Kind.CODES, self._codes.find)
            case "agents":
                return WholeStream(self._reader, Kind.AGENT, lambda: find_agents(self._reader))
            case "companies":
                return WholeStream(self._reader, Kind.COMPANY, self._departments.find, self._departments.field)
            case "contacts":
                return self._requesters
            case "kb":
                return self._solutions
        raise InvalidRequest(
            f'Freshservice has no stream "{stream}". Streams: {", ".join(self.streams)}.', parameter="stream"
        )

    def _tickets(self) -> TicketStream:
        return TicketStream(self._reader, self._workspaces, self._children, self._lists)

    def _hours(self) -> HoursStream:
        days = timedelta(days=self._hours_days)
        return HoursStream(self._reader, self._workspaces, self._children, self._lists, days)


def _warnings(me: Json, division: Division) -> list[str]:
    """What would be missing without an error: tickets that the key's agent does not see, and closed workspaces."""
    said = not_read(division, {})
    roles = [role for role in me.get("roles") or () if isinstance(role, dict)]
    scopes = {scope for role in roles if (scope := text(role.get("assignment_scope")))}
    if scopes and _EVERYTHING not in scopes:
        said.append(
            f"The key's agent sees {' and '.join(sorted(scopes)).replace('_', ' ')} only: other tickets will be "
            f"missing without an error. Use the key of an agent whose role covers the entire helpdesk."
        )
    member = me.get("workspace_ids")
    outside = [space for space in division.workspaces if isinstance(member, list) and member and space.id not in member]
    if outside and len(division.workspaces) > 1:
        names = ", ".join(space.name or str(space.id) for space in outside)
        said.append(f"The key's agent is not a member of these workspaces, which may be closed to it: {names}.")
    return said
