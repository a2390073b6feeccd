"""A row of a declared table made into what is to be found of it, language by language."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID

from deskloom.errors import Unreadable
from deskloom.model import Entry, Json, Row
from deskloom.sources.postgres.declared import Declared

MOST_CHARACTERS = 1_000_000
"""Text of one entry beyond which a row is set aside: it would take an embedder minutes, and nobody reads it."""
TOGETHER = ""
"""The language of an entry that stands for the whole row."""


def to_row(declared: Declared, key: str, values: Mapping[str, Any]) -> Row:
    """The row of these column values. Raises `Unreadable` for one that cannot be taken as it is declared."""
    try:
        return _made(declared, key, values)
    except RecursionError:
        raise Unreadable(f"Row {key} of {declared.table.quoted}: its JSON is nested too deeply.", key=key) from None


def _made(declared: Declared, key: str, values: Mapping[str, Any]) -> Row:
    settings = declared.settings
    plain = {name: _plain(_decoded(declared, name, value)) for name, value in values.items()}
    try:
        localized = {name: _localized(_json(declared, name, plain[name]), name) for name in settings.localized}
        trees = {name: _json(declared, name, plain[name]) for name in settings.trees}
    except ValueError as error:
        raise Unreadable(f"Row {key} of {declared.table.quoted}: {error}", key=key) from None
    languages = sorted({language for texts in localized.values() for language in texts})
    if settings.languages == "together" or not settings.localized:
        entries = {TOGETHER: _entry(declared, plain, localized, trees, languages)}
    else:
        entries = {language: _entry(declared, plain, localized, trees, [language]) for language in languages}
    longest = max((sum(map(len, entry.texts)) for entry in entries.values()), default=0)
    if longest > MOST_CHARACTERS:
        raise Unreadable(
            f"Row {key} of {declared.table.quoted} holds {longest:,} characters of text; at most {MOST_CHARACTERS:,} "
            "are taken. Shorten it, or leave a column out.",
            key=key,
        )
    return Row(
        external_id=key,
        stamp=stamp_of(declared, plain),
        entries={language: entry for language, entry in entries.items() if _is_there(entry)},
        created_at=_instant(values.get(settings.created or "")),
        updated_at=_instant(values.get(settings.changed or "")),
        raw={name: plain[name] for name in declared.columns},
    )


def _decoded(declared: Declared, name: str, value: Any) -> Any:
    """JSON columns arrive as text, so that one value that Python cannot read costs its own row only."""
    if isinstance(value, str) and _is_json(declared, name):
        return json.loads(value)
    return value


def stamp_of(declared: Declared, plain: Mapping[str, Any]) -> str:
    """The change mark: a hash of every column that is read, and of the declaration."""
    packed = json.dumps([declared.version, dict(plain)], sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(packed.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _entry(
    declared: Declared, plain: Mapping[str, Any], localized: Mapping[str, Json], trees: Json, languages: list[str]
) -> Entry:
    settings = declared.settings

    def read(name: str) -> str:
        if name in localized:
            return "\n\n".join(text for one in languages if (text := localized[name].get(one)))
        return _text(plain[name])

    found = [(read(name), weight) for name, weight in settings.texts.items()]
    found += [("\n".join(_leaves(tree)), 1) for tree in trees.values()]
    kept = [(text, weight) for text, weight in found if text.strip()]
    title = read(settings.title) if settings.title else ""
    if settings.title in localized and len(languages) > 1:
        title = " / ".join(line for line in title.split("\n\n") if line.strip())
    return Entry(
        title=title.strip() or None,
        texts=tuple(text for text, _ in kept),
        weights=tuple(weight for _, weight in kept),
        tags=tuple(dict.fromkeys(tag for name in settings.tags for tag in _tags(plain[name]))),
        visibility=settings.visibility,
        fields={name: plain[name] for name in settings.fields},
    )


def _is_there(entry: Entry) -> bool:
    return bool(entry.title or entry.texts)


def _localized(found: Any, name: str) -> Json:
    """Language → text of a localized column. Raises `ValueError` for a value that is no object."""
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ValueError(f'"{name}" is not an object of languages but {type(found).__name__}.')
    texts = {str(language): _text(text) if not isinstance(text, list | dict) else "\n".join(_leaves(text))
             for language, text in found.items()}  # fmt: skip
    return {language: text for language, text in texts.items() if text.strip()}


def _json(declared: Declared, name: str, value: Any) -> Any:
    """A JSON column as it is, and text that holds JSON, also within JSON, read as such. Raises `ValueError`."""
    if not isinstance(value, str):
        return value
    try:
        return _plain(json.loads(value))
    except ValueError:
        if _is_json(declared, name):
            return value
        raise ValueError(f'"{name}" is not JSON.') from None


def _is_json(declared: Declared, name: str) -> bool:
    return declared.table.columns[name].type in ("json", "jsonb")


def _leaves(tree: Any) -> Iterator[str]:
    """The texts of a nested value in their order, each with its own name before it where it has one."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            if isinstance(value, dict | list):
                yield from _leaves(value)
            elif text := _text(value):
                yield f"{name}: {text}"
    elif isinstance(tree, list):
        for value in tree:
            yield from _leaves(value)
    elif text := _text(tree):
        yield text


def _tags(value: Any) -> list[str]:
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            return [value]
    values = value if isinstance(value, list) else [value]
    return [text.strip() for one in values if (text := _text(one)).strip()]


def _text(value: Any) -> str:
    """What a value reads like; nothing, for null and truth values."""
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, dict | list):
        return "\n".join(_leaves(value))
    return str(value)


def _plain(value: Any) -> Any:
    """A column's value as JSON holds it. NUL and half pairs of surrogates, which no text of the record may hold, are
    left out; numbers that JSON does not know become text."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-16", "surrogatepass").decode("utf-16", "ignore")
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    if isinstance(value, date | time | UUID):
        return str(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and abs(value) < 10**15 else str(value)
    if isinstance(value, bytes | memoryview):
        return None
    if isinstance(value, dict):
        return {_plain(str(name)): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _instant(value: Any) -> datetime | None:
    """A time without a zone is UTC; numbers and dates alone are no times."""
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
