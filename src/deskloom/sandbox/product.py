"""What makes a product: its endpoints, what they cost, its own headers and words, its tables and its edits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from deskloom.sandbox.answers import Answer
from deskloom.sandbox.edits import Editor
from deskloom.sandbox.routes import Routes
from deskloom.sandbox.rows import Row
from deskloom.sandbox.state import Table

D = TypeVar("D")


@dataclass(frozen=True, slots=True, kw_only=True)
class Product(Generic[D]):
    """A help desk's API as the vendor made it, over an account `D`."""

    name: str
    """As in `deskloom sandbox --product`."""

    realm: str
    """As in the `WWW-Authenticate` header of a 401."""

    headers: Mapping[str, str]
    """On every answer."""

    routes: Routes[D]
    credits: Callable[[D, str, dict[str, str]], int]
    """The credits of a GET by its path's template and query; every other request costs one."""

    too_many: str
    """What a 429 says."""

    refuses_passwords: bool = False
    """A user's name instead of a key is a 401 of its own kind (HELPDESK-APIS 3.1)."""

    tables: Callable[[D], Mapping[str, Table]]
    """The truth of an account, by kind."""

    editor: Callable[[D, int], Editor[Any]]
    """Makes random edits by seed."""

    steps: Mapping[str, Callable[[D, Row], object]] = field(default_factory=dict)
    """Edits by name that no endpoint makes: name → what is done with the step."""

    controls: Mapping[tuple[str, str], Callable[[D, Row], Any]] = field(default_factory=dict)
    """Control requests of this product alone."""

    def refusal(self, wait: int) -> Answer:
        return Answer(429, {"message": self.too_many}, {"retry-after": str(wait)})
