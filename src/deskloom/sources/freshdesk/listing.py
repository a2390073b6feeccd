"""Every object of a stream, by key and change mark: the walks of the reads, but without what hangs on an object."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from deskloom.errors import SourceRejected
from deskloom.model import Json
from deskloom.protocols import Listed, nothing_known
from deskloom.sources.freshdesk.people import BLOCKED, FilteredStream
from deskloom.sources.freshdesk.tickets import TicketStream, Window
from deskloom.sources.freshworks.listing import as_listed
from deskloom.sources.freshworks.passes import LISTS, SILENT
from deskloom.sources.freshworks.values import EPOCH, instant, ticket_stamp, ticket_state


async def list_tickets(stream: TicketStream) -> AsyncIterator[Sequence[Listed]]:
    """All three passes from the beginning, 1 credit for 100 tickets.

    Archived tickets may be missing (no list is known to hold them); merged ones are closed tickets like others. A
    ticket that moves from one list to the other meanwhile is met in both, or in none.
    """
    for listed in LISTS:
        async with aclosing(stream.steps(listed, Window(EPOCH), include="")) as steps:
            async for _, step in steps:
                states = [(row, ticket_state(row, listed)) for row in step.new]
                yield [
                    Listed(
                        key=str(int(row["id"])),
                        stamp=ticket_stamp(row, state, step.answer.at),
                        gone=state in SILENT,
                        updated_at=instant(row.get("updated_at")),
                    )
                    for row, state in states
                ]


async def list_people(stream: FilteredStream) -> AsyncIterator[Sequence[Listed]]:
    """Contacts, the blocked and the deleted ones too, or companies: 1 credit for 100."""
    cursor: Json = {}
    for part in stream.parts:
        try:
            async with aclosing(stream.part(part, cursor, None, nothing_known)) as pages:
                async for page in pages:
                    yield as_listed(page.records)
                    cursor = {name: value for name, value in page.cursor.items() if name == "filter"}
        except SourceRejected:
            if part != BLOCKED:
                raise
            # An account that knows no such state: its blocked contacts are then asked for one by one.
