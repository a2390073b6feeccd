"""A declaration proposed for a table, from the names and types of its columns and a look at some rows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import asyncpg

from deskloom.model import Json
from deskloom.sources.postgres.catalog import Column, Table
from deskloom.table_settings import RESERVED

LOOKED_AT = 50
"""Rows that are looked at, to tell texts of several languages from other JSON."""
_TITLES = ("title", "name", "subject", "question", "headline", "label")
_TEXTS = ("content", "body", "text", "description", "answer", "summary", "details", "notes", "markdown", "html")
_CHANGED = ("updatedat", "modifiedat", "changedat", "lastmodified", "updated", "modified", "changed", "version")
_CREATED = ("createdat", "created", "insertedat")
_DELETED = ("deletedat", "deleted", "isdeleted", "archivedat")
_LIVING = ("isactive", "active", "ispublished", "published", "enabled")
_TAGS = ("tags", "keywords", "labels", "goalkeywords", "topics")
_SHORT = frozenset({"integer", "bigint", "smallint", "boolean", "numeric", "uuid", "text", "character varying"})
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:[-_][A-Za-z]{2,4})?")
_TEXTUAL = ("text", "character varying", "character", "citext", "json", "jsonb")
_TIMES = ("timestamp with time zone", "timestamp without time zone")


async def propose(connection: asyncpg.Connection, table: Table) -> Json:
    """Settings of `TableSettings`, but for name and table: what is not needed is left out."""
    rows = await connection.fetch(f"SELECT * FROM {table.quoted} LIMIT {LOOKED_AT}")
    columns = table.columns
    seen = {name: [row[name] for row in rows] for name in columns}
    localized = [name for name, column in columns.items() if _is_localized(column, seen[name])]
    readable = [
        column
        for column in columns.values()
        if column.type in _TEXTUAL and (column.type not in ("json", "jsonb") or column.name in localized)
    ]
    title = _first(_TITLES, readable)
    texts = [column.name for column in readable if column.name != title and _named(column.name, _TEXTS)]
    tags = [name for name, column in columns.items() if column.type.endswith("[]") or _named(name, _TAGS)]
    trees = [
        name
        for name, column in columns.items()
        if column.type in ("json", "jsonb") and name not in localized and name not in tags
    ]
    used = {title, *texts, *tags, *trees, *table.primary_key}
    roles = _roles(columns)
    used |= {roles.get(name) for name in ("changed", "created", "deleted")}
    fields = [
        name
        for name, column in columns.items()
        if column.type in _SHORT and name not in used and name not in RESERVED and _is_short(seen[name])
    ]
    if not (title or texts or trees):  # nothing is called like a text: the longest one then
        texts = _longest(readable, seen)
        fields = [name for name in fields if name not in texts]
    proposal: Json = {"title": title, "texts": texts, "localized": [n for n in localized if n in (title, *texts)]}
    proposal |= {"trees": trees, "tags": tags, "fields": fields} | roles
    return {name: value for name, value in proposal.items() if value}


def _roles(columns: Mapping[str, Column]) -> Json:
    """The columns that say when a row changed, was made or is gone, and the condition that keeps it."""
    all_columns = list(columns.values())
    numbers = ("bigint", "integer")
    found: Json = {
        "changed": _first(_CHANGED, [one for one in all_columns if one.type in (*_TIMES, *numbers)]),
        "created": _first(_CREATED, [one for one in all_columns if one.type in _TIMES]),
        "deleted": _first(_DELETED, [one for one in all_columns if one.type in (*_TIMES, "boolean")]),
    }
    living = _first(_LIVING, [one for one in all_columns if one.type == "boolean"])
    return found | {"where": f'"{living}"' if living else None}


def _is_localized(column: Column, values: Iterable[Any]) -> bool:
    """Whether every value that is there is an object whose names are languages."""
    if column.type not in _TEXTUAL:
        return False
    objects = [_object(value) for value in values if value not in (None, "", {})]
    return bool(objects) and all(one is not None and all(map(_LANGUAGE.fullmatch, one)) for one in objects)


def _object(value: Any) -> Json | None:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    return value if isinstance(value, dict) and value else None


def _plain(name: str) -> str:
    return name.replace("_", "").casefold()


def _named(name: str, names: Sequence[str]) -> bool:
    return _plain(name) in names


def _first(names: Sequence[str], columns: Sequence[Column]) -> str | None:
    """The column that is called like the earliest of the names."""
    found = {_plain(column.name): column.name for column in columns}
    return next((found[name] for name in names if name in found), None)


def _is_short(values: Iterable[Any]) -> bool:
    return all(len(value) <= 80 for value in values if isinstance(value, str))


def _longest(columns: Sequence[Column], seen: Mapping[str, Sequence[Any]]) -> list[str]:
    lengths = {one.name: sum(len(str(value)) for value in seen[one.name] if value is not None) for one in columns}
    return [max(lengths, key=lambda name: lengths[name])] if lengths else []
