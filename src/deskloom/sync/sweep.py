"""Step 2: tombstones for what a provably complete listing no longer has, within the set share."""

from __future__ import annotations

from collections.abc import Iterable

from deskloom.errors import DeletionHeld
from deskloom.model import Kind, Tombstone


def absent(
    kind: Kind, *, known: Iterable[str], listing: frozenset[str], max_share: float, where: str
) -> list[Tombstone]:
    """Tombstones for known keys that the listing lacks.

    Raises `DeletionHeld` when that is more than `max_share` of what is known (promise 4): nothing is removed then.
    """
    known = set(known)
    gone = sorted(known - listing)
    if len(gone) > max_share * len(known):
        raise DeletionHeld(
            f"Not removing {len(gone)} of {len(known)} {kind}s that {where} no longer lists: one run removes at most "
            f"{max_share:.0%}. If they are really gone, run once with DESKLOOM_MAX_DELETE_SHARE=1",
            kind=kind.value,
            gone=len(gone),
            known=len(known),
        )
    return [Tombstone(kind=kind, key=key, reason=f"no longer listed by {where}") for key in gone]
