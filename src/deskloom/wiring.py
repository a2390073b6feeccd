"""Puts the parts together: which class stands behind which seam is decided here and nowhere else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from deskloom import documents
from deskloom.dispatch.inline import InlineDispatcher
from deskloom.dispatch.performing import Dispatcher, Perform
from deskloom.embedders import open_choice
from deskloom.errors import EmbedderUnavailable, IndexMismatch, IndexUnavailable, NotFound, SettingInvalid
from deskloom.heap import share_heaps
from deskloom.http import Ledger
from deskloom.indexes import open_index
from deskloom.model import Kind
from deskloom.models import Models, Opener
from deskloom.protocols import Source, VectorIndex
from deskloom.record import sources as record_sources
from deskloom.record.budgets import RecordLedger
from deskloom.record.clock import DatabaseClock
from deskloom.record.engine import Record, open_record
from deskloom.record.queue import NOT_SHARED, require_postgres
from deskloom.record.runs import Run
from deskloom.record.schema import require_current, upgrade
from deskloom.record.words import RecordWords
from deskloom.search import Search
from deskloom.settings import Settings
from deskloom.sources import open_source
from deskloom.sources.postgres import Database, TableSource
from deskloom.sync.assist import HelpedRun
from deskloom.sync.follow import Follower
from deskloom.sync.mirror import Mirror, SupabaseTable
from deskloom.sync.perform import Rules, perform, refill
from deskloom.sync.publish import Publisher
from deskloom.sync.reindex import reindex, settle
from deskloom.sync.runs import ActiveRun, Clock
from deskloom.sync.schedule import Scheduler
from deskloom.sync.single import single
from deskloom.sync.sweep import sweep
from deskloom.sync.verify import verify

log = structlog.get_logger(__name__)

COLLECTIONS = (documents.TICKETS, documents.ARTICLES)
"""The collections that are there without any table."""


@dataclass(slots=True)
class App:
    """Everything a process of Deskloom holds, opened by `open_app`."""

    settings: Settings
    record: Record
    index: VectorIndex
    models: Models
    sources: Mapping[str, Source]
    collections: tuple[str, ...]
    """Every collection of the index: tickets, articles, then those of table rows."""
    dispatcher: Dispatcher
    search: Search
    clock: Clock
    scheduler: Scheduler
    follower: Follower
    mirror: Mirror | None

    def source(self, name: str) -> Source:
        """A configured source by name; raises `NotFound` naming those that exist."""
        try:
            return self.sources[name]
        except KeyError:
            known = ", ".join(self.sources) or "none is configured: set FRESHDESK_DOMAIN and FRESHDESK_API_KEY"
            raise NotFound(f'There is no source "{name}". Sources: {known}', source=name) from None


@asynccontextmanager
async def open_app(
    settings: Settings,
    *,
    home: str = "",
    opener: Opener = open_choice,
    index: VectorIndex | None = None,
    clock: Clock | None = None,
    concurrency: int = 0,
) -> AsyncIterator[App]:
    """Open record, index, embedders and sources of an owned home, and close them in the end.

    `home` is the id of the owned home; `opener` opens the embedder of a choice; `index` stands in for the one that the
    settings name. `concurrency` makes this process a worker among others, for so many runs at a time.
    An embedded record is brought to the current migration; a PostgreSQL one has to be (`deskloom db upgrade`).
    """
    async with AsyncExitStack() as stack:
        share_heaps()
        _require_shareable(settings, own_index=index is None)
        record = open_record(settings.record_url())
        stack.push_async_callback(record.aclose)
        if settings.database_url is None:
            await upgrade(record)
        await require_current(record)
        clock = clock or await _open_clock(settings, record)
        index = index or await open_index(settings, RecordWords(record))
        stack.push_async_callback(index.aclose)
        models = Models(record, index, settings, opener=opener)
        stack.push_async_callback(models.aclose)
        sources: dict[str, Source] = {}
        for one in settings.helpdesks():
            source = open_source(one, settings, open_ledger=_ledgers(settings, record, clock))
            stack.push_async_callback(source.aclose)
            async with record.transaction() as tx:
                await record_sources.bind_source(tx, one.name, one.kind, source.account)
            sources[one.name] = source
        if settings.tables and settings.source_database_url:
            database = Database(
                settings.source_database_url.get_secret_value(),
                pool=settings.source_pool,
                statement_timeout=settings.source_timeout,
            )
            stack.push_async_callback(database.aclose)
            for declared in settings.tables:
                rows = TableSource(declared, database)
                async with record.transaction() as tx:
                    await record_sources.bind_source(tx, rows.name, rows.kind, rows.account)
                sources[rows.name] = rows

        streams = [stream for source in sources.values() for stream in source.streams.values()]
        collections = tuple(dict.fromkeys([*COLLECTIONS, *(one.collection for one in streams if one.collection)]))

        async def call_help(run: Run) -> None:
            await dispatcher.call_help(run)

        publisher = Publisher(record, index, models.of, batch=settings.publish_batch, call_help=call_help)
        for collection in collections:
            try:
                await settle(record, index, collection, clock=clock)
                await publisher.prepare(collection)
                if differing := await models.differing(collection):
                    log.warning(differing, collection=collection)
            # The rest works without: what needs this part answers, or ends, with this sentence.
            except (IndexMismatch, IndexUnavailable, EmbedderUnavailable) as error:
                log.warning(error.message, collection=collection)
        rules = Rules(max_delete_share=settings.max_delete_share)

        async def performing(run: ActiveRun) -> str:
            if run.run.mode == "verify":
                share = rules.max_delete_share
                return await verify(
                    run, sources=sources, publisher=publisher, collections=collections, max_delete_share=share
                )
            if run.run.mode == "reindex":
                return await reindex(run, index=index, open_embedder=models.of_json, batch=settings.publish_batch)
            source = sources.get(run.run.source)
            if source is None:
                raise NotFound(f'Source "{run.run.source}" is no longer configured.', source=run.run.source)
            if run.run.mode == "sweep":
                stream, share = source.streams[run.run.stream], rules.max_delete_share
                return await sweep(run, source=source, stream=stream, max_delete_share=share, publisher=publisher)
            if run.run.mode == "single":
                return await single(run, source=source, publisher=publisher)
            if run.run.mode == "full" and source.streams[run.run.stream].kind is Kind.ROW:
                batch = settings.publish_batch
                return await refill(
                    run, source=source, index=index, open_embedder=models.of_json, rules=rules, batch=batch
                )
            return await perform(run, source=source, publisher=publisher, rules=rules)

        async def assisting(run: Run) -> bool:
            source = sources.get(run.source)
            stream = source.streams.get(run.stream) if source else None
            if source is None or stream is None or stream.collection is None:
                return False
            helped = HelpedRun(run, record=record, clock=clock, lease=timedelta(seconds=settings.lease_seconds))
            return await publisher.assist(helped, source.name, stream.collection)

        dispatcher = await _open_dispatcher(
            settings, record, performing, assisting, clock=clock, home=home, concurrency=concurrency
        )
        stack.push_async_callback(dispatcher.stop)

        def link(source: str, kind: Kind, key: str) -> str | None:
            return sources[source].link(kind, key) if source in sources else None

        mirror = None
        if supabase := settings.supabase():
            table = SupabaseTable(*supabase)
            stack.push_async_callback(table.aclose)
            mirror = Mirror(record, table.push, name=supabase[0], clock=clock)

        yield App(
            settings=settings,
            record=record,
            index=index,
            models=models,
            sources=sources,
            collections=collections,
            dispatcher=dispatcher,
            search=Search(index, models.of, link, tables=collections[len(COLLECTIONS) :]),
            clock=clock,
            scheduler=Scheduler(record, dispatcher.start, clock=clock),
            follower=Follower(record, dispatcher.submit, dispatcher.wait),
            mirror=mirror,
        )


def _require_shareable(settings: Settings, *, own_index: bool) -> None:
    """Refuse what several processes cannot open at once, where there are to be several."""
    if settings.dispatch == "inline":
        return
    if settings.database_url is None:
        raise NOT_SHARED()
    if own_index and (settings.index == "edge" or (settings.index == "chroma" and settings.chroma_url is None)):
        raise SettingInvalid(
            "DESKLOOM_DISPATCH=procrastinate needs an index that all workers reach, and edge belongs to one process, "
            "as does Chroma's folder. Set DESKLOOM_INDEX=qdrant and QDRANT_URL, or DESKLOOM_INDEX=chroma and "
            "CHROMA_URL, or leave DESKLOOM_DISPATCH out.",
            setting="DESKLOOM_INDEX",
        )


async def _open_clock(settings: Settings, record: Record) -> Clock:
    """Whose time counts: with many workers the database's."""
    if settings.dispatch == "inline":
        return lambda: datetime.now(UTC)
    require_postgres(record)
    clock = DatabaseClock()
    await clock.adjust(record)
    return clock


def _ledgers(settings: Settings, record: Record, clock: Clock) -> Callable[[str], Ledger] | None:
    """How an account's rate limit is shared, where several processes read it."""
    if settings.dispatch == "inline":
        return None
    return lambda account: RecordLedger(record, account, clock=clock)


async def _open_dispatcher(
    settings: Settings,
    record: Record,
    perform: Perform,
    assist: Callable[[Run], Awaitable[bool]],
    *,
    clock: Clock,
    home: str,
    concurrency: int,
) -> Dispatcher:
    lease = timedelta(seconds=settings.lease_seconds)
    if settings.dispatch == "inline":
        return InlineDispatcher(record, perform, lease=lease, clock=clock, home=home)
    from deskloom.dispatch.procrastinate import open_workers  # an extra, which most do without

    return await open_workers(record, perform, assist, within=lease, clock=clock, concurrency=concurrency)
