"""The record against itself: what must be true of its tables together, what is not, and what mends it.

Pages commit records, documents, sync log and cursor together, and no row of a record is ever removed (a deleted ticket
keeps its row), so each of these findings is damage. A cursor is opaque here: that a checkpoint is ahead is said only
where the record proves it, because something that was stored under it is gone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Table,
    Text,
    and_,
    case,
    cast,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.documents import TICKETS, kind_of
from deskloom.model import Kind
from deskloom.record.checkpoints import all_checkpoints, drop_checkpoint
from deskloom.record.columns import CleanText
from deskloom.record.documents import Key, mark_gone, mark_stale
from deskloom.record.published import ItemKey
from deskloom.record.statements import chunks
from deskloom.record.tables import (
    agents,
    articles,
    codes,
    companies,
    contacts,
    documents,
    messages,
    sync_logs,
    table_rows,
    tickets,
    time_entries,
)
from deskloom.record.tables import sources as sources_table

Check = Literal["tombstone", "undocumented", "foreign", "message", "log", "checkpoint"]
_TABLES: Mapping[Kind, Table] = {
    Kind.TICKET: tickets,
    Kind.ARTICLE: articles,
    Kind.ROW: table_rows,
    Kind.CONTACT: contacts,
    Kind.COMPANY: companies,
    Kind.AGENT: agents,
    Kind.CODES: codes,
    Kind.HOURS: time_entries,
}
_FOUND = (Kind.TICKET, Kind.ARTICLE, Kind.ROW)
"""What has documents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that cannot be.

    tombstone: a document stands for an item that is deleted, or not in the record. undocumented: an item can be found
    by nobody, having no document. foreign: a document of a source that the record does not know. message: a message
    without its ticket. log: the sync log names an item that the record never had, or lost. checkpoint: a stream's
    cursor is ahead of its records (`item_id` is the stream). `item_id` of a log entry is as it stands in the log.
    """

    check: Check
    why: str
    source: str | None
    item_id: str
    language: str = ""
    collection: str | None = None
    stream: str | None = None


@dataclass(slots=True)
class Mended:
    """How many findings of each kind were mended, and the documents that are to be published for it."""

    counts: dict[str, int] = field(default_factory=dict)
    documents: list[Key] = field(default_factory=list)


async def check_record(
    tx: AsyncConnection,
    *,
    collections: Sequence[str],
    source: str | None = None,
    streams: Mapping[tuple[str, str], Kind],
    writers: Mapping[str, Collection[str]] | None = None,
) -> list[Finding]:
    """Everything that is wrong, within `collections` and of one source if it is given.

    `streams` says which kind of object each stream (source, name) yields; only their checkpoints are looked at.
    `writers` are the sources whose rows belong into a collection of table rows; without it all of them do. The
    caller's transaction has to see one state of the database (`Record.reading` does).
    """
    found: list[Finding] = []
    for collection in collections:
        found += await _documents(tx, collection, source)
        found += await _undocumented(tx, collection, source, writers)
        if source is None:  # the log does not say of which source an item is
            found += await _logs(tx, collection)
        if collection == TICKETS:
            found += await _messages(tx, source)
    kinds = {kind_of(collection) for collection in collections}
    wanted = {key: kind for key, kind in streams.items() if source in (None, key[0])}
    own = {key: kind for key, kind in wanted.items() if kind in kinds or kind not in _FOUND}
    return [*found, *await _checkpoints(tx, own, found)]


async def mend_record(tx: AsyncConnection, findings: Sequence[Finding], *, now: datetime) -> Mended:
    """Mend what was found, as far as it is still so. Documents are only marked: publishing them settles the rest.

    A tombstone's document is made stale, not gone: what is built then decides. Messages and log entries without an
    item are removed; a checkpoint is dropped, so that the next run reads its stream from the beginning.
    """
    mended = Mended()
    by_place: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for finding in findings:
        mended.counts[finding.check] = mended.counts.get(finding.check, 0) + 1
        if finding.collection and finding.source and finding.check in ("tombstone", "undocumented", "foreign"):
            place = (finding.check, finding.collection, finding.source)
            by_place.setdefault(place, []).append((finding.item_id, finding.language))
    for (check, collection, source), keys in by_place.items():
        mark = mark_gone if check == "foreign" else mark_stale
        await mark(tx, collection, source, keys, now=now)
        mended.documents += [(collection, source, *key) for key in sorted(set(keys))]
    for finding in findings:
        if finding.check == "checkpoint" and finding.source and finding.stream:
            await drop_checkpoint(tx, finding.source, finding.stream)
    if mended.counts.get("message"):
        await tx.execute(delete(messages).where(_homeless()))
    for collection in {finding.collection for finding in findings if finding.check == "log" and finding.collection}:
        items = [finding.item_id for finding in findings if (finding.check, finding.collection) == ("log", collection)]
        unknown = await _unlogged(tx, collection)
        for chunk in chunks(sorted(set(items) & unknown)):
            where = (sync_logs.c.collection == collection, sync_logs.c.item_id.in_(chunk))
            await tx.execute(delete(sync_logs).where(*where))
    return mended


async def item_states(tx: AsyncConnection, collection: str, items: Iterable[ItemKey]) -> dict[ItemKey, str]:
    """`live` or `deleted` for those items (source, id, language) that the record has."""
    table = _items(tx, kind_of(collection))
    found: dict[ItemKey, str] = {}
    wanted = set(items)
    for name in sorted({item[0] for item in wanted}):
        named = {item[1] for item in wanted if item[0] == name}
        ids = named if _is_textual(table) else {int(one) for one in named if _is_number(one)}
        for chunk in chunks(ids):
            query = select(table.c.external_id, _language(table).label("language"), table.c.deleted_at)
            for row in await tx.execute(query.where(table.c.source == name, table.c.external_id.in_(chunk))):
                item = (name, str(row.external_id), row.language)
                if item in wanted:
                    found[item] = "live" if row.deleted_at is None else "deleted"
    return found


async def source_names(tx: AsyncConnection) -> frozenset[str]:
    """Every source that the record knows, configured now or not."""
    return frozenset((await tx.execute(select(sources_table.c.name))).scalars())


# --------------------------------------------------------------------------------------------------------- findings


async def _documents(tx: AsyncConnection, collection: str, source: str | None) -> list[Finding]:
    """Ready or failed documents whose item is deleted, or was never here, or whose source is unknown."""
    kind = kind_of(collection)
    table, columns = _items(tx, kind), documents.c
    item = and_(
        table.c.source == columns.source,
        table.c.external_id == _id(tx, table, columns.item_id),
        cast(table.c.external_id, Text) == columns.item_id,
        _language(table) == columns.language,
    )
    query = select(columns.source, columns.item_id, columns.language, table.c.external_id, sources_table.c.name)
    query = query.select_from(
        documents.outerjoin(table, item).outerjoin(sources_table, sources_table.c.name == columns.source)
    )
    query = query.where(
        columns.collection == collection,
        columns.state.in_(("ready", "failed")),
        or_(sources_table.c.name.is_(None), table.c.external_id.is_(None), table.c.deleted_at.is_not(None)),
    )
    if source is not None:
        query = query.where(columns.source == source)
    found = []
    for row in await tx.execute(query.order_by(columns.source, columns.item_id, columns.language)):
        what = f"{kind} {_key(row.item_id, row.language)}"
        check: Check = "tombstone"
        if row.name is None:
            check, why = "foreign", f'{what} has a document of source "{row.source}", which the record does not know'
        elif row.external_id is None:
            why = f"{what} has a document, but is not in the record"
        else:
            why = f"{what} has a document, but is deleted"
        found.append(_of_document(check, why, collection, row.source, row.item_id, row.language))
    return found


async def _undocumented(
    tx: AsyncConnection, collection: str, source: str | None, writers: Mapping[str, Collection[str]] | None
) -> list[Finding]:
    kind = kind_of(collection)
    table, columns = _items(tx, kind), documents.c
    item_id, language = cast(table.c.external_id, Text), _language(table)
    described = exists(
        select(literal(1)).where(
            columns.collection == collection,
            columns.source == table.c.source,
            columns.item_id == item_id,
            columns.language == language,
        )
    )
    query = select(table.c.source, item_id.label("item_id"), language.label("language"))
    query = query.where(table.c.deleted_at.is_(None), ~described)
    if source is not None:
        query = query.where(table.c.source == source)
    if kind is Kind.ROW and writers is not None:  # each table has a collection of its own
        query = query.where(table.c.source.in_(list(writers.get(collection, ()))))
    rows = await tx.execute(query.order_by(table.c.source, table.c.external_id, language))
    why = f"{kind} {{}} has no document, so that it cannot be found"
    return [
        _of_document(
            "undocumented",
            why.format(_key(row.item_id, row.language)),
            collection,
            row.source,
            row.item_id,
            row.language,
        )
        for row in rows
    ]


async def _messages(tx: AsyncConnection, source: str | None) -> list[Finding]:
    query = select(messages.c.source, messages.c.ticket_id, func.count().label("n")).where(_homeless())
    if source is not None:
        query = query.where(messages.c.source == source)
    place = (messages.c.source, messages.c.ticket_id)
    return [
        Finding(
            check="message",
            why=f"{row.n} messages are of ticket {row.ticket_id}, which is not in the record",
            source=row.source,
            item_id=str(row.ticket_id),
        )
        for row in await tx.execute(query.group_by(*place).order_by(*place))
    ]


def _homeless() -> ColumnElement[bool]:
    same = and_(tickets.c.source == messages.c.source, tickets.c.external_id == messages.c.ticket_id)
    return ~exists(select(literal(1)).select_from(tickets).where(same))


async def _logs(tx: AsyncConnection, collection: str) -> list[Finding]:
    kind = kind_of(collection)
    return [
        Finding(
            check="log",
            why=f"the sync log tells of {kind} {item}, which is not in the record",
            source=None,
            item_id=item,
            collection=collection,
        )
        for item in sorted(await _unlogged(tx, collection))
    ]


async def _unlogged(tx: AsyncConnection, collection: str) -> set[str]:
    """Items of the sync log, as it names them, that no source of the record has."""
    table = _TABLES[kind_of(collection)]
    logged = select(sync_logs.c.item_id).where(sync_logs.c.collection == collection).distinct().subquery()
    named = logged.c.item_id
    number: ColumnElement[str] = named
    same = [cast(table.c.external_id, Text) == named]
    if table is articles:
        number = func.substr(named, 1, _colon(tx, named) - 1)
        same = [cast(table.c.external_id, Text) + ":" + table.c.language == named]
    # The names of sources lead the tables' keys, and the log has none: they are listed, so that the keys can be used.
    there = select(literal(1)).where(
        table.c.source.in_(sorted(await source_names(tx))),
        table.c.external_id == _id(tx, table, number),
        *same,
    )
    return set((await tx.execute(select(named).where(~exists(there)))).scalars())


async def _checkpoints(
    tx: AsyncConnection, streams: Mapping[tuple[str, str], Kind], found: Sequence[Finding]
) -> list[Finding]:
    """Streams that have taken records of which none is there, or of which one that was published is not."""
    lost: dict[tuple[str, Kind], list[Finding]] = {}
    for finding in found:
        if finding.check == "tombstone" and finding.why.endswith("is not in the record") and finding.source:
            assert finding.collection is not None
            lost.setdefault((finding.source, kind_of(finding.collection)), []).append(finding)
    said: list[Finding] = []
    for checkpoint in await all_checkpoints(tx):
        kind = streams.get((checkpoint.source, checkpoint.stream))
        if kind is None or not checkpoint.cursor:  # an empty cursor reads from the beginning anyway
            continue
        table = _TABLES[kind]
        missing = lost.get((checkpoint.source, kind), [])
        some = (await tx.execute(select(literal(1)).where(table.c.source == checkpoint.source).limit(1))).first()
        if missing:
            one = missing[0]
            why = f"the cursor is past {kind} {_key(one.item_id, one.language)}, which was stored and is gone"
            why += f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        elif checkpoint.items and some is None:
            why = f"the cursor is past {checkpoint.items} records, and not one {kind} is in the record"
        else:
            continue
        what = f"{checkpoint.source}/{checkpoint.stream}: {why}"
        said.append(
            Finding(
                check="checkpoint",
                why=what,
                source=checkpoint.source,
                item_id=checkpoint.stream,
                stream=checkpoint.stream,
            )
        )
    return said


# ------------------------------------------------------------------------------------------------------ small things


def _items(tx: AsyncConnection, kind: Kind) -> FromClause:
    """What has documents, of a kind: `source`, `external_id`, `deleted_at` and, where they are told apart, `language`.

    A table row stands there once for each of its languages.
    """
    if kind is not Kind.ROW:
        return _TABLES[kind]
    columns = table_rows.c
    if tx.dialect.name == "postgresql":
        language: Any = func.jsonb_object_keys(columns.entries).table_valued("key").render_derived()
    else:
        language = func.json_each(columns.entries).table_valued("key")
    query = select(
        columns.source, columns.external_id, columns.deleted_at, cast(language.c.key, Text).label("language")
    )
    return query.select_from(table_rows.join(language, literal(True))).subquery()


def _is_textual(table: FromClause) -> bool:
    return isinstance(table.c.external_id.type, CleanText | Text)


def _id(tx: AsyncConnection, table: FromClause, text: ColumnElement[Any]) -> ColumnElement[Any]:
    """A text as the ids of a table are."""
    return text if _is_textual(table) else _number(tx, text)


def _of_document(check: Check, why: str, collection: str, source: str, item_id: str, language: str) -> Finding:
    return Finding(check=check, why=why, source=source, item_id=item_id, language=language, collection=collection)


def _language(table: FromClause) -> ColumnElement[str]:
    return table.c.language if "language" in table.c else literal("", Text)


def _key(item_id: str, language: str) -> str:
    return f"{item_id}:{language}" if language else item_id


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _number(tx: AsyncConnection, text: ColumnElement[str]) -> ColumnElement[int]:
    """A text as a number; on PostgreSQL, which would raise, NULL for what is none."""
    if tx.dialect.name == "postgresql":
        return case((text.op("~")("^[0-9]{1,18}$"), cast(text, BigInteger)))
    return cast(text, BigInteger)


def _colon(tx: AsyncConnection, text: ColumnElement[str]) -> ColumnElement[int]:
    """Where the first colon stands, counted from 1; beyond the end if there is none."""
    with_one = text + ":"
    if tx.dialect.name == "postgresql":
        return func.strpos(with_one, ":")
    return func.instr(with_one, ":")


__all__ = ["Finding", "Mended", "check_record", "item_states", "mend_record", "source_names"]
