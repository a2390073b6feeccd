"""One embedding server over HTTP: asks it, tries again where that helps, and names what went wrong where not."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx

from deskloom.embedders.address import read_address
from deskloom.embedders.answers import Malformed, read_answer, read_reason
from deskloom.errors import CredentialsRefused, DeskloomError, EmbedderUnavailable, SettingInvalid
from deskloom.http.budget import wait
from deskloom.http.headers import retry_after
from deskloom.http.timing import Timing
from deskloom.protocols import Vectors

_log = logging.getLogger(__name__)

_OF_TEXTS = (400, 413, 422)
"""What servers answer to texts they refuse: too long, too many, not to be tokenized. Asking again changes nothing."""
_OF_NOW = (502, 503, 504)
"""The server is not there (a proxy says so) or is starting: no text is to blame."""
_NO_MONEY = ("insufficient_quota", "billing_hard_limit_reached")
_LONGEST_BLIND_WAIT = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long one question may take: tries in all, seconds a try, and the longest wait that the server may ask for."""

    tries: int
    seconds: float
    longest_wait: float
    rate_limits: int = 10


class Doubtful(Exception):
    """A request failed as it would if one of its texts were at fault. `refused`: the server judged the request."""

    def __init__(self, what: str, *, refused: bool) -> None:
        super().__init__(what)
        self.what = what
        self.refused = refused


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trouble:
    """Why a try failed, in words. `texts`: one of the texts may be at fault; `again`: another try may do better."""

    what: str
    again: bool = True
    texts: bool = False
    refused: bool = False
    limited: bool = False
    retry_after: float | None = None
    remedy: str = "Start it, or check DESKLOOM_EMBEDDER_URL; what was not embedded is embedded later."


class Endpoint:
    """The `/v1/embeddings` of one server. `host` is all of its address that people are shown."""

    def __init__(
        self, url: str, model: str, *, api_key: str | None = None, connections: int = 8, timing: Timing | None = None
    ) -> None:
        self.url = read_address(url, keyed=bool(api_key))
        self.model = model
        self.host = urlsplit(self.url).netloc
        self.title = f"The embedding server {self.host}"
        self.lost = False
        """The server could not be reached for a while: another one, or another model, may stand there now."""
        self._timing = timing or Timing()
        self._paused_until = 0.0
        self._http = httpx.AsyncClient(
            headers={"Accept": "application/json", "User-Agent": "deskloom"}
            | ({"Authorization": f"Bearer {api_key}"} if api_key else {}),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            trust_env=not self.url.startswith("http://"),
        )

    async def embed(self, texts: Sequence[str], patience: Patience) -> Vectors:
        """What the server makes of `texts`: shape (len(texts), its width), in order, unchecked values.

        Raises `Doubtful` if a text may be at fault, `EmbedderUnavailable` after the last try, and at once
        `CredentialsRefused` and `SettingInvalid`.
        """
        body = {"model": self.model, "input": list(texts), "encoding_format": "float"}
        failures = limits = 0
        while True:
            await self._rest(patience)
            outcome = await self._try(body, patience)
            if not isinstance(outcome, _Trouble):
                return outcome
            tries = limits if outcome.limited else failures
            most = patience.rate_limits if outcome.limited else patience.tries - 1
            if not outcome.again or tries >= most:
                raise self._final(outcome, tries + 1)
            limits += outcome.limited
            failures += not outcome.limited
            await self._back_off(outcome, tries, patience)

    async def ask(self, method: str, path: str, body: Any = None, *, seconds: float = 5) -> dict[str, Any] | None:
        """A JSON object from beside `/v1/embeddings`, `path` as seen from `/v1`; None for whatever else happens."""
        try:
            response = await self._http.request(method, self.url + path, json=body, timeout=seconds)
            found = response.json() if response.status_code == 200 else None
        except (httpx.HTTPError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _try(self, body: dict[str, Any], patience: Patience) -> Vectors | _Trouble:
        try:
            response = await self._http.post(f"{self.url}/embeddings", json=body, timeout=patience.seconds)
        except httpx.TransportError as error:
            return self._transport_trouble(error)
        except httpx.DecodingError:
            return _Trouble(what="sent a body that cannot be unpacked")
        if response.status_code != 200:
            return self._refusal(response)
        try:
            return await asyncio.to_thread(read_answer, response.content, len(body["input"]))
        except Malformed as error:
            return _Trouble(what=error.what, again=error.again, remedy=_REMEDY_STRANGE)

    def _refusal(self, response: httpx.Response) -> _Trouble:
        """What a status means. Reasons that servers give may quote the text: only a machine's word of it is kept."""
        status = response.status_code
        code = read_reason(response.content)
        if status in (401, 403):
            raise CredentialsRefused(
                f"{self.title} refused the key ({status}). Set one that works in DESKLOOM_EMBEDDER_API_KEY.",
                status=status,
            )
        if status == 404 or 300 <= status < 400 or status == 405:
            raise SettingInvalid(
                f'{self.title} has no /v1/embeddings, or no model "{self.model}" ({status}). '
                "Check DESKLOOM_EMBEDDER_URL and DESKLOOM_EMBEDDER_MODEL.",
                setting="DESKLOOM_EMBEDDER_MODEL",
                status=status,
            )
        said = f" ({code})" if code else ""
        if status == 429:
            if code in _NO_MONEY:
                remedy = "The account has nothing left to spend; top it up."
                return _Trouble(what=f"refused{said}", again=False, remedy=remedy)
            return _Trouble(what="limits its rate", limited=True, retry_after=retry_after(response, self._timing))
        if status in _OF_TEXTS:
            return _Trouble(what=f"answered {status}{said}", again=False, texts=True, refused=True)
        if status in _OF_NOW:
            return _Trouble(what=f"answered {status}", retry_after=retry_after(response, self._timing))
        return _Trouble(what=f"answered {status}{said}", texts=True, retry_after=retry_after(response, self._timing))

    def _transport_trouble(self, error: httpx.TransportError) -> _Trouble:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            self.lost = True
            causes = list(_causes(error))
            if any(isinstance(cause, socket.gaierror) for cause in causes):
                return _Trouble(what="cannot be found: no host has that name")
            if any(isinstance(cause, ssl.SSLError) for cause in causes):
                return _Trouble(what="cannot be trusted: the TLS connection failed", again=False)
            return _Trouble(what="cannot be reached")
        if isinstance(error, httpx.PoolTimeout):
            return _Trouble(what="is busy with other requests of ours")
        if isinstance(error, httpx.TimeoutException):
            return _Trouble(what="did not answer in time", texts=True)
        return _Trouble(what="broke the connection off", texts=True)

    def _final(self, trouble: _Trouble, tries: int) -> Exception:
        again = f" after {tries} tries" if tries > 1 else ""
        if trouble.texts:
            return Doubtful(f"{trouble.what}{again}", refused=trouble.refused)
        return self.unavailable(f"{trouble.what}{again}. {trouble.remedy}", retry_after=trouble.retry_after)

    def unavailable(self, what: str, *, retry_after: float | None = None) -> DeskloomError:
        """The error for a server that cannot be used; `what` goes on from its title."""
        after = None if retry_after is None else timedelta(seconds=retry_after)
        return EmbedderUnavailable(f"{self.title} {what}", retry_after=after, host=self.host)

    async def _rest(self, patience: Patience) -> None:
        """Let a rate limit that another request met pass first."""
        while (seconds := self._paused_until - self._timing.monotonic()) > 0:
            self._bear(seconds, patience, "limits its rate")
            await wait(self._timing, seconds, f"{self.host}'s rate limit")

    async def _back_off(self, trouble: _Trouble, tries: int, patience: Patience) -> None:
        """2^tries seconds, up to a quarter more by chance, and never less than the server asked for."""
        blind = min(2.0**tries, _LONGEST_BLIND_WAIT) * (1 + self._timing.chance() / 4)
        seconds = max(blind, trouble.retry_after or 0)
        self._bear(seconds, patience, trouble.what)
        if trouble.limited:
            self._paused_until = max(self._paused_until, self._timing.monotonic() + seconds)
            return
        _log.info("%s %s; trying again in %.0f s", self.title, trouble.what, seconds)
        await wait(self._timing, seconds, f"{self.host} to answer again")

    def _bear(self, seconds: float, patience: Patience, what: str) -> None:
        if seconds > patience.longest_wait:
            raise self.unavailable(f"{what}; it can be asked again in {seconds:.0f} s.", retry_after=seconds)


_REMEDY_STRANGE = "Check that DESKLOOM_EMBEDDER_URL leads to an embedding server, and look into its log."


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
