"""Where a document lies in the tree: file names that every file system takes, and that do not depend on each other.

A path is relative, with `/` between its parts. Names come from outside: they are made of what is safe on Linux, macOS
and Windows, in note programs' links and in a URL, and no two that some file system takes for one are given twice.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from deskloom.record.histories import Customer
from deskloom.text.plain import printable

NO_COMPANY = "No_company"
KNOWLEDGE = "Knowledge"
LONGEST = 80
"""Characters of a name, without its ending; at most three times as many bytes, of the 255 that a file system takes."""

_UNSAFE = re.compile(r"[\x00-\x1f\x7f<>:\"/\\|?*#^\[\]%&{}$!'`@+=~;,]+")
_GAPS = re.compile(r"[\s_]+")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$|clock\$)(?:\.|$)", re.I)
"""Devices of Windows, whatever ending they are given."""

Key = tuple[str, int]
"""Source and id."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The folder of each company, and whether tickets of several sources have to be told apart."""

    folders: Mapping[Key, str]
    several: bool

    def ticket(self, source: str, ticket_id: int, company_id: int | None) -> str:
        """`Acme_Works/Ticket_412.md`; with tickets of several sources `Acme_Works/Ticket_freshdesk_412.md`."""
        folder = NO_COMPANY if company_id is None else self.folders.get((source, company_id), NO_COMPANY)
        return f"{folder}/Ticket_{source}_{ticket_id}.md" if self.several else f"{folder}/Ticket_{ticket_id}.md"


def plan_tree(customers: Iterable[Customer], sources: Collection[str]) -> Tree:
    """Give every company a folder.

    Companies of several sources with the same account number and name are one customer and share a folder; others
    whose names would be one get their account number, or source and id, behind it.
    """
    wanted: dict[str, list[Customer]] = defaultdict(list)
    for one in sorted(customers, key=lambda one: (one.source, one.id)):
        wanted[_same(safe_name(one.name, otherwise=f"Company_{one.id}"))].append(one)
    folders: dict[Key, str] = {}
    taken = {_same(NO_COMPANY), _same(KNOWLEDGE), *(name for name, group in wanted.items() if _is_one(group))}
    for name, group in sorted(wanted.items()):
        alone = _is_one(group) and name not in (_same(NO_COMPANY), _same(KNOWLEDGE))
        for one in group:
            folder = safe_name(group[0].name if alone else one.name, otherwise=f"Company_{one.id}")
            if not alone:
                folder = _apart(folder, one, taken)
            folders[one.source, one.id] = folder
    return Tree(folders, several=len(sources) > 1)


def _is_one(group: list[Customer]) -> bool:
    """Whether companies of one name are one customer: at most one of each source, all with the same account number."""
    if len(group) == 1:
        return True
    numbers, sources = {one.account_number for one in group}, {one.source for one in group}
    return len(sources) == len(group) and len(numbers) == 1 and None not in numbers


def _apart(folder: str, one: Customer, taken: set[str]) -> str:
    """The folder with something behind it that nobody else has."""
    for more in (one.account_number, f"{one.source}_{one.id}"):
        if more and _same(made := f"{folder}_{safe_name(more, otherwise='0')}") not in taken:
            taken.add(_same(made))
            return made
    while _same(made := f"{made}_") in taken:
        pass
    taken.add(_same(made))
    return made


def safe_name(text: str | None, *, otherwise: str) -> str:
    """A file or folder name made of the text, without its ending; `otherwise` where the text leaves nothing."""
    name = unicodedata.normalize("NFC", _UNSAFE.sub(" ", printable(text or "")))
    name = _GAPS.sub("_", name).strip("_. -")[:LONGEST]
    while len(name.encode()) > LONGEST * 3:
        name = name[:-1]
    name = name.strip("_. -")
    if not name:
        return otherwise
    return f"{name}_" if _RESERVED.match(name) else name


def _same(name: str) -> str:
    """What names have in common that some file system takes for one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
