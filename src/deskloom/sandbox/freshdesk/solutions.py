"""The knowledge base: categories, folders, subfolders, articles and their translations (HELPDESK-APIS 2.12)."""

from __future__ import annotations

from typing import Any

from deskloom.sandbox.answers import Answer, Call, Refused, allow, invalid
from deskloom.sandbox.bodies import body_of, required
from deskloom.sandbox.freshdesk import blanks, shapes
from deskloom.sandbox.freshdesk.desk import Desk
from deskloom.sandbox.listing import paged
from deskloom.sandbox.paging import PAGING
from deskloom.sandbox.rows import Row, Rows

FIRST_ID = 60_000_000_001


# ------------------------------------------------------------------------------------------------------------ shapes


def translated(desk: Desk, row: Row, language: str | None) -> Row | None:
    """The row in a language: the primary one, or its translation laid over it; None where there is none."""
    if language is None or language == desk.languages[0]:
        return row
    translation = row.get("_translations", {}).get(language)
    return {**row, **translation} if translation else None


def category(row: Row) -> Row:
    return {**blanks.CATEGORY, **shapes.sent(row)}


def folder(desk: Desk, row: Row, language: str | None, *, with_category: bool) -> Row:
    """A folder. The listing of a category lacks `category_id`; counts are of direct children only."""
    out = {**blanks.FOLDER, **shapes.sent(row)}
    out["hierarchy"] = _hierarchy(desk, row, language)[:-1]
    out["articles_count"] = len(desk.articles.order("folder", row["id"]))
    out["sub_folders_count"] = len(desk.folders.order("parent", row["id"]))
    if not with_category:
        del out["category_id"]
    return out


def article(desk: Desk, row: Row, language: str | None = None) -> Row:
    out = {**blanks.ARTICLE, **shapes.sent(row)}
    if "_draft" in row and desk.switches.article_shows == "draft":
        out |= row["_draft"]
    out["description_text"] = shapes.plain(out["description"])
    parent = desk.folders.get(row["folder_id"])
    out["category_id"] = parent["category_id"] if parent else None
    out["hierarchy"] = _hierarchy(desk, parent, language) if parent else []
    return out


def _hierarchy(desk: Desk, row: Row, language: str | None) -> list[Row]:
    chain: list[tuple[str, Row]] = [("folder", row)]
    while (above := desk.folders.get(chain[0][1].get("parent_folder_id"))) is not None:
        chain.insert(0, ("folder", above))
    top = desk.categories.get(row.get("category_id"))
    if top:
        chain.insert(0, ("category", top))
    name = language or desk.languages[0]
    steps = [(kind, translated(desk, step, language) or step) for kind, step in chain]
    return [
        {"level": level, "type": kind, "data": {"id": step["id"], "name": step["name"], "language": name}}
        for level, (kind, step) in enumerate(steps)
    ]


# ------------------------------------------------------------------------------------------------------------- reads


def _list(desk: Desk, call: Call, rows: Rows, ids: list[int], shape: Any) -> Answer:
    """A solutions list; in another language only what is translated."""
    _language(desk, call)
    in_language = [t for key in ids if (t := translated(desk, rows.get(key) or {}, call.language)) is not None]
    if not desk.switches.solutions_paged:
        allow(call.query, frozenset())
        return Answer(body=[shape(row) for row in in_language])
    allow(call.query, PAGING)
    return paged(desk, call, in_language, shape)


def _one(desk: Desk, call: Call, rows: Rows, key: int) -> Row:
    _language(desk, call)
    row = rows.get(key)
    shown = translated(desk, row, call.language) if row else None
    if shown is None:
        raise Refused(404)
    return shown


def _language(desk: Desk, call: Call) -> None:
    if call.language is not None and call.language not in desk.languages:
        raise invalid("language", "The language is not supported by this account")


def list_categories(desk: Desk, call: Call) -> Answer:
    return _list(desk, call, desk.categories, desk.categories.ids("all", "all"), category)


def view_category(desk: Desk, call: Call) -> Answer:
    return Answer(body=category(_one(desk, call, desk.categories, call.id)))


def list_folders(desk: Desk, call: Call) -> Answer:
    """Root folders only, as in real data; with the switch nested ones too, as in the docs' sample."""
    _row(desk.categories, call.id)
    ids = desk.folders.ids("parent", ("category", call.id))
    if desk.switches.solutions_nested:
        ids = [row["id"] for row in desk.folders if row["category_id"] == call.id]
    return _list(desk, call, desk.folders, ids, lambda row: folder(desk, row, call.language, with_category=False))


def view_folder(desk: Desk, call: Call) -> Answer:
    return Answer(body=folder(desk, _one(desk, call, desk.folders, call.id), call.language, with_category=True))


def list_subfolders(desk: Desk, call: Call) -> Answer:
    """Direct children only."""
    if not desk.switches.subfolders:
        raise Refused(404)
    _row(desk.folders, call.id)
    ids = desk.folders.ids("parent", call.id)
    return _list(desk, call, desk.folders, ids, lambda row: folder(desk, row, call.language, with_category=True))


def list_articles(desk: Desk, call: Call) -> Answer:
    """Drafts are listed too."""
    _row(desk.folders, call.id)
    ids = desk.articles.ids("folder", call.id)
    return _list(desk, call, desk.articles, ids, lambda row: article(desk, row, call.language))


def view_article(desk: Desk, call: Call) -> Answer:
    return Answer(body=article(desk, _one(desk, call, desk.articles, call.id), call.language))


def _row(rows: Rows, key: int) -> Row:
    row = rows.get(key)
    if row is None:
        raise Refused(404)
    return row


# ------------------------------------------------------------------------------------------------------------ writes

_CATEGORY: dict[str, type] = {"name": str, "description": str, "visible_in_portals": list}
_FOLDER: dict[str, type] = {
    "name": str, "description": str, "visibility": int, "parent_folder_id": int, "company_ids": list,
    "contact_segment_ids": list, "company_segment_ids": list,
}  # fmt: skip
_ARTICLE: dict[str, type] = {
    "title": str, "description": str, "status": int, "type": int, "tags": list, "seo_data": dict, "agent_id": int,
    "folder_id": int,
}  # fmt: skip


def _made(desk: Desk, rows: Rows, members: Row) -> Row:
    now = desk.stamp()
    key = desk.new_id("solution", _largest(desk), FIRST_ID)
    while key in rows:
        key = desk.new_id("solution", _largest(desk), FIRST_ID)
    return rows.put({**members, "id": key, "created_at": now, "updated_at": now})


def _largest(desk: Desk) -> Rows:
    """Categories, folders and articles draw from one sequence."""
    return max(desk.categories, desk.folders, desk.articles, key=lambda rows: rows.newest_id())


def create_category(desk: Desk, call: Call) -> Answer:
    body = body_of(call, _CATEGORY)
    required(body, "name")
    return Answer(201, category(_made(desk, desk.categories, body)))


def create_folder(desk: Desk, call: Call) -> Answer:
    body = body_of(call, _FOLDER)
    required(body, "name")
    _row(desk.categories, call.id)
    return Answer(
        201, folder(desk, _made(desk, desk.folders, {**body, "category_id": call.id}), None, with_category=True)
    )


def create_article(desk: Desk, call: Call) -> Answer:
    body = body_of(call, _ARTICLE)
    required(body, "title", "description")
    _row(desk.folders, call.id)
    members = {"status": 1, "agent_id": call.agent["id"], **_flat_seo(body), "folder_id": call.id}
    return Answer(201, article(desk, _made(desk, desk.articles, members)))


def translate_article(desk: Desk, call: Call) -> Answer:
    """POST adds a translation to an article; PUT changes one."""
    _language(desk, call)
    row, language = _row(desk.articles, call.id), str(call.language)
    if language == desk.languages[0]:
        return update_article(desk, call)
    body = body_of(call, _ARTICLE)
    existing = row.get("_translations", {}).get(language)
    if call.method == "PUT" and existing is None:
        raise Refused(404)
    if call.method == "POST":
        required(body, "title", "description")
    set_translation(desk, row, language, _flat_seo(body))
    return Answer(
        201 if call.method == "POST" else 200, article(desk, _one(desk, call, desk.articles, call.id), language)
    )


def set_translation(desk: Desk, row: Row, language: str, members: Row) -> None:
    now = desk.stamp()
    translations = dict(row.get("_translations", {}))
    old = translations.get(language) or {"created_at": now, "status": 1, "hits": 0, "thumbs_up": 0, "thumbs_down": 0}
    translations[language] = {**old, **members, "updated_at": now}
    desk.articles.change(row["id"], _translations=translations)


def drop_translation(desk: Desk, row: Row, language: str) -> int:
    """Remove an article's translation, as an agent does in the browser; the API has no call for it."""
    kept = {name: text for name, text in row.get("_translations", {}).items() if name != language}
    return int(desk.articles.change(row["id"], _translations=kept)["id"])


def update_category(desk: Desk, call: Call) -> Answer:
    row = _row(desk.categories, call.id)
    return Answer(body=category(desk.categories.change(row["id"], **body_of(call, _CATEGORY), updated_at=desk.stamp())))


def update_folder(desk: Desk, call: Call) -> Answer:
    row = _row(desk.folders, call.id)
    changed = desk.folders.change(row["id"], **body_of(call, _FOLDER), updated_at=desk.stamp())
    return Answer(body=folder(desk, changed, None, with_category=True))


def update_article(desk: Desk, call: Call) -> Answer:
    row = _row(desk.articles, call.id)
    changed = desk.articles.change(row["id"], **_flat_seo(body_of(call, _ARTICLE)), updated_at=desk.stamp())
    return Answer(body=article(desk, changed))


def delete_category(desk: Desk, call: Call) -> Answer:
    _row(desk.categories, call.id)
    for row in desk.folders:
        if row["category_id"] == call.id:
            _drop_folder(desk, row["id"])
    desk.categories.drop(call.id)
    return Answer(204)


def delete_folder(desk: Desk, call: Call) -> Answer:
    _row(desk.folders, call.id)
    _drop_folder(desk, call.id)
    return Answer(204)


def _drop_folder(desk: Desk, key: int) -> None:
    for child in desk.folders.ids("parent", key):
        _drop_folder(desk, child)
    for child in desk.articles.ids("folder", key):
        desk.articles.drop(child)
    desk.folders.drop(key)


def delete_article(desk: Desk, call: Call) -> Answer:
    """With all its translations."""
    desk.articles.drop(_row(desk.articles, call.id)["id"])
    return Answer(204)


def _flat_seo(body: Row) -> Row:
    """`meta_keywords` is sent as an array and returned as a comma string."""
    seo = body.get("seo_data")
    if seo and isinstance(seo.get("meta_keywords"), list):
        return {**body, "seo_data": {**seo, "meta_keywords": ",".join(seo["meta_keywords"])}}
    return body
