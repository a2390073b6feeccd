"""The proof of time entries that a sheet lacks: part of step 1, before the sheet is stored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from deskloom.model import ItemFailure, Record, TimeSheet
from deskloom.protocols import Source, Stream
from deskloom.record import hours
from deskloom.sync.runs import ActiveRun
from deskloom.sync.storing import fetch_all


@dataclass(frozen=True, slots=True)
class Proven:
    """What the tickets' own sheets say, and which tickets could not be asked: what stands of those stands."""

    records: tuple[Record, ...] = ()
    failures: tuple[ItemFailure, ...] = ()


async def prove_hours(run: ActiveRun, source: Source, stream: Stream, records: Iterable[Record]) -> Proven:
    """Ask for the own sheets of tickets of which a sheet of a span lacks an entry that the record has.

    It was deleted, moved to another date, or logged anew: the list by dates does not say. Nothing is stored here, so
    that it can be stored with the page that gave rise to it.
    """
    sheets = [record for record in records if isinstance(record, TimeSheet)]
    if not sheets:
        return Proven()
    async with run.record.reading() as tx:
        tickets = await hours.suspects(tx, source.name, sheets)
    if not tickets:
        return Proven()
    before, run.phase = run.phase, f"asking for the hours of {len(tickets):,} tickets"
    found: list[Record] = []
    failures: list[ItemFailure] = []
    async for answers in fetch_all(source, stream, [str(ticket) for ticket in tickets]):
        found += [answer.record for answer in answers if answer.record is not None]
        failures += [answer.failure for answer in answers if answer.failure is not None]
    run.phase = before
    return Proven(tuple(found), tuple(failures))
