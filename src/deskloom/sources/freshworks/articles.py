"""Help articles have no update filter in either product: every read walks the whole tree, and what it lacks is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from deskloom.errors import AccessRefused, SourceUnavailable
from deskloom.model import Article, Cursor, Kind, Page
from deskloom.protocols import Known, Listed
from deskloom.sources.freshworks.listing import as_listed
from deskloom.sources.freshworks.lists import is_known, warning
from deskloom.sources.freshworks.reader import BATCH, Reader
from deskloom.sources.freshworks.values import instant


@dataclass(slots=True)
class Walked:
    """What a walk has met, whether it could see everything, and what was closed to the key."""

    keys: set[str] = field(default_factory=set)
    whole: bool = True
    refused: list[str] = field(default_factory=list)

    def fresh(self, articles: Sequence[Article]) -> list[Article]:
        """Those not met before: an article that moves meanwhile counts once."""
        fresh = [article for article in articles if article.key not in self.keys]
        self.keys.update(article.key for article in fresh)
        return fresh


Walk = Callable[[Walked], AsyncIterator[list[Article]]]
"""Walks the whole tree, some articles at a time."""


async def read_articles(walk: Walk, after: Cursor | None, *, limit: int | None, known: Known) -> AsyncIterator[Page]:
    """Pages of changed articles; the last one carries the listing, if nothing on the way was closed or gone.

    `limit` bounds what is yielded, not what is walked. Then the cursor keeps what was yielded, so that the next read
    goes on with the others even if nothing is known.
    """
    before = after or {}
    since = instant(before.get("since"))
    done: dict[str, str] = dict(before.get("done", {}))
    taken: list[Article] = []
    left, cut = limit, False
    walked = Walked()
    async with aclosing(walk(walked)) as batches:  # type: ignore[type-var]
        async for articles in batches:
            stored = await known(Kind.ARTICLE, [article.key for article in articles])
            for article in articles:
                if is_known(article, stored) or is_known(article, done):
                    continue
                if since is not None and article.updated_at is not None and article.updated_at < since:
                    continue
                if left == 0:
                    cut = True
                    continue
                taken.append(article)
                left = None if left is None else left - 1
                if left is not None:
                    done[article.key] = article.stamp or ""
            if len(taken) >= BATCH and not cut:
                yield Page(records=tuple(taken), cursor=_cursor(before, done))
                taken = []
    cursor = _cursor(before, done) if cut else {}
    whole = walked.whole and not walked.refused
    closed = () if cut or not walked.refused else (warning(Kind.ARTICLE, " ".join(walked.refused)),)
    yield Page(records=tuple(taken), failures=closed, cursor=cursor, listing=frozenset(walked.keys) if whole else None)


async def list_articles(walk: Walk, reader: Reader) -> AsyncIterator[Sequence[Listed]]:
    """The whole tree in every language, drafts too (an unpublished article is not deleted): as many calls as a read."""
    walked = Walked()
    async with aclosing(walk(walked)) as batches:  # type: ignore[type-var]
        async for articles in batches:
            yield as_listed(articles)
    if walked.refused:
        raise AccessRefused(" ".join(walked.refused))
    if not walked.whole:
        raise SourceUnavailable(
            f"A folder of {reader.client.title} went away while the articles were being listed, so the list may "
            f"lack some. Try again."
        )


def _cursor(before: Cursor, done: dict[str, str]) -> Cursor:
    return ({"since": before["since"]} if "since" in before else {}) | ({"done": done} if done else {})
