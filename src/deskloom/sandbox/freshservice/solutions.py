"""The knowledge base: categories of a workspace, folders, all descendants of a folder, articles (HELPDESK-APIS 3.11).

A translation is an article of its own; `_language` and `_parent` of its row say what it is, the API mostly does not.
"""

from __future__ import annotations

from deskloom.sandbox.answers import Answer, Call, Refused, allow, invalid, unexpected
from deskloom.sandbox.bodies import body_of, required
from deskloom.sandbox.freshservice import blanks, spaces
from deskloom.sandbox.freshservice.desk import MSP, PRIMARY, FreshserviceDesk
from deskloom.sandbox.listing import number_of, paged
from deskloom.sandbox.paging import PAGING
from deskloom.sandbox.rows import Row, Rows, sent
from deskloom.sandbox.text import plain

FIRST_ID = 60_000_000_001


# ------------------------------------------------------------------------------------------------------------ shapes


def category(row: Row) -> Row:
    return {**blanks.CATEGORY, **sent(row)}


def folder(desk: FreshserviceDesk, row: Row) -> Row:
    """Who may see it is said only where the visibility asks for it."""
    out = {**blanks.FOLDER, **sent(row)}
    for name in ("parent_folder_id", "company_ids"):
        out.pop(name, None)
    if out["visibility"] == 4:
        out.setdefault("department_ids", [])
    out["workspace_id"] = workspace_of(desk, row)
    return out


def article(desk: FreshserviceDesk, row: Row, *, view: bool) -> Row:
    out = {**blanks.ARTICLE, **sent(row)}
    out["description_text"] = plain(out["description"])
    parent = desk.folders.get(row["folder_id"]) or {}
    out |= {"category_id": parent.get("category_id"), "workspace_id": workspace_of(desk, parent)}
    out["modified_at"] = out["modified_at"] or out["updated_at"]
    out[desk.switches.author_member] = out.pop("agent_id")
    shows = desk.switches.article_language
    if shows == "always" or (shows == "view" and view):
        out |= {"language": row.get("_language", desk.languages[0]), "parent_id": row.get("_parent")}
    if view:
        return {**blanks.ARTICLE_VIEW, **out, "folder_visibility": parent.get("visibility", 1)}
    return {name: value for name, value in out.items() if name not in blanks.ARTICLE_VIEW}


def workspace_of(desk: FreshserviceDesk, row: Row) -> int:
    """The workspace of a folder is its category's."""
    above = desk.categories.get(row.get("category_id")) or row
    return int(above.get("workspace_id", PRIMARY))


def ancestors(desk: FreshserviceDesk, row: Row) -> list[int]:
    """The ids of the folders above one, the outermost first."""
    chain: list[int] = []
    above = desk.folders.get(row.get("parent_folder_id"))
    while above is not None:
        chain.insert(0, above["id"])
        above = desk.folders.get(above.get("parent_folder_id"))
    return chain


# ------------------------------------------------------------------------------------------------------------- reads


def list_categories(desk: FreshserviceDesk, call: Call) -> Answer:
    """Of the primary workspace unless said; an MSP's live in the MSP's own."""
    allow(call.query, PAGING | {"workspace_id"})
    workspace = spaces.chosen(desk, call)
    if desk.msp and "workspace_id" not in call.query:
        workspace = MSP
    inside = spaces.within(call, workspace)
    rows = [desk.categories.get(key) or {} for key in desk.categories.ids("all", "all")]
    return _list(desk, call, [row for row in rows if inside(row)], "categories")


def list_folders(desk: FreshserviceDesk, call: Call) -> Answer:
    """Of a category: its own folders, with the nested ones on some accounts."""
    allow(call.query, PAGING | {"category_id"})
    key = _asked(call, "category_id")
    if key not in desk.categories:
        raise Refused(404)
    nested = desk.switches.folders_nested
    rows = [desk.folders.get(i) or {} for i in desk.folders.ids("parent", ("category", key))]
    found = [row for root in rows for row in ((root, *_below(desk, root["id"])) if nested else (root,))]
    return _list(desk, call, found, "folders")


def list_sub_folders(desk: FreshserviceDesk, call: Call) -> Answer:
    """All descendants, with the path of ids above each, and little else."""
    allow(call.query, PAGING)
    _row(desk.folders, call.id)
    rows = [
        {
            "id": row["id"],
            "name": row["name"],
            "ancestry": "/".join(str(key) for key in ancestors(desk, row)),
            "created_at": row["created_at"],
        }
        for row in _below(desk, call.id)
    ]
    return _list(desk, call, rows, "sub_folders")


def list_articles(desk: FreshserviceDesk, call: Call) -> Answer:
    """Of a folder (or of a category's folders), drafts too; translations stand beside what they translate."""
    allow(call.query, PAGING | {"folder_id", "category_id"})
    if "folder_id" in call.query:
        key = _asked(call, "folder_id")
        _row(desk.folders, key)
        found = [desk.articles.get(i) or {} for i in desk.articles.ids("folder", key)]
    else:
        key = _asked(call, "category_id")
        found = [row for row in desk.articles if (desk.folders.get(row["folder_id"]) or {}).get("category_id") == key]
    return _list(desk, call, found, "articles")


def search_articles(desk: FreshserviceDesk, call: Call) -> Answer:
    """Published articles with every word of the term, and counts of the pages."""
    allow(call.query, PAGING | {"search_term", "user_email", "workspace_id"})
    words = call.query.get("search_term", "").casefold().split()
    found = []
    for row in desk.articles:
        text = f"{row['title']} {plain(row.get('description')) or ''}".casefold()
        if row.get("status") == 2 and words and all(word in text for word in words):
            found.append(row)
    answer = paged(desk, call, found, lambda row: article(desk, row, view=True), within="articles")
    size = number_of(call, "per_page") or 30
    meta = {"total_items": len(found), "total_pages": -(-len(found) // size)}
    answer.body["meta"] = {**meta, "current_page": number_of(call, "page") or 1}
    return answer


def view_category(desk: FreshserviceDesk, call: Call) -> Answer:
    return Answer(body={"category": category(_row(desk.categories, call.id))})


def view_folder(desk: FreshserviceDesk, call: Call) -> Answer:
    return Answer(body={"folder": folder(desk, _row(desk.folders, call.id))})


def view_article(desk: FreshserviceDesk, call: Call) -> Answer:
    return Answer(body={"article": article(desk, _row(desk.articles, call.id), view=True)})


def _list(desk: FreshserviceDesk, call: Call, rows: list[Row], kind: str) -> Answer:
    def shape(row: Row) -> Row:
        if kind == "categories":
            return category(row)
        if kind == "folders":
            return folder(desk, row)
        return article(desk, row, view=False) if kind == "articles" else row

    name = "folder" if kind == "folders" and desk.switches.docs_wrappers else kind
    if desk.switches.solutions_paged:
        return paged(desk, call, rows, shape, within=name)
    for member in PAGING & call.query.keys():
        raise unexpected(member)
    return Answer(body={name: [shape(row) for row in rows]})


def _below(desk: FreshserviceDesk, key: int) -> list[Row]:
    found: list[Row] = []
    for child in desk.folders.ids("parent", key):
        found += [desk.folders.get(child) or {}, *_below(desk, child)]
    return found


def _asked(call: Call, name: str) -> int:
    """The id that a list is asked for by. Raises 400 where it is missing."""
    key = number_of(call, name)
    if key is None:
        raise invalid(name, "It should not be blank as this is a mandatory field", "missing_field")
    return key


def _row(rows: Rows, key: int) -> Row:
    row = rows.get(key)
    if row is None:
        raise Refused(404)
    return row


# ------------------------------------------------------------------------------------------------------------ writes

_CATEGORY: dict[str, type] = {"name": str, "description": str, "workspace_id": int, "visible_in_portals": list}
_FOLDER: dict[str, type] = {
    "name": str, "description": str, "visibility": int, "category_id": int, "parent_id": int, "department_ids": list,
    "group_ids": list, "requester_group_ids": list, "manage_by_group_ids": list, "approval_settings": dict,
    "applicable_to_workspace_ids": list,
}  # fmt: skip
_ARTICLE: dict[str, type] = {
    "title": str, "description": str, "status": int, "article_type": int, "tags": list, "keywords": list,
    "folder_id": int, "url": str, "review_date": str, "language": str, "parent_id": int,
}  # fmt: skip


def _made(desk: FreshserviceDesk, rows: Rows, members: Row) -> Row:
    """A new row; categories, folders and articles draw from one sequence."""
    now = desk.stamp()
    tables = (desk.categories, desk.folders, desk.articles)
    key = desk.new_id("solution", max(tables, key=lambda table: table.newest_id()), FIRST_ID)
    return rows.put({**members, "id": key, "created_at": now, "updated_at": now})


def create_category(desk: FreshserviceDesk, call: Call) -> Answer:
    body = body_of(call, _CATEGORY)
    required(body, "name")
    body.setdefault("workspace_id", MSP if desk.msp else PRIMARY)
    return Answer(201, {"category": category(_made(desk, desk.categories, body))})


def create_folder(desk: FreshserviceDesk, call: Call) -> Answer:
    body = body_of(call, _FOLDER)
    required(body, "name", "category_id")
    _row(desk.categories, body["category_id"])
    body["parent_folder_id"] = body.pop("parent_id", None)
    return Answer(201, {"folder": folder(desk, _made(desk, desk.folders, body))})


def create_article(desk: FreshserviceDesk, call: Call) -> Answer:
    """With `language` and `parent_id` it is a translation, in its own right."""
    body = body_of(call, _ARTICLE)
    required(body, "title", "folder_id")
    _row(desk.folders, body["folder_id"])
    language, parent = body.pop("language", None), body.pop("parent_id", None)
    if language is not None and language not in desk.languages:
        raise invalid("language", "The language is not supported by this account")
    marks = {"_language": language, "_parent": parent} if language else {}
    row = _made(desk, desk.articles, {"status": 1, "agent_id": call.agent["id"], **body, **marks})
    return Answer(201, {"article": article(desk, row, view=True)})


def update_category(desk: FreshserviceDesk, call: Call) -> Answer:
    row = _row(desk.categories, call.id)
    changed = desk.categories.change(row["id"], **body_of(call, _CATEGORY), updated_at=desk.stamp())
    return Answer(body={"category": category(changed)})


def update_folder(desk: FreshserviceDesk, call: Call) -> Answer:
    row = _row(desk.folders, call.id)
    changed = desk.folders.change(row["id"], **body_of(call, _FOLDER), updated_at=desk.stamp())
    return Answer(body={"folder": folder(desk, changed)})


def update_article(desk: FreshserviceDesk, call: Call) -> Answer:
    row = _row(desk.articles, call.id)
    now = desk.stamp()
    body = body_of(call, {name: kind for name, kind in _ARTICLE.items() if name not in ("language", "parent_id")})
    desk.articles.change(row["id"], **body, updated_at=now, modified_at=now, modified_by=call.agent["id"])
    return Answer(body={"article": article(desk, row, view=True)})


def delete_category(desk: FreshserviceDesk, call: Call) -> Answer:
    for row in desk.folders:
        if row["category_id"] == _row(desk.categories, call.id)["id"]:
            _drop_folder(desk, row["id"])
    desk.categories.drop(call.id)
    return Answer(204)


def delete_folder(desk: FreshserviceDesk, call: Call) -> Answer:
    _drop_folder(desk, _row(desk.folders, call.id)["id"])
    return Answer(204)


def _drop_folder(desk: FreshserviceDesk, key: int) -> None:
    for child in desk.folders.ids("parent", key):
        _drop_folder(desk, child)
    for child in desk.articles.ids("folder", key):
        desk.articles.drop(child)
    desk.folders.drop(key)


def delete_article(desk: FreshserviceDesk, call: Call) -> Answer:
    """This one alone: its translations are articles of their own."""
    desk.articles.drop(_row(desk.articles, call.id)["id"])
    return Answer(204)
