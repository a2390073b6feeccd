"""Step 3: brings the index in line with the record. Embeds only sections whose text changed, and marks what it did.

A batch is claimed, built, compared with what was published, embedded, written to the index, and only then marked. A
crash anywhere means that the batch is done again, with the same ids.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import numpy as np

from deskloom import documents
from deskloom.documents import RULES, Document
from deskloom.errors import ItemError
from deskloom.model import ItemFailure, Json, Kind
from deskloom.protocols import Embedder, Point, VectorIndex, Vectors
from deskloom.record import documents as record_documents
from deskloom.record import embeddings, failures
from deskloom.record.documents import Claim, Published
from deskloom.record.engine import Record
from deskloom.sync.build import Built, build
from deskloom.sync.runs import ActiveRun, uninterrupted

BATCH = 128
"""Documents a batch: enough texts to sort by length, few enough that a crash repeats little."""
WORKERS = 2
"""Batches under way at once: one is built and written while the other is embedded."""
CLAIM = timedelta(hours=1)


@dataclass(slots=True)
class Changes:
    """What one batch changes in the index, and the vectors that had to be made for it."""

    points: list[Point] = field(default_factory=list)
    payloads: dict[UUID, Json] = field(default_factory=dict)
    deleted: list[UUID] = field(default_factory=list)
    made: dict[str, Vectors] = field(default_factory=dict)
    texts: int = 0


class Publisher:
    """Publishes stale documents to one index with one embedder."""

    def __init__(self, record: Record, index: VectorIndex, embedder: Embedder, *, batch: int = BATCH) -> None:
        self.batch = batch
        self.record = record
        self.index = index
        self.embedder = embedder

    async def prepare(self, collection: str) -> None:
        """Make sure the collection exists. One that was lost is filled again from the record and cached vectors."""
        if await self.index.prepare(documents.schema(collection, self.embedder)):
            async with self.record.transaction() as tx:
                await record_documents.unpublish(tx, collection)

    async def publish(
        self, run: ActiveRun, source: str, collection: str, *, pulled: asyncio.Event, fresh: asyncio.Event
    ) -> None:
        """Publish until the pull has ended and nothing is stale. `fresh` is set whenever a page was committed.

        No other run covers this source and collection (D1), so claims that stand from before are a dead worker's.
        """
        owner = f"{source}/{collection}"
        async with run.step() as step:
            await record_documents.release(step.tx, owner)
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work(run, owner, source, collection, pulled, fresh))

    async def _work(
        self, run: ActiveRun, owner: str, source: str, collection: str, pulled: asyncio.Event, fresh: asyncio.Event
    ) -> None:
        while True:
            over = pulled.is_set()
            fresh.clear()
            if over:
                run.phase = "publishing"
            if await self._batch(run, owner, source, collection):
                continue
            if over:
                return
            if not pulled.is_set():
                await fresh.wait()

    async def _batch(self, run: ActiveRun, owner: str, source: str, collection: str) -> int:
        """Claim a batch and publish it; returns how many documents it took."""
        now = run.clock()
        async with self.record.transaction() as tx:
            claims = await record_documents.claim(
                tx, owner=owner, source=source, collection=collection, limit=self.batch, until=now + CLAIM, now=now
            )
        if not claims:
            return 0
        built = await build(self.record, claims)
        changes = await self._changes(built)
        await uninterrupted(self._write(run, collection, built, changes))
        return len(claims)

    async def _changes(self, built: Built) -> Changes:
        """Compare documents with what was published, and embed the texts that are new."""
        changes = Changes()
        whole: list[tuple[Claim, Document]] = []
        for claim, document in built.documents:
            if not self._same_texts(claim, document):
                whole.append((claim, document))
            elif claim.payload_hash != document.payload_hash():
                changes.payloads[document.id] = self._payload(document)
        vectors = await self._vectors(built, whole, changes)
        refused = [claim for claim, _ in built.failed]
        taken = [document for claim, document in whole if claim not in refused]
        changes.points = await asyncio.to_thread(lambda: [self._point(document, vectors) for document in taken])
        changes.deleted = [_point_id(claim) for claim in (*built.gone, *refused)]
        return changes

    def _same_texts(self, claim: Claim, document: Document) -> bool:
        return (
            claim.embedder == self.embedder.name
            and claim.rules == RULES
            and claim.published == document.section_hashes()
        )

    async def _vectors(
        self, built: Built, whole: Sequence[tuple[Claim, Document]], changes: Changes
    ) -> Mapping[str, Vectors]:
        """Vectors by text hash for all dense sections: from the cache where the text is known, else made now.

        A document whose text the model refuses is moved to `built.failed`.
        """
        texts = {_hash(text): text for _, document in whole for text in document.sections.values()}
        if not texts:
            return {}
        async with self.record.reading() as tx:
            vectors = await embeddings.load_vectors(tx, self.embedder.name, list(texts))
        missing = {key: text for key, text in texts.items() if key not in vectors}
        try:
            changes.made, changes.texts = await self._embed(missing)
        except ItemError:
            for claim, document in whole:
                own = {key: missing[key] for key in map(_hash, document.sections.values()) if key in missing}
                try:
                    made, count = await self._embed(own)
                except ItemError as error:
                    built.failed.append((claim, error))
                    built.documents.remove((claim, document))
                else:
                    changes.made |= made
                    changes.texts += count
        return {**vectors, **changes.made}

    async def _embed(self, texts: Mapping[str, str]) -> tuple[dict[str, Vectors], int]:
        """Vectors of texts by their hash, shape (parts, width), and how many texts the model was given."""
        if not texts:
            return {}, 0
        parts = await asyncio.to_thread(
            lambda: [(key, part) for key, text in texts.items() for part in documents.split(text, self.embedder)]
        )
        rows = await self.embedder.embed([part for _, part in parts])
        made: dict[str, list[Vectors]] = {}
        for (key, _), row in zip(parts, rows, strict=True):
            made.setdefault(key, []).append(row)
        return {key: np.stack(own) for key, own in made.items()}, len(parts)

    def _point(self, document: Document, vectors: Mapping[str, Vectors]) -> Point:
        return Point(
            id=document.id,
            vectors={name: vectors[_hash(text)] for name, text in document.sections.items()},
            words=documents.sparse(document),
            payload=self._payload(document),
        )

    def _payload(self, document: Document) -> Json:
        """The payload with its `hash`, by which `verify` compares index and record."""
        return document.payload | {
            "hash": fingerprint(self.embedder.name, RULES, document.section_hashes(), document.payload_hash())
        }

    async def _write(self, run: ActiveRun, collection: str, built: Built, changes: Changes) -> None:
        """Write to the index first; mark as published only what the index has acknowledged."""
        if changes.points:
            await self.index.upsert(collection, changes.points)
        lost = await self._set_payloads(collection, changes.payloads)
        if changes.deleted:
            await self.index.delete(collection, changes.deleted)
        now = run.clock()
        async with run.step() as step:
            if changes.made:
                await embeddings.store_vectors(step.tx, self.embedder.name, changes.made)
            done = [self._published(claim, document) for claim, document in built.documents if document.id not in lost]
            await record_documents.mark_published(step.tx, done, now=now)
            await record_documents.forget(step.tx, built.gone)
            for claim, document in built.documents:
                if document.id in lost:
                    why = "the index had lost it"
                    await record_documents.mark_failed(
                        step.tx, claim, why, next_attempt_at=now, now=now, unpublished=True
                    )
            kind = Kind.ARTICLE if collection == documents.ARTICLES else Kind.TICKET
            for claim, error in built.failed:
                await record_documents.mark_failed(
                    step.tx, claim, error.message, next_attempt_at=None, now=now, unpublished=True
                )
            refused = [
                ItemFailure(kind=kind, key=_key(claim), reason=error.message, retry=False)
                for claim, error in built.failed
            ]
            step.fail(refused)
            if refused:
                await failures.add_failures(step.tx, run.run.source, run.run.stream, refused, now=now)
            step.counts["embedded"] += changes.texts
            step.counts["indexed"] += len(changes.points) + len(changes.payloads) - len(lost) + len(changes.deleted)

    async def _set_payloads(self, collection: str, payloads: Mapping[UUID, Json]) -> set[UUID]:
        """Replace payloads; returns ids that the index does not have, although they were published."""
        if not payloads:
            return set()
        present = await self.index.retrieve(collection, list(payloads))
        lost = set(payloads) - set(present)
        await self.index.set_payload(collection, {key: value for key, value in payloads.items() if key not in lost})
        return lost

    def _published(self, claim: Claim, document: Document) -> Published:
        return Published(
            claim=claim,
            sections=document.section_hashes(),
            payload_hash=document.payload_hash(),
            embedder=self.embedder.name,
            rules=RULES,
            visibility=document.payload.get("visibility"),
        )


def fingerprint(embedder: str, rules: int, sections: Mapping[str, str], payload_hash: str) -> str:
    """The `hash` of a point: what it was made of. The record's `documents` row holds the same four."""
    parts = [embedder, rules, dict(sections), payload_hash]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _key(claim: Claim) -> str:
    return f"{claim.item_id}:{claim.language}" if claim.language else claim.item_id


def _point_id(claim: Claim) -> UUID:
    return documents.point_id(claim.collection, claim.source, claim.item_id, claim.language)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
