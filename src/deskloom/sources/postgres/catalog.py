"""What the database says of a table: its columns, key and indexes, and what this user may do with it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

import asyncpg

from deskloom.errors import AccessRefused, SettingInvalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`type` as PostgreSQL writes it (`timestamp with time zone`), `cast` as any text is cast to it, without a length;
    `indexed`: an index begins with it."""

    name: str
    type: str
    cast: str
    nullable: bool
    indexed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table, view or partitioned table. `kind` is PostgreSQL's letter (r, p, v, m, f); `rows` is its own estimate.

    `unique` are the columns of each index that lets no two rows be alike; `is_ours`: this user may act as the owner;
    `is_filtered`: row-level security decides which rows this user sees.
    """

    oid: int
    schema: str
    name: str
    kind: str
    columns: dict[str, Column]
    primary_key: tuple[str, ...]
    rows: int
    may_read: bool
    is_ours: bool
    is_filtered: bool
    unique: tuple[frozenset[str], ...]

    @property
    def quoted(self) -> str:
        return f"{quote(self.schema)}.{quote(self.name)}"


def quote(name: str) -> str:
    """An identifier for SQL."""
    return '"' + name.replace('"', '""') + '"'


_TABLE = """
SELECT c.oid::bigint AS oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind,
    greatest(c.reltuples, 0)::bigint AS rows,
    has_table_privilege(c.oid, 'SELECT') AS may_read,
    pg_has_role(c.relowner, 'USAGE') AS is_ours,
    coalesce(row_security_active(c.oid), false) AS is_filtered
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname = $1 AND c.relname = $2
"""
_COLUMNS = """
SELECT a.attname AS name, format_type(a.atttypid, NULL) AS type, NOT a.attnotnull AS nullable,
    (SELECT quote_ident(n.nspname) || '.' || quote_ident(t.typname) FROM pg_type AS t
     JOIN pg_namespace AS n ON n.oid = t.typnamespace WHERE t.oid = a.atttypid) AS cast,
    EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = a.attrelid AND i.indkey[0] = a.attnum AND i.indisvalid
            AND i.indpred IS NULL) AS indexed
FROM pg_attribute AS a WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_KEY = """
SELECT a.attname FROM pg_index AS i
JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, place) ON true
JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = $1::oid AND i.indisprimary ORDER BY k.place
"""
_UNIQUE = """
SELECT array_agg(a.attname::text) AS names FROM pg_index AS i
JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])
WHERE i.indrelid = $1::oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
GROUP BY i.indexrelid
"""
_NAMES = """
SELECT n.nspname AS schema, c.relname AS name FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
AND n.nspname NOT LIKE 'pg\\_%' ORDER BY 1, 2
"""
_PART = re.compile(r'"((?:[^"]|"")+)"|([^."]+)')


def parts_of(named: str, schema: str) -> tuple[str, str]:
    """Schema and table of a name as people write it. Raises `SettingInvalid` for one that cannot be read."""
    found = [quoted.replace('""', '"') or plain.strip() for quoted, plain in _PART.findall(named)]
    if not 1 <= len(found) <= 2 or not all(found):
        raise SettingInvalid(
            f"{named!r} is no name of a table. Write it like Articles or sales.Articles", setting="table"
        )
    return (schema, found[0]) if len(found) == 1 else (found[0], found[1])


async def find_table(connection: asyncpg.Connection, named: str, schema: str) -> Table:
    """The table behind a name, as it is written or in small letters; raises `SettingInvalid` naming the nearest one.

    Raises `AccessRefused` where this user may not read it.
    """
    where, name = parts_of(named, schema)
    row = await connection.fetchrow(_TABLE, where, name)
    row = row or await connection.fetchrow(_TABLE, where.lower(), name.lower())
    if row is None:
        names = [(one["schema"], one["name"]) for one in await connection.fetch(_NAMES)]
        known = [table if place == schema else f"{place}.{table}" for place, table in names]
        raise SettingInvalid(f'There is no table "{named}".{nearest(named, known)}', setting="table")
    columns = {one["name"]: Column(**one) for one in await connection.fetch(_COLUMNS, row["oid"])}
    key = tuple(one["attname"] for one in await connection.fetch(_KEY, row["oid"]))
    unique = tuple(frozenset(one["names"]) for one in await connection.fetch(_UNIQUE, row["oid"]))
    table = Table(**row, columns=columns, primary_key=key, unique=unique)
    if not table.may_read:
        raise AccessRefused(
            f"This user may not read {table.quoted}. Grant it: GRANT SELECT ON {table.quoted} TO the user of "
            "SOURCE_DATABASE_URL"
        )
    return table


async def table_names(connection: asyncpg.Connection) -> list[tuple[str, str]]:
    """(schema, name) of every table and view that is not PostgreSQL's own."""
    return [(row["schema"], row["name"]) for row in await connection.fetch(_NAMES)]


def nearest(wrong: str, known: Iterable[str]) -> str:
    """A sentence that names the likeliest right one, and else what there is; begins with a space."""
    names = list(known)
    folded = {name.casefold().replace("_", ""): name for name in names}
    close = difflib.get_close_matches(wrong.casefold().replace("_", ""), folded, n=1, cutoff=0.6)
    if close:
        return f' Did you mean "{folded[close[0]]}"?'
    return f" There are: {', '.join(names[:20])}." if names else " There are none that this user can see."
