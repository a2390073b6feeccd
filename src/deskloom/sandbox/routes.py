"""Which path and verb is answered by what: a product's table of endpoints, and how a path finds its row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from deskloom.sandbox.answers import Answer, Call, Refused

if TYPE_CHECKING:
    from deskloom.sandbox.desk import HelpDesk

D = TypeVar("D")


@dataclass(frozen=True, slots=True)
class Route(Generic[D]):
    """An endpoint: its name for counting and limits, its handler, whether it needs an administrator."""

    name: str
    handler: Callable[[D, Call], Answer]
    admin: bool = False


@dataclass(frozen=True, slots=True)
class Found(Generic[D]):
    """What a path leads to: its template, the numbers in it, its language, and the endpoints by verb (or none)."""

    template: str
    ids: tuple[int, ...]
    language: str | None
    routes: Mapping[str, Route[D]]

    def pick(self, verb: str) -> Route[D]:
        """The endpoint of a verb. Raises 404 where the path leads nowhere, 405 where it has no such verb."""
        if not self.routes:
            raise Refused(404)
        if verb not in self.routes:
            raise Refused(405)
        return self.routes[verb]


class Routes(Generic[D]):
    """A product's endpoints, from lines such as `GET tickets/[id]`.

    `[id]` is a number, `[lang]` a last part that follows one of `language_after` below `solutions`. Paths that start
    with one of `admin` need an administrator, but for those of `open_to_all`.
    """

    def __init__(
        self,
        table: Mapping[str, Callable[[D, Call], Answer]],
        *,
        admin: Iterable[str] = (),
        open_to_all: Iterable[str] = (),
        language_after: Iterable[str] = (),
    ) -> None:
        self._routes: dict[str, dict[str, Route[D]]] = {}
        for line, handler in table.items():
            verb, path = line.split(" ")
            needs = path.split("/")[0] in set(admin) and path not in set(open_to_all)
            self._routes.setdefault(path, {})[verb] = Route(f"{verb} /{path}", handler, needs)
        self._language_after = frozenset(language_after)

    def find(self, path: str) -> Found[D]:
        """What a path below /api/v2 leads to."""
        parts = path.split("/")
        ids = tuple(int(part) for part in parts if part.isdigit() and part.isascii())
        parts = ["[id]" if part.isdigit() and part.isascii() else part for part in parts]
        template = "/".join(parts)
        if template in self._routes:
            return Found(template, ids, None, self._routes[template])
        if parts[0] == "solutions" and len(parts) > 2 and parts[-2] in self._language_after:
            template = "/".join([*parts[:-1], "[lang]"])
            return Found(template, ids, parts[-1], self._routes.get(template, {}))
        return Found(template, ids, None, {})


def ticket_credits(
    desk: HelpDesk[Any], template: str, query: Mapping[str, str], *, views: Iterable[str] = ("tickets/[id]",)
) -> int:
    """What a GET costs: includes are extra, two each on the ticket list, one each on `views` (HELPDESK-APIS 2.3, 3.3).

    Conversations on a view cost what the account's switch says.
    """
    includes = {part for part in query.get("include", "").split(",") if part}
    if template == "tickets":
        return 1 + 2 * len(includes)
    if template not in views:
        return 1
    talks = desk.switches.view_conversations_credits - 1 if "conversations" in includes else 0
    return 1 + len(includes - {"conversations"}) + talks
