"""What an embedding server sends back, read and checked for its form."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

import numpy as np

from deskloom.protocols import Vectors

_WORD = re.compile(r"[A-Za-z0-9_.-]{1,60}")


class Malformed(Exception):
    """An answer that is none. `again`: a proxy in between may have made it, and another try may do better."""

    def __init__(self, what: str, *, again: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.again = again


def read_answer(content: bytes, count: int) -> Vectors:
    """The vectors of an OpenAI-shaped answer to `count` texts, by their `index`: float32, shape (count, width).

    Numbers or base64 (little-endian float32). Values are not looked at; a `null` becomes NaN. Raises `Malformed`.
    """
    try:
        body = json.loads(content)
    except ValueError:
        kind = "an HTML page" if content.lstrip()[:1] == b"<" else "something that is not whole JSON"
        raise Malformed(f"sent {kind} instead of vectors", again=True) from None
    rows = body.get("data") if isinstance(body, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "embedding" in row for row in rows):
        raise Malformed("sent JSON that holds no vectors")
    if len(rows) != count:
        raise Malformed(f"sent {len(rows)} vectors for {count} texts")
    places = [row.get("index", place) for place, row in enumerate(rows)]
    if any(type(place) is not int for place in places) or sorted(places) != list(range(count)):
        raise Malformed("numbered its vectors so that they cannot be told apart")
    vectors = [_vector(row["embedding"]) for row in rows]
    widths = {len(vector) for vector in vectors}
    if len(widths) != 1 or 0 in widths:
        raise Malformed(f"sent vectors of widths {', '.join(map(str, sorted(widths)))} in one answer")
    ordered = np.empty((count, widths.pop()), np.float32)
    ordered[places] = vectors
    return ordered


def read_reason(content: bytes) -> str | None:
    """The code or type of an error answer, if it is a single word: sentences of servers may quote what was sent."""
    try:
        body = json.loads(content)
    except ValueError:
        return None
    error = body.get("error", body) if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return None
    for name in ("code", "type", "error_type"):
        if isinstance(value := error.get(name), str) and _WORD.fullmatch(value):
            return value
    return None


def _vector(value: Any) -> Vectors:
    try:
        if isinstance(value, str):
            return np.frombuffer(base64.b64decode(value, validate=True), "<f4").astype(np.float32, copy=False)
        with np.errstate(over="ignore"):
            vector: Vectors = np.asarray(value, dtype=np.float32)
    except (binascii.Error, ValueError, TypeError):
        raise Malformed("sent vectors that are not numbers") from None
    if vector.ndim != 1:
        raise Malformed("sent something else than one vector for a text")
    return vector
