"""The solution articles: category → folder → sub-folder → article, of every workspace (HELPDESK-APIS 3.11)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

from deskloom.errors import AccessRefused, SourceRejected, Unreadable
from deskloom.model import Article, Cursor, Json, Page, Visibility
from deskloom.protocols import Known
from deskloom.sources.freshworks.articles import Walked, read_articles
from deskloom.sources.freshworks.reader import Absent, Reader
from deskloom.sources.freshworks.values import fingerprint, instant, integer, text, texts

VISIBILITIES = {
    1: Visibility.PUBLIC,
    2: Visibility.CUSTOMERS,
    3: Visibility.INTERNAL,
    4: Visibility.RESTRICTED,
    5: Visibility.INTERNAL,
    6: Visibility.RESTRICTED,
}
"""A folder's visibility: departments (4) and requester groups (6) are some customers; an unknown number is the team's
business alone (T32)."""
PUBLISHED = 2
UNKNOWN = "und"
"""The language of an article that does not say: ISO 639's own word for it."""
_ALL = {"workspace_id": 0}


@dataclass(slots=True)
class Solutions:
    """Reads the articles of one account. There is no update filter, so every read walks the whole tree."""

    reader: Reader
    _unfiltered: bool = field(default=False, init=False)
    """The account takes no `workspace_id`: it has one workspace."""

    def read(self, after: Cursor | None, *, limit: int | None, known: Known) -> AsyncIterator[Page]:
        return read_articles(self.walk, after, limit=limit, known=known)

    async def fetch(self, key: str) -> Article | None:
        """One article, `701:und`; None if it is gone."""
        number, _, language = key.partition(":")
        try:
            row = await self._one(f"/solutions/articles/{number}")
        except Absent:
            return None
        try:
            folder = await self._one(f"/solutions/folders/{row.get('folder_id')}")
            category = await self._one(f"/solutions/categories/{row.get('category_id')}")
        except Absent:
            raise Unreadable(f"The folder of article {key} is gone; the article may be moving.", key=key) from None
        return to_article(row, language=language or _language(row), folder=folder, category=category)

    async def walk(self, walked: Walked) -> AsyncIterator[list[Article]]:
        """The articles of the whole account, a folder at a time; one met twice (a move) counts once."""
        async for folder, category in self._folders(walked):
            rows = await self._rows("/solutions/articles", {"folder_id": folder["id"]}, walked, folder)
            articles = [to_article(row, language=_language(row), folder=folder, category=category) for row in rows]
            if fresh := walked.fresh(articles):
                yield fresh

    async def _folders(self, walked: Walked) -> AsyncIterator[tuple[Json, Json]]:
        """Every folder once, with its category. A category's list may hold its sub-folders, or only the roots."""
        for category in await self._categories():
            rows = await self._rows("/solutions/folders", {"category_id": category["id"]}, walked, category)
            seen = {int(row["id"]) for row in rows}
            below: set[int] = set()
            for folder in rows:
                yield folder, category
                if int(folder["id"]) in below:
                    continue  # all that is below it was listed with the folder above
                for row in await self._subfolders(folder, walked):
                    below.add(int(row["id"]))
                    if int(row["id"]) in seen:
                        continue
                    seen.add(int(row["id"]))
                    if (whole := await self._whole(row, walked)) is not None:
                        yield whole, category

    async def _categories(self) -> list[Json]:
        path = "/solutions/categories"
        try:
            if not self._unfiltered:
                return await self.reader.every(path, _ALL, kind="solutions")
        except SourceRejected:
            self._unfiltered = True
        except Absent:
            raise self.reader.nowhere(path) from None
        try:
            return await self.reader.every(path, kind="solutions")
        except Absent:
            raise self.reader.nowhere(path) from None

    async def _subfolders(self, folder: Json, walked: Walked) -> list[Json]:
        """All folders below a folder, with very few members; accounts without sub-folders have no such list (T31)."""
        path = f"/solutions/folders/{folder['id']}/sub-folders"
        try:
            return await self.reader.every(path, kind="subfolders", refusals=1)
        except (Absent, SourceRejected):
            return []
        except AccessRefused as error:
            if error.facts.get("code") != "require_feature":
                walked.refused.append(f"What is below {_named(folder)} is not read: {error.message}")
            return []

    async def _whole(self, row: Json, walked: Walked) -> Json | None:
        """A sub-folder with its visibility, which its row in the list lacks; None if it went away or is closed."""
        if "visibility" in row:
            return row
        try:
            return await self.reader.one(f"/solutions/folders/{row['id']}", kind="solutions", refusals=1)
        except Absent:
            walked.whole = False
        except AccessRefused as error:
            walked.refused.append(f"What is in {_named(row)} is not read: {error.message}")
        return None

    async def _rows(self, path: str, where: Json, walked: Walked, above: Json) -> list[Json]:
        """A list of the tree. Where it went away, or is closed (they may be, one by one), the walk is not whole."""
        try:
            return await self.reader.every(path, where, kind="solutions", refusals=1)
        except Absent:
            walked.whole = False
        except SourceRejected:
            if not await self._is_gone(where):
                raise
            walked.whole = False
        except AccessRefused as error:
            walked.refused.append(f"What is in {_named(above)} is not read: {error.message}")
        return []

    async def _is_gone(self, where: Json) -> bool:
        """Whether a list was refused because the folder or category it was asked for is gone."""
        ((name, number),) = where.items()
        path = {"folder_id": "folders", "category_id": "categories"}[name]
        try:
            await self.reader.one(f"/solutions/{path}/{number}", kind="solutions", refusals=1)
        except Absent:
            return True
        return False

    async def _one(self, path: str) -> Json:
        try:
            return await self.reader.one(path, kind="solutions", refusals=1)
        except AccessRefused as error:
            raise Unreadable(error.message, path=path) from None


def to_article(row: Json, *, language: str, folder: Json, category: Json) -> Article:
    """An article with its folder's visibility (T32). The stamp leaves votes and views out, and what views may move.

    Its change time is `modified_at`. Tags are its keywords, since lists have no `tags`; an external article has no
    text, but an address.
    """
    changed = instant(row.get("modified_at")) or instant(row.get("updated_at"))
    values: dict[str, Any] = {
        "title": text(row.get("title")),
        "body_html": text(row.get("description")),
        "body_text": text(row.get("description_text")),
        "published": integer(row.get("status")) == PUBLISHED,
        "visibility": visibility(folder),
        "folder_id": integer(folder.get("id")),
        "folder_name": text(folder.get("name")),
        "category_id": integer(category.get("id")),
        "category_name": text(category.get("name")),
        "author_id": integer(row.get("agent_id")) or integer(row.get("user_id")),
        "tags": _keywords(row.get("keywords")),
        "url": text(row.get("url")) or None,
        "created_at": instant(row.get("created_at")),
        "updated_at": changed,
    }
    return Article(
        external_id=int(row["id"]),
        language=language,
        stamp=fingerprint(values, row.get("article_type")),
        raw=row,
        **values,
    )


def visibility(folder: Json) -> Visibility:
    """Who may read a folder; one that is made for certain clients of an MSP is not for others."""
    found = VISIBILITIES.get(integer(folder.get("visibility")) or 0, Visibility.INTERNAL)
    some = folder.get("applicable_to_workspace_ids")
    return Visibility.RESTRICTED if some and found is not Visibility.INTERNAL else found


def _keywords(value: object) -> tuple[str, ...]:
    words: Iterable[str] = value.split(",") if isinstance(value, str) else texts(value) or ()
    return tuple(dict.fromkeys(word.strip() for word in words if word.strip()))


def _named(row: Json) -> str:
    return f'"{text(row.get("name"))}" ({row["id"]})'


def _language(row: Json) -> str:
    return text(row.get("language")) or UNKNOWN
