"""Articles in the record, one row an article and language."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.record.made import EARLIER, LATER, NOW, an_article, articles

from deskloom.errors import NotFound
from deskloom.model import Kind, Tombstone, Visibility
from deskloom.record import Record, Stored, store
from deskloom.record.articles import (
    article_keys,
    article_stamps,
    get_article,
    list_articles,
    load_articles,
    store_articles,
)

_examples = count()


async def put(record: Record, *items, now=NOW, source: str = "desk") -> Stored:
    async with record.transaction() as tx:
        return await store_articles(tx, source, items, now=now)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=st.lists(articles(), max_size=5, unique_by=lambda article: article.key))
async def test_what_goes_in_comes_out(record: Record, items) -> None:
    """Any articles a source may give come out as they went in, and are unchanged the second time."""
    source = f"s{next(_examples)}"
    await put(record, *items, source=source)
    keys = {article.key for article in items}
    async with record.reading() as tx:
        assert await load_articles(tx, source, keys) == {item.key: replace(item, raw={}) for item in items}
        assert await article_keys(tx, source) == keys
        stamps = {item.key: item.stamp for item in items if item.stamp is not None}
        assert await article_stamps(tx, source, keys) == stamps
    assert set((await put(record, *items, source=source)).unchanged) == keys


async def test_changes(record: Record) -> None:
    """A hidden folder is a change, a moved time is not."""
    assert await put(record, an_article(1), an_article(1, "de")) == Stored(created=("1:en", "1:de"))
    hidden = an_article(1, visibility=Visibility.INTERNAL)
    assert await put(record, hidden, an_article(1, "de", updated_at=LATER)) == Stored(
        updated=("1:en",), touched=("1:de",)
    )


async def test_tombstones(record: Record) -> None:
    """A tombstone names one language, or none: then every language of the article goes."""
    await put(record, an_article(1), an_article(1, "de"), an_article(2), an_article(2, "de"))
    graves = [Tombstone(kind=Kind.ARTICLE, key=key, reason="gone") for key in ("1:de", "2", "3:en")]
    async with record.transaction() as tx:
        stored = await store(tx, "desk", graves, now=NOW)
        assert {kind: sorted(said.deleted) for kind, said in stored.items()} == {Kind.ARTICLE: ["1:de", "2:de", "2:en"]}
        assert await article_keys(tx, "desk") == {"1:en"}
        assert set(await load_articles(tx, "desk", ["1:en", "1:de", "2:en"])) == {"1:en"}
    assert await put(record, an_article(1, "de")) == Stored(updated=("1:de",))


async def test_get(record: Record) -> None:
    """An article in the language asked for, else in the one it was first written in."""
    translated = an_article(1, "de", created_at=EARLIER + timedelta(days=1))
    await put(record, an_article(1, "ko", url="https://help.example/1"), translated)
    async with record.reading() as tx:
        whole = await get_article(tx, "desk", 1)
        assert whole == {
            "source": "desk",
            "id": 1,
            "language": "ko",
            "languages": ["de", "ko"],
            "title": "Title 1",
            "body_html": "<p>Steps 1</p>",
            "body_text": "Steps 1",
            "summary": None,
            "published": True,
            "visibility": "public",
            "folder_id": 5,
            "folder_name": "Basics",
            "category_id": None,
            "category_name": None,
            "author_id": None,
            "tags": ["start"],
            "url": "https://help.example/1",
            "created_at": EARLIER,
            "updated_at": EARLIER + timedelta(minutes=1),
            "version": 1,
        }
        assert (await get_article(tx, "desk", "1", "de"))["language"] == "de"
        with pytest.raises(NotFound, match='does not exist in "fr", but in de, ko'):
            await get_article(tx, "desk", 1, "fr")
        for key in ("2", "x", "9" * 40):
            with pytest.raises(NotFound, match="There is no article"):
                await get_article(tx, "desk", key)


async def test_list(record: Record) -> None:
    """Every filter of the article list, last changed first, page by page."""
    await put(
        record,
        an_article(1, tags=("a",)),
        an_article(2, "de", published=False),
        an_article(3, visibility=Visibility.INTERNAL, folder_id=6),
        an_article(4, updated_at=None),
    )

    async def listed(**filters) -> list[int]:
        async with record.reading() as tx:
            seen, after = [], None
            while True:
                rows, after = await list_articles(tx, limit=2, after=after, **filters)
                seen += [row["id"] for row in rows]
                if after is None:
                    return seen

    assert await listed() == [3, 2, 1, 4]
    assert await listed(source="none") == []
    assert await listed(language="de") == [2]
    assert await listed(published=True) == [3, 1, 4]
    assert await listed(visibilities=[Visibility.PUBLIC]) == [2, 1, 4]
    assert await listed(folder_id=6) == [3]
    assert await listed(tag="a") == [1]
    assert await listed(updated_since=EARLIER + timedelta(minutes=2)) == [3, 2]
