"""A declared table held against the real one: every wrong name is found, and the nearest right one told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from deskloom.errors import SettingInvalid
from deskloom.sources.postgres.catalog import Table, nearest, quote
from deskloom.table_settings import TableSettings

_TIMES = ("timestamp with time zone", "timestamp without time zone", "date")
_NUMBERS = ("bigint", "integer", "smallint", "numeric")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A table that can be read. `key` are its key columns; `version` changes whenever the declaration does.

    `warnings` are sentences for people: what works, but not well.
    """

    settings: TableSettings
    table: Table
    key: tuple[str, ...]
    columns: tuple[str, ...]
    version: str
    warnings: tuple[str, ...] = field(default=())

    @property
    def living(self) -> str:
        """The SQL condition of the rows that are to be found."""
        conditions = [f"({self.settings.where})"] if self.settings.where else []
        if self.settings.deleted:
            column = quote(self.settings.deleted)
            boolean = self.table.columns[self.settings.deleted].type == "boolean"
            conditions.append(f"{column} IS NOT TRUE" if boolean else f"{column} IS NULL")
        return " AND ".join(conditions) or "true"

    @property
    def named(self) -> str:
        """The SQL condition of the rows that have a key at all."""
        nullable = [quote(name) for name in self.key if self.table.columns[name].nullable]
        return " AND ".join(f"{column} IS NOT NULL" for column in nullable) or "true"

    @property
    def selected(self) -> str:
        return ", ".join(quote(name) for name in self.columns)


def declare(settings: TableSettings, table: Table) -> Declared:
    """Raises `SettingInvalid` for a column that is not there, and for a table without a key."""
    for name in settings.columns():
        if name not in table.columns:
            raise SettingInvalid(
                f'Table "{settings.name}": there is no column "{name}" in {table.quoted}.'
                f"{nearest(name, table.columns)}",
                setting=f"tables.{settings.name}",
            )
    key = settings.key or table.primary_key
    if not key:
        raise SettingInvalid(
            f'Table "{settings.name}": {table.quoted} has no primary key. Name the columns that tell its rows apart: '
            'key = ["…"]',
            setting=f"tables.{settings.name}",
        )
    _require_localized(settings, table)
    return Declared(
        settings=settings,
        table=table,
        key=key,
        columns=tuple(dict.fromkeys((*key, *settings.columns()))),
        version=_version(settings, key),
        warnings=(*_access_warnings(table), *_key_warnings(table, key), *_change_warnings(settings, table)),
    )


def _require_localized(settings: TableSettings, table: Table) -> None:
    searched = {settings.title, *settings.texts}
    for name in settings.localized:
        if name not in searched:
            raise SettingInvalid(
                f'Table "{settings.name}": localized names "{name}", which is neither its title nor among its texts.',
                setting=f"tables.{settings.name}",
            )
    if settings.changed and table.columns[settings.changed].type not in (*_TIMES, *_NUMBERS):
        raise SettingInvalid(
            f'Table "{settings.name}": "{settings.changed}" is {table.columns[settings.changed].type}; a change column '
            "is a time or a number that grows.",
            setting=f"tables.{settings.name}",
        )


def _access_warnings(table: Table) -> list[str]:
    if not table.is_filtered:
        return []
    return [
        f"Row-level security applies to this user on {table.quoted}: rows that its policies hide count as removed. "
        "Give the user a policy USING (true), or BYPASSRLS."
    ]


def _key_warnings(table: Table, key: tuple[str, ...]) -> list[str]:
    said: list[str] = []
    if key != table.primary_key and not any(unique <= set(key) for unique in table.unique):
        said.append(
            f"Nothing in the database keeps {_listed(key)} of {table.quoted} unique: of rows that are alike in it, one "
            "is found."
        )
    if nullable := [name for name in key if table.columns[name].nullable]:
        said.append(f"{_listed(nullable)} of {table.quoted} may be null: rows without a key are left out.")
    return said


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _change_warnings(settings: TableSettings, table: Table) -> list[str]:
    said: list[str] = []
    if settings.changed is None:
        return said
    column = table.columns[settings.changed]
    if not column.indexed and table.kind in ("r", "p", "m"):
        said.append(
            f'"{column.name}" of {table.quoted} has no index, so that every sync reads the whole table. Make one: '
            f"CREATE INDEX CONCURRENTLY ON {table.quoted} ({quote(column.name)})"
        )
    if column.nullable and table.kind in ("r", "p"):
        said.append(
            f'"{column.name}" of {table.quoted} may be null: rows without it are read anew in every sync. '
            "Fill it in, and make it NOT NULL."
        )
    return said


def _version(settings: TableSettings, key: tuple[str, ...]) -> str:
    """What the declaration makes of a row, and where it goes; the way that changes are noticed is no part of it."""
    content = settings.model_dump(mode="json", exclude={"follow", "name", "collection", "url"})
    content |= {"key": list(key), "collection": settings.into}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
