"""Freshservice's knowledge base: workspaces, descendants, single articles, translations (HELPDESK-APIS 3.11)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from deskloom.sandbox import FreshserviceDesk

Rows = list[dict[str, Any]]


def _walk(fs: httpx.Client) -> tuple[set[int], Rows]:
    """The ids of all folders and all article rows, read as a client would."""
    folders: set[int] = set()
    for category in fs.get("/solutions/categories?workspace_id=0&per_page=100").json()["categories"]:
        for folder in fs.get(f"/solutions/folders?category_id={category['id']}").json()["folders"]:
            below = fs.get(f"/solutions/folders/{folder['id']}/sub-folders").json()["sub_folders"]
            folders |= {folder["id"], *(row["id"] for row in below)}
    articles = [
        row for key in sorted(folders) for row in fs.get(f"/solutions/articles?folder_id={key}").json()["articles"]
    ]
    return folders, articles


@pytest.mark.parametrize("nested", [True, False])
def test_a_walk_finds_everything(fs: httpx.Client, service: FreshserviceDesk, nested: bool) -> None:
    """Categories of all workspaces, their folders, all descendants: every folder and article once found."""
    service.switches = replace(service.switches, folders_nested=nested)
    folders, articles = _walk(fs)
    assert folders == {row["id"] for row in service.state("folders")}
    assert sorted(row["id"] for row in articles) == [row["id"] for row in service.state("articles")]


def test_categories_of_one_workspace(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """Without a workspace only the primary one's categories come."""
    primary = {row["id"] for row in service.state("categories") if row["workspace_id"] == 2}
    found = {row["id"] for row in fs.get("/solutions/categories").json()["categories"]}
    assert (found, len(found) < len(service.state("categories"))) == (primary, True)


def test_descendants_with_their_ancestry(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """Sub-folders are all descendants, each with the path above it and few members; the rest is in the folder."""
    top = next(row for row in service.folders if row.get("parent_folder_id") is None)
    child = fs.post(
        "/solutions/folders", json={"name": "In it", "category_id": top["category_id"], "parent_id": top["id"]}
    )
    key = child.json()["folder"]["id"]
    body = {"name": "Deeper", "category_id": top["category_id"], "parent_id": key, "visibility": 3}
    deeper = fs.post("/solutions/folders", json=body).json()["folder"]["id"]
    rows = {row["id"]: row for row in fs.get(f"/solutions/folders/{top['id']}/sub-folders").json()["sub_folders"]}
    assert (rows[key]["ancestry"], rows[deeper]["ancestry"]) == (str(top["id"]), f"{top['id']}/{key}")
    assert set(rows[deeper]) == {"id", "name", "ancestry", "created_at"}
    assert fs.get(f"/solutions/folders/{deeper}").json()["folder"]["visibility"] == 3


def test_translations_are_articles(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """A translation has its own id, and says of what it is one only where the account shows it."""
    truth = {row["id"]: row for row in service.state("articles")}
    other = next(row for row in truth.values() if row["parent_id"])
    view = f"/solutions/articles/{other['id']}"
    listed = f"/solutions/articles?folder_id={other['folder_id']}"
    shown = {}
    for setting in ("never", "view", "always"):
        service.switches = replace(service.switches, article_language=setting)
        row = next(row for row in fs.get(listed).json()["articles"] if row["id"] == other["id"])
        shown[setting] = ("language" in row, "language" in fs.get(view).json()["article"])
    assert shown == {"never": (False, False), "view": (False, True), "always": (True, True)}
    assert fs.get(view).json()["article"]["parent_id"] == other["parent_id"] in truth


def test_an_article_from_first_to_last(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """Made as a draft, published, translated; deleting it leaves the translation."""
    folder = service.state("folders")[0]["id"]
    made = fs.post("/solutions/articles", json={"title": "Fan", "description": "<p>Clean it</p>", "folder_id": folder})
    row = made.json()["article"]
    assert (made.status_code, row["status"], row["description_text"]) == (201, 1, "Clean it")
    service.clock.advance(60)
    changed = fs.put(f"/solutions/articles/{row['id']}", json={"status": 2}).json()["article"]
    assert (changed["status"], changed["modified_at"]) == (2, service.clock.stamp())
    body = {"title": "Lüfter", "description": "x", "folder_id": folder, "language": "de", "parent_id": row["id"]}
    other = fs.post("/solutions/articles", json=body).json()["article"]
    assert fs.delete(f"/solutions/articles/{row['id']}").status_code == 204
    codes = [fs.get(f"/solutions/articles/{key}").status_code for key in (row["id"], other["id"])]
    assert (codes, "language" in other) == ([404, 200], False)
    assert fs.post("/solutions/articles", json={**body, "language": "xx"}).status_code == 400


def test_rows_and_views(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """List rows lack tags and attachments; an article elsewhere has an address and no text; authors have two names."""
    _, rows = _walk(fs)
    view = fs.get(f"/solutions/articles/{rows[0]['id']}").json()["article"]
    assert ({"tags", "attachments"} & rows[0].keys(), {"tags", "folder_visibility"} <= view.keys()) == (set(), True)
    assert [row["description"] for row in rows if row["url"]] == [None, None]
    service.switches = replace(service.switches, author_member="user_id")
    assert "agent_id" not in fs.get(f"/solutions/articles/{rows[0]['id']}").json()["article"]


def test_lists_need_their_parent(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """Folders are asked for by category, articles by folder or category; neither is there without."""
    category = service.state("categories")[0]["id"]
    by_category = fs.get(f"/solutions/articles?category_id={category}").json()["articles"]
    assert {row["category_id"] for row in by_category} == {category}
    assert [fs.get(path).status_code for path in ("/solutions/folders", "/solutions/articles")] == [400, 400]
    assert fs.get("/solutions/articles?folder_id=1").status_code == 404


def test_whole_lists(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """Where the lists are not paged they are whole, and `page` is unknown to them."""
    service.switches = replace(service.switches, solutions_paged=False)
    path = f"/solutions/articles?category_id={service.state('categories')[0]['id']}"
    assert (fs.get(path).status_code, fs.get(f"{path}&page=1").status_code) == (200, 400)


def test_folders_for_departments(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """A folder that only some departments see names them."""
    rows = [row for row in service.state("folders") if row["visibility"] == 4]
    assert rows
    assert all(fs.get(f"/solutions/folders/{row['id']}").json()["folder"]["department_ids"] for row in rows)


def test_searching_articles(fs: httpx.Client, service: FreshserviceDesk) -> None:
    """Published articles with the words, and how many pages there are."""
    found = fs.get("/solutions/articles/search?search_term=vpn&per_page=1").json()
    assert (len(found["articles"]), found["meta"]["current_page"]) == (1, 1)
    assert found["meta"]["total_pages"] == found["meta"]["total_items"] >= 1
