"""What the index should hold, in 49 bytes a document while it is compared: ids, half hashes, and what was seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

PENDING, SETTLED, LOST = 0, 1, 2
"""What is expected of a document's point: anything, exactly its hash, or at least that it is there."""
Entry = tuple[bytes, bytes, int]
"""An id (16 bytes), the hash of what was published (32 bytes), and what is expected."""
_ID = np.dtype("S16")  # NumPy pads these with zeros, and ignores the same: equal only if all 16 bytes are


class Table:
    """Entries are added, then sorted once, then marked by what a scroll sees."""

    def __init__(self) -> None:
        self._added: list[bytearray] = [bytearray(), bytearray(), bytearray()]
        self._ids: NDArray[np.bytes_] = np.empty(0, _ID)
        self._hashes: NDArray[np.bytes_] = np.empty(0, _ID)
        self._expected: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._seen: NDArray[np.bool_] = np.empty(0, np.bool_)
        self._wrong: NDArray[np.bool_] = np.empty(0, np.bool_)

    def add(self, entries: Sequence[Entry]) -> None:
        """Take entries in, before `sort`."""
        ids, hashes, expected = self._added
        ids += b"".join(entry[0] for entry in entries)
        hashes += _folded(b"".join(entry[1] for entry in entries)).tobytes()
        expected += bytes(entry[2] for entry in entries)

    def sort(self) -> None:
        """Make what was added ready to be looked up."""
        unsorted = np.frombuffer(self._added[0], _ID)
        order = np.argsort(unsorted).astype(np.uint32)
        self._ids = unsorted[order]
        self._hashes = np.frombuffer(self._added[1], _ID)[order]
        self._expected = np.frombuffer(self._added[2], np.uint8)[order]
        self._seen = np.zeros(len(order), np.bool_)
        self._wrong = np.zeros(len(order), np.bool_)
        self._added = []

    def see(self, points: Sequence[tuple[bytes, object]]) -> list[int]:
        """Note points of the index, given as id and what stands for a hash; returns the places of unknown ones."""
        ids = np.frombuffer(b"".join(id for id, _ in points), _ID)
        told = _folded(b"".join(_digest(value) for _, value in points))
        places, known = self._find(ids)
        found = places[known]
        self._seen[found] = True
        self._wrong[found] = (told[known] != self._hashes[found]) & (self._expected[found] == SETTLED)
        return [int(place) for place in np.flatnonzero(~known)]

    def suspects(self) -> int:
        """How many documents seem to be wrong, once every point was seen."""
        return int(np.count_nonzero(self._suspicious(slice(None))))

    def suspected(self, ids: Sequence[bytes]) -> list[bool]:
        """Which of these documents seem to be wrong; those that were never added do not."""
        places, known = self._find(np.frombuffer(b"".join(ids), _ID))
        answer = np.zeros(len(ids), np.bool_)
        answer[known] = self._suspicious(places[known])
        return [bool(one) for one in answer]

    def _suspicious(self, places: slice | NDArray[np.intp]) -> NDArray[np.bool_]:
        absent = ~self._seen[places] & (self._expected[places] != PENDING)
        return np.asarray(absent | self._wrong[places], np.bool_)

    def _find(self, ids: NDArray[np.bytes_]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        places = np.searchsorted(self._ids, ids)
        known = places < len(self._ids)
        known[known] = self._ids[places[known]] == ids[known]
        return places, known


def _digest(value: object) -> bytes:
    """32 bytes of what a point gives as its hash; something no hash can be where it is none."""
    try:
        digest = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        digest = b""
    return digest if len(digest) == 32 else bytes(31) + b"\1"


def _folded(digests: bytes) -> NDArray[np.bytes_]:
    """Hashes of 32 bytes as 16: the halves laid over each other, so that every bit still counts."""
    halves = np.frombuffer(digests, np.uint64).reshape(-1, 4)
    return np.ascontiguousarray(halves[:, :2] ^ halves[:, 2:]).view(_ID).reshape(-1)
