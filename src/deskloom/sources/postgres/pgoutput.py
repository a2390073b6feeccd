"""The messages of PostgreSQL's own logical decoding, as far as they name rows: which keys changed.

Layout: https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html (version 1).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Changed:
    """A row was inserted, updated or deleted; `values` are the columns the message tells, as text."""

    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Truncated:
    """The table was emptied."""


@dataclass(frozen=True, slots=True)
class Committed:
    """A transaction ends here; `lsn` is the place in the log after it."""

    lsn: str


@dataclass(slots=True)
class Decoder:
    """Reads messages in their order; remembers the columns of the tables that they announce."""

    columns: dict[int, list[str]] = field(default_factory=dict)

    def read(self, message: bytes) -> list[Changed | Truncated | Committed]:
        """What a message says; nothing, for those that only announce something."""
        kind, body = message[:1], _Body(message, 1)
        if kind == b"R":
            self._announce(body)
        elif kind == b"T":
            return [Truncated()]
        elif kind == b"C":
            body.bytes(9)  # flags, and the place of the commit itself
            return [Committed(f"{body.number('I'):X}/{body.number('I'):X}")]
        elif kind in (b"I", b"U", b"D"):
            names = self.columns[body.number("I")]
            return [Changed(values) for values in _tuples(body, names)]
        return []

    def _announce(self, body: _Body) -> None:
        oid = body.number("I")
        body.text()
        body.text()
        body.number("B")
        names = []
        for _ in range(body.number("H")):
            body.number("B")
            names.append(body.text())
            body.number("I")
            body.number("i")
        self.columns[oid] = names


def _tuples(body: _Body, names: Sequence[str]) -> Iterator[dict[str, str]]:
    """The old key or row of a change, where it is told, and the new one."""
    while not body.ended():
        body.number("B")  # K, O or N: old key, old row, new row
        found: dict[str, str] = {}
        for name in names[: body.number("H")]:
            form = body.bytes(1)
            if form in (b"t", b"b"):
                found[name] = body.bytes(body.number("I")).decode()
        yield found


class _Body:
    """A message, read from left to right."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at

    def ended(self) -> bool:
        return self._at >= len(self._data)

    def bytes(self, length: int) -> bytes:
        self._at += length
        return self._data[self._at - length : self._at]

    def number(self, form: str) -> int:
        size = struct.calcsize(f">{form}")
        value: int = struct.unpack(f">{form}", self.bytes(size))[0]
        return value

    def text(self) -> str:
        end = self._data.index(b"\x00", self._at)
        text = self._data[self._at : end].decode()
        self._at = end + 1
        return text
