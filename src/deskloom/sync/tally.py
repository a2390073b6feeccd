"""Whether the index holds as many points of a source as the record says were published: what an ordinary run notices.

It costs two counts. Which points are missing, `verify` says.
"""

from __future__ import annotations

from deskloom.protocols import VectorIndex, Where
from deskloom.record.engine import Record
from deskloom.record.published import Tally, tally

LOOKS = 3
"""How often to look again when documents changed between the counts."""


async def count_points(record: Record, index: VectorIndex, collection: str, source: str) -> str | None:
    """A sentence for people if the counts disagree; None if they agree, or never stood still.

    Documents that wait to be published again count with the point they have; those that are being published, or whose
    publisher died, may have one or not.
    """
    before = await _read(record, collection, source)
    for _ in range(LOOKS):
        points = await index.count(collection, Where(equals={"source": [source]}))
        if before.least <= points <= before.most:
            return None
        after = await _read(record, collection, source)
        if after == before:
            return _sentence(collection, source, points, before)
        before = after
    return None


async def _read(record: Record, collection: str, source: str) -> Tally:
    async with record.reading() as tx:
        return await tally(tx, collection, source)


def _sentence(collection: str, source: str, points: int, expected: Tally) -> str:
    if points < expected.least:
        what = f"{points:,} of {expected.least:,} published documents of {source}"
    else:
        what = f"{points:,} points of {source}, of which {expected.most:,} documents were published"
    return f'Index "{collection}" holds {what}. Mend it: deskloom verify --repair'
