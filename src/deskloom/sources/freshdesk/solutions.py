"""The help articles: category → folder → subfolder → article, in every language (HELPDESK-APIS 2.12, T31, T32)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any

from deskloom.errors import AccessRefused, SourceRejected, Unreadable
from deskloom.model import Article, Cursor, Json, Page
from deskloom.protocols import Known
from deskloom.sources.freshdesk.mapping import to_article
from deskloom.sources.freshworks.articles import Walked, read_articles
from deskloom.sources.freshworks.beside import first_error
from deskloom.sources.freshworks.reader import Absent, Reader
from deskloom.sources.freshworks.values import integer, text, texts


@dataclass(frozen=True, slots=True)
class _Shelf:
    """A folder, and the category it belongs to."""

    folder: Json
    category: Json


@dataclass(slots=True)
class SolutionStream:
    """Reads the articles of one account. There is no update filter, so every read walks the whole tree."""

    reader: Reader

    def read(self, after: Cursor | None, *, limit: int | None, known: Known) -> AsyncIterator[Page]:
        return read_articles(self.walk, after, limit=limit, known=known)

    async def fetch(self, key: str) -> Article | None:
        """One article in one language, `701:en`; None if it is gone, or not translated."""
        number, _, language = key.partition(":")
        primary, _ = await self._languages()
        suffix = "" if language in ("", primary) else f"/{language}"
        try:
            row = await self._one(f"/solutions/articles/{number}{suffix}")
        except Absent:
            return None
        try:
            folder = await self._one(f"/solutions/folders/{row.get('folder_id')}")
            category = await self._one(f"/solutions/categories/{row.get('category_id')}")
        except Absent:
            raise Unreadable(f"The folder of article {key} is gone; the article may be moving.", key=key) from None
        return to_article(row, language=language or primary, folder=folder, category=category)

    async def _one(self, path: str) -> Json:
        try:
            return await self.reader.one(path, kind="solutions", refusals=1)
        except AccessRefused as error:
            raise Unreadable(error.message, path=path) from None

    async def _languages(self) -> tuple[str, list[str]]:
        """The primary language, and all others; `en` alone where the settings are closed to the key."""
        try:
            settings = await self.reader.one("/settings/helpdesk", kind="settings", refusals=1)
        except (Absent, AccessRefused):
            return "en", []
        primary = text(settings.get("primary_language")) or "en"
        others = texts(settings.get("supported_languages")) or ()
        return primary, [one for one in dict.fromkeys(others) if one != primary]

    async def walk(self, walked: Walked) -> AsyncIterator[list[Article]]:
        """The articles of the whole account, a folder and language at a time; one met twice (a move) counts once.

        The tree is walked in the primary language, since only there every folder is listed with its visibility.
        """
        primary, others = await self._languages()
        async for shelf in self._shelves(walked):
            path = f"/solutions/folders/{shelf.folder['id']}/articles"
            rows = await self._rows(path, walked)
            # A translation needs an original, so an empty folder has none; what is not translated may be absent.
            translated = await _together([self._rows(f"{path}/{language}", None) for language in others if rows])
            for language, found in zip((primary, *others), (rows, *translated), strict=False):
                articles = [
                    to_article(row, language=language, folder=shelf.folder, category=shelf.category)
                    for row in found or ()
                ]
                if fresh := walked.fresh(articles):
                    yield fresh

    async def _shelves(self, walked: Walked) -> AsyncIterator[_Shelf]:
        """Every folder once, at any depth. Some accounts list only the roots of a category, some all (2.12)."""
        try:
            categories = await self.reader.every("/solutions/categories", kind="solutions")
        except Absent:
            raise self.reader.nowhere("/solutions/categories") from None
        seen: set[int] = set()
        for category in categories:
            waiting = await self._rows(f"/solutions/categories/{category['id']}/folders", walked) or []
            while waiting:
                folder = waiting.pop(0)
                if folder["id"] in seen:
                    continue
                seen.add(folder["id"])
                yield _Shelf(folder, category)
                if integer(folder.get("sub_folders_count")) != 0:
                    waiting = await self._subfolders(folder["id"]) + waiting

    async def _subfolders(self, folder: int) -> list[Json]:
        """The folders in a folder; accounts without 'Flexible Hierarchy' have no such list (T31)."""
        try:
            return await self.reader.every(f"/solutions/folders/{folder}/subfolders", kind="subfolders")
        except (Absent, SourceRejected):
            return []

    async def _rows(self, path: str, walked: Walked | None) -> list[Json] | None:
        """A list of the tree. One that went away on the way makes the walk incomplete (`walked` None: it may)."""
        try:
            return await self.reader.every(path, kind="solutions")
        except Absent:
            if walked is not None:
                walked.whole = False
            return None


async def _together(reads: list[Coroutine[Any, Any, list[Json] | None]]) -> list[list[Json] | None]:
    """The results of reads made side by side, within the account's budget; the first error is raised as it was."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in reads]
    except BaseExceptionGroup as errors:
        raise first_error(errors) from None
    return [task.result() for task in tasks]
