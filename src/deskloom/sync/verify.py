"""Step 4: compares the copies, says where they disagree and why, and mends exactly that if it is asked to.

A run of mode "verify" covers one source, or all of them ("*"). It begins anew after a crash: whatever it mended before
is right by then, and what it had only begun to mend is published first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field

from deskloom.errors import (
    AccessRefused,
    CredentialsRefused,
    ItemError,
    NotFound,
    SourceRejected,
    SourceUnavailable,
    WindowStuck,
)
from deskloom.model import Json, Kind
from deskloom.protocols import Source
from deskloom.record.checks import Finding, check_record
from deskloom.sync.against import against
from deskloom.sync.compare import Comparison, Difference
from deskloom.sync.mend import Mender
from deskloom.sync.publish import Publisher
from deskloom.sync.runs import ActiveRun

STREAM = "verify"
EVERYTHING = "*"
NAMED = 100
"""Items that a report names, of each kind."""
BATCH = 500
"""Differences that are mended at once."""
WHAT = ("missing", "stale", "extra", "orphaned", "payload")
SOURCE_DOWN = (SourceUnavailable, CredentialsRefused, AccessRefused, SourceRejected, WindowStuck, ItemError)
AT_SOURCE = ("missing", "stale", "extra")
_READ_WHOLE = (Kind.CODES, Kind.HOURS)
"""What runs compare themselves: code tables are read whole by each, and time entries by the month or the ticket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a verify run is told: `Run.options`."""

    repair: bool = False
    collection: str | None = None
    source_check: bool = False
    deep: bool = False

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, options: Json) -> Options:
        return cls(**{name: options[name] for name in cls.__slots__ if name in options})


@dataclass(slots=True)
class Found:
    """What one look found, as the report tells it."""

    collections: dict[str, Json] = field(default_factory=dict)
    record: Json = field(default_factory=lambda: {"findings": 0, "items": []})
    source: dict[str, dict[str, Json]] = field(default_factory=dict)
    """By source and stream, what `against` told."""

    @property
    def differences(self) -> int:
        """How much is wrong."""
        number: int = sum(told[what] for told in self.collections.values() for what in WHAT)
        return number + int(self.record["findings"]) + self.at_sources

    @property
    def at_sources(self) -> int:
        """How many objects differ between the record and its sources."""
        streams = [told for streams in self.source.values() for told in streams.values()]
        number: int = sum(told[what]["count"] for told in streams for what in AT_SOURCE)
        return number


async def verify(
    run: ActiveRun,
    *,
    sources: Mapping[str, Source],
    publisher: Publisher,
    collections: Sequence[str],
    max_delete_share: float,
) -> str:
    """Do the whole run; returns `succeeded` if the copies agree, or were all mended, else `partial`.

    Only the option `repair` lets it write anything but the run itself; then nothing is removed from the record beyond
    `max_delete_share` of a stream. The report is `run.report`.
    """
    return await _Verify(run, sources, publisher, collections, max_delete_share).perform()


class _Verify:
    """One verify run."""

    def __init__(
        self,
        run: ActiveRun,
        sources: Mapping[str, Source],
        publisher: Publisher,
        collections: Sequence[str],
        max_delete_share: float,
    ) -> None:
        self.run, self.publisher, self.max_delete_share = run, publisher, max_delete_share
        self.options = Options.from_json(run.run.options)
        self.source = None if run.run.source == EVERYTHING else run.run.source
        self.sources = {name: source for name, source in sources.items() if self.source in (None, name)}
        self.collections = [name for name in collections if self.options.collection in (None, name)]
        streams = [(name, stream) for name, source in sources.items() for stream in source.streams.values()]
        self.kinds: dict[tuple[str, str], Kind] = {(name, stream.name): stream.kind for name, stream in streams}
        self.writers: dict[str, set[str]] = {}
        for name, stream in streams:
            if stream.collection is not None:
                self.writers.setdefault(stream.collection, set()).add(name)
        queues = {(name, stream.collection): stream.name for name, stream in streams if stream.collection}
        self.mender = Mender(run, publisher, queues)
        self.unread = 0
        """Streams whose source could not be asked."""
        run.measure, run.counts["compared"] = "compared", 0

    async def perform(self) -> str:
        repair = self.options.repair
        async with self.mender.at_work() if repair else nullcontext():
            found = left = await self._look(ask=self.options.source_check, repair=repair)
        if repair and (found.differences or self.mender.mended.total()):
            left = await self._look(ask=bool(found.at_sources), repair=False)
        agree = not left.differences and not self.unread
        self.run.report = {
            "agree": agree,
            "repair": repair,
            "deep": self.options.deep,
            "collections": found.collections,
            "record": found.record,
            "source": found.source if self.options.source_check else None,
            "mended": dict(self.mender.mended),
            "left": None if left is found else asdict(left),
        }
        if left.differences:
            async with self.run.step() as step:
                step.errors += _sentences(left, repaired=repair)
        return "succeeded" if agree else "partial"

    async def _look(self, *, ask: bool, repair: bool) -> Found:
        """Compare everything once, what comes first in the flow first; with `repair` mend on the way.

        `ask`: the sources too.
        """
        found = Found()
        if ask:
            self.unread = 0
            for name, source in self.sources.items():
                found.source[name] = await self._ask(source, repair=repair)
        self.run.phase = "checking the record"
        async with self.run.record.reading() as tx:
            findings = await check_record(
                tx, collections=self.collections, source=self.source, streams=self.kinds, writers=self.writers
            )
        found.record = {
            "findings": len(findings),
            **Counter(one.check for one in findings),
            "items": _first_of_each([(one.check, _finding(one)) for one in findings]),
        }
        if repair and findings:
            await self.mender.mend_findings(findings)
        for collection in self.collections:
            found.collections[collection] = await self._compare(collection, repair=repair)
        return found

    async def _ask(self, source: Source, *, repair: bool) -> dict[str, Json]:
        """Compare the record with the listings of a source; what is mended is published at once."""
        told: dict[str, Json] = {}
        for stream in source.streams.values():
            if stream.kind in _READ_WHOLE or self.options.collection not in (None, stream.collection):
                continue
            try:
                told[stream.name] = await against(
                    self.run, source, stream, repair=repair, max_delete_share=self.max_delete_share
                )
            except NotFound:  # the stream has no listing
                continue
            except SOURCE_DOWN as error:  # index and record can still be compared
                async with self.run.step() as step:
                    step.errors.append(f"{source.name} {stream.name} could not be compared: {error.message}")
                self.unread += 1
        if repair and any(one[what]["count"] for one in told.values() for what in AT_SOURCE):
            for stream in source.streams.values():
                if stream.collection is not None:
                    await self.publisher.publish(self.run, source.name, stream.collection)
        return told

    async def _compare(self, collection: str, *, repair: bool) -> Json:
        self.run.phase = f"comparing {collection}"
        embedder = await self.publisher.embedder_of(collection)
        comparison = Comparison(
            self.run.record,
            self.publisher.index,
            collection=collection,
            embedder=embedder.name,
            deep=self.options.deep,
            source=self.source,
            on_points=self._count,
        )
        counts: Counter[str] = Counter(dict.fromkeys(WHAT, 0))
        items: list[Json] = []
        waiting: list[Difference] = []
        async for one in comparison:
            counts[one.what] += 1
            if counts[one.what] <= NAMED:
                items.append(_difference(one))
            if repair:
                waiting.append(one)
                if len(waiting) == BATCH:
                    await self.mender.mend_differences(collection, waiting)
                    waiting = []
        if waiting:
            await self.mender.mend_differences(collection, waiting)
        return {
            "points": comparison.points,
            "documents": comparison.documents,
            "pending": comparison.pending,
            "outdated": comparison.outdated,
            **counts,
            "items": items,
        }

    def _count(self, points: int) -> None:
        self.run.counts["compared"] += points


def _difference(one: Difference) -> Json:
    told = {"what": one.what, "id": str(one.id), "source": one.source, "item_id": one.item_id}
    return told | {"language": one.language, "why": one.why}


def _finding(one: Finding) -> Json:
    told = {"what": one.check, "source": one.source, "item_id": one.item_id, "language": one.language}
    return told | {"collection": one.collection, "why": one.why}


def _first_of_each(told: Sequence[tuple[str, Json]]) -> list[Json]:
    seen: Counter[str] = Counter()
    kept = []
    for what, item in told:
        seen[what] += 1
        if seen[what] <= NAMED:
            kept.append(item)
    return kept


def _sentences(found: Found, *, repaired: bool) -> list[str]:
    remedy = "It could not be mended now; run it once more" if repaired else "Mend it: deskloom verify --repair"
    told = []
    for name, counts in found.collections.items():
        wrong = ", ".join(f"{counts[what]:,} {what}" for what in WHAT if counts[what])
        if wrong:
            told.append(f'Index "{name}" and record disagree: {wrong} (of {counts["documents"]:,} documents). {remedy}')
    if found.at_sources:
        told.append(f"Source and record disagree about {found.at_sources:,} objects. {remedy}")
    if number := found.record["findings"]:
        told.append(f"The record disagrees with itself in {number:,} places. {remedy}")
    return told
