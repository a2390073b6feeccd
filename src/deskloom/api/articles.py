"""`/articles`: help articles of the record."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from deskloom.api.access import Viewer
from deskloom.api.errors import problems
from deskloom.api.shapes import After, Deskloom, Identifier, Listed, PageSize, SourceName, Time, TimeIn, example, only
from deskloom.errors import NotFound
from deskloom.model import Kind, Visibility
from deskloom.record import articles
from deskloom.wiring import App

OPEN = (Visibility.PUBLIC, Visibility.CUSTOMERS)
"""What everyone with a role may read; drafts, and articles for some customers or the team, need the role agent."""
router = APIRouter(tags=["articles"])

SHORT: dict[str, Any] = {
    "source": "freshdesk",
    "id": 701,
    "language": "en",
    "title": "Reconnect a printer",
    "summary": None,
    "published": True,
    "visibility": "public",
    "folder_id": 51,
    "folder_name": "Printers",
    "category_id": 5,
    "category_name": "Hardware",
    "author_id": 7,
    "tags": ["printer"],
    "url": "https://acme.freshdesk.com/a/solutions/articles/701",
    "created_at": "2024-11-02T10:00:00Z",
    "updated_at": "2025-01-31T09:00:00Z",
}


class ArticleShort(BaseModel):
    """An article in one language, without its text."""

    model_config = example(**SHORT)

    source: str
    id: int
    language: str
    title: str | None
    summary: str | None
    published: bool
    visibility: Visibility
    folder_id: int | None
    folder_name: str | None
    category_id: int | None
    category_name: str | None
    author_id: int | None
    tags: list[str]
    url: str | None = Field(description="Where a person reads it.")
    created_at: Time | None
    updated_at: Time | None


class ArticleWhole(ArticleShort):
    """An article in one language."""

    model_config = example(
        **SHORT,
        body="1. Switch it off.\n2. Wait ten seconds.\n3. Switch it on.",
        body_html="<ol><li>Switch it off.</li><li>Wait ten seconds.</li><li>Switch it on.</li></ol>",
        languages=["de", "en"],
        version=2,
    )

    body: str | None
    body_html: str | None
    languages: list[str] = Field(description="Every language it exists in.")
    version: int = Field(description="Grows with every change that matters.")


@router.get("/articles", responses=problems(401, 403, 503))
async def list_articles(
    app: Deskloom,
    caller: Viewer,
    source: Annotated[str | None, Query(description="Only articles of this source.")] = None,
    language: Annotated[str | None, Query(description="Only in this language.", examples=["en"])] = None,
    published: Annotated[bool | None, Query(description="Only published ones, or only drafts.")] = None,
    folder_id: Annotated[int | None, Query(description="Only in this folder.", ge=0, lt=2**63)] = None,
    tag: Annotated[str | None, Query(description="Only articles with this tag.")] = None,
    updated_since: Annotated[TimeIn | None, Query(description="Only what changed at or after this time.")] = None,
    limit: PageSize = 50,
    after: After = None,
) -> Listed[ArticleShort]:
    """Articles that match every filter, last changed first. Drafts and internal ones need the role agent."""
    if published is False and not caller.internal:
        return Listed(items=[], next=None)
    async with app.record.reading() as tx:
        rows, following = await articles.list_articles(
            tx,
            source=source,
            language=language,
            published=published if caller.internal else True,
            visibilities=None if caller.internal else OPEN,
            folder_id=folder_id,
            tag=tag,
            updated_since=updated_since,
            limit=limit,
            after=after,
        )
    return Listed(items=[ArticleShort(**_linked(app, only(ArticleShort, row))) for row in rows], next=following)


@router.get("/articles/{source}/{article_id}", responses=problems(401, 403, 404, 503))
async def get_article(
    app: Deskloom,
    caller: Viewer,
    source: SourceName,
    article_id: Identifier,
    language: Annotated[str | None, Query(description="Default: the one it was first written in.")] = None,
) -> ArticleWhole:
    """One article in one language."""
    async with app.record.reading() as tx:
        row = await articles.get_article(tx, source, article_id, language)
    if not caller.internal and not (row["published"] and Visibility(row["visibility"]) in OPEN):
        raise NotFound(
            f'There is no article {article_id} of source "{source}" in the record.', source=source, id=article_id
        )
    return ArticleWhole(**_linked(app, only(ArticleWhole, row)), body=row["body_text"])


def _linked(app: App, values: dict[str, Any]) -> dict[str, Any]:
    """The values with the address at the source where the article has none of its own."""
    source = app.sources.get(values["source"])
    if source and not values["url"]:
        values["url"] = source.link(Kind.ARTICLE, f"{values['id']}:{values['language']}")
    return values
