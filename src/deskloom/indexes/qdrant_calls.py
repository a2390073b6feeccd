"""Calls of a Qdrant server: what fails in passing is asked again, and what fails for good is said in our words."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import httpx
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from deskloom.errors import (
    AccessRefused,
    CredentialsRefused,
    DeskloomError,
    IndexMismatch,
    IndexUnavailable,
    NotFound,
    TooLarge,
    WrongProduct,
)
from deskloom.http.timing import Timing
from deskloom.indexes.asking import ask_again
from deskloom.indexes.checks import REBUILD

T = TypeVar("T")
_LATER = timedelta(seconds=10)
_REASON = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Asks one server. `address` is its host and port, for people; a call is made at most `retries` + 1 times."""

    address: str
    retries: int = 3
    timing: Timing = field(default_factory=Timing)

    async def ask(self, call: Callable[[], Awaitable[T]], *, collection: str | None = None) -> T:
        """The answer. `call` may be made again, so it has to be repeatable.

        Raises `IndexUnavailable` for what may pass, `CredentialsRefused`, `AccessRefused`, `WrongProduct`, `NotFound`
        for an absent collection, `IndexMismatch` for vectors that do not fit, `TooLarge` for too big a request.
        """
        try:
            return await ask_again(
                call,
                lambda error: self._trouble(error, collection),
                # The client raises three families of its own, and the exceptions of its local engine.
                failures=(QdrantException, UnexpectedResponse, ResponseHandlingException, ValueError, KeyError),
                retries=self.retries,
                timing=self.timing,
                address=self.address,
            )
        except (RuntimeError, AssertionError) as error:
            raise self._down(f"answered what its client does not understand ({error})") from error

    def _trouble(self, error: Exception, collection: str | None) -> tuple[DeskloomError, float | None]:
        """The error as ours, and the seconds to wait before another try; None: trying again is no use."""
        if isinstance(error, ResourceExhaustedResponse):
            seconds = float(error.retry_after_s)
            return self._down(f"is asked too much: {error.message}", after=timedelta(seconds=seconds)), seconds
        if isinstance(error, UnexpectedResponse):
            return self._refused(error, collection)
        if isinstance(error, ResponseHandlingException):
            if isinstance(error.source, httpx.TimeoutException):
                return self._down("did not answer in time"), 0.0
            if isinstance(error.source, httpx.TransportError):
                return self._down("cannot be reached"), 0.0
            return self._stranger("its answers are not Qdrant's"), None
        if isinstance(error, json.JSONDecodeError):
            return self._stranger("it answers, but not in JSON"), None
        if isinstance(error, KeyError) or "not found" in str(error).lower():
            return self._absent(collection), None
        return self._down(f"refused a request: {_short(str(error))}"), None

    def _refused(self, error: UnexpectedResponse, collection: str | None) -> tuple[DeskloomError, float | None]:
        status, reason = error.status_code or 0, _reason(error.content)
        said = f": {reason}" if reason else f" ({status})"
        if status == 401:
            return (
                CredentialsRefused(
                    f"Qdrant at {self.address} refused the key (401). Set the right one: QDRANT_API_KEY",
                    component="index",
                ),
                None,
            )
        if status == 403:
            return (
                AccessRefused(
                    f"Qdrant at {self.address} does not allow this{said}. Set QDRANT_API_KEY to a key that may read, "
                    "write and create collections.",
                    component="index",
                ),
                None,
            )
        if status == 404 and reason:
            return self._absent(collection), None
        if status in (301, 302, 307, 308, 404, 405):
            return self._stranger(f"it answers {status}"), None
        if status == 413:
            return TooLarge(f"Qdrant at {self.address} takes no request of this size{said}."), None
        if status == 507 or (reason and "no space left" in reason.lower()):
            return self._down(f"has no room{said}. Make room there, then run again", after=timedelta(minutes=1)), None
        if status in (408, 425, 429) or status >= 500:
            return self._down(f"answered {status}" + (f": {reason}" if reason else "")), 0.0
        if reason and ("dimension error" in reason or "vector name" in reason):
            return IndexMismatch(f'Index "{collection}" takes other vectors{said}. {REBUILD}'), None
        return self._down(f'refused a request for "{collection}"{said}'), None

    def _down(self, what: str, *, after: timedelta = _LATER) -> IndexUnavailable:
        return IndexUnavailable(f"Qdrant at {self.address} {what}.", retry_after=after)

    def _stranger(self, why: str) -> WrongProduct:
        return WrongProduct(
            f"{self.address} is no Qdrant server: {why}. Set QDRANT_URL to its REST address, for example "
            "http://qdrant:6333",
            component="index",
        )

    def _absent(self, collection: str | None) -> NotFound:
        return NotFound(f'The index has no collection "{collection}". Prepare it first.', collection=collection)


def _reason(content: bytes) -> str | None:
    """The server's own short reason, in the shape that Qdrant gives it: `{"status": {"error": "…"}}`."""
    try:
        body: Any = json.loads(content)
        return _short(body["status"]["error"])
    except (ValueError, KeyError, TypeError):
        return None


def _short(text: Any) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= _REASON else line[:_REASON] + "…"
