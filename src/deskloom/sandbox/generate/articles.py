"""The knowledge base of a generated account: a tree with subfolders, drafts, visibilities and translations."""

from __future__ import annotations

from datetime import datetime, timedelta

from deskloom.sandbox.clock import stamp
from deskloom.sandbox.content import GUIDES, NAMES, THEMES, WORDS, Guide, Theme
from deskloom.sandbox.freshdesk import Desk
from deskloom.sandbox.rows import Row

_FIRST = 60_000_000_001
_VISIBILITY = {"Orders": 2, "Invoices": 4, "Licences": 1}


def fill_articles(desk: Desk, count: int, now: datetime) -> None:
    """Write `count` articles: the guides of all themes, then the same per operating system."""
    tree = _Tree(desk, stamp(now - timedelta(days=400)))
    guides = [(theme, guide) for turn in range(2) for theme in THEMES for guide in theme.guides[turn : turn + 1]]
    rows: list[Row] = []
    for number in range(count):
        theme, guide = guides[number % len(guides)]
        again = number // len(guides)
        row = _article(guide, number, again, now)
        background = number % len(guides) >= len(THEMES)
        rows.append(
            {**row, "folder_id": tree.folder(theme, background=background), "id": tree.take(), "agent_id": tree.author}
        )
    desk.categories.fill(tree.categories.values())
    desk.folders.fill(tree.folders.values())
    desk.articles.fill(rows)
    if len(rows) >= 6:
        rows[5]["_draft"] = {"title": rows[5]["title"], "description": rows[5]["description"] + "<p>To be checked.</p>"}
    if len(rows) >= 20:
        desk.articles.change(rows[19]["id"], status=1)


class _Tree:
    """Categories, folders and subfolders, made when an article first needs them."""

    def __init__(self, desk: Desk, at: str) -> None:
        self.categories: dict[str, Row] = {}
        self.folders: dict[str, Row] = {}
        self._desk, self._at, self._next = desk, at, _FIRST
        self.author = next((row["id"] for row in desk.agents), None)

    def take(self) -> int:
        self._next += 1
        return self._next - 1

    def folder(self, theme: Theme, *, background: bool) -> int:
        if theme.category not in self.categories:
            row = self._row(theme.category, f"All about {theme.category.lower()}")
            self.categories[theme.category] = row
        if theme.folder not in self.folders:
            self.folders[theme.folder] = self._folder(theme, theme.folder, None)
        if not background:
            return int(self.folders[theme.folder]["id"])
        name = f"{theme.folder}: background"
        if name not in self.folders:
            self.folders[name] = self._folder(theme, name, self.folders[theme.folder]["id"])
        return int(self.folders[name]["id"])

    def _folder(self, theme: Theme, name: str, parent: int | None) -> Row:
        row = self._row(name, f"Help with {theme.folder.lower()}")
        row |= {"category_id": self.categories[theme.category]["id"], "parent_folder_id": parent}
        row["visibility"] = 3 if name == "VPN: background" else _VISIBILITY.get(theme.folder, 1)
        if row["visibility"] == 4:
            row["company_ids"] = [company["id"] for company in self._desk.companies][:2]
        return row

    def _row(self, name: str, description: str) -> Row:
        row: Row = {
            "id": self.take(),
            "name": name,
            "description": description,
            "created_at": self._at,
            "updated_at": self._at,
        }
        translations = {language: {"name": text} for language, text in NAMES.get(name, {}).items()}
        return row | ({"_translations": translations} if translations else {})


def _article(guide: Guide, number: int, again: int, now: datetime) -> Row:
    system = WORDS["systems"][(again - 1) % len(WORDS["systems"])] if again else ""
    part = f" ({system}, part {again})" if again else ""
    at = stamp(now - timedelta(days=300 - number % 250, seconds=number))
    row: Row = {
        "title": guide.title + part,
        "description": _page(guide, number, system),
        "status": 2,
        "tags": [word for word in guide.title.lower().split() if len(word) > 4][:3],
        "seo_data": {"meta_title": guide.title, "meta_description": guide.when, "meta_keywords": "help,kestrel"},
        "thumbs_up": number * 3 % 17,
        "hits": number * 31 % 400,
        "created_at": at,
        "updated_at": at,
    }
    if not again and guide.title in GUIDES:
        row["_translations"] = {
            language: {
                "title": other.title,
                "description": _page(other, number, ""),
                "status": 2,
                "hits": 3,
                "thumbs_up": 1,
                "thumbs_down": 0,
                "seo_data": {"meta_title": other.title, "meta_description": other.when},
                "created_at": at,
                "updated_at": at,
            }
            for language, other in GUIDES[guide.title].items()
        }
    return row


def _page(guide: Guide, number: int, system: str) -> str:
    style = "<style>.note { color: #445; }</style>" if number % 3 == 0 else ""
    listed = "".join(f"<li>{step}</li>" for step in guide.steps)
    table = f"<table><tr><th>System</th></tr><tr><td>{system}</td></tr></table>" if system else ""
    return f'{style}<p>{guide.when}</p><ol>{listed}</ol>{table}<p class="note">{guide.remark}</p>'
