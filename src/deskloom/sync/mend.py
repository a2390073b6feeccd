"""Mends exactly what a comparison named: publishes those documents whole, removes those points, and nothing else."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import groupby

from deskloom.record import documents as record_documents
from deskloom.record.checks import Finding, mend_record
from deskloom.record.documents import Claim, Key
from deskloom.record.published import Standing, find_standings, take_back, take_over
from deskloom.record.statements import chunks
from deskloom.sync.claims import Batch, Claims
from deskloom.sync.compare import Difference
from deskloom.sync.publish import Publisher
from deskloom.sync.runs import ActiveRun, uninterrupted

TO_PUBLISH = ("missing", "stale", "payload")


class Mender:
    """Mends for one verify run. What another publisher has claimed meanwhile is left to it.

    Documents are made stale and claimed in one transaction: what a crash leaves claimed is published when the run is
    taken up again.
    """

    def __init__(self, run: ActiveRun, publisher: Publisher, streams: Mapping[tuple[str, str], str]) -> None:
        """`streams` names the stream of each (source, collection): where documents that are refused are queued."""
        self.run, self.publisher, self.streams = run, publisher, streams
        self.claims = Claims(run.run, record=run.record, clock=run.clock, lease=run.lease)
        self.mended: Counter[str] = Counter(published=0, deleted=0, record=0)
        self._prepared: set[str] = set()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Keep what is claimed; first publish what this run had begun to mend before it was interrupted."""
        keeping = asyncio.create_task(self.claims.keep())
        try:
            async with self.run.step() as step:
                keys = await take_over(step.tx, f"{self.run.run.id}/")
            await self._publish(keys)
            yield
        finally:
            keeping.cancel()
            await asyncio.wait({keeping})

    async def mend_differences(self, collection: str, found: Sequence[Difference]) -> None:
        """Mend differences of one collection."""
        if collection not in self._prepared:  # a collection that was lost is made anew
            await self.publisher.prepare(collection)
            self._prepared.add(collection)
        wrong = [one.standing for one in found if one.what in TO_PUBLISH and one.standing is not None]
        for chunk in chunks(wrong, self.publisher.batch):
            await self._publish([standing.key for standing in chunk], seen=chunk)
        for points in chunks([one for one in found if one.what not in TO_PUBLISH], self.publisher.batch):
            await uninterrupted(self._delete(collection, points))

    async def mend_findings(self, findings: Sequence[Finding]) -> None:
        """Mend what is wrong within the record, and publish the documents it is about."""
        for chunk in chunks(findings):
            async with self.run.step() as step:
                mended = await mend_record(step.tx, chunk, now=self.run.clock())
            self.mended["record"] += sum(mended.counts.values())
            await self._publish(mended.documents)

    async def _publish(self, keys: Sequence[Key], seen: Sequence[Standing] = ()) -> None:
        """Publish those of these documents that are stale or gone, and unclaimed; `seen` are made stale before."""
        for chunk in chunks(keys, self.publisher.batch):
            with self.claims.batch() as batch:
                async with self.run.step() as step:
                    now = self.run.clock()
                    await take_back(step.tx, seen, now=now)
                    claims = await record_documents.claim(
                        step.tx, owner=self.claims.owner, limit=len(chunk), until=batch.until, now=now, keys=chunk
                    )
                await self._publish_claims(claims, batch)

    async def _publish_claims(self, claims: Sequence[Claim], batch: Batch) -> None:
        ordered = sorted(claims, key=lambda claim: claim.key)
        for (collection, source), group in groupby(ordered, key=lambda claim: claim.key[:2]):
            same = list(group)
            stream = self.streams.get((source, collection), self.run.run.stream)
            await self.publisher.publish_claims(
                self.run, collection, same, stream=stream, lapsed=lambda: self.claims.lapsed(batch)
            )
            self.mended["published"] += len(same)

    async def _delete(self, collection: str, found: Sequence[Difference]) -> None:
        """Remove points that no document has. A document that turned up meanwhile is published again, whole."""
        async with self.run.step():  # a worker that lost the run must not touch the index
            pass
        await self.publisher.index.delete(collection, [one.id for one in found])
        items = [
            (one.source, one.item_id, one.language or "")
            for one in found
            if one.source is not None and one.item_id is not None
        ]
        async with self.run.step() as step:
            late = await find_standings(step.tx, collection, items)
            await take_back(step.tx, list(late.values()), now=self.run.clock())
            step.counts["deleted"] += len(found)
            step.counts["indexed"] += len(found)
        self.mended["deleted"] += len(found)
