"""The record against a complete listing of the source: what differs, what is proven to be gone, and removing it.

`sweep` and `against` are two uses of this.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from deskloom.errors import DeletionHeld
from deskloom.model import Json, Kind, Record, Ticket, TicketState, Tombstone
from deskloom.protocols import Listed, Source, Stream
from deskloom.record import checkpoints, holds
from deskloom.record.copies import Standing
from deskloom.record.store import standing
from deskloom.sync.runs import ActiveRun, Step, uninterrupted
from deskloom.sync.storing import Answer, fetch_all, store_records

ASKED_ABOVE_SHARE = 200
"""How many are asked for by id when more are missing than one run may remove: it may be the listing that is wrong."""
ARCHIVED_ASKED = 100
"""How many archived objects a sweep asks for by id, each time the next ones: no list may hold them."""
SHOWN = 100
REMOVED_AT_ONCE = 500


def guard(kind: Kind, *, gone: int, known: int, max_share: float, where: str, stream: str) -> None:
    """Raises `DeletionHeld` when that is more than `max_share` of what is known (promise 4)."""
    if gone > max_share * known:
        what = "tables" if kind is Kind.ROW else stream
        raise DeletionHeld(
            f"Not removing {gone} of {known} {kind}s that {where} no longer lists: one run removes at most "
            f"{max_share:.0%}. See them: deskloom sweep {what} --source {where} --dry-run. If they are really gone: "
            f"deskloom sweep {what} --source {where} --allow",
            kind=kind.value,
            gone=gone,
            known=known,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """An object in which listing and record differ, and why. `changed_at`: by the source's clock, if it says."""

    key: str
    why: str
    stamp: str | None = None
    changed_at: datetime | None = None
    declared: bool = False
    """The source's own list says that it is deleted."""

    def shown(self) -> Json:
        return {"key": self.key, "why": self.why}


@dataclass(slots=True, kw_only=True)
class Compared:
    """What a complete listing and the record say of each other."""

    listed: int
    known: int
    """Objects that are alive in the record."""
    missing: list[Difference] = field(default_factory=list)
    """Alive at the source; the record never had them."""
    changed: list[Difference] = field(default_factory=list)
    """Alive at both, with another change mark."""
    restored: list[Difference] = field(default_factory=list)
    """Alive at the source, deleted in the record."""
    gone: list[Difference] = field(default_factory=list)
    """Alive in the record; the source lists them as deleted."""
    unlisted: list[Difference] = field(default_factory=list)
    """Alive in the record, and the listing lacks them."""
    archived: list[str] = field(default_factory=list)
    """Archived, as far as the record knows, and not listed: that is as it should be."""
    moving: int = 0
    """Objects that another run stored during the comparison."""


async def compare_listing(run: ActiveRun, source: Source, stream: Stream) -> Compared:
    """Read the whole listing, and compare it with the record by key, change mark and deletion.

    Raises what the listing raises: an incomplete one proves nothing. What another run stored meanwhile is looked at
    again and left out.
    """
    async with run.record.reading() as tx:
        before = await standing(tx, source.name, stream.kind)
    listing: dict[str, Listed] = {}
    run.phase = f"listing {stream.name}"
    async for batch in source.listing(stream.name):
        listing |= {one.key: one for one in batch}
        run.phase = f"listing {stream.name}: {len(listing):,}"
    differing = [key for key in before.keys() | listing.keys() if _differ(listing.get(key), before.get(key))]
    async with run.record.reading() as tx:
        after = await standing(tx, source.name, stream.kind, differing)
    alive = sum(one.alive for one in before.values())
    compared = Compared(listed=sum(not one.gone for one in listing.values()), known=alive)
    for key in sorted(differing, key=_by_number):
        if after.get(key) != before.get(key):
            compared.moving += 1
        else:
            _sort_in(compared, key, listing.get(key), before.get(key))
    return compared


def _differ(listed: Listed | None, ours: Standing | None) -> bool:
    if ours is None:
        return listed is not None and not listed.gone
    if listed is None:
        return ours.alive
    if listed.gone or not ours.alive:
        return listed.gone == ours.alive
    return listed.stamp is not None and listed.stamp != ours.stamp


def _sort_in(compared: Compared, key: str, listed: Listed | None, ours: Standing | None) -> None:
    if listed is None:
        if ours is not None and ours.archived:
            compared.archived.append(key)
        else:
            compared.unlisted.append(Difference(key=key, why="the source no longer lists it"))
        return
    facts: Json = {"key": key, "stamp": listed.stamp, "changed_at": listed.updated_at}
    if listed.gone:
        compared.gone.append(Difference(**facts, why="the source lists it as deleted", declared=True))
    elif ours is None:
        compared.missing.append(Difference(**facts, why="the source lists it, and the record does not have it"))
    elif not ours.alive:
        compared.restored.append(Difference(**facts, why="it is deleted in the record, and not at the source"))
    else:
        compared.changed.append(Difference(**facts, why="its change mark at the source is another"))


def _by_number(key: str) -> tuple[int, str]:
    """Ids as numbers grow: a rotation through them needs an order that stays."""
    return len(key.partition(":")[0]), key


# ------------------------------------------------------------------------------------------------------------ proving


@dataclass(slots=True)
class Proof:
    """What the source said of objects that may be gone, each asked for by its id."""

    gone: list[tuple[Record, str]] = field(default_factory=list)
    """Records that say so (tombstones, deleted tickets), and why in words."""
    alive: int = 0
    archived: int = 0
    unsure: list[Difference] = field(default_factory=list)
    """Those it could not tell about: that proves nothing."""
    unasked: list[Difference] = field(default_factory=list)

    @property
    def doomed(self) -> dict[str, str]:
        """Everything that would have to go, were the listing right about those not asked for: key → why."""
        asked = {record.key: why for record, why in self.gone}
        return asked | {one.key: f"{one.why}; not asked for by id yet" for one in self.unasked}


async def prove(
    run: ActiveRun,
    source: Source,
    stream: Stream,
    compared: Compared,
    *,
    max_share: float,
    allowed: Collection[str] = (),
    write: bool,
) -> Proof:
    """Ask the source for every object that may be gone; those that exist are stored as they are now (`write`).

    Where more than `max_share` may be gone, beyond those `allowed`, only `ASKED_ABOVE_SHARE` are asked for, unless
    their answers show that it is not so many (tickets that were archived all at once). Nothing is removed here, so
    whatever is raised leaves everything in place.
    """
    suspects = [*compared.gone, *compared.unlisted]
    allowance = max_share * compared.known
    counted = [one for one in suspects if one.key not in allowed]
    proof = Proof()
    if len(counted) > allowance:
        proof.unasked = counted[ASKED_ABOVE_SHARE:]
    later = {one.key for one in proof.unasked}
    await _ask(run, source, stream, [one for one in suspects if one.key not in later], proof, write=write)
    beyond = [key for key in proof.doomed if key not in allowed]
    if proof.unasked and len(beyond) <= allowance:
        rest, proof.unasked = proof.unasked, []
        await _ask(run, source, stream, rest, proof, write=write)
    return proof


async def prove_archived(run: ActiveRun, source: Source, stream: Stream, keys: Sequence[str], proof: Proof) -> None:
    """Ask for the next few archived objects: one that is deleted, or erased with its requester, is on no list."""
    if not keys:
        return
    bookmark = f"{stream.name}@archived"
    async with run.record.reading() as tx:
        after = (await checkpoints.load_checkpoint(tx, source.name, bookmark) or {}).get("after", "")
    asked = in_turn(keys, after, ARCHIVED_ASKED)
    suspects = [Difference(key=key, why="the source has no list of archived objects") for key in asked]
    await _ask(run, source, stream, suspects, proof, write=True)
    async with run.step() as step:
        await checkpoints.save_checkpoint(
            step.tx, source.name, bookmark, {"after": asked[-1]}, now=run.clock(), completed=False
        )


def in_turn(keys: Sequence[str], after: str, most: int) -> list[str]:
    """The next `most` keys after one, by number; from the beginning again where none follow."""
    ordered = sorted(keys, key=_by_number)
    return ([key for key in ordered if _by_number(key) > _by_number(after)] or ordered)[:most]


async def _ask(
    run: ActiveRun, source: Source, stream: Stream, suspects: Sequence[Difference], proof: Proof, *, write: bool
) -> None:
    named = {one.key: one for one in suspects}
    if named:
        run.phase = f"asking for {len(named):,} {stream.name} that may be gone"
    async for answers in fetch_all(source, stream, list(named)):
        living = [answer for answer in answers if answer.record is not None and not answer.gone]
        for answer in answers:
            _judge(answer, named[answer.key], stream, proof)
        if write and living:
            await uninterrupted(_keep(run, source, stream, living))


def _judge(answer: Answer, suspect: Difference, stream: Stream, proof: Proof) -> None:
    if answer.gone and answer.record is not None:
        proof.gone.append((answer.record, _why(answer.record)))
    elif answer.record is not None:
        proof.alive += 1
        proof.archived += isinstance(answer.record, Ticket) and answer.record.state is TicketState.ARCHIVED
    elif suspect.declared:  # and closed to us by id (T20): the list has said it
        reason = suspect.why
        proof.gone.append((Tombstone(kind=stream.kind, key=answer.key, reason=reason, stamp=suspect.stamp), reason))
    else:
        why = answer.failure.reason if answer.failure else suspect.why
        proof.unsure.append(Difference(key=answer.key, why=why))


def _why(record: Record) -> str:
    if isinstance(record, Ticket):
        return "marked as spam at the source" if record.state is TicketState.SPAM else "deleted at the source"
    return record.reason if isinstance(record, Tombstone) else "deleted at the source"


async def read_again(run: ActiveRun, source: Source, stream: Stream, keys: Sequence[str]) -> tuple[int, list[Json]]:
    """Fetch objects by key and store them as they are now; returns how many were stored, and which could not be."""
    stored, failed = 0, []
    if keys:
        run.phase = f"reading {len(keys):,} {stream.name} again"
    async for answers in fetch_all(source, stream, keys):
        # A tombstone of what the record never had says nothing; of what it has, the next sweep proves it.
        living = [answer for answer in answers if not answer.gone]
        stored += sum(answer.record is not None and answer.failure is None for answer in living)
        failed += [{"key": one.key, "why": one.failure.reason} for one in living if one.failure is not None]
        if living:
            await uninterrupted(_keep(run, source, stream, living))
    return stored, failed


async def _keep(run: ActiveRun, source: Source, stream: Stream, answers: Sequence[Answer]) -> None:
    async with run.step() as step:
        records = [answer.record for answer in answers if answer.record is not None]
        failures = [answer.failure for answer in answers if answer.failure is not None]
        await store_records(run, step, source, stream, records, failures)


# ----------------------------------------------------------------------------------------------------------- removing


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed, or the sentence that says why it is held."""

    keys: list[str]
    held: str | None = None
    holding: list[str] = field(default_factory=list)


async def remove(
    run: ActiveRun,
    source: Source,
    stream: Stream,
    proof: Proof,
    *,
    known: int,
    max_share: float,
    allowed: Collection[str] = (),
    write: bool,
) -> Removed:
    """Remove what is proven to be gone, or hold it if that is more than `max_share` beyond what was `allowed`.

    Then only what was allowed goes. Without `write` this says what would be.
    """
    beyond = [key for key in proof.doomed if key not in allowed]
    held = None
    try:
        guard(stream.kind, gone=len(beyond), known=known, max_share=max_share, where=source.name, stream=stream.name)
    except DeletionHeld as error:
        held = error.message
    going = [record for record, _ in proof.gone if held is None or record.key in allowed]
    removed = Removed([record.key for record in going], held, beyond if held else [])
    if write:
        for start in range(0, len(going), REMOVED_AT_ONCE):
            run.phase = f"removing {len(going):,} {stream.name}"
            await uninterrupted(_bury(run, source, stream, going[start : start + REMOVED_AT_ONCE]))
        await uninterrupted(_end(run, source, stream, removed, known))
    return removed


async def _bury(run: ActiveRun, source: Source, stream: Stream, records: Sequence[Record]) -> None:
    async with run.step() as step:
        await store_records(run, step, source, stream, records, [])


async def _end(run: ActiveRun, source: Source, stream: Stream, removed: Removed, known: int) -> None:
    async with run.step() as step:
        await settle(run, step, source, stream, known=known, held=removed.held, keys=removed.holding)


async def settle(
    run: ActiveRun, step: Step, source: Source, stream: Stream, *, known: int, held: str | None, keys: Sequence[str]
) -> None:
    """Put what is held before a person, or take back what was, now that nothing waits."""
    if held is None:
        await holds.drop_hold(step.tx, source.name, stream.name, stream.kind)
        return
    step.errors.append(held)
    await holds.hold_deletion(
        step.tx,
        source=source.name,
        stream=stream.name,
        kind=stream.kind,
        keys=keys,
        known=known,
        reason=held,
        now=run.clock(),
    )
