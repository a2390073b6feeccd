"""What a request is and what is answered, for the products of the sandbox: a call, an answer, a refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deskloom.sandbox.rows import Row


@dataclass(slots=True, kw_only=True)
class Call:
    """A request after routing. `ids` are the numbers in its path, in order; `agent` is the agent who owns the key."""

    method: str
    path: str
    query: dict[str, str]
    base: str
    ids: tuple[int, ...] = ()
    language: str | None = None
    body: Any = None
    agent: Row = field(default_factory=dict)

    @property
    def id(self) -> int:
        return self.ids[0]


@dataclass(slots=True)
class Answer:
    """What goes back. `body` None is an empty body; bytes go out as they are."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json; charset=utf-8"

    def encode(self) -> bytes:
        if self.body is None:
            return b""
        if isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode()


class Refused(Exception):
    """The request is answered with an error; carries the answer."""

    def __init__(self, status: int, body: Any = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(str(status))
        self.answer = Answer(status, body, dict(headers or {}))


def invalid(field_name: str, message: str, code: str = "invalid_value") -> Refused:
    """400 in the documented shape (HELPDESK-APIS 2.2)."""
    error = {"field": field_name, "message": message, "code": code}
    return Refused(400, {"description": "Validation failed", "errors": [error]})


def unexpected(field_name: str) -> Refused:
    """400 for a query or body member the endpoint does not know (HELPDESK-APIS rule 10)."""
    return invalid(field_name, "Unexpected/invalid field in request", "invalid_field")


def denied(code: str = "access_denied", message: str = "You are not authorized to perform this action.") -> Refused:
    return Refused(403, {"code": code, "message": message})


def allow(given: Mapping[str, Any], known: frozenset[str]) -> None:
    """Raise the 400 for the first member that is not known."""
    for name in given:
        if name not in known:
            raise unexpected(name)
