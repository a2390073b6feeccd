"""The record against its source: part of step 4, for a verify that also asks the helpdesk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from deskloom.http import metered
from deskloom.model import Json
from deskloom.protocols import Source, Stream
from deskloom.record.checkpoints import complete_since
from deskloom.sync.proof import (
    SHOWN,
    Compared,
    Difference,
    Proof,
    compare_listing,
    prove,
    read_again,
    remove,
)
from deskloom.sync.runs import ActiveRun

LAG = timedelta(minutes=5)
"""How late a list may show a change, and how far the source's clock may be from ours."""


async def against(run: ActiveRun, source: Source, stream: Stream, *, repair: bool, max_delete_share: float) -> Json:
    """Compare one stream of the record with the source's complete listing, by key, change mark and deletion.

    Returns counts, and the first 100 items (`key`, `why`) of each: `missing` at the source and not in the record,
    `stale` with another change mark or deleted in the record alone, `extra` in the record and, asked by id, not at the
    source. `pending` is no difference: it changed after the last complete sync began (less `LAG`), or is being stored
    by another run, so that the next sync brings it. `unsure`: the source could not say by id; `unasked`: so many may
    be extra that not all were asked for.

    `repair` mends exactly what is named, extras within `max_delete_share` (else they are held, and `held` says it).
    Documents are marked, not published. Raises what the source raises; nothing is removed then.
    """
    with metered(run.meter):
        async with run.record.reading() as tx:
            since = await complete_since(tx, source.name, stream.name)
        compared = await compare_listing(run, source, stream)
        pending = compared.moving + _leave_pending(compared, since)
        known = compared.known
        proof = await prove(run, source, stream, compared, max_share=max_delete_share, write=False)
        stale = [*compared.changed, *compared.restored]
        told: Json = {
            "listed": compared.listed,
            "known": known,
            "missing": _told(compared.missing),
            "stale": _told(stale),
            "extra": _told([Difference(key=record.key, why=why) for record, why in proof.gone]),
            "pending": pending,
            "unsure": _told(proof.unsure),
            "unasked": len(proof.unasked),
            "archived": proof.archived,
            "held": False,
            "mended": None,
        }
        if repair:
            told |= await _mend(run, source, stream, compared, proof, stale, max_delete_share)
    return told


async def _mend(
    run: ActiveRun,
    source: Source,
    stream: Stream,
    compared: Compared,
    proof: Proof,
    stale: Sequence[Difference],
    max_share: float,
) -> Json:
    read, unread = await read_again(run, source, stream, [one.key for one in (*compared.missing, *stale)])
    removed = await remove(run, source, stream, proof, known=compared.known, max_share=max_share, write=True)
    return {
        "mended": {"read": read, "removed": len(removed.keys), "failed": unread[:SHOWN]},
        "held": removed.held is not None,
    }


def _leave_pending(compared: Compared, since: datetime | None) -> int:
    """Take out what changed too late for the last complete sync to have brought it; returns how much that was."""
    left = 0
    for found in (compared.missing, compared.changed, compared.restored, compared.gone):
        kept = [one for one in found if since is not None and not _is_late(one, since)]
        left += len(found) - len(kept)
        found[:] = kept
    return left


def _is_late(one: Difference, since: datetime) -> bool:
    return one.changed_at is not None and one.changed_at > since - LAG


def _told(found: Sequence[Difference]) -> Json:
    return {"count": len(found), "items": [one.shown() for one in found[:SHOWN]]}
