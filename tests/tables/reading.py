"""Reading a table again and again, as runs do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from deskloom.model import Cursor, Kind, Page, Record, Row, Tombstone
from deskloom.sources.postgres import TableSource

REFERENCES: dict[str, Any] = {
    "name": "refs",
    "table": "KnowledgeReference",
    "changed": "updatedAt",
    "title": "title",
    "texts": {"content": 2},
    "localized": ["title", "content"],
    "tags": "tags",
    "fields": ["category"],
    "where": '"isActive"',
}
INSERT = 'INSERT INTO "KnowledgeReference" (id, title, content, category, tags) VALUES ($1, $2, $3, $4, $5)'


class Reader:
    """Reads a source again and again as a run would: what is stored is known, the cursor of the last page is kept."""

    def __init__(self, source: TableSource) -> None:
        self.source = source
        self.cursor: Cursor | None = None
        self.stored: dict[str, str | None] = {}
        self.listing: frozenset[str] | None = None
        self.failed: dict[str, str] = {}

    async def known(self, kind: Kind, keys: Sequence[str]) -> Mapping[str, str]:
        return {key: stamp for key in keys if (stamp := self.stored.get(key)) is not None}

    async def read(self, limit: int | None = None) -> list[Record]:
        """What a read brings; a tombstone only of what is stored."""
        found: list[Record] = []
        self.listing = None
        async for page in self.source.read("rows", self.cursor, limit=limit, known=self.known):
            found += [one for one in page.records if isinstance(one, Row) or one.key in self.stored]
            self._keep(page)
        return found

    def _keep(self, page: Page) -> None:
        self.cursor = json.loads(json.dumps(page.cursor))
        self.listing = page.listing or self.listing
        self.failed |= {failure.key: failure.reason for failure in page.failures}
        for one in page.records:
            if isinstance(one, Tombstone):
                self.stored.pop(one.key, None)
            elif isinstance(one, Row):
                self.stored[one.key] = one.stamp


def keys(records: Sequence[Record]) -> list[str]:
    return [one.key for one in records]


async def add(team: asyncpg.Connection, *names: str) -> None:
    for name in names:
        title, content = json.dumps({"en": f"Title {name}"}), json.dumps({"en": f"Text {name}", "ar": "نص"})
        await team.execute(INSERT, name, title, content, "network", ["a", "b"])
