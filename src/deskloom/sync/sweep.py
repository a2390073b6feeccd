"""Step 2: tombstones for what a provably complete listing no longer has, within the set share."""

from __future__ import annotations

from collections.abc import Iterable

from deskloom.http import metered
from deskloom.model import Json, Kind, Tombstone
from deskloom.protocols import Source, Stream
from deskloom.record import holds
from deskloom.sync.proof import (
    SHOWN,
    Compared,
    Proof,
    Removed,
    compare_listing,
    guard,
    prove,
    prove_archived,
    read_again,
    remove,
)
from deskloom.sync.publish import Publisher
from deskloom.sync.runs import ActiveRun


def absent(
    kind: Kind, *, known: Iterable[str], listing: frozenset[str], max_share: float, where: str, stream: str
) -> list[Tombstone]:
    """Tombstones for known keys that the listing lacks.

    Raises `DeletionHeld` when that is more than `max_share` of what is known (promise 4): nothing is removed then.
    """
    known = set(known)
    gone = sorted(known - listing)
    guard(kind, gone=len(gone), known=len(known), max_share=max_share, where=where, stream=stream)
    return [Tombstone(kind=kind, key=key, reason=f"no longer listed by {where}") for key in gone]


async def sweep(
    run: ActiveRun, *, source: Source, stream: Stream, max_delete_share: float, publisher: Publisher | None = None
) -> str:
    """Bring deletions of one stream into the record, and what else its complete listing shows to differ.

    Options of the run: `dry_run` reads and reports, and writes nothing; `allow` lifts the guard for what was shown
    (the hold, or a dry run just before). Returns succeeded, or partial when something failed or is held; raises what
    stopped it, and until every proof is in nothing is removed.
    """
    dry, allow = bool(run.run.options.get("dry_run")), bool(run.run.options.get("allow"))
    with metered(run.meter):
        if stream.collection and publisher and not dry:
            await publisher.prepare(stream.collection)
        async with run.record.reading() as tx:
            shown = await holds.shown_keys(tx, source.name, stream.name, stream.kind)
        allowed = shown if allow else frozenset()
        compared = await compare_listing(run, source, stream)
        read, unread = 0, list[Json]()
        if not dry:
            changed = [*compared.missing, *compared.changed, *compared.restored]
            read, unread = await read_again(run, source, stream, [one.key for one in changed])
        proof = await prove(run, source, stream, compared, max_share=max_delete_share, allowed=allowed, write=not dry)
        if not dry:
            await prove_archived(run, source, stream, compared.archived, proof)
        removed = await remove(
            run, source, stream, proof, known=compared.known, max_share=max_delete_share, allowed=allowed, write=not dry
        )
        run.report = _report(compared, proof, removed, dry=dry, allow=allow) | {"read": read, "unread": unread[:SHOWN]}
        if stream.collection and publisher and not dry:
            await publisher.publish(run, source.name, stream.collection)
    return "partial" if run.error_count else "succeeded"


def _report(compared: Compared, proof: Proof, removed: Removed, *, dry: bool, allow: bool) -> Json:
    """What was found; lists hold the first 100. `missing`: alive in the record, and the listing lacks them."""
    doomed = proof.doomed
    return {
        "dry_run": dry,
        "allow": allow,
        "listed": compared.listed,
        "known": compared.known,
        "missing": len(compared.unlisted),
        "new": len(compared.missing),
        "changed": len(compared.changed),
        "restored": len(compared.restored),
        "alive": proof.alive,
        "archived": proof.archived,
        "gone_count": len(doomed),
        "gone": [{"key": key, "why": why} for key, why in list(doomed.items())[:SHOWN]],
        "unsure": [one.shown() for one in proof.unsure[:SHOWN]],
        "removed": 0 if dry else len(removed.keys),
        "held": removed.held is not None,
        "why_held": removed.held,
    } | ({"would_hold": removed.holding} if dry and removed.held else {})
