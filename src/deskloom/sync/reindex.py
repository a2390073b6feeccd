"""Builds a collection anew beside the serving one, with another model or other rules, and puts it in its place at once.

The copy is filled from the record in key order; what changes meanwhile is taken in by further passes. For the last of
them claims rest, so that nothing is published between the last look and the exchange. Search answers throughout, from
one copy or the other. A reindex that was interrupted begins a new copy, but every vector it made is cached.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from itertools import groupby
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom import documents
from deskloom.documents import RULES
from deskloom.errors import AlreadyRunning, IndexUnavailable, LeaseLost, RecordUnavailable, Retryable
from deskloom.model import Json
from deskloom.protocols import Embedder, EmbedderOf, VectorIndex
from deskloom.record import collections, embeddings, rebuilds
from deskloom.record import documents as record_documents
from deskloom.record import runs as record_runs
from deskloom.record.collections import CLOSED
from deskloom.record.documents import Claim
from deskloom.record.engine import Record
from deskloom.record.rebuilds import FIRST, Copied, ItemKey
from deskloom.record.runs import Run
from deskloom.sync.build import build
from deskloom.sync.runs import ActiveRun, Clock, uninterrupted
from deskloom.sync.vectors import failure, make_point, make_vectors, point_id

log = structlog.get_logger(__name__)

OpenEmbedder = Callable[[Json], Awaitable[Embedder]]
"""Opens the embedder of a choice as the record keeps it."""

MOST_PASSES = 20
"""Passes over changes that arrive meanwhile, before the collection is closed for the last one."""
_POLL = 0.2
PATIENCE = 120.0
"""Seconds to wait for publishers to finish the batches they hold."""


async def reindex(
    run: ActiveRun, *, index: VectorIndex, open_embedder: OpenEmbedder, batch: int, patience: float = PATIENCE
) -> str:
    """Perform a run of mode "reindex": its stream is the collection, `options["embedder"]` the choice to change to.

    With `options["back"]` the copy that was kept is brought up to date and serves again.
    """
    choice: Json = run.run.options["embedder"]
    back = bool(run.run.options.get("back"))
    await rebuild(
        run, run.run.stream, choice, index=index, open_embedder=open_embedder, batch=batch, back=back, patience=patience
    )
    return "partial" if run.error_count else "succeeded"


def builds(run: Run, collection: str) -> bool:
    """Whether a run builds a copy of a collection: a reindex, or a full sync of a table."""
    return (run.mode == "reindex" and run.stream == collection) or run.options.get("rebuilds") == collection


def _is_earlier(one: Run, than: Run) -> bool:
    return (one.created_at, one.id) < (than.created_at, than.id)


async def rebuild(
    run: ActiveRun,
    collection: str,
    choice: Json,
    *,
    index: VectorIndex,
    open_embedder: OpenEmbedder,
    batch: int,
    back: bool = False,
    patience: float = PATIENCE,
) -> None:
    """Fill a copy of a collection from the record, and let it serve. Sets the run's report.

    Raises `AlreadyRunning` while an earlier run builds one; a later one waits, or is refused, itself.
    """
    async with run.record.reading() as tx:
        others = [
            one for one in await record_runs.open_runs(tx) if builds(one, collection) and _is_earlier(one, run.run)
        ]
    if others:
        raise AlreadyRunning(f'Reindex of "{collection}" already in progress', run_id=str(others[0].id))
    await settle(run.record, index, collection, clock=run.clock, mine=run.run.id)
    work = Rebuild(run, index, collection, choice, await open_embedder(choice), batch)
    try:
        await work.begin(back=back)
        await work.fill()
        await work.catch_up()
        await work.close(patience)
        await work.fill()
        await uninterrupted(work.exchange())
    finally:
        if not work.exchanged:
            await uninterrupted(work.abandon())
    run.report = {"collection": collection, "embedder": choice, "points": await index.count(collection)}


async def settle(
    record: Record, index: VectorIndex, collection: str, *, clock: Clock, mine: UUID | None = None
) -> None:
    """Finish, or undo, an exchange that a crash cut in two: the index serves the copy, the record does not know it.

    While a reindex of the collection is under way this is left to it (`mine`), or to whoever takes it over.
    """
    async with record.reading() as tx:
        known = await collections.get_collection(tx, collection)
        going = [run.id for run in await record_runs.open_runs(tx) if builds(run, collection)]
    if known is None or known.state != CLOSED or known.rebuild is None or set(going) - {mine}:
        return
    serving = await index.schema(collection)
    new, old = known.rebuild["fingerprint"], known.rebuild["replaces"]
    async with record.transaction() as tx:
        if serving is not None and serving.embedder == new != old:
            await _note_exchange(tx, collection, known.rebuild, now=clock())
            return
        await collections.note_rebuild(tx, collection, None, now=clock())
        if new == old:  # which of the two copies serves cannot be told, so everything is written to it again
            await record_documents.unpublish(tx, collection)


async def _note_exchange(tx: AsyncConnection, collection: str, rebuild: Json, *, now: datetime) -> None:
    known = await collections.get_collection(tx, collection)
    if known is None or known.state != CLOSED:  # another process noted it already
        return
    await rebuilds.exchange(tx, collection, embedder=rebuild["fingerprint"], rules=RULES, now=now)
    previous = {"embedder": known.embedder, "fingerprint": rebuild["replaces"], "rules": rebuild["replaces_rules"]}
    await collections.replace_embedder(tx, collection, rebuild["embedder"], previous=previous, now=now)


class Rebuild:
    """One attempt at a copy."""

    def __init__(
        self, run: ActiveRun, index: VectorIndex, collection: str, choice: Json, embedder: Embedder, batch: int
    ) -> None:
        self.run, self.index, self.collection = run, index, collection
        self.choice, self.embedder, self.batch = choice, embedder, batch
        self.name = ""
        self.note: Json = {}
        self.exchanged = False

    async def begin(self, *, back: bool) -> None:
        """Begin an empty copy, or take the kept one up again where it can serve."""
        self.run.phase = f"building {self.collection}"
        self.run.measure = "indexed"
        back = back and await self._can_go_back()
        if back:
            self.name = await self.index.reopen_previous(self.collection)
        else:
            self.name = await self.index.begin_rebuild(documents.schema(self.collection, self.embedder))
        serving = await self.index.schema(self.collection)
        async with self.run.step() as step:
            if back:
                await rebuilds.rename_copy(step.tx, rebuilds.kept(self.collection), rebuilds.building(self.collection))
            else:
                await rebuilds.forget_copy(step.tx, rebuilds.building(self.collection))
            self.note = {
                "embedder": self.choice,
                "fingerprint": self.embedder.name,
                "replaces": serving.embedder if serving else None,
                "replaces_rules": RULES,
                "back": back,
            }
            await collections.note_rebuild(step.tx, self.collection, self.note, now=self.run.clock())
            self.run.total = await rebuilds.count_outdated(step.tx, self.collection)

    async def _can_go_back(self) -> bool:
        """Whether the kept copy was made with this model and these rules, and what it holds is known."""
        async with self.run.record.reading() as tx:
            known = await collections.get_collection(tx, self.collection)
            held = await rebuilds.count_copied(tx, rebuilds.kept(self.collection))
        stored = await self.index.previous(self.collection)
        return bool(
            known
            and known.previous
            and known.previous["rules"] == RULES
            and held
            and stored
            and stored.embedder == self.embedder.name
        )

    async def catch_up(self) -> None:
        """Take in what changed while the copy was filled, until little is left."""
        self.run.phase = f"taking in changes of {self.collection}"
        for _ in range(MOST_PASSES):
            async with self.run.record.reading() as tx:
                left = await rebuilds.count_outdated(tx, self.collection)
            if left <= self.batch:
                return
            await self.fill()

    async def fill(self) -> None:
        """One pass: every document that the copy lacks or holds at another version, then those that are gone."""
        after = FIRST
        while True:
            async with self.run.record.reading() as tx:
                claims = await rebuilds.outdated(tx, self.collection, after=after, limit=self.batch)
            if not claims:
                break
            for _, same in groupby(claims, key=lambda claim: claim.source):
                await self._copy(list(same))
            after = claims[-1].source, claims[-1].item_id, claims[-1].language
        while True:
            async with self.run.record.reading() as tx:
                gone = await rebuilds.vanished(tx, self.collection, limit=self.batch)
            if not gone:
                return
            await uninterrupted(self._drop(gone))

    async def _copy(self, claims: Sequence[Claim]) -> None:
        built = await build(self.run.record, claims)
        made = await make_vectors(self.run.record, self.embedder, built.documents)
        failed = [*built.failed, *made.refused]
        refused = {claim.key for claim, _ in made.refused}
        taken = [(claim, document) for claim, document in built.documents if claim.key not in refused]
        points = await asyncio.to_thread(
            lambda: [make_point(document, made, self.embedder.name) for _, document in taken]
        )
        pointless = [point_id(claim) for claim in (*built.gone, *(claim for claim, _ in failed))]
        copied = [
            Copied(
                claim=claim,
                sections=document.section_hashes(),
                payload_hash=document.payload_hash(),
                visibility=document.payload.get("visibility"),
            )
            for claim, document in taken
        ]
        copied += [Copied(claim=claim, sections={}, error=error.message) for claim, error in failed]
        copied += [Copied(claim=claim, sections={}) for claim in built.gone]

        async def write() -> None:
            if points:
                await self.index.upsert(self.name, points)
            if pointless:
                await self.index.delete(self.name, pointless)
            async with self.run.step() as step:
                await rebuilds.note_copied(step.tx, copied)
                step.counts["embedded"] += made.texts
                step.counts["indexed"] += len(points)
                step.fail([failure(claim, error) for claim, error in failed])

        await uninterrupted(write())

    async def _drop(self, gone: Sequence[ItemKey]) -> None:
        await self.index.delete(self.name, [documents.point_id(self.collection, *key) for key in gone])
        async with self.run.step() as step:
            await rebuilds.forget_copied(step.tx, self.collection, gone)

    async def close(self, patience: float) -> None:
        """Let claims rest, and wait until publishers are done with those they hold."""
        self.run.phase = f"exchanging {self.collection}"
        async with self.run.step() as step:
            await collections.close_collection(step.tx, self.collection, now=self.run.clock())
        deadline = asyncio.get_running_loop().time() + patience
        while True:
            async with self.run.record.reading() as tx:
                working = await rebuilds.count_claimed(tx, self.collection, now=self.run.clock())
            if not working:
                return
            if asyncio.get_running_loop().time() > deadline:
                raise IndexUnavailable(
                    f'Publishers still work on {working} documents of "{self.collection}" after {patience:.0f} s. '
                    "The old copy goes on serving; start the reindex again."
                )
            await asyncio.sleep(_POLL)

    async def exchange(self) -> None:
        """The copy serves from here on."""
        await self.index.swap(self.collection, self.name)
        self.exchanged = True
        async with self.run.step() as step:
            await _note_exchange(step.tx, self.collection, self.note, now=self.run.clock())

    async def abandon(self) -> None:
        """Leave the serving copy as it is, and drop what was begun, unless another worker goes on with it."""
        try:
            await self._forget()
        except LeaseLost as error:
            log.warning("a copy was left behind", collection=self.collection, error=error.code)
            return
        except RecordUnavailable as error:
            log.warning("a reindex that ended is still noted", collection=self.collection, error=error.message)
            if error.facts.get("passing"):  # it cannot be told whether the run is still ours
                return
        try:
            await self.index.drop_rebuild(self.collection)
        except Retryable as error:
            log.warning("a copy was left behind", collection=self.collection, error=error.message)

    async def _forget(self) -> None:
        async with self.run.step() as step:
            await collections.note_rebuild(step.tx, self.collection, None, now=self.run.clock())
            if self.note.get("back"):
                kept, building = rebuilds.kept(self.collection), rebuilds.building(self.collection)
                await rebuilds.rename_copy(step.tx, building, kept)


async def drop_kept(
    record: Record,
    index: VectorIndex,
    collection: str,
    *,
    embedder_of: EmbedderOf,
    names: Sequence[str],
    now: datetime,
) -> None:
    """Remove the copy that was replaced and kept, and the cached vectors of models that none of `names` uses.

    Raises `AlreadyRunning` while a reindex goes back to that copy.
    """
    async with record.reading() as tx:
        known = await collections.get_collection(tx, collection)
    if known is not None and known.rebuild is not None and known.rebuild["back"]:
        raise AlreadyRunning(f'A reindex of "{collection}" is going back to the kept copy. Wait for its end.')
    await index.drop_previous(collection)
    used = {(await embedder_of(name)).name for name in names}
    async with record.transaction() as tx:
        await rebuilds.forget_copy(tx, rebuilds.kept(collection))
        await collections.forget_previous(tx, collection, now=now)
        for one in await collections.all_collections(tx):
            used |= {copy["fingerprint"] for copy in (one.previous, one.rebuild) if copy}
        await embeddings.forget_models(tx, but=used)
