"""Puts the parts together: which class stands behind which seam is decided here and nowhere else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from deskloom import documents
from deskloom.dispatch.inline import InlineDispatcher
from deskloom.embedders import open_embedder
from deskloom.errors import IndexMismatch, NotFound
from deskloom.indexes import open_index
from deskloom.model import Kind
from deskloom.protocols import Embedder, Source, VectorIndex
from deskloom.record import sources as record_sources
from deskloom.record.engine import Record, open_record
from deskloom.record.schema import require_current, upgrade
from deskloom.search import Search
from deskloom.settings import Settings
from deskloom.sources import open_source
from deskloom.sync.perform import Rules, perform
from deskloom.sync.publish import Publisher
from deskloom.sync.runs import ActiveRun, Clock

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class App:
    """Everything a process of Deskloom holds, opened by `open_app`."""

    settings: Settings
    record: Record
    index: VectorIndex
    embedder: Embedder
    sources: Mapping[str, Source]
    dispatcher: InlineDispatcher
    search: Search
    clock: Clock

    def source(self, name: str) -> Source:
        """A configured source by name; raises `NotFound` naming those that exist."""
        try:
            return self.sources[name]
        except KeyError:
            known = ", ".join(self.sources) or "none is configured: set FRESHDESK_DOMAIN and FRESHDESK_API_KEY"
            raise NotFound(f'There is no source "{name}". Sources: {known}', source=name) from None


@asynccontextmanager
async def open_app(
    settings: Settings, *, home: str = "", embedder: Embedder | None = None, clock: Clock = lambda: datetime.now(UTC)
) -> AsyncIterator[App]:
    """Open record, index, embedder and sources of an owned home, and close them in the end.

    `home` is the id of the owned home; `embedder` stands in for the one that the settings name.
    An embedded record is brought to the current migration; a PostgreSQL one has to be (`deskloom db upgrade`).
    """
    async with AsyncExitStack() as stack:
        record = open_record(settings.record_url())
        stack.push_async_callback(record.aclose)
        if settings.database_url is None:
            await upgrade(record)
        await require_current(record)
        if embedder is None:
            embedder = await open_embedder(settings)
        stack.push_async_callback(embedder.aclose)
        index = await open_index(settings)
        stack.push_async_callback(index.aclose)
        sources: dict[str, Source] = {}
        for one in settings.helpdesks():
            source = open_source(one, settings)
            stack.push_async_callback(source.aclose)
            async with record.transaction() as tx:
                await record_sources.bind_source(tx, one.name, one.kind, source.account)
            sources[one.name] = source
        publisher = Publisher(record, index, embedder, batch=settings.publish_batch)
        for collection in (documents.TICKETS, documents.ARTICLES):
            try:
                await publisher.prepare(collection)
            except IndexMismatch as error:  # searches by word still work, and runs end with this sentence
                log.warning(error.message, collection=collection)
        rules = Rules(max_delete_share=settings.max_delete_share)

        async def performing(run: ActiveRun) -> str:
            source = sources.get(run.run.source)
            if source is None:
                raise NotFound(f'Source "{run.run.source}" is no longer configured.', source=run.run.source)
            return await perform(run, source=source, publisher=publisher, rules=rules)

        dispatcher = InlineDispatcher(
            record,
            performing,
            lease=timedelta(seconds=settings.lease_seconds),
            clock=clock,
            home=home,
        )
        stack.push_async_callback(dispatcher.stop)

        def link(source: str, kind: Kind, key: str) -> str | None:
            return sources[source].link(kind, key) if source in sources else None

        yield App(
            settings=settings,
            record=record,
            index=index,
            embedder=embedder,
            sources=sources,
            dispatcher=dispatcher,
            search=Search(index, embedder, link),
            clock=clock,
        )
