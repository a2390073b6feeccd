"""The paths of an account, how its lists end, and how a body is unwrapped: what every stream reads through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from deskloom.errors import SettingInvalid, SourceRejected, SourceUnavailable, WrongProduct
from deskloom.http import Answer, Client
from deskloom.model import Json

API = "/api/v2"
SIZE = 100
"""The largest page (HELPDESK-APIS 2.4)."""

OVERLAP = timedelta(minutes=5)
"""How far an incremental read goes back, since a list may lag behind (2.4)."""
BATCH = 50
"""Most records that are committed together."""

Params = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Product:
    """Which of the two products an account is. `wrapped`: bodies stand under a name, as in {"tickets": []} (3.1)."""

    title: str
    wrapped: bool
    sister: str

    @property
    def setting(self) -> str:
        return f"{self.title.upper()}_DOMAIN"


FRESHDESK = Product("Freshdesk", False, "Freshservice")
FRESHSERVICE = Product("Freshservice", True, "Freshdesk")


@dataclass(frozen=True, slots=True)
class Rows:
    """One page of a list. `more`: another page follows; None when neither a Link header nor its absence tells."""

    rows: list[Json]
    more: bool | None
    at: datetime | None


class Absent(Exception):
    """The path is not there (404). The caller decides what that means."""


class Reader:
    """Asks one account. Remembers whether it sends Link headers, since then their absence is the end (T8, T9)."""

    def __init__(self, client: Client, product: Product) -> None:
        self.client = client
        self.product = product
        self._links = False
        self._unpaged = {"ticket fields"}

    async def page(self, path: str, params: Params, *, kind: str, cost: float = 1, refusals: int | None = None) -> Rows:
        """One page of a list; raises `Absent`, and `WrongProduct` for an answer wrapped as the sister product does."""
        answer = await self._get(path, params, kind, cost, refusals)
        rows = self._rows(answer.body, path)
        self._links = self._links or answer.more is not None
        more = answer.more if answer.more is not None or not self._links else False
        return Rows(rows, more and bool(rows), answer.at)

    async def every(
        self, path: str, params: Params | None = None, *, kind: str, refusals: int | None = None
    ) -> list[Json]:
        """A short list whole: Link first, then a short page, then an empty or repeated one; each id once.

        Some lists refuse paging and send everything at once (2.12); that is learned per kind.
        """
        found: dict[Any, Json] = {}
        number, previous = 1, None
        while True:
            paging = {} if kind in self._unpaged else {"page": number, "per_page": SIZE}
            try:
                page = await self.page(path, {**(params or {}), **paging}, kind=kind, refusals=refusals)
            except SourceRejected:
                if number > 1 or not paging:
                    raise
                self._unpaged.add(kind)
                continue
            ids = [row.get("id") for row in page.rows]
            found.update({key: row for key, row in zip(ids, page.rows, strict=True) if key not in found})
            ended = len(ids) < SIZE if page.more is None else not page.more
            if ended or not paging or ids == previous:
                return list(found.values())
            number, previous = number + 1, ids

    async def one(self, path: str, params: Params | None = None, *, kind: str, refusals: int | None = None) -> Json:
        """One object; raises `Absent`."""
        return (await self.priced(path, params or {}, kind=kind, refusals=refusals))[0]

    async def priced(
        self, path: str, params: Params, *, kind: str, refusals: int | None = None
    ) -> tuple[Json, float | None]:
        """One object, and the credits it says to have cost; raises `Absent`."""
        answer = await self._get(path, params, kind, 1, refusals)
        body = answer.body
        if not isinstance(body, dict):
            raise self._odd(path)
        inside = [value for value in body.values() if isinstance(value, dict)]
        wrapped = "id" not in body and bool(inside)
        if wrapped is not self.product.wrapped:
            raise self._other_product(path) if wrapped or "id" in body else self._odd(path)
        return (inside[0] if wrapped else body), answer.credits

    async def required(self, path: str, params: Params, *, kind: str, cost: float = 1) -> Rows:
        """A page of a list that every account has; where it is absent, there is no such account."""
        try:
            return await self.page(path, params, kind=kind, cost=cost)
        except Absent:
            raise self.nowhere(path) from None

    def nowhere(self, path: str) -> SettingInvalid:
        host = self.client.address.host
        return SettingInvalid(
            f"There is no {self.product.title} at {host} (404 from {API}{path}). Set {self.product.setting} to the "
            f"account's own domain, for example acme.{self.product.title.lower()}.com.",
            setting=self.product.setting,
        )

    async def _get(self, path: str, params: Params, kind: str, cost: float, refusals: int | None) -> Answer:
        answer = await self.client.get_json(API + path, params, kind=kind, cost=cost, refusals=refusals)
        if not answer.found:
            raise Absent(path)
        return answer

    def _rows(self, body: Any, path: str) -> list[Json]:
        """The rows of a list. A wrapped one is the one member that is a list: its name is not always the right one."""
        lists = [value for value in body.values() if isinstance(value, list)] if isinstance(body, dict) else []
        if isinstance(body, list) is self.product.wrapped and (isinstance(body, list) or lists):
            raise self._other_product(path)
        if not isinstance(body, list) and not lists:
            raise self._odd(path)
        return [row for row in (body if isinstance(body, list) else lists[0]) if isinstance(row, dict)]

    def _other_product(self, path: str) -> WrongProduct:
        product = self.product
        return WrongProduct(
            f"{self.client.address.host} answers {API}{path} as {product.sister} does, but {product.title} is "
            f"expected. Give the domain of a {product.title} account.",
            path=path,
        )

    def _odd(self, path: str) -> SourceUnavailable:
        return SourceUnavailable(f"{self.client.title} sent something unexpected for {API}{path}. Try again later.")
