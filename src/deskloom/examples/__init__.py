"""Ready-made examples of what can be declared: a product's own tables, as a SQL script, and their declarations."""

from __future__ import annotations

from importlib.resources import files


def tables_sql() -> str:
    """Creates and fills `KnowledgeReference` and `JourneyTemplate`; may be run again."""
    return files(__package__).joinpath("tables.sql").read_text(encoding="utf-8")


def tables_toml() -> str:
    """The declarations of both, for `deskloom.toml`."""
    return files(__package__).joinpath("tables.toml").read_text(encoding="utf-8")
