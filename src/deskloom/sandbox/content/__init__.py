"""Invented support content: what people ask of a made-up workplace product, what was found, what helped.

`english.json` holds the themes, with slots in braces that the generator fills; `other_languages.json` the same kinds of
trouble in Korean, Japanese, German and Arabic, and translations of some help articles.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class Guide:
    """A help article: title, when it helps, steps, a closing remark."""

    title: str
    when: str
    steps: tuple[str, ...]
    remark: str


@dataclass(frozen=True, slots=True)
class Theme:
    """One kind of trouble in variants: entries at one position, `subjects` (several each) to `cures`, fit together."""

    name: str
    kind: str
    category: str
    folder: str
    subjects: tuple[list[str], ...]
    symptoms: tuple[str, ...]
    questions: tuple[str, ...]
    details: tuple[str, ...]
    causes: tuple[str, ...]
    cures: tuple[str, ...]
    guides: tuple[Guide, ...]


@dataclass(frozen=True, slots=True)
class Talk:
    """A ticket in another language: subject, first message, the agent's question, the cause (a note), the cure."""

    theme: str
    language: str
    subject: str
    symptom: str
    question: str
    cause: str
    cure: str


def _load(name: str) -> Any:
    return json.loads(files(__package__).joinpath(name).read_text(encoding="utf-8"))


def _guide(row: dict[str, Any]) -> Guide:
    return Guide(row["title"], row["when"], tuple(row["steps"]), row["remark"])


def _theme(row: dict[str, Any]) -> Theme:
    members: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
    members["guides"] = tuple(_guide(guide) for guide in row["guides"])
    return Theme(**members)


_ENGLISH, _OTHER = _load("english.json"), _load("other_languages.json")

THEMES: tuple[Theme, ...] = tuple(_theme(row) for row in _ENGLISH["themes"])
WORDS: dict[str, list[str]] = _ENGLISH["words"]
"""Word lists by name: praise, devices, systems, sites, first_names, last_names, companies."""

TALKS: tuple[Talk, ...] = tuple(Talk(**row) for row in _OTHER["talks"])
GUIDES: dict[str, dict[str, Guide]] = {
    title: {language: _guide(row) for language, row in rows.items()} for title, rows in _OTHER["guides"].items()
}
"""Translations of guides, by English title and language."""

NAMES: dict[str, dict[str, str]] = _OTHER["names"]
"""Translated names of categories and folders; those not here are missing in a listing by language."""
