"""The contract of every source: S1-S6 of `protocols.Source`, as checks over a rig that can spoil what the source reads.

A source's test file gives a rig and inherits `SourceContract`. `SABOTEURS` are sources that break one guarantee each;
`tests/sources/test_saboteurs.py` proves that the check of that guarantee notices.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

import pytest

from deskloom.errors import CredentialsRefused, DeskloomError, NotFound, SourceUnavailable
from deskloom.model import (
    Article,
    Contact,
    Cursor,
    Json,
    Kind,
    Page,
    Record,
    Ticket,
    TicketState,
    TimeEntry,
    TimeSheet,
    Tombstone,
)
from deskloom.protocols import Known, Listed, Source, nothing_known

SLICE = 7


class SourceRig(Protocol):
    """An account that the source under test reads, and the hands that change or spoil it.

    It must hold more than one page of objects, some of them changed in the same second. Of a stream of hours the
    objects are the time entries, except that `change` names the sheet that is yielded for it.
    """

    stream: str
    source: Source

    def expected(self) -> set[str]:
        """Keys of everything that is there now."""
        ...

    def change(self) -> str:
        """Change one object, after some time has passed; returns its key."""
        ...

    def remove(self) -> str:
        """Delete one object; returns its key."""
        ...

    def break_down(self, after: int) -> None:
        """Let every request fail for good once `after` more have been answered."""
        ...

    def break_part(self) -> str | None:
        """Let what belongs to one object fail for good (its children); None where objects have no parts."""
        ...

    def limit_rate(self, seconds: int) -> None:
        """Refuse the next request with a rate limit that names `seconds`."""
        ...

    def refuse_key(self) -> None: ...

    def pass_time(self) -> None:
        """Let some minutes pass, so that nothing is fresh any more."""
        ...

    def impatient(self) -> Source:
        """A second source over the same account, which does not wait where it should."""
        ...

    def seconds(self) -> float:
        """The clock that waiting moves."""
        ...

    def calls(self) -> int:
        """Requests so far."""
        ...


class Kept:
    """What a record keeps of pages: enough to answer `known` and to compare. Of time sheets it keeps the entries."""

    def __init__(self) -> None:
        self.records: dict[str, Record | TimeEntry] = {}
        self.cursor: Cursor | None = None
        self.failed: set[str] = set()

    async def known(self, kind: Kind, keys: Sequence[str]) -> Mapping[str, str]:
        found: dict[str, Record] = {}
        for key in keys:
            record = TimeSheet(entries=self.within(key)) if kind is Kind.HOURS else self.records.get(key)
            if record is not None and not isinstance(record, TimeEntry):
                found[key] = record
        return {key: record.stamp for key, record in found.items() if record.stamp is not None}

    def within(self, key: str) -> tuple[TimeEntry, ...]:
        """The entries kept within the scope of a sheet."""
        entries = [one for one in self.records.values() if isinstance(one, TimeEntry)]
        if "/" not in key:
            return tuple(one for one in entries if one.ticket_id == int(key))
        since, before = (datetime.fromisoformat(part) if part else None for part in key.split("/"))
        dated = [(one.worked_at, one) for one in entries if one.worked_at is not None]
        return tuple(one for at, one in dated if (not since or at >= since) and (not before or at < before))

    def store(self, page: Page) -> None:
        for record in page.records:
            if not isinstance(record, TimeSheet):
                self.records[record.key] = record
                continue
            for entry in self.within(record.key):
                del self.records[str(entry.external_id)]
            self.records |= {str(entry.external_id): entry for entry in record.entries}
        self.failed |= {failure.key for failure in page.failures}
        if page.listing is not None:
            self.records = {key: record for key, record in self.records.items() if key in page.listing}
        self.cursor = page.cursor

    def alive(self) -> set[str]:
        return {key for key, record in self.records.items() if not is_gone(record)}


def is_gone(record: Record | TimeEntry) -> bool:
    if isinstance(record, Ticket):
        return record.state in (TicketState.DELETED, TicketState.SPAM)
    return isinstance(record, Tombstone) or (isinstance(record, Contact) and record.deleted)


async def drain(rig: SourceRig, kept: Kept, *, limit: int | None = None, known: Known | None = None) -> list[Page]:
    """Read once from the kept cursor and keep everything."""
    pages = []
    async for page in rig.source.read(rig.stream, kept.cursor, limit=limit, known=known or kept.known):
        kept.store(page)
        pages.append(page)
    return pages


# ------------------------------------------------------------------------------------------------------------ checks


async def s1_everything(rig: SourceRig) -> None:
    """S1: a read from the beginning yields everything there is."""
    kept = Kept()
    await drain(rig, kept)
    assert (kept.alive(), kept.failed) == (rig.expected(), set())


async def s1_changes(rig: SourceRig) -> None:
    """S1: a read from a cursor yields what changed since, and nothing else is yielded twice."""
    kept = Kept()
    await drain(rig, kept)
    rig.pass_time()
    await drain(rig, kept)
    changed = rig.change()
    pages = await drain(rig, kept)
    assert [record.key for page in pages for record in page.records] == [changed]


async def s1_raises(rig: SourceRig) -> None:
    """S1: a helpdesk that breaks down in mid-read raises; the read never ends as if it were complete."""
    for after in (0, 1, 3):
        rig.break_down(after)
        with pytest.raises(SourceUnavailable):
            await drain(rig, Kept())


async def s1_unknown_is_not_empty(rig: SourceRig) -> None:
    """S1: an object whose parts cannot be read is reported, carries no stamp, and its parts are unknown, not empty."""
    broken = rig.break_part()
    if broken is None:
        pytest.skip("objects of this stream have no parts")
    kept = Kept()
    await drain(rig, kept)
    record = kept.records[broken]
    assert isinstance(record, Ticket)
    assert (record.messages, record.stamp, kept.failed) == (None, None, {broken})


async def s2_resumes_after_every_page(rig: SourceRig) -> None:
    """S2: a read that is cut off after any page goes on from that page's cursor and misses nothing."""
    whole = len(await drain(rig, Kept()))
    for cut in range(1, whole + 1):
        kept, count = Kept(), 0
        async with aclosing(rig.source.read(rig.stream, None, known=nothing_known)) as pages:  # type: ignore[type-var]
            async for page in pages:
                kept.store(page)
                count += 1
                if count == cut:
                    break
        await drain(rig, kept)
        assert kept.alive() == rig.expected(), f"cut after page {cut}"


async def s2_slices(rig: SourceRig) -> None:
    """S2: slices by `limit` hold exactly so many objects, and together they hold everything, whatever is known."""
    for remembering in (True, False):
        kept, sizes = Kept(), []
        while not sizes or sizes[-1] == SLICE:
            pages = await drain(rig, kept, limit=SLICE, known=kept.known if remembering else nothing_known)
            keys = {record.key for page in pages for record in page.records}
            sizes.append(len(keys | {failure.key for page in pages for failure in page.failures}))
            assert sizes[-1] <= SLICE
            assert len(sizes) < len(rig.expected()) / SLICE + 20
        assert kept.alive() == rig.expected()


async def s3_equal(rig: SourceRig) -> None:
    """S3: an unchanged object yields an equal record, however much later it is read."""
    rig.pass_time()
    first, second = Kept(), Kept()
    await drain(rig, first)
    rig.pass_time()
    await drain(rig, second)
    assert first.records == second.records


async def s3_nothing_new(rig: SourceRig) -> None:
    """S3: reading on where nothing changed yields no record."""
    kept = Kept()
    await drain(rig, kept)
    rig.pass_time()
    await drain(rig, kept)
    assert [page.records for page in await drain(rig, kept) if page.records] == []


async def s4_unique(rig: SourceRig) -> None:
    """S4: no key comes twice in one read, and fetching a key gives the object of that key."""
    kept = Kept()
    keys = [record.key for page in await drain(rig, kept) for record in page.records]
    assert sorted(keys) == sorted(set(keys))
    key = sorted(kept.alive() & set(keys) or keys)[0]
    fetched = await rig.source.fetch(rig.stream, key)
    assert fetched is not None
    assert fetched.key == key


async def s5_waits(rig: SourceRig) -> None:
    """S5: a rate limit is waited out as long as it said (or raised with that time), and loses nothing."""
    kept, before = Kept(), rig.seconds()
    rig.limit_rate(90)
    await drain(rig, kept)
    assert rig.seconds() - before >= 90
    assert kept.alive() == rig.expected()


async def s5_refused(rig: SourceRig) -> None:
    """S5: refused credentials raise after one request."""
    rig.refuse_key()
    before = rig.calls()
    with pytest.raises(CredentialsRefused):
        await drain(rig, Kept())
    assert rig.calls() - before == 1


async def s6_deleted(rig: SourceRig) -> None:
    """S6: what is deleted at the source arrives as a tombstone, or is missing from a complete listing."""
    kept = Kept()
    await drain(rig, kept)
    rig.pass_time()
    gone = rig.remove()
    await drain(rig, kept)
    assert gone not in kept.alive()
    assert kept.alive() == rig.expected()


async def s1_own_sheets(rig: SourceRig) -> None:
    """S1: the own sheet of a ticket holds its time entries, all of them, as they were read; none for no ticket."""
    if rig.source.streams[rig.stream].kind is not Kind.HOURS:
        pytest.skip("not a stream of hours")
    kept = Kept()
    await drain(rig, kept)
    tickets = {entry.ticket_id for entry in kept.records.values() if isinstance(entry, TimeEntry)}
    for ticket in sorted(tickets):
        sheet = await rig.source.fetch(rig.stream, str(ticket))
        assert isinstance(sheet, TimeSheet)
        assert (sheet.ticket_id, {entry.external_id: entry for entry in sheet.entries}) == (
            ticket,
            {entry.external_id: entry for entry in kept.within(str(ticket))},
        )
    assert await rig.source.fetch(rig.stream, str(max(tickets) + 10_000)) is None


async def listed(rig: SourceRig) -> dict[str, Listed]:
    """The whole listing by key; of a key that comes twice the later counts."""
    try:
        return {one.key: one async for batch in rig.source.listing(rig.stream) for one in batch}
    except NotFound:
        pytest.skip("the stream has no listing")


async def s1_listing_whole(rig: SourceRig) -> None:
    """S1: a listing holds every object that is there, and what it holds beyond that it calls gone."""
    kept = Kept()
    await drain(rig, kept)
    alive = {key for key, one in (await listed(rig)).items() if not one.gone}
    assert (alive, kept.alive()) == (rig.expected(), rig.expected())


async def s1_listing_raises(rig: SourceRig) -> None:
    """S1: whichever request of a listing fails, even the last, the listing raises and does not end."""
    before = rig.calls()
    await listed(rig)
    calls = rig.calls() - before
    for after in {0, 1, calls // 2, calls - 1}:
        rig.break_down(after)
        with pytest.raises(SourceUnavailable):
            await listed(rig)


async def s3_listing_stamps(rig: SourceRig) -> None:
    """S3: the stamps of a listing are those that records carry, whether they were read or fetched."""
    rig.pass_time()
    kept = Kept()
    await drain(rig, kept)
    found = {key: one.stamp for key, one in (await listed(rig)).items() if one.stamp is not None and not one.gone}
    assert found == {key: kept.records[key].stamp for key in found}
    for key in sorted(found)[:3]:
        fetched = await rig.source.fetch(rig.stream, key)
        assert fetched is not None
        assert fetched.stamp == found[key]


async def s6_listing_follows(rig: SourceRig) -> None:
    """S6: what changed has another stamp in the next listing (or none), and what was deleted is not alive in it."""
    before = await listed(rig)
    changed, removed = rig.change(), rig.remove()
    after = await listed(rig)
    assert after[changed].stamp is None or after[changed].stamp != before[changed].stamp
    assert removed not in after or after[removed].gone


CHECKS: tuple[Callable[[SourceRig], Awaitable[None]], ...] = (
    s1_everything, s1_changes, s1_raises, s1_unknown_is_not_empty, s2_resumes_after_every_page, s2_slices, s3_equal,
    s3_nothing_new, s4_unique, s5_waits, s5_refused, s6_deleted, s1_listing_whole, s1_listing_raises, s3_listing_stamps,
    s6_listing_follows, s1_own_sheets,
)  # fmt: skip


class SourceContract:
    """Inherit, and give a `rig` fixture."""

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_contract(self, rig: SourceRig, check: Callable[[SourceRig], Awaitable[None]]) -> None:
        """The source keeps the guarantee that the check is named after."""
        await check(rig)


# --------------------------------------------------------------------------------------------------------- saboteurs


class Saboteur:
    """A source that passes everything through; each heir breaks one thing."""

    stream = "tickets"
    """The stream whose check notices it."""

    def __init__(self, rig: SourceRig) -> None:
        self.rig, self.real = rig, rig.source
        self.name, self.kind, self.account, self.streams = "sabotage", "sabotage", "sabotage", self.real.streams

    async def check(self) -> Json:
        return await self.real.check()

    async def read(
        self, stream: str, after: Cursor | None, *, limit: int | None = None, known: Known = nothing_known
    ) -> AsyncIterator[Page]:
        async for page in self.real.read(stream, after, limit=limit, known=known):
            yield page

    def cursor_since(self, stream: str, when: datetime) -> Cursor:
        return self.real.cursor_since(stream, when)

    def link(self, kind: Kind, key: str) -> str | None:
        return self.real.link(kind, key)

    async def listing(self, stream: str) -> AsyncIterator[Sequence[Listed]]:
        async for batch in self.real.listing(stream):
            yield batch

    async def fetch(self, stream: str, key: str) -> Record | None:
        return await self.real.fetch(stream, key)

    async def aclose(self) -> None: ...


class SwallowsFaults(Saboteur):
    async def read(self, *args: Any, **options: Any) -> AsyncIterator[Page]:
        try:
            async for page in self.real.read(*args, **options):
                yield page
        except SourceUnavailable:
            return


class DropsTheLast(Saboteur):
    async def read(self, *args: Any, **options: Any) -> AsyncIterator[Page]:
        async for page in self.real.read(*args, **options):
            yield replace(page, records=page.records[:-1])


class CursorTooEarly(Saboteur):
    """Yields each page with the cursor of the page after it."""

    async def read(self, *args: Any, **options: Any) -> AsyncIterator[Page]:
        held: Page | None = None
        async for page in self.real.read(*args, **options):
            if held is not None:
                yield replace(held, cursor=page.cursor)
            held = page
        if held is not None:
            yield held


class ForgetsWhereItWas(Saboteur):
    async def read(self, stream: str, after: Cursor | None, **options: Any) -> AsyncIterator[Page]:
        async for page in self.real.read(stream, None, **options):
            yield page


class RepeatsKey(Saboteur):
    async def read(self, *args: Any, **options: Any) -> AsyncIterator[Page]:
        async for page in self.real.read(*args, **options):
            yield replace(page, records=page.records + page.records[:1])


class FetchesAnother(Saboteur):
    async def fetch(self, stream: str, key: str) -> Record | None:
        return await self.real.fetch(stream, sorted(self.rig.expected())[-1])


class StampsTheClock(Saboteur):
    async def read(self, *args: Any, **options: Any) -> AsyncIterator[Page]:
        async for page in self.real.read(*args, **options):
            read_at = {"read_at": self.rig.seconds()}
            yield replace(
                page,
                records=tuple(
                    replace(one, raw=one.raw | read_at) if isinstance(one, Ticket | Article | Contact) else one
                    for one in page.records
                ),
            )


class IgnoresWhatIsKnown(Saboteur):
    async def read(self, stream: str, after: Cursor | None, **options: Any) -> AsyncIterator[Page]:
        async for page in self.real.read(stream, None, limit=options.get("limit")):
            yield page


class EmptiesWhatItCannotRead(Saboteur):
    async def read(self, *args: Any, **options: Any) -> AsyncIterator[Page]:
        async for page in self.real.read(*args, **options):
            records = (
                replace(one, messages=(), stamp="read") if isinstance(one, Ticket) and one.stamp is None else one
                for one in page.records
            )
            yield replace(page, records=tuple(records), failures=())


class IgnoresTheLimit(Saboteur):
    async def read(self, stream: str, after: Cursor | None, **options: Any) -> AsyncIterator[Page]:
        async for page in self.real.read(stream, after, known=options.get("known", nothing_known)):
            yield page


class IgnoresTheRateLimit(Saboteur):
    """Asks again at once, as a client does that does not read Retry-After."""

    async def read(self, *args: Any, **options: Any) -> AsyncIterator[Page]:
        hasty = self.rig.impatient()
        async for page in hasty.read(*args, **options):
            yield page
        await hasty.aclose()


class InsistsOnABadKey(Saboteur):
    async def read(self, *args: Any, **options: Any) -> AsyncIterator[Page]:
        for last in (False, True):
            try:
                async for page in self.real.read(*args, **options):
                    yield page
                return
            except CredentialsRefused:
                if last:
                    raise


class HidesTheDead(Saboteur):
    async def read(self, *args: Any, **options: Any) -> AsyncIterator[Page]:
        async for page in self.real.read(*args, **options):
            living = tuple(record for record in page.records if not is_gone(record))
            yield replace(page, records=living, listing=None)


class ListsTooLittle(Saboteur):
    async def listing(self, stream: str) -> AsyncIterator[Sequence[Listed]]:
        async for batch in self.real.listing(stream):
            yield batch[:-1]


class CallsTheDeadAlive(Saboteur):
    async def listing(self, stream: str) -> AsyncIterator[Sequence[Listed]]:
        async for batch in self.real.listing(stream):
            yield [replace(one, gone=False) for one in batch]


class EndsAListingEarly(Saboteur):
    async def listing(self, stream: str) -> AsyncIterator[Sequence[Listed]]:
        try:
            async for batch in self.real.listing(stream):
                yield batch
        except SourceUnavailable:
            return


class StampsAListingAnew(Saboteur):
    async def listing(self, stream: str) -> AsyncIterator[Sequence[Listed]]:
        async for batch in self.real.listing(stream):
            yield [replace(one, stamp=f"{one.stamp} {self.rig.seconds()}") for one in batch]


class ListsFromMemory(Saboteur):
    def __init__(self, rig: SourceRig) -> None:
        super().__init__(rig)
        self.remembered: list[Sequence[Listed]] = []

    async def listing(self, stream: str) -> AsyncIterator[Sequence[Listed]]:
        if not self.remembered:
            self.remembered = [batch async for batch in self.real.listing(stream)]
        for batch in self.remembered:
            yield batch


class ShortensSheets(Saboteur):
    """Leaves an entry out of the own sheet of a ticket: it would be deleted."""

    stream = "hours"

    async def fetch(self, stream: str, key: str) -> Record | None:
        found = await self.real.fetch(stream, key)
        return replace(found, entries=found.entries[:-1]) if isinstance(found, TimeSheet) else found


SABOTEURS: Mapping[type[Saboteur], Callable[[SourceRig], Awaitable[None]]] = {
    SwallowsFaults: s1_raises,
    DropsTheLast: s1_everything,
    IgnoresWhatIsKnown: s1_changes,
    EmptiesWhatItCannotRead: s1_unknown_is_not_empty,
    CursorTooEarly: s2_resumes_after_every_page,
    IgnoresTheLimit: s2_slices,
    ForgetsWhereItWas: s2_slices,
    StampsTheClock: s3_equal,
    RepeatsKey: s4_unique,
    FetchesAnother: s4_unique,
    IgnoresTheRateLimit: s5_waits,
    InsistsOnABadKey: s5_refused,
    HidesTheDead: s6_deleted,
    ListsTooLittle: s1_listing_whole,
    CallsTheDeadAlive: s1_listing_whole,
    EndsAListingEarly: s1_listing_raises,
    StampsAListingAnew: s3_listing_stamps,
    ListsFromMemory: s6_listing_follows,
    ShortensSheets: s1_own_sheets,
}
"""Each saboteur, and the check that must fail on it."""

NOTICED = (AssertionError, DeskloomError, pytest.fail.Exception)
"""What a check that notices raises."""
