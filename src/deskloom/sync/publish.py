"""Step 3: brings the index in line with the record. Embeds only sections whose text changed, and marks what it did.

A batch is claimed, built, compared with what was published, embedded, written to the index, and only then marked. A
crash anywhere means that the batch is done again, with the same ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom import documents
from deskloom.documents import RULES, Document
from deskloom.errors import DeskloomError, LeaseLost
from deskloom.model import Json
from deskloom.protocols import Embedder, EmbedderOf, Point, VectorIndex
from deskloom.record import documents as record_documents
from deskloom.record import failures
from deskloom.record.documents import Claim, Published
from deskloom.record.engine import Record
from deskloom.sync.assist import HELPED_FOR, HelpedRun
from deskloom.sync.build import Built, build
from deskloom.sync.claims import CallHelp, Claims
from deskloom.sync.runs import ActiveRun, uninterrupted
from deskloom.sync.vectors import (
    Made,
    failure,
    fingerprint,
    make_payload,
    make_point,
    make_vectors,
    point_id,
)

log = structlog.get_logger(__name__)

BATCH = 128
"""Documents a batch: enough texts to sort by length, few enough that a crash repeats little."""
WORKERS = 2
"""Batches under way at once: one is built and written while the other is embedded."""
OTHERS_ASKED_EVERY = 0.2


@dataclass(slots=True)
class Changes:
    """What one batch changes in the index, and the vectors that had to be made for it."""

    points: list[Point] = field(default_factory=list)
    payloads: dict[UUID, Json] = field(default_factory=dict)
    held: dict[UUID, str] = field(default_factory=dict)
    """The `hash` that a point whose payload alone changes must have: its vectors stay as they are."""
    deleted: list[UUID] = field(default_factory=list)
    made: Made = field(default_factory=Made)


class Publisher:
    """Publishes stale documents to one index; `embedder_of` says with which embedder each collection is indexed."""

    def __init__(
        self,
        record: Record,
        index: VectorIndex,
        embedder_of: EmbedderOf,
        *,
        batch: int = BATCH,
        call_help: CallHelp | None = None,
    ) -> None:
        self.batch = batch
        self.call_help = call_help
        self.record = record
        self.index = index
        self.embedder_of = embedder_of
        self._embedding = asyncio.Lock()

    async def prepare(self, collection: str) -> None:
        """Make sure the collection exists. One that was lost is filled again from the record and cached vectors."""
        if await self.index.prepare(documents.schema(collection, await self.embedder_of(collection))):
            async with self.record.transaction() as tx:
                await record_documents.unpublish(tx, collection)

    async def publish(
        self,
        run: ActiveRun,
        source: str,
        collection: str,
        *,
        pulled: asyncio.Event | None = None,
        fresh: asyncio.Event | None = None,
    ) -> None:
        """Publish until the pull has ended and nothing is stale. `fresh` is set whenever a page was committed.

        Without these two nothing more is to come. Other workers may help meanwhile; the run's publishing ends when they
        have ended too.
        """
        if pulled is None or fresh is None:
            pulled, fresh = asyncio.Event(), asyncio.Event()
            pulled.set()
        claims = _claims(run)
        await claims.release_dead(source, collection)
        keeping = asyncio.create_task(claims.keep())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(WORKERS):
                    group.create_task(self._work(run, claims, source, collection, pulled, fresh))
        except* DeskloomError as errors:
            raise errors.exceptions[0] from None
        finally:
            keeping.cancel()
            await asyncio.wait({keeping})

    async def assist(self, run: HelpedRun, source: str, collection: str) -> bool:
        """Publish batches of another worker's run until none is left or the time is over; True if more wait."""
        claims = _claims(run)
        keeping = asyncio.create_task(claims.keep())
        deadline = asyncio.get_running_loop().time() + HELPED_FOR.total_seconds()

        async def work() -> bool:
            while asyncio.get_running_loop().time() < deadline:
                if not await self._batch(run, claims, source, collection):
                    return False
            return True

        try:
            async with asyncio.TaskGroup() as group:
                workers = [group.create_task(work()) for _ in range(WORKERS)]
        except* DeskloomError as errors:
            raise errors.exceptions[0] from None
        finally:
            keeping.cancel()
            await asyncio.wait({keeping})
        return all(worker.result() for worker in workers)

    async def _work(
        self,
        run: ActiveRun,
        claims: Claims,
        source: str,
        collection: str,
        pulled: asyncio.Event,
        fresh: asyncio.Event,
    ) -> None:
        while True:
            over = pulled.is_set()
            fresh.clear()
            if over:
                run.phase = "publishing"
            if await self._batch(run, claims, source, collection):
                continue
            if over and run.helpers and await claims.others(source, collection):
                await asyncio.sleep(OTHERS_ASKED_EVERY)  # if one of them dies, its documents are to be had again
            elif over:
                return
            elif not pulled.is_set():
                await fresh.wait()

    async def _batch(self, run: ActiveRun | HelpedRun, claims: Claims, source: str, collection: str) -> int:
        """Claim a batch and publish it; returns how many documents it took."""
        with claims.batch() as batch:
            now = run.clock()
            async with self.record.transaction() as tx:
                claimed = await record_documents.claim(
                    tx,
                    owner=claims.owner,
                    source=source,
                    collection=collection,
                    limit=self.batch,
                    until=batch.until,
                    now=now,
                )
            if len(claimed) == self.batch:
                await claims.call(self.call_help)
            if claimed:
                await self.publish_claims(
                    run, collection, claimed, stream=run.run.stream, lapsed=lambda: claims.lapsed(batch)
                )
            return len(claimed)

    async def publish_claims(
        self,
        run: ActiveRun | HelpedRun,
        collection: str,
        claims: Sequence[Claim],
        *,
        stream: str,
        lapsed: Callable[[], bool] = lambda: False,
    ) -> None:
        """Publish claimed documents of one source; `stream` is where those that are refused are queued.

        Nothing is written once the claims have `lapsed`: others may have them.
        """
        built = await build(self.record, claims)
        # Asked after the claim: while it stands, no other model takes over the collection.
        embedder = await self.embedder_of(collection)
        changes = await self._changes(built, embedder)
        if lapsed():
            log.warning("a batch is given up: its claims have lapsed", collection=collection, documents=len(claims))
            async with run.step() as step:
                step.counts["embedded"] += changes.made.texts
            return
        await uninterrupted(self._write(run, collection, built, changes, embedder.name, (claims[0].source, stream)))

    async def _changes(self, built: Built, embedder: Embedder) -> Changes:
        """Compare documents with what was published, and embed the texts that are new.

        A document whose text the model refuses is moved to `built.failed`.
        """
        changes = Changes()
        whole: list[tuple[Claim, Document]] = []
        for claim, document in built.documents:
            if not _same_texts(claim, document, embedder.name):
                whole.append((claim, document))
            elif claim.payload_hash != document.payload_hash():
                changes.payloads[document.id] = make_payload(document, embedder.name)
                changes.held[document.id] = _hash(claim)
        # One batch at a time: a crash repeats no more than that, and a text of two batches is embedded once.
        changes.made = await make_vectors(self.record, embedder, whole, turn=self._embedding)
        refused = {claim.key for claim, _ in changes.made.refused}
        built.failed += changes.made.refused
        built.documents = [pair for pair in built.documents if pair[0].key not in refused]
        taken = [document for claim, document in whole if claim.key not in refused]
        changes.points = await asyncio.to_thread(
            lambda: [make_point(document, changes.made, embedder.name) for document in taken]
        )
        changes.deleted = [point_id(claim) for claim in (*built.gone, *(claim for claim, _ in built.failed))]
        return changes

    async def _write(
        self,
        run: ActiveRun | HelpedRun,
        collection: str,
        built: Built,
        changes: Changes,
        embedder: str,
        queue: tuple[str, str],
    ) -> None:
        """Write to the index first; mark as published only what the index has acknowledged."""
        if changes.points:
            await self.index.upsert(collection, changes.points)
        lost = await self._set_payloads(collection, changes.payloads, changes.held)
        if changes.deleted:
            await self.index.delete(collection, changes.deleted)
        now = run.clock()
        refused = [failure(claim, error) for claim, error in built.failed]
        try:
            async with run.step() as step:
                await self._mark(step.tx, built, changes, lost, embedder, now)
                step.fail(refused)
                if refused:
                    await failures.add_failures(step.tx, *queue, refused, now=now)
                step.counts["embedded"] += changes.made.texts
                step.counts["indexed"] += len(changes.points) + len(changes.payloads) - len(lost) + len(changes.deleted)
        except LeaseLost:
            # The run is another's, but what the index holds is known here alone: documents that are still claimed
            # here are marked, and those that others have are made stale, for the index may hold our older ones.
            async with self.record.transaction() as tx:
                await self._mark(tx, built, changes, lost, embedder, now)
            raise

    async def _mark(
        self, tx: AsyncConnection, built: Built, changes: Changes, lost: Set[UUID], embedder: str, now: datetime
    ) -> None:
        """Note what the index now holds, document by document."""
        done = [_published(claim, document, embedder) for claim, document in built.documents if document.id not in lost]
        await record_documents.mark_published(tx, done, now=now)
        await record_documents.forget(tx, built.gone)
        for claim, document in built.documents:
            if document.id in lost:
                why = "the index had lost it, or held another point"
                await record_documents.mark_failed(tx, claim, why, next_attempt_at=now, now=now, unpublished=True)
        for claim, error in built.failed:
            await record_documents.mark_failed(
                tx, claim, error.message, next_attempt_at=None, now=now, unpublished=True
            )

    async def _set_payloads(
        self, collection: str, payloads: Mapping[UUID, Json], held: Mapping[UUID, str]
    ) -> set[UUID]:
        """Replace payloads; returns ids of points that the index does not have, or not as they were published.

        Such a point (the record was restored from a back-up, say) may have vectors of another text.
        """
        if not payloads:
            return set()
        present = await self.index.retrieve(collection, list(payloads))
        lost = {id for id in payloads if id not in present or present[id].get("hash") != held[id]}
        await self.index.set_payload(collection, {key: value for key, value in payloads.items() if key not in lost})
        return lost


def _claims(run: ActiveRun | HelpedRun) -> Claims:
    return Claims(run.run, record=run.record, clock=run.clock, lease=run.lease)


def _hash(claim: Claim) -> str:
    return fingerprint(claim.embedder or "", claim.rules or 0, claim.published, claim.payload_hash or "")


def _same_texts(claim: Claim, document: Document, embedder: str) -> bool:
    return claim.embedder == embedder and claim.rules == RULES and claim.published == document.section_hashes()


def _published(claim: Claim, document: Document, embedder: str) -> Published:
    return Published(
        claim=claim,
        sections=document.section_hashes(),
        payload_hash=document.payload_hash(),
        embedder=embedder,
        rules=RULES,
        visibility=document.payload.get("visibility"),
    )
