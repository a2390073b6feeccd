"""Every object of a stream, by key and change mark: the walks of the reads, but without what hangs on an object."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from datetime import datetime

from deskloom.errors import SourceRejected, SourceUnavailable
from deskloom.model import Agent, Article, Company, Contact, Json, Kind, Record, TicketState, Tombstone
from deskloom.protocols import Listed, nothing_known
from deskloom.sources.freshdesk.people import BLOCKED, FilteredStream, WholeStream
from deskloom.sources.freshdesk.solutions import SolutionStream, Walked
from deskloom.sources.freshdesk.tickets import PASSES, TicketStream, Window
from deskloom.sources.freshworks.reader import Absent
from deskloom.sources.freshworks.values import EPOCH, instant, ticket_stamp, ticket_state

_DEAD = (TicketState.DELETED, TicketState.SPAM)


async def list_tickets(stream: TicketStream) -> AsyncIterator[Sequence[Listed]]:
    """All three passes from the beginning, 1 credit for 100 tickets.

    Archived tickets may be missing (no list is known to hold them); merged ones are closed tickets like others. A
    ticket that moves from one list to the other meanwhile is met in both, or in none.
    """
    for listed in PASSES:
        async with aclosing(stream.steps(listed, Window(EPOCH), include="")) as steps:
            async for _, step in steps:
                states = [(row, ticket_state(row, listed)) for row in step.new]
                yield [
                    Listed(
                        key=str(int(row["id"])),
                        stamp=ticket_stamp(row, state, step.answer.at),
                        gone=state in _DEAD,
                        updated_at=instant(row.get("updated_at")),
                    )
                    for row, state in states
                ]


async def list_articles(stream: SolutionStream) -> AsyncIterator[Sequence[Listed]]:
    """The whole tree in every language, drafts too (an unpublished article is not deleted): as many calls as a read."""
    walked = Walked(set())
    async for articles in stream.walk(walked):
        yield _listed(articles)
    if not walked.whole:
        raise SourceUnavailable(
            f"A folder of {stream.reader.client.title} went away while the articles were being listed, so the list may "
            f"lack some. Try again."
        )


async def list_people(stream: FilteredStream) -> AsyncIterator[Sequence[Listed]]:
    """Contacts, the blocked and the deleted ones too, or companies: 1 credit for 100."""
    cursor: Json = {}
    for part in stream.parts:
        try:
            async with aclosing(stream.part(part, cursor, None, nothing_known)) as pages:
                async for page in pages:
                    yield _listed(page.records)
                    cursor = {name: value for name, value in page.cursor.items() if name == "filter"}
        except SourceRejected:
            if part != BLOCKED:
                raise
            # An account that knows no such state: its blocked contacts are then asked for one by one.


async def list_agents(stream: WholeStream) -> AsyncIterator[Sequence[Listed]]:
    """All agents; raises where the key may not read them."""
    assert stream.kind is Kind.AGENT
    try:
        yield _listed(await stream.list_agents())
    except Absent:
        raise stream.reader.nowhere("/agents") from None


def _listed(records: Iterable[Record]) -> list[Listed]:
    return [
        Listed(
            key=record.key,
            stamp=record.stamp,
            gone=isinstance(record, Tombstone),
            updated_at=_moment(record),
        )
        for record in records
    ]


def _moment(record: Record) -> datetime | None:
    """When a record changed; a tombstone's stamp begins with it (`people`)."""
    if isinstance(record, Tombstone):
        return instant((record.stamp or "").partition(" ")[0])
    return record.updated_at if isinstance(record, Article | Contact | Company | Agent) else None
