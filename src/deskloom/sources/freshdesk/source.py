"""The Freshdesk source: which streams there are, and which module reads each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any, Protocol

from deskloom.errors import AccessRefused, InvalidRequest, NotFound, Unreadable, WrongProduct
from deskloom.http import Client
from deskloom.model import Cursor, Json, Kind, Page, Record
from deskloom.protocols import Known, Listed, Stream, nothing_known
from deskloom.sources.freshdesk import hours, tickets
from deskloom.sources.freshdesk.listing import list_people, list_tickets
from deskloom.sources.freshdesk.mapping import to_agent, to_company, to_contact
from deskloom.sources.freshdesk.messages import TicketReader
from deskloom.sources.freshdesk.people import CONTACTS, FilteredStream, find_agents, find_codes, list_agents, list_codes
from deskloom.sources.freshdesk.solutions import SolutionStream
from deskloom.sources.freshworks.articles import list_articles
from deskloom.sources.freshworks.listing import as_listed
from deskloom.sources.freshworks.lists import WholeStream
from deskloom.sources.freshworks.reader import FRESHDESK, OVERLAP, Absent, Reader
from deskloom.sources.freshworks.values import integer, iso, object_of, text

_SCOPES = {1: "global", 2: "group", 3: "restricted"}


class _Reads(Protocol):
    def read(self, after: Cursor | None, *, limit: int | None, known: Known) -> AsyncIterator[Page]: ...


class FreshdeskSource:
    """One account, read through one client. `account_field` is the custom field with a company's account number.

    `hours_days` is how far back time entries are read again.
    """

    kind: str = "freshdesk"
    streams: Mapping[str, Stream] = {
        "codes": Stream("codes", Kind.CODES),
        "agents": Stream("agents", Kind.AGENT),
        "companies": Stream("companies", Kind.COMPANY),
        "contacts": Stream("contacts", Kind.CONTACT),
        "tickets": Stream(
            "tickets", Kind.TICKET, "support_tickets", needs=("codes", "agents", "companies", "contacts")
        ),
        "kb": Stream("kb", Kind.ARTICLE, "kb_procedures"),
        "hours": Stream("hours", Kind.HOURS, needs=("agents",)),
    }

    def __init__(
        self, name: str, client: Client, *, account_field: str = "account_number", hours_days: int = 45
    ) -> None:
        self.name = name
        self.account = client.address.host
        self._client = client
        self._account_field = account_field
        self._reader = Reader(client, FRESHDESK)
        self._children = TicketReader(self._reader)
        self._solutions = SolutionStream(self._reader)
        self._hours = hours.HoursStream(self._reader, timedelta(days=hours_days))

    async def check(self) -> Json:
        """Who the key belongs to and what it may read; raises `Fatal` with the remedy where it may not."""
        path = "/agents/me"
        try:
            me = await self._reader.one(path, kind="me", refusals=1)
        except Absent:
            raise self._reader.nowhere(path) from None
        contact = me.get("contact")
        if not isinstance(contact, dict):
            raise WrongProduct(
                f"{self.account} does not answer as Freshdesk does. Give the domain of a Freshdesk account.", path=path
            )
        scope = integer(me.get("ticket_scope"))
        facts: Json = {
            "account": self.account,
            "agent": text(contact.get("name")),
            "email": text(contact.get("email")),
            "ticket_scope": _SCOPES.get(scope or 0, str(scope)),
            "warnings": [],
        }
        if scope != 1:
            facts["warnings"].append(
                f"The key's agent sees {facts['ticket_scope']} tickets only: other tickets will be missing without an "
                f"error. Use the key of an agent with global ticket scope."
            )
        return facts

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
        if stream == "tickets":
            return tickets.cursor_since(when)
        if stream == "kb":
            return {"since": iso(when)}
        if stream == "hours":
            return hours.cursor_since(when)
        return {"mark": iso(when + OVERLAP)} if stream in ("companies", "contacts") else {}

    async def listing(self, stream: str) -> AsyncIterator[Sequence[Listed]]:
        """Every object of a stream by key and change mark; see `listing` for what each list holds and costs."""
        match stream:
            case "tickets":
                batches = list_tickets(tickets.TicketStream(self._reader, self._children))
            case "kb":
                batches = list_articles(self._solutions.walk, self._reader)
            case "agents":
                yield as_listed(await list_agents(self._reader))
                return
            case "companies" | "contacts":
                batches = list_people(self._filtered(stream))
            case _:
                raise NotFound(f"There is no list of all {stream} at {self.account}.", stream=stream)
        async with aclosing(batches) as listed:  # type: ignore[type-var]
            async for batch in listed:
                yield batch

    async def fetch(self, stream: str, key: str) -> Record | None:
        """One object, whole; None when it is gone."""
        self._stream(stream)
        if stream == "hours":
            return await self._hours.fetch(key)
        number = key.partition(":")[0]
        if stream != "codes" and not (number.isascii() and number.isdigit()):
            raise InvalidRequest(f'"{key}" is not an id of {stream} at {self.account}.', parameter="id")
        match stream:
            case "tickets":
                return await self._children.fetch(key)
            case "kb":
                return await self._solutions.fetch(key)
            case "codes":
                return next((one for one in await list_codes(self._reader) if one.key == key), None)
        try:
            row = await self._reader.one(f"/{stream}/{key}", kind=f"one of {stream}", refusals=1)
        except Absent:
            return None
        except AccessRefused as error:
            raise Unreadable(error.message, key=key) from None
        if stream == "agents":
            return to_agent(row)
        return self._filtered(stream).record(row)

    def link(self, kind: Kind, key: str) -> str | None:
        """Where an agent reads the object in the helpdesk."""
        paths: dict[Any, str] = {
            Kind.TICKET: f"/a/tickets/{key}",
            Kind.ARTICLE: f"/a/solutions/articles/{key.partition(':')[0]}",
            Kind.CONTACT: f"/a/contacts/{key}",
            Kind.COMPANY: f"/a/companies/{key}",
        }
        return self._client.address.url + paths[kind] if kind in paths else None

    async def aclose(self) -> None:
        await self._client.aclose()

    def _stream(self, stream: str) -> _Reads:
        match stream:
            case "tickets":
                return tickets.TicketStream(self._reader, self._children)
            case "kb":
                return self._solutions
            case "hours":
                return self._hours
            case "codes":
                return WholeStream(self._reader, Kind.CODES, lambda: find_codes(self._reader))
            case "agents":
                return WholeStream(self._reader, Kind.AGENT, lambda: find_agents(self._reader))
            case "companies" | "contacts":
                return self._filtered(stream)
        raise InvalidRequest(
            f'Freshdesk has no stream "{stream}". Streams: {", ".join(self.streams)}.', parameter="stream"
        )

    def _filtered(self, stream: str) -> FilteredStream:
        if stream == "contacts":
            spellings = ("updated_since", "_updated_since")
            return FilteredStream(self._reader, Kind.CONTACT, "/contacts", to_contact, spellings, CONTACTS)
        return FilteredStream(
            self._reader,
            Kind.COMPANY,
            "/companies",
            lambda row: to_company(object_of(row), self._account_field),
            ("updated_since",),
        )
