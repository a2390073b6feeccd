"""The copies of a collection on a Qdrant server: which exist, which serves, which is kept, what each was made with."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol, TypeVar

from qdrant_client import AsyncQdrantClient, models

from deskloom.errors import IndexMismatch, IndexUnavailable, InvalidRequest, NotFound, WrongProduct
from deskloom.indexes import qdrant_points as wire
from deskloom.indexes.checks import read_schema, schema_text
from deskloom.indexes.qdrant_calls import Calls
from deskloom.indexes.qdrant_points import METADATA, Layout
from deskloom.protocols import Schema

T = TypeVar("T")
_FRESH = 2.0
"""Seconds for which reads trust what they know of the aliases; a swap by another process shows within them."""
_RIVALS = 10
_PHYSICAL = re.compile(r"(?P<collection>.+)__[0-9a-f]{8}")


class Ask(Protocol):
    """Makes a call of the server, again if it fails in passing."""

    async def __call__(self, call: Callable[[], Awaitable[T]], collection: str, *, reading: bool = False) -> T: ...


class Copies:
    """Collections of the server by their own names ("physical"), and the aliases that give them their meaning."""

    def __init__(self, client: AsyncQdrantClient, ask: Ask, calls: Calls, layout: Layout) -> None:
        self._client = client
        self._ask = ask
        self._calls = calls
        self._layout = layout
        self._aliases: dict[str, str] = {}
        self._aliases_read = float("-inf")
        self._schemas: dict[str, Schema] = {}  # by physical name

    def forget(self, physical: str) -> None:
        """Ask for its schema again, next time."""
        self._schemas.pop(physical, None)

    async def widen(self, physical: str, schema: Schema) -> None:
        """Give a collection the filter fields of `schema`."""
        await self.index_fields(physical, schema)
        metadata = {METADATA: schema_text(schema)}
        await self._ask(lambda: self._client.update_collection(physical, metadata=metadata), schema.collection)
        self._schemas[physical] = schema

    async def unnamed(self, collection: str) -> list[str]:
        """The copies of a collection that no alias names."""
        await self.serving(collection, fresh=True)
        there = (await self._ask(self._client.get_collections, collection)).collections
        left = {one.name for one in there} - set(self._aliases.values())
        return sorted(name for name in left if is_copy(name, collection))

    async def drop_kept(self, collection: str) -> None:
        """Take the name of the kept copy away, and remove it."""
        kept = await self.kept(collection)
        if previous(collection) in self._aliases:
            await self._change([_unnamed(previous(collection))], collection)
        if kept is not None:
            await self.drop(kept, collection)

    async def settle(self, schema: Schema) -> tuple[str, Schema]:
        """The copy that serves, made if there is none, and what it was made with."""
        for _ in range(_RIVALS):
            physical = await self.serving(schema.collection, fresh=True) or await self.first(schema)
            try:
                return physical, await self.schema(physical, schema.collection)
            except NotFound:  # a third process was quicker, and its maker has removed this one
                self.forget(physical)
        raise IndexUnavailable(
            f'Index "{schema.collection}" is being made by other processes at the same time. Try again.',
            retry_after=timedelta(seconds=5),
        )

    async def first(self, schema: Schema) -> str:
        """Create the first copy of a collection and let it serve; if another process was quicker, take its copy."""
        name = schema.collection
        if await self._ask(lambda: self._client.collection_exists(name), name):
            raise IndexMismatch(
                f'Qdrant at {self._calls.address} has a collection "{name}" that Deskloom did not make. Rename or '
                "remove it, or give Deskloom a server of its own.",
                collection=name,
            )
        made = await self.create(schema)
        if await self.serving(name, fresh=True) is None:
            await self.point_to(name, made, None)
        serving = await self.serving(name, fresh=True)
        if serving is not None and serving != made:
            await self.drop(made, name)
        return serving or made

    async def create(self, schema: Schema) -> str:
        """A new collection on the server, with its payload indexes; no alias names it yet."""
        physical = f"{named(schema.collection)}__{uuid.uuid4().hex[:8]}"
        options = wire.collection_options(schema, self._layout)

        async def create() -> None:  # the answer to an earlier try may have been lost
            if not await self._client.collection_exists(physical):
                await self._client.create_collection(physical, **options)

        await self._ask(create, schema.collection)
        if await self._stored_schema(physical, schema.collection) is None:
            await self.drop(physical, schema.collection)
            raise WrongProduct(
                f"Qdrant at {self._calls.address} does not keep the metadata of collections: it is too old. Upgrade it "
                "to 1.17 or newer.",
                component="index",
            )
        await self.index_fields(physical, schema)
        self._schemas[physical] = schema
        return physical

    async def index_fields(self, physical: str, schema: Schema) -> None:
        for field, kind in wire.field_types(schema).items():
            await self._ask(
                lambda field=field, kind=kind: self._client.create_payload_index(  # type: ignore[misc]
                    physical, field, kind, wait=True
                ),
                schema.collection,
            )

    async def point_to(self, collection: str, live: str, kept: str | None) -> None:
        """Let `live` serve and keep `kept`, in one step.

        For whoever asks the server it is one step, but it saves alias by alias (its `toc/collection_meta_ops.rs`): if
        it dies in between, the first is changed and the second is not. So aliases are overwritten, never removed and
        made again, and the kept one comes first: then both name what served before, which still serves.
        """
        changes: list[models.AliasOperations] = [_called(previous(collection), kept)] if kept else []
        changes.append(_called(collection, live))
        if kept is None:
            changes.append(_unnamed(previous(collection)))
        await self._change(changes, collection)

    async def _change(self, changes: list[models.AliasOperations], collection: str) -> None:
        try:
            await self._ask(lambda: self._client.update_collection_aliases(changes), collection)
        finally:
            self._aliases_read = float("-inf")

    async def drop(self, physical: str, collection: str) -> None:
        await self._ask(lambda: self._client.delete_collection(physical), collection)
        self._schemas.pop(physical, None)

    async def serving(self, alias: str, *, fresh: bool = False) -> str | None:
        """The server's own name of what an alias means, None if there is no such alias."""
        now = self._calls.timing.monotonic()
        if fresh or now - self._aliases_read > _FRESH:
            answer = await self._ask(self._client.get_aliases, alias)
            self._aliases = {one.alias_name: one.collection_name for one in answer.aliases}
            self._aliases_read = now
        return self._aliases.get(alias)

    async def kept(self, collection: str) -> str | None:
        """The server's own name of the kept copy; None if there is none besides the one that serves."""
        live = await self.serving(collection, fresh=True)
        kept = self._aliases.get(previous(collection))
        return None if kept == live else kept

    async def known(self, collection: str, *, fresh: bool = False) -> str:
        """The server's own name of a collection, or of a rebuild. Raises `NotFound`."""
        if _PHYSICAL.fullmatch(collection):
            return collection
        if (physical := await self.serving(collection, fresh=fresh)) is None:
            raise NotFound(f'The index has no collection "{collection}". Prepare it first.', collection=collection)
        return physical

    async def schema(self, physical: str, collection: str) -> Schema:
        if (schema := self._schemas.get(physical)) is None:
            if (schema := await self._stored_schema(physical, collection)) is None:
                raise IndexMismatch(
                    f'Qdrant at {self._calls.address} has "{physical}" in the place of "{collection}", and Deskloom '
                    "did not make it. Remove the alias or the collection.",
                    collection=collection,
                )
            self._schemas[physical] = schema
        return schema

    async def _stored_schema(self, physical: str, collection: str) -> Schema | None:
        info = await self._ask(lambda: self._client.get_collection(physical), collection)
        try:
            return read_schema((info.config.metadata or {})[METADATA])
        except (KeyError, TypeError, ValueError):
            return None


def is_copy(physical: str, collection: str) -> bool:
    """Whether a name is that of a copy of the collection."""
    match = _PHYSICAL.fullmatch(physical)
    return match is not None and match["collection"] == collection


def named(collection: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]{0,62}", collection) or "__" in collection:
        raise InvalidRequest(
            f'"{collection}" cannot name a collection. Use small letters, digits and single _.', parameter="collection"
        )
    return collection


def previous(collection: str) -> str:
    return f"{collection}__previous"


def _called(alias: str, physical: str) -> models.CreateAliasOperation:
    return models.CreateAliasOperation(create_alias=models.CreateAlias(alias_name=alias, collection_name=physical))


def _unnamed(alias: str) -> models.DeleteAliasOperation:
    return models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))
