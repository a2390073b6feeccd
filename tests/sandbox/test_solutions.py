"""The knowledge base: tree, drafts, visibility, translations (HELPDESK-APIS 2.12)."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from deskloom.sandbox import Desk


def categories(api: httpx.Client) -> list[int]:
    return [row["id"] for row in api.get("solutions/categories").json()]


def walk(api: httpx.Client, language: str = "") -> dict[int, str]:
    """Articles by id, found by walking the tree as the documentation says."""
    tail, found = f"/{language}" if language else "", {}

    def folder(key: int) -> None:
        found.update({row["id"]: row["title"] for row in api.get(f"solutions/folders/{key}/articles{tail}").json()})
        for child in api.get(f"solutions/folders/{key}/subfolders").json():
            folder(child["id"])

    for category in categories(api):
        for row in api.get(f"solutions/categories/{category}/folders").json():
            folder(row["id"])
    return found


def test_the_walk_finds_everything(desk: Desk, api: httpx.Client) -> None:
    """Categories, root folders, direct subfolders and their articles make the whole."""
    assert walk(api) == {row["id"]: row["title"] for row in desk.state("articles") if row["language"] == "en"}


def test_translations(desk: Desk, api: httpx.Client) -> None:
    """A listing in a language has only what is translated, under the same ids."""
    truth = {row["id"]: row["title"] for row in desk.state("articles") if row["language"] == "ko"}
    key = next(iter(truth))
    assert (walk(api, "ko"), len(truth)) == (truth, 3)
    assert api.get(f"solutions/articles/{key}/ko").json()["title"] == truth[key]
    assert api.get(f"solutions/articles/{max(walk(api))}/ko").status_code == 404
    assert api.get(f"solutions/articles/{key}/xx").status_code == 400
    assert [row["name"] for row in api.get("solutions/categories/ko").json()] == ["네트워크", "기기", "메일과 일정"]


def test_folders_of_a_category(desk: Desk, api: httpx.Client) -> None:
    """A category lists root folders without category_id; a subfolder listing and a view have it."""
    first = categories(api)[0]
    roots = api.get(f"solutions/categories/{first}/folders").json()
    children = api.get(f"solutions/folders/{roots[0]['id']}/subfolders").json()
    assert all(row["parent_folder_id"] is None and "category_id" not in row for row in roots)
    assert [(row["category_id"], row["parent_folder_id"]) for row in children] == [(first, roots[0]["id"])]
    assert api.get(f"solutions/folders/{roots[0]['id']}").json()["category_id"] == first
    assert (roots[0]["sub_folders_count"], roots[0]["articles_count"]) == (1, 1)
    desk.switches = replace(desk.switches, solutions_nested=True)
    assert {row["id"] for row in api.get(f"solutions/categories/{first}/folders").json()} >= {children[0]["id"]}


def test_visibility_is_on_the_folder(desk: Desk, api: httpx.Client) -> None:
    """Folders for agents, customers and chosen companies exist; articles do not tell (T32)."""
    assert {row["visibility"] for row in desk.state("folders")} == {1, 2, 3, 4}
    chosen = next(row for row in desk.state("folders") if row["visibility"] == 4)
    assert api.get(f"solutions/folders/{chosen['id']}").json()["company_ids"] == [15_100_000_001, 15_100_000_002]
    assert all("visibility" not in row for row in desk.state("articles"))


def test_drafts_are_listed(desk: Desk, api: httpx.Client) -> None:
    """An unpublished article is in the listing with status 1."""
    draft = next(row for row in desk.state("articles") if row["status"] == 1)
    rows = api.get(f"solutions/folders/{draft['folder_id']}/articles").json()
    assert [row["status"] for row in rows if row["id"] == draft["id"]] == [1]


def test_published_with_a_newer_draft(desk: Desk, api: httpx.Client) -> None:
    """By switch such an article shows its live text or its draft."""
    key = next(row["id"] for row in desk.articles if "_draft" in row)
    texts = []
    for shows in ("live", "draft"):
        desk.switches = replace(desk.switches, article_shows=shows)  # type: ignore[arg-type]
        texts.append("To be checked" in api.get(f"solutions/articles/{key}").json()["description"])
    assert texts == [False, True]


def test_subfolders_may_be_missing(desk: Desk, api: httpx.Client) -> None:
    """On some accounts the subfolder path fails (T31)."""
    desk.switches = replace(desk.switches, subfolders=False)
    folder = next(iter(desk.folders))["id"]
    assert api.get(f"solutions/folders/{folder}/subfolders").status_code == 404


@pytest.mark.parametrize("paged", [True, False])
def test_paging_of_solutions(desk: Desk, api: httpx.Client, paged: bool) -> None:
    """By switch these lists are paged, or send everything and know no page."""
    desk.switches = replace(desk.switches, solutions_paged=paged)
    answer = api.get("solutions/categories", params={"per_page": "2"})
    assert (answer.status_code, "next" in answer.links) == ((200, True) if paged else (400, False))
    assert len(api.get("solutions/categories").json()) == 7


def test_writing(desk: Desk, api: httpx.Client) -> None:
    """Category, folder, article and translation can be written, changed and deleted with what they hold."""
    category = api.post("solutions/categories", json={"name": "News"}).json()["id"]
    folder = api.post(f"solutions/categories/{category}/folders", json={"name": "Now", "visibility": 1}).json()["id"]
    body = {"title": "Hello", "description": "<p>Hi</p>", "status": 2, "seo_data": {"meta_keywords": ["a", "b"]}}
    article = api.post(f"solutions/folders/{folder}/articles", json=body).json()
    assert (article["category_id"], article["description_text"]) == (category, "Hi")
    assert article["seo_data"]["meta_keywords"] == "a,b"
    key = article["id"]
    answer = api.post(f"solutions/articles/{key}/de", json={"title": "Hallo", "description": "<p>Hallo</p>"})
    assert (answer.status_code, answer.json()["id"], answer.json()["title"]) == (201, key, "Hallo")
    assert api.put(f"solutions/articles/{key}", json={"status": 1}).json()["status"] == 1
    assert api.delete(f"solutions/categories/{category}").status_code == 204
    assert [api.get(path).status_code for path in (f"solutions/articles/{key}", f"solutions/folders/{folder}")] == [
        404,
        404,
    ]


def test_search_of_articles(api: httpx.Client) -> None:
    """Search adds the folder's visibility and leaves the counters out."""
    rows = api.get("search/solutions", params={"term": "vpn profile"}).json()
    assert rows
    assert all("folder_visibility" in row and "hits" not in row for row in rows)
