"""How a team declares a table of its own: one entry under `[tables]` in `deskloom.toml`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from deskloom.model import Visibility

RESERVED = frozenset({"item_id", "source", "title", "description", "content", "created_at", "updated_at", "hash"})
"""Payload fields that every row has; no column can be shown under one of these names."""


class TableSettings(BaseModel):
    """One table (or view). Columns are written as they are called, quotes are not needed.

    `name` is what callers and the record call it, and, unless `collection` says otherwise, its collection.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    table: str = Field(min_length=1, description='`KnowledgeReference`, `public.articles` or `"Odd Schema"."Table"`.')
    key: tuple[str, ...] = Field((), description="The columns that name a row; default: the primary key.")
    changed: str | None = Field(None, description="The column that says when a row last changed.")
    created: str | None = Field(None, description="The column that says when a row was made.")
    title: str | None = Field(None, description="The column of the title.")
    texts: dict[str, int] = Field(default_factory=dict, description="Columns to search, and how often each counts.")
    localized: tuple[str, ...] = Field((), description='Columns with a text for each language: `{"en": …, "ar": …}`.')
    languages: Literal["each", "together"] = Field(
        "each", description="One entry for each language, or one for the row."
    )
    trees: tuple[str, ...] = Field((), description="Columns with nested JSON that is read as text.")
    tags: tuple[str, ...] = Field((), description="Columns with a list of tags, or one.")
    fields: tuple[str, ...] = Field((), description="Columns that are shown with a hit.")
    where: str | None = Field(None, description="A condition in SQL that rows have to meet.")
    deleted: str | None = Field(None, description="A column that marks a row as deleted: true, or a time.")
    visibility: Visibility = Field(Visibility.PUBLIC, description="Who may find the rows.")
    collection: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    follow: Literal["auto", "column", "triggers", "replication"] = Field(
        "auto", description="How changes are noticed; `auto` takes the best that the database has been prepared for."
    )
    url: str | None = Field(None, description="Where a person reads a row; `{key}` stands for its key.")

    @field_validator("key", "localized", "trees", "tags", "fields", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("texts", mode="before")
    @classmethod
    def _weigh_one(cls, value: object) -> object:
        if isinstance(value, str):
            value = [value]
        return dict.fromkeys(value, 1) if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _check(self) -> TableSettings:
        if wrong := [name for name, weight in self.texts.items() if not 1 <= weight <= 10]:
            raise ValueError(f"texts: the weight of {wrong[0]} has to be 1 to 10")
        if not (self.title or self.texts or self.trees):
            raise ValueError("nothing to search: give title, texts or trees")
        if self.visibility is Visibility.CUSTOMERS:
            raise ValueError("visibility is public, restricted or internal")
        if wrong := sorted(set(self.fields) & RESERVED - {self.title}):
            raise ValueError(f'fields: every row has a "{wrong[0]}" of its own; leave it out')
        return self

    @property
    def into(self) -> str:
        """The collection of its rows."""
        return self.collection or self.name

    def columns(self) -> tuple[str, ...]:
        """Every column that is named, each once, the key's left out where it is the primary key's."""
        single = (self.changed, self.created, self.title, self.deleted)
        named = (*self.key, *filter(None, single), *self.texts, *self.localized, *self.trees, *self.tags, *self.fields)
        return tuple(dict.fromkeys(named))
