"""The Freshservice source: which streams there are, and which module reads each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Protocol

from deskloom.errors import InvalidRequest, NotFound
from deskloom.http import Client
from deskloom.model import Cursor, Json, Kind, Page, Record
from deskloom.protocols import Known, Listed, Stream, nothing_known
from deskloom.sources.freshworks.reader import FRESHSERVICE, Reader


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
        self._account_field = account_field
        self._hours_days = hours_days
        self._reader = Reader(client, FRESHSERVICE)

    async def check(self) -> Json:
        raise NotImplementedError

    async def read(
        self, stream: str, after: Cursor | None, *, limit: int | None = None, known: Known = nothing_known
    ) -> AsyncIterator[Page]:
        """Pages of changed records; see the module of the stream for its walk."""
        async with aclosing(self._stream(stream).read(after, limit=limit, known=known)) as pages:  # type: ignore[type-var]
            async for page in pages:
                yield page

    def cursor_since(self, stream: str, when: datetime) -> Cursor:
        raise NotImplementedError

    async def listing(self, stream: str) -> AsyncIterator[Sequence[Listed]]:
        raise NotFound(f"There is no list of all {stream} at {self.account}.", stream=stream)
        yield

    async def fetch(self, stream: str, key: str) -> Record | None:
        raise NotImplementedError

    def link(self, kind: Kind, key: str) -> str | None:
        """Where an agent reads the object in the helpdesk."""
        raise NotImplementedError

    async def aclose(self) -> None:
        await self._client.aclose()

    def _stream(self, stream: str) -> _Reads:
        raise InvalidRequest(
            f'Freshservice has no stream "{stream}". Streams: {", ".join(self.streams)}.', parameter="stream"
        )
