"""Freshservice's solution articles: the whole tree, who may read it, and when nothing may be called gone (3.11)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.http.fault_server import FakeTime, Reply, serve
from tests.sources.desk import Shelf, stamp
from tests.sources.servicedesk import MADE, empty_service, open_service, put_workspace, reading_service

from deskloom.documents import article_document
from deskloom.errors import AccessRefused, SourceUnavailable
from deskloom.model import Article, Kind, Visibility
from deskloom.protocols import Listed, Source
from deskloom.sandbox import Fault
from deskloom.sandbox.freshservice import FreshserviceDesk, Switches
from deskloom.sources.freshservice.solutions import to_article, visibility


def library(**options: Any) -> FreshserviceDesk:
    """A category with a folder 55, in it 56, in that 57, beside them 58; an article in each: 155 to 158."""
    desk = empty_service(switches=Switches(**options))
    desk.categories.put({"id": 44, "name": "Network", "workspace_id": 2, **MADE})
    for key, parent in ((55, None), (56, 55), (57, 56), (58, None)):
        put_folder(desk, key, parent)
        put_article(desk, key + 100, key)
    return desk


def put_folder(desk: FreshserviceDesk, key: int, parent: int | None = None, **members: Any) -> None:
    row = {"id": key, "name": f"Folder {key}", "category_id": 44, "parent_folder_id": parent, "visibility": 1}
    desk.folders.put({**row, **MADE, **members})


def put_article(desk: FreshserviceDesk, key: int, folder: int, **members: Any) -> None:
    row = {"id": key, "title": f"Article {key}", "description": f"<p>Text {key}</p>", "status": 2, "agent_id": 1}
    desk.articles.put({**row, "folder_id": folder, **MADE, **members})


async def read_all(desk: FreshserviceDesk) -> Shelf:
    shelf = Shelf()
    async with reading_service(desk) as source:
        await shelf.read(source, "kb")
    return shelf


async def listed(source: Source) -> dict[str, Listed]:
    return {one.key: one async for batch in source.listing("kb") for one in batch}


def articles(shelf: Shelf) -> dict[str, Article]:
    return {key: one for (_, key), one in shelf.records.items() if isinstance(one, Article)}


@pytest.mark.parametrize("nested", [False, True])
async def test_t31_articles_of_nested_folders_arrive(nested: bool) -> None:
    """Sub-folders are listed with all below them and few members; some accounts list them with the roots."""
    desk = library(folders_nested=nested)
    desk.folders.change(57, visibility=3)
    shelf = await read_all(desk)
    assert shelf.listing == {"155:und", "156:und", "157:und", "158:und"}
    deep = articles(shelf)["157:und"]
    assert (deep.visibility, deep.folder_id, deep.folder_name, deep.category_id, deep.category_name) == (
        Visibility.INTERNAL, 57, "Folder 57", 44, "Network",
    )  # fmt: skip
    # Folders below another are not asked for theirs, and those that were listed whole are not asked for by id.
    views = {} if nested else {"GET /solutions/folders/[id]": 2}
    assert desk.calls.endpoints == views | {
        "GET /solutions/categories": 1, "GET /solutions/folders": 1, "GET /solutions/articles": 4,
        "GET /solutions/folders/[id]/sub-folders": 2,
    }  # fmt: skip


async def test_rule_12_categories_of_every_workspace_are_walked() -> None:
    """Without `workspace_id` only the primary one's are listed; an MSP's live in workspace 3."""
    desk = library()
    put_workspace(desk, 2, "IT")
    put_workspace(desk, 4, "HR")
    desk.categories.put({"id": 45, "name": "Holidays", "workspace_id": 4, **MADE})
    put_folder(desk, 59, category_id=45)
    put_article(desk, 159, 59)
    assert "159:und" in articles(await read_all(desk))


async def test_t43_an_account_that_takes_no_workspace_is_asked_without() -> None:
    """An unknown parameter is refused with 400: then there is one workspace, and it is not tried again."""
    refused = Reply(400, body={"errors": [{"field": "workspace_id", "message": "x", "code": "invalid_field"}]})
    rows = {
        "categories": {"categories": [{"id": 44, "name": "Network"}]},
        "sub-folders": {"sub_folders": []},
        "folders": {"folders": [{"id": 55, "name": "F", "visibility": 1}]},
        "articles": {"articles": [{"id": 155, "title": "Reset", "status": 2}]},
    }
    asked: list[str] = []

    def script(request: Any) -> Reply:
        asked.append(request.target)
        if "workspace_id" in request.target:
            return refused
        path = request.target.partition("?")[0].rpartition("/")[2]
        return Reply(body=rows[path])

    async with serve(script) as serving:
        source = open_service(empty_service(), serving.url, timing=FakeTime().timing())
        shelf = Shelf()
        await shelf.read(source, "kb")
        tried = len([one for one in asked if "workspace_id" in one])
        await shelf.read(source, "kb", full=True)
        await source.aclose()
    assert shelf.listing == {"155:und"}
    assert len([one for one in asked if "workspace_id" in one]) == tried


@pytest.mark.parametrize(
    ("folder", "who"),
    [
        ({"visibility": 1}, Visibility.PUBLIC),
        ({"visibility": 2}, Visibility.CUSTOMERS),
        ({"visibility": 3}, Visibility.INTERNAL),
        ({"visibility": 4, "department_ids": [5]}, Visibility.RESTRICTED),
        ({"visibility": 5, "group_ids": [1]}, Visibility.INTERNAL),
        ({"visibility": 6, "requester_group_ids": [1]}, Visibility.RESTRICTED),
        ({"visibility": 7}, Visibility.INTERNAL),
        ({"visibility": 99}, Visibility.INTERNAL),
        ({}, Visibility.INTERNAL),
        ({"visibility": 1, "applicable_to_workspace_ids": []}, Visibility.PUBLIC),
        ({"visibility": 1, "applicable_to_workspace_ids": [7]}, Visibility.RESTRICTED),
        ({"visibility": 3, "applicable_to_workspace_ids": [7]}, Visibility.INTERNAL),
    ],
)
def test_t32_visibility_is_the_folders(folder: dict[str, Any], who: Visibility) -> None:
    """Agents' folders are the team's, those of departments or clients some customers', and what is unknown nobody's."""
    assert visibility(folder) is who


async def test_t32_drafts_are_read_as_drafts() -> None:
    """A draft is no deleted article, and not a published one."""
    desk = library()
    desk.articles.change(155, status=1)
    shelf = await read_all(desk)
    assert {key: one.published for key, one in articles(shelf).items()} == {
        "155:und": False, "156:und": True, "157:und": True, "158:und": True,
    }  # fmt: skip


@pytest.mark.parametrize("author", ["agent_id", "user_id"])
@pytest.mark.parametrize("shown", ["never", "view", "always"])
async def test_translations_are_articles_of_their_own(shown: str, author: str) -> None:
    """Each has its own id; the language is part of the key where lists show it, and `und` where they do not."""
    desk = library(article_language=shown, author_member=author)
    put_article(desk, 170, 55, _language="de", _parent=155, title="Titel")
    shelf = Shelf()
    async with reading_service(desk) as source:
        await shelf.read(source, "kb")
        key = "170:de" if shown == "always" else "170:und"
        article = articles(shelf)[key]
        fetched = await source.fetch("kb", key)
        assert source.link(Kind.ARTICLE, key) == f"{source._client.address.url}/a/solutions/articles/170"
        assert await source.fetch("kb", "999:und") is None
    assert (article.title, article.author_id) == ("Titel", 1)
    assert isinstance(fetched, Article)
    assert (fetched.key, fetched.stamp) == (key, article.stamp)


async def test_votes_and_views_are_no_change_of_an_article() -> None:
    """The counters, and the `updated_at` they may move, do not count; the time of the change is `modified_at`."""
    desk = library()
    desk.articles.change(155, modified_at=stamp(60), keywords=["vpn", " vpn", "reset"], article_type=1)
    shelf = Shelf()
    async with reading_service(desk) as source:
        await shelf.read(source, "kb")
        desk.articles.change(155, thumbs_up=7, views=900, updated_at=stamp(9000))
        assert await shelf.read(source, "kb") == 0
        desk.articles.change(155, article_type=2)
        assert await shelf.read(source, "kb") == 1
    article = articles(shelf)["155:und"]
    assert article.updated_at is not None
    assert (article.updated_at.strftime("%Y-%m-%dT%H:%M:%SZ"), article.tags) == (stamp(60), ("vpn", "reset"))


def test_an_external_article_has_an_address_instead_of_a_text() -> None:
    """`description` null and `url` set: the title and the link are all there is."""
    row = {"id": 7, "title": "Elsewhere", "description": None, "url": "https://docs.example/x", "status": 2}
    article = to_article(row, language="und", folder={"id": 1, "visibility": 1}, category={"id": 2})
    assert (article.title, article.body_html, article.url) == ("Elsewhere", None, "https://docs.example/x")


def test_the_language_of_an_article_that_does_not_say_is_read_off_its_text() -> None:
    """Search filters by what the text is written in; the key stays as it is, however the text changes."""
    row = {
        "id": 7,
        "title": "VPN zurücksetzen",
        "description": "<p>Öffnen Sie die Einstellungen und wählen Sie das Netz aus.</p>",
    }
    document = article_document("acme", to_article(row, language="und", folder={"id": 1}, category={"id": 2}))
    assert (document.language, document.payload["language"], document.key_language) == ("de", "de", "und")


async def test_a_deleted_article_is_missing_from_the_listing() -> None:
    """A complete walk proves it; its translation, an article of its own, stays."""
    desk = library()
    put_article(desk, 170, 55, _language="de", _parent=155)
    shelf = Shelf()
    async with reading_service(desk) as source:
        await shelf.read(source, "kb")
        desk.perform({"method": "DELETE", "path": "solutions/articles/155"})
        assert await shelf.read(source, "kb") == 0
        assert await source.fetch("kb", "155:und") is None
    assert shelf.listing == {"156:und", "157:und", "158:und", "170:und"}


@pytest.mark.parametrize(
    ("match", "path"),
    [
        ("articles.*folder_id=58", "solutions/folders/58"),
        ("folders/57$", "solutions/folders/57"),
        ("folders.*category_id=44", "solutions/categories/44"),
    ],
)
async def test_t22_a_folder_that_goes_away_in_mid_walk_proves_nothing(match: str, path: str) -> None:
    """What was found comes, but its articles may have been moved: no listing, and one that is asked for raises."""
    first, second = library(), library()
    for desk in (first, second):
        desk.faults.before(match, lambda desk=desk: desk.perform({"method": "DELETE", "path": path}))  # type: ignore[misc]
    shelf = await read_all(first)
    assert (shelf.listing, shelf.failures) == (None, [])
    assert ("155:und" in shelf.alive()) is ("categories" not in path)
    async with reading_service(second) as source:
        with pytest.raises(SourceUnavailable, match="went away"):
            await listed(source)


@pytest.mark.parametrize("match", ["articles.*folder_id=56", "folders/56$", "folders/55/sub-folders"])
async def test_one_folder_that_is_closed_does_not_hide_the_others(match: str) -> None:
    """Folders may answer 403 one by one: that is told, the rest goes on, and nothing is called gone."""
    desk = library()
    desk.faults.add(Fault(match=match, kind="403", times=None))
    shelf = Shelf()
    async with reading_service(desk) as source:
        await shelf.read(source, "kb")
        with pytest.raises(AccessRefused, match=r"What is (in|below)"):
            await listed(source)
    assert {"155:und", "158:und"} <= shelf.alive()
    assert "156:und" not in shelf.alive()
    assert shelf.listing is None
    assert [(one.kind, one.key, one.retry) for one in shelf.failures] == [(Kind.ARTICLE, "*", False)]


async def test_a_plan_without_sub_folders_has_none() -> None:
    """`require_feature` on that list is the plan speaking, not a folder that is hidden from the key."""
    desk = library()
    desk.faults.add(Fault(match="sub-folders", kind="403", times=None, code="require_feature"))
    shelf = await read_all(desk)
    assert (shelf.listing, shelf.failures) == ({"155:und", "158:und"}, [])


async def test_solutions_that_are_closed_altogether_stop_the_read() -> None:
    """T39: a closed knowledge base is not an empty one."""
    desk = library()
    desk.faults.add(Fault(match="solutions/categories", kind="403", times=None))
    with pytest.raises(AccessRefused):
        await read_all(desk)
