"""The ticket lists of a Freshservice account: one for each workspace and state, walked whatever its order."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import combinations

from deskloom.errors import AccessRefused, SourceRejected, WindowStuck
from deskloom.model import Json, TicketState
from deskloom.sources.freshservice.windows import Order, Window
from deskloom.sources.freshservice.workspaces import Division, Workspace
from deskloom.sources.freshworks.passes import LISTS, Pass
from deskloom.sources.freshworks.reader import Absent, Reader, Rows
from deskloom.sources.freshworks.values import iso
from deskloom.sources.freshworks.walk import Place, Step, mark, walk

INCLUDES = ("requester", "stats")
ORDER, TAGS = "order", "tags"
"""What the documentation does not promise of the list: sorting by `order_by`, and `include=tags`."""
_ROUNDS = 3
"""How often a window is read at most, should rows leave it each time."""
_LOCKED = ("account_suspended", "password_lockout")
"""Refusals that are about the account, and not about one workspace."""


def passes_of(division: Division) -> list[Pass]:
    """Every list of every workspace. Where there is only one workspace, it is what lists show by themselves.

    They are asked one by one: `workspace_id=0` shows all, but leaves out the custom fields of each (rule 12).
    """
    spaces: tuple[Workspace | None, ...] = division.workspaces or (None,)
    return [
        Pass(
            f"{space.id}/{listed}" if space else listed.value,
            listed,
            ({"workspace_id": space.id} if space and len(spaces) > 1 else {})
            | ({} if listed is TicketState.ACTIVE else {"filter": listed.value}),
        )
        for space in spaces
        for listed in LISTS
    ]


def note_closed(closed: dict[int, str], division: Division, one: Pass, error: AccessRefused | SourceRejected) -> None:
    """Note that a workspace may not be read, and why: the rest goes on.

    Raises the error itself if it is about the account, or when no workspace at all may be read.
    """
    space = one.params.get("workspace_id")
    if space is None or error.facts.get("code") in _LOCKED or len(closed) + 1 == len(division.workspaces):
        raise error
    closed[space] = error.message


def not_read(division: Division, closed: Mapping[int, str]) -> list[str]:
    """Which parts of the account could not be read, a sentence or two each."""
    said = []
    if division.refused is not None:
        said.append(f"The workspaces may not be listed, so only what is in the primary one is read: {division.refused}")
    for id, reason in sorted(closed.items()):
        space = division.get(id)
        name = f'"{space.name}" ({id})' if space and space.name else str(id)
        said.append(f"Workspace {name} is not read: {reason}")
    return said


@dataclass(slots=True)
class Lists:
    """Asks for pages of the lists of one account. `taken` says of `ORDER` and `TAGS` whether the account takes them.

    `roll`: after so many rows a window moves on, where the list is in order of change. No cap of rows or pages is
    documented (3.4); one client believes in 9,000 rows, and pages over 500 are advised against.
    """

    reader: Reader
    taken: dict[str, bool] = field(default_factory=dict)
    roll: int = 5000

    async def steps(
        self, one: Pass, window: Window, *, include: bool = False, refusals: int | None = None
    ) -> AsyncGenerator[tuple[Window, Step], None]:
        """The pages of one pass to the end of its list, each with the window before it, and of its rows as `new` those
        that were not met before. A window that rows left while it was read is read once more, unless it is in order.
        """
        met, order = set(window.seen), Order()

        async def get(page: int, size: int) -> Rows:
            return await self.page(one, window, page, size, include=include, refusals=refusals)

        for _ in range(_ROUNDS):
            slipped = ended = False
            while not ended:
                start, place = window.since, Place(window.covered, set(window.seen))
                async with aclosing(walk(get, place)) as walked:
                    async for step in walked:
                        order.note(step.answer.rows)
                        moves = order.proven and window.covered >= self.roll
                        window = replace(window, began=window.began or step.answer.at, moves=moves)
                        new = [row for row in step.answer.rows if mark(row) not in met]
                        met.update(map(mark, new))
                        yield window, replace(step, new=new)
                        window = window.after(step.start, step.answer.rows)
                        place.seen = set(window.seen)
                        slipped, ended = slipped or step.slipped, step.ended
                        if window.since > start or (order.refuted and start > window.base):
                            break
                if order.refuted and start > window.base:
                    window, ended = window.again(window.base), False  # what was taken for the order was chance
            if order.proven or not slipped:
                return
            window = window.again(window.base)

    async def page(
        self, one: Pass, window: Window, page: int, size: int, *, include: bool, refusals: int | None = None
    ) -> Rows:
        """One page, with all parameters (T10). What the account does not take is found out once, by its 400."""
        params: Json = one.params | {"updated_since": iso(window.since), "order_type": "asc"}
        params |= {"page": page, "per_page": size}
        refused: SourceRejected | None = None
        for extras in self._extras((ORDER, TAGS) if include else (ORDER,)):
            more: Json = {"order_by": "updated_at"} if ORDER in extras else {}
            names = [*INCLUDES, *([TAGS] if TAGS in extras else [])] if include else []
            more |= {"include": ",".join(names)} if names else {}
            try:
                answer = await self.reader.page(
                    "/tickets", params | more, kind="tickets", cost=1 + 2 * len(names), refusals=refusals
                )
            except SourceRejected as error:
                refused = error
                continue
            except Absent:
                raise self.reader.nowhere("/tickets") from None
            self.taken |= {name: name in extras for name in ((ORDER, TAGS) if include else (ORDER,))}
            return answer
        assert refused is not None
        if page == 1:
            raise refused
        raise WindowStuck(
            f"{self.reader.client.title} refuses page {page} of its {one.listed} tickets, and does not list them in "
            f"order of change, so they cannot be read completely. Nothing was lost; please report this.",
            page=page,
        ) from refused

    def _extras(self, wanted: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """What to ask with, the most first: all that was not refused before, then less."""
        open_ones = [name for name in wanted if self.taken.get(name) is not False]
        for count in range(len(open_ones), -1, -1):
            yield from combinations(open_ones, count)
