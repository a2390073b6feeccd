"""The record against itself: what cannot be is found, named and mended; what can be is left alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing

import pytest
from sqlalchemy import delete, insert, select, update
from tests.record.made import LATER, NOW, a_ticket, an_article

from deskloom.documents import ARTICLES, TICKETS
from deskloom.model import Kind, Tombstone
from deskloom.record import Record, tables
from deskloom.record.checkpoints import all_checkpoints, save_checkpoint
from deskloom.record.checks import Finding, check_record, item_states, mend_record, source_names
from deskloom.record.documents import Claim, Published, claim, mark_gone, mark_published, mark_stale
from deskloom.record.logs import log_items
from deskloom.record.published import Standing, find_standings, read_standings, take_back, take_over, tally
from deskloom.record.sources import bind_source
from deskloom.record.store import store

STREAMS = {("desk", "tickets"): Kind.TICKET, ("desk", "kb"): Kind.ARTICLE, ("desk", "contacts"): Kind.CONTACT}
BOTH = (TICKETS, ARTICLES)
EVERY_DOCUMENT = {(TICKETS, "1", ""), (TICKETS, "2", ""), (ARTICLES, "5", "de"), (ARTICLES, "5", "en")}


@pytest.fixture
async def record(record: Record) -> Record:
    """Two tickets and an article in two languages, published and logged; a third ticket was deleted."""
    async with record.transaction() as tx:
        await bind_source(tx, "desk", "freshdesk", "acme.freshdesk.com")
        items = [a_ticket(1), a_ticket(2), a_ticket(3), an_article(5, "en"), an_article(5, "de")]
        await store(tx, "desk", items, now=NOW)
        await mark_stale(tx, TICKETS, "desk", [("1", ""), ("2", ""), ("3", "")], now=NOW)
        await mark_stale(tx, ARTICLES, "desk", [("5", "en"), ("5", "de")], now=NOW)
        await log_items(tx, TICKETS, [(str(one), "ticket") for one in (1, 2, 3)], now=NOW)
        await log_items(tx, ARTICLES, [("5:en", "article"), ("5:de", "article")], now=NOW)
        for stream, cursor in (("tickets", {"updated_since": "2025"}), ("kb", {})):
            await save_checkpoint(tx, "desk", stream, cursor, now=NOW, completed=True, items=3)
        claims = await claim(tx, owner="test", limit=10, until=LATER, now=NOW)
        await mark_published(tx, [published(one) for one in claims], now=NOW)
    async with record.transaction() as tx:
        await store(tx, "desk", [Tombstone(kind=Kind.TICKET, key="3", reason="deleted")], now=LATER)
        await tx.execute(delete(tables.documents).where(tables.documents.c.item_id == "3"))
    return record


def published(claim: Claim) -> Published:
    return Published(claim=claim, sections={"a_vec": "aa"}, payload_hash="ff", embedder="fake", rules=1)


async def checked(record: Record, **only: object) -> list[tuple[str, str, str]]:
    """What is found: (check, item id, language)."""
    return [(one.check, one.item_id, one.language) for one in await findings(record, **only)]


async def findings(record: Record, **only: object) -> list[Finding]:
    asked: Mapping[str, object] = {"collections": BOTH, "streams": STREAMS, **only}
    async with record.reading() as tx:
        return await check_record(tx, **asked)


async def mended(record: Record) -> list[tuple[str, str, str]]:
    """Mend everything; returns what is left."""
    found = await findings(record)
    async with record.transaction() as tx:
        done = await mend_record(tx, found, now=LATER)
    assert sum(done.counts.values()) == len(found)
    return await checked(record)


async def states(record: Record) -> dict[tuple[str, str, str], str]:
    async with record.reading() as tx:
        rows = await tx.execute(select(tables.documents))
        return {(row.collection, row.item_id, row.language): row.state for row in rows}


async def test_a_sound_record_has_no_findings(record: Record) -> None:
    """Deleted tickets, empty cursors, stale, gone and failed documents are as they may be."""
    assert await checked(record) == []
    async with record.transaction() as tx:
        await mark_stale(tx, TICKETS, "desk", [("1", "")], now=LATER)
        await mark_gone(tx, ARTICLES, "desk", [("5", "de")], now=LATER)
        await tx.execute(update(tables.documents).where(tables.documents.c.item_id == "2").values(state="failed"))
    assert await checked(record) == []


async def test_a_document_of_a_deleted_item_is_found_and_settled_by_publishing_it(record: Record) -> None:
    """The document is named, made stale, and so left to what is built of the ticket."""
    async with record.transaction() as tx:
        dead = update(tables.tickets).where(tables.tickets.c.external_id == 2)
        await tx.execute(dead.values(deleted_at=LATER, state="deleted"))
    (one,) = await findings(record)
    assert one == Finding(
        check="tombstone",
        why="ticket 2 has a document, but is deleted",
        source="desk",
        item_id="2",
        collection=TICKETS,
    )
    assert await mended(record) == []
    assert await states(record) == dict.fromkeys(EVERY_DOCUMENT, "ready") | {(TICKETS, "2", ""): "stale"}


async def test_an_item_that_was_lost_shows_that_the_checkpoint_is_ahead(record: Record) -> None:
    """Its document, its log entry and the stream's checkpoint are named; then the stream is read from the beginning."""
    async with record.transaction() as tx:
        await tx.execute(delete(tables.tickets).where(tables.tickets.c.external_id == 2))
    found = await findings(record)
    assert [(one.check, one.item_id, one.why) for one in found] == [
        ("tombstone", "2", "ticket 2 has a document, but is not in the record"),
        ("log", "2", "the sync log tells of ticket 2, which is not in the record"),
        ("checkpoint", "tickets", "desk/tickets: the cursor is past ticket 2, which was stored and is gone"),
    ]
    assert await mended(record) == []
    async with record.reading() as tx:
        assert [one.stream for one in await all_checkpoints(tx)] == ["kb"]
        assert set((await tx.execute(select(tables.sync_logs.c.item_id))).scalars()) == {"1", "3", "5:en", "5:de"}


async def test_a_stream_of_which_nothing_is_left_is_read_again(record: Record) -> None:
    """A checkpoint that took records, of which not one is there, is ahead of them, whatever its cursor says."""
    async with record.transaction() as tx:
        await save_checkpoint(tx, "desk", "contacts", {"mark": "2025"}, now=NOW, completed=True, items=40)
        await save_checkpoint(tx, "desk", "contacts@a-run", {"mark": "2025"}, now=NOW, completed=True, items=40)
    (one,) = await findings(record)
    assert one.why == "desk/contacts: the cursor is past 40 records, and not one contact is in the record"
    assert await mended(record) == []


async def test_an_item_without_a_document_is_found_again(record: Record) -> None:
    """A ticket and one language of an article have no document: both are to be published."""
    gone = {(TICKETS, "1", ""), (ARTICLES, "5", "de")}
    async with record.transaction() as tx:
        for collection, item, language in gone:
            columns = tables.documents.c
            where = (columns.collection == collection, columns.item_id == item, columns.language == language)
            await tx.execute(delete(tables.documents).where(*where))
    assert await checked(record) == [("undocumented", "1", ""), ("undocumented", "5", "de")]
    assert await checked(record, collections=[ARTICLES]) == [("undocumented", "5", "de")]
    assert await mended(record) == []
    assert await states(record) == dict.fromkeys(EVERY_DOCUMENT, "ready") | dict.fromkeys(gone, "stale")


async def test_documents_of_a_source_that_is_not_known_go(record: Record) -> None:
    """Not made stale: nothing shall be built of what cannot be told whose it is."""
    async with record.transaction() as tx:
        await tx.execute(update(tables.documents).where(tables.documents.c.item_id == "1").values(source="old"))
        await mark_stale(tx, TICKETS, "desk", [("1", "")], now=NOW)
    assert await checked(record) == [("foreign", "1", "")]
    assert await checked(record, source="desk") == []
    assert await mended(record) == []
    async with record.reading() as tx:
        (old,) = (await find_standings(tx, TICKETS, [("old", "1", "")])).values()
    assert old.state == "gone"


async def test_messages_without_a_ticket_are_removed(record: Record, dialect: str) -> None:
    """They can be there only where foreign keys were not looked after, as other programs may do on SQLite."""
    if dialect != "sqlite":
        pytest.skip("PostgreSQL does not let it happen")
    async with record.reading() as tx:
        before = list((await tx.execute(select(tables.messages.c.external_id).order_by("external_id"))).scalars())
    with closing(sqlite3.connect(record.url.database or "")) as other, other:
        other.execute("UPDATE messages SET ticket_id = 99 WHERE ticket_id = 3")
    (one,) = await findings(record)
    assert (one.check, one.why) == ("message", "2 messages are of ticket 99, which is not in the record")
    assert await mended(record) == []
    async with record.reading() as tx:
        left = list((await tx.execute(select(tables.messages.c.external_id).order_by("external_id"))).scalars())
    assert left == [one for one in before if one not in (301, 302)]


@pytest.mark.parametrize("odd", ["", "abc", "7x", ":", "5:", "5:xx", "99999999999999999999999", "-1", "ü"])
async def test_ids_that_no_item_can_have_break_nothing(record: Record, odd: str) -> None:
    """Whatever stands in the log and among the documents is named, on either database, and mended."""
    async with record.transaction() as tx:
        for collection in BOTH:
            await log_items(tx, collection, [(odd, "ticket")], now=NOW)
        row = (await tx.execute(select(tables.documents).where(tables.documents.c.item_id == "1"))).mappings().one()
        await tx.execute(insert(tables.documents).values(dict(row) | {"item_id": odd}))
    found = await checked(record)
    logged = ("log", odd, "")
    assert found[:3] == [("tombstone", odd, ""), logged, logged]
    assert await mended(record) == []


async def test_states_of_items_and_names_of_sources(record: Record) -> None:
    """Live, deleted, or not there; an id that is no number is not there."""
    async with record.reading() as tx:
        asked = [("desk", item, "") for item in ("1", "3", "4", "x")]
        assert await item_states(tx, TICKETS, asked) == {asked[0]: "live", asked[1]: "deleted"}
        assert await item_states(tx, ARTICLES, [("desk", "5", "de"), ("desk", "5", "fr")]) == {
            ("desk", "5", "de"): "live"
        }
        assert await source_names(tx) == {"desk"}


# ------------------------------------------------------------------------------------------ what is said to be there


async def test_standings_come_in_pages_and_by_key(record: Record) -> None:
    """Page by page in key order, or those that are asked for; a published document is settled."""
    async with record.reading() as tx:
        first = await read_standings(tx, TICKETS, limit=1)
        second = await read_standings(tx, TICKETS, limit=5, after=first[0].item)
        assert [one.item for one in (*first, *second)] == [("desk", "1", ""), ("desk", "2", "")]
        assert await read_standings(tx, TICKETS, limit=5, source="other") == []
        assert await find_standings(tx, TICKETS, [first[0].item, ("desk", "9", "")]) == {first[0].item: first[0]}
    assert first[0] == Standing(
        collection=TICKETS,
        source="desk",
        item_id="1",
        language="",
        version=1,
        state="ready",
        published={"a_vec": "aa"},
        payload_hash="ff",
        embedder="fake",
        rules=1,
        claimed_by=None,
        published_at=NOW,
    )
    assert (first[0].settled, first[0].lost) == (True, False)


async def test_only_what_stands_as_it_was_seen_is_taken_back(record: Record) -> None:
    """A document that moved since is left to whoever moved it."""
    async with record.transaction() as tx:
        seen = await read_standings(tx, TICKETS, limit=5)
        await mark_stale(tx, TICKETS, "desk", [("2", "")], now=LATER)
        assert await take_back(tx, seen, now=LATER) == [(TICKETS, "desk", "1", "")]
        one, two = await read_standings(tx, TICKETS, limit=5)
        assert (one.state, one.version, dict(one.published), one.payload_hash, one.lost) == ("stale", 2, {}, None, True)
        assert (two.state, dict(two.published)) == ("stale", {"a_vec": "aa"})
        claims = await claim(tx, owner="run-1/2/x", limit=5, until=LATER, now=LATER, keys=[one.key])
        assert [one.key for one in claims] == [(TICKETS, "desk", "1", "")]
        assert await take_over(tx, "run-1/") == [(TICKETS, "desk", "1", "")]
        assert await take_over(tx, "run-1/") == []


async def test_the_tally_knows_what_must_be_there(record: Record) -> None:
    """Ready and known ones must be there, failed ones cannot, those that are being published may be."""
    async with record.transaction() as tx:
        sound = await tally(tx, TICKETS, "desk")
        assert (sound.least, sound.most) == (2, 2)
        await mark_stale(tx, TICKETS, "desk", [("1", ""), ("7", "")], now=LATER)
        waiting = await tally(tx, TICKETS, "desk")
        assert (waiting.least, waiting.most, waiting.mark == sound.mark) == (2, 2, False)
        await claim(tx, owner="test", limit=10, until=LATER, now=LATER, collection=TICKETS)
        busy = await tally(tx, TICKETS, "desk")
        assert (busy.least, busy.most) == (1, 3)
        columns = tables.documents.c
        failed = update(tables.documents).where(columns.collection == TICKETS, columns.item_id != "2")
        await tx.execute(failed.values(state="failed", claimed_by=None, payload_hash=None, published={}))
        ended = await tally(tx, TICKETS, "desk")
        assert (ended.least, ended.most) == (1, 1)
        nothing = await tally(tx, TICKETS, "other")
        assert (nothing.least, nothing.most, nothing.mark) == (0, 0, (0, 0, None))
