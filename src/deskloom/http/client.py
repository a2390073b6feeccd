"""One helpdesk account over HTTP: asks politely, tries again where that helps, and names what went wrong where not."""

from __future__ import annotations

import json
import logging
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx

from deskloom.errors import (
    AccessRefused,
    CredentialsRefused,
    DeskloomError,
    SettingInvalid,
    SourceRejected,
    SourceUnavailable,
)
from deskloom.http.address import Address
from deskloom.http.budget import Budget, read_number, wait
from deskloom.http.headers import retry_after, server_time
from deskloom.http.ledger import Ledger
from deskloom.http.meter import current_meter
from deskloom.http.timing import Timing

_log = logging.getLogger(__name__)

_PASSING_REFUSALS = ("access_denied", None)
"""Codes of a 403 that has been seen to pass (HELPDESK-APIS T40); all others stay until a person acts."""
_LONGEST_BLIND_WAIT = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back: the JSON body of a 200, or `found` False for a 404.

    `more` is True or False as the Link header says, None when the answer has none. `at` is the helpdesk's own time.
    `credits` is what it says to have cost, None if it does not say.
    """

    body: Any
    found: bool = True
    more: bool | None = None
    at: datetime | None = None
    credits: float | None = None


@dataclass(slots=True)
class _Trouble:
    """Why the last try failed, in words, and the error to raise when tries are used up."""

    what: str
    retry_after: float | None = None
    error: type[DeskloomError] = SourceUnavailable
    remedy: str = "Try again later."
    facts: dict[str, Any] = field(default_factory=dict)


class Client:
    """Reads one account. All runs that read it share this object, and with it the budget and the connections.

    `rate_share` is the part of the account's rate limit that may be used; `retries` counts tries after the first;
    `timeout` is for one try. A meter is found where the request is made (`metered`). A `ledger` shares the account's
    rate limit with other processes.
    """

    def __init__(
        self,
        address: Address,
        api_key: str,
        *,
        product: str = "Freshdesk",
        rate_share: float = 0.8,
        retries: int = 3,
        concurrency: int = 8,
        timeout: timedelta = timedelta(seconds=60),
        timing: Timing | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.address = address
        self.title = f'{product} "{address.label}"'
        self._setting = product.upper()
        self._retries = retries
        self._timing = timing or Timing()
        self._budget = Budget(
            label=address.label, share=rate_share, concurrency=concurrency, timing=self._timing, ledger=ledger
        )
        self._http = httpx.AsyncClient(
            base_url=address.url,
            auth=httpx.BasicAuth(api_key, "X"),
            headers={"Accept": "application/json", "User-Agent": "deskloom"},
            timeout=httpx.Timeout(timeout.total_seconds()),
            limits=httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
            trust_env=not address.url.startswith("http://"),
        )
        self._last_date: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """The helpdesk's time: its last Date header and what has passed since; our own before the first answer."""
        if self._last_date is None:
            return self._timing.now()
        date, seen = self._last_date
        return date + timedelta(seconds=self._timing.monotonic() - seen)

    async def get_json(
        self,
        path: str,
        params: Mapping[str, str | int] | None = None,
        *,
        kind: str,
        cost: float = 1,
        refusals: int | None = None,
    ) -> Answer:
        """One answer of `GET path`. `kind` is the endpoint's class for budgets; `cost` a first guess of its credits.

        `refusals` is how often a 403 is asked again (default: `retries`). Raises `CredentialsRefused`, `AccessRefused`,
        `SourceRejected`, `SettingInvalid` at once and `SourceUnavailable` after the last try. A rate limit only waits.
        """
        failures = refused = limited = 0
        patience = self._retries if refusals is None else refusals
        while True:
            response = await self._send(path, params, kind, cost)
            if isinstance(response, httpx.Response):
                if response.status_code == 429:
                    await self._obey(response, path, kind, limited)
                    limited += 1
                    continue
                outcome = self._read(response, path)
            else:
                outcome = response
            if isinstance(outcome, Answer):
                return outcome
            tries = refused if outcome.error is AccessRefused else failures
            if tries >= (patience if outcome.error is AccessRefused else self._retries):
                raise self._final(outcome, path, tries + 1)
            refused += outcome.error is AccessRefused
            failures += outcome.error is not AccessRefused
            await self._back_off(outcome, path, tries)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _send(
        self, path: str, params: Mapping[str, str | int] | None, kind: str, cost: float
    ) -> httpx.Response | _Trouble:
        """One try, inside the budget."""
        admission = await self._budget.admit(kind, cost)
        headers = None
        try:
            response = await self._http.get(path, params=params)
            headers = response.headers
            return response
        except httpx.TransportError as error:
            return self._transport_trouble(error)
        except httpx.DecodingError:
            return _Trouble("sent a body that cannot be unpacked")
        finally:
            meter = current_meter()
            meter.calls += 1
            meter.credits += self._budget.settle(admission, headers)

    def _read(self, response: httpx.Response, path: str) -> Answer | _Trouble:
        """What a status means (HELPDESK-APIS 2.2)."""
        at = server_time(response.headers.get("date"))
        if at is not None:
            self._last_date = (at, self._timing.monotonic())
        status = response.status_code
        body, readable = _json(response)
        if status == 200:
            if not readable:
                kind = response.headers.get("content-type", "nothing").partition(";")[0]
                return _Trouble(f"sent {kind} that is not whole JSON")
            used = read_number(response.headers.get("x-ratelimit-used-currentrequest"))
            return Answer(body=body, more=self._has_next(response), at=at, credits=used)
        if status == 404:
            return Answer(body=None, found=False, at=at)
        code = body.get("code") if isinstance(body, dict) else None
        if status == 401:
            raise CredentialsRefused(
                f"{self.title} refused the API key (401 from {path}). Set a working key of an agent in "
                f"{self._setting}_API_KEY or deskloom.toml.",
                path=path,
            )
        if status == 403 or code == "account_suspended":
            return self._refusal(path, code)
        if status >= 500:
            return _Trouble(f"answered {status}", retry_after(response, self._timing))
        if 300 <= status < 400:
            raise SettingInvalid(
                f"{self.title} answered with a redirect ({status} from {path}): its API is not at {self.address.host}. "
                f"Set {self._setting}_DOMAIN to the account's own domain.",
                setting=f"{self._setting}_DOMAIN",
            )
        fields = _fields(body)
        said = "; ".join(f"{one['field']}: {one['message']} ({one['code']})" for one in fields) or "no reason given"
        raise SourceRejected(
            f"{self.title} calls the request wrong ({status} from {path}): {said}. Please report this.",
            status=status,
            path=path,
            fields=fields,
        )

    def _refusal(self, path: str, code: Any) -> _Trouble:
        remedies = {
            "require_feature": "The account's plan lacks this feature; use a plan that has it.",
            "account_suspended": "The account is suspended; its owner must reactivate it.",
            "password_lockout": "Too many log-ins failed; ask the account's administrator to unlock the agent.",
        }
        remedy = remedies.get(code, "Use the API key of an agent whose role may read this.")
        trouble = _Trouble(
            f"does not let this key read {path} (403{f', {code}' if isinstance(code, str) else ''})",
            error=AccessRefused,
            remedy=remedy,
            facts={"code": code},
        )
        if code not in _PASSING_REFUSALS:
            raise self._final(trouble, path, 1)
        return trouble

    def _transport_trouble(self, error: httpx.TransportError) -> _Trouble:
        host = self.address.host
        if isinstance(error, httpx.TimeoutException):
            return _Trouble("did not answer in time")
        if isinstance(error, httpx.ConnectError):
            causes = list(_causes(error))
            if any(isinstance(cause, socket.gaierror) for cause in causes):
                return _Trouble(
                    f"cannot be found: no host is called {host}",
                    remedy=f"Check {self._setting}_DOMAIN and the network.",
                )
            if any(isinstance(cause, ssl.SSLError) for cause in causes):
                return _Trouble(
                    f"cannot be trusted: the TLS connection to {host} failed",
                    remedy="Check the proxy and the certificates of this machine.",
                )
            return _Trouble(
                f"cannot be reached: no connection to {host}",
                remedy=f"Check {self._setting}_DOMAIN and the network.",
            )
        return _Trouble("broke the connection off")

    def _final(self, trouble: _Trouble, path: str, tries: int) -> DeskloomError:
        again = f" after {tries} tries" if tries > 1 else ""
        where = "" if path in trouble.what else f" (GET {path})"
        facts: dict[str, Any] = {"path": path, **trouble.facts}
        if issubclass(trouble.error, SourceUnavailable) and trouble.retry_after is not None:
            facts["retry_after"] = timedelta(seconds=trouble.retry_after)
        return trouble.error(f"{self.title} {trouble.what}{again}{where}. {trouble.remedy}", **facts)

    async def _obey(self, response: httpx.Response, path: str, kind: str, tries: int) -> None:
        """Wait out a 429: as long as the helpdesk said, however long that is (HELPDESK-APIS T36)."""
        named = retry_after(response, self._timing)
        blind = min(2.0**tries, _LONGEST_BLIND_WAIT)
        seconds = (named or blind) + self._timing.chance()
        _log.info("%s limits its rate (429 from %s); waiting %.0f s", self.title, path, seconds)
        self._budget.pause(kind, seconds, response.headers)
        await self._budget.tell(kind)
        await wait(self._timing, seconds, f"{self.address.label}'s rate limit")

    async def _back_off(self, trouble: _Trouble, path: str, tries: int) -> None:
        """2^tries seconds, up to a quarter more by chance, and never less than the helpdesk asked for."""
        seconds = max(2.0**tries * (1 + self._timing.chance() / 4), trouble.retry_after or 0)
        _log.info("%s %s (GET %s); trying again in %.0f s", self.title, trouble.what, path, seconds)
        await wait(self._timing, seconds, f"{self.address.label} to answer again")

    def _has_next(self, response: httpx.Response) -> bool | None:
        """Whether a Link header names a next page on the same host; the docs' own has a blank after `<`."""
        header = response.headers.get("link")
        if header is None:
            return None
        for part in header.split(","):
            target, _, rest = part.partition(";")
            if 'rel="next"' in rest.replace("'", '"').replace(" ", "") or "rel=next" in rest.replace(" ", ""):
                host = urlsplit(target.strip().lstrip("<").rstrip(">").strip()).hostname
                return host in (None, self.address.host)
        return False


def _json(response: httpx.Response) -> tuple[Any, bool]:
    """The body, parsed only if its type says JSON (HELPDESK-APIS T41), and whether it could be."""
    if "json" not in response.headers.get("content-type", "").partition(";")[0]:
        return None, False
    try:
        return json.loads(response.content), True
    except ValueError:
        return None, False


def _fields(body: Any) -> list[dict[str, str | None]]:
    """What a validation error says of each field; tolerates every shape."""
    if not isinstance(body, dict):
        return []
    errors = body.get("errors")
    rows = [one for one in errors if isinstance(one, dict)] if isinstance(errors, list) else [body]
    return [
        {name: str(row[name]) if row.get(name) is not None else None for name in ("field", "message", "code")}
        for row in rows
    ]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
