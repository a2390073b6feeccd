"""Rows of a team's own tables: kept by any text as key, in every language, and checked like the rest."""

from __future__ import annotations

from dataclasses import replace

from tests.record.made import LATER, NOW

from deskloom.model import Entry, Kind, Row, Tombstone, Visibility
from deskloom.record import Record
from deskloom.record.checks import check_record, item_states
from deskloom.record.copies import Standing, Stored
from deskloom.record.documents import languages_of as documents_of
from deskloom.record.documents import mark_stale
from deskloom.record.rows import languages_of, load_rows
from deskloom.record.sources import bind_source
from deskloom.record.store import keys, stamps, standing, store

ODD = 'a:b/ö "1"'
"""A key that is no number, with a colon."""
ENGLISH = Entry(title="One", texts=("Text", "More"), weights=(2, 1), tags=("x",), fields={"n": 1})
ARABIC = Entry(title="واحد", texts=("نص",), weights=(1,), visibility=Visibility.INTERNAL)


def a_row(key: str, **changes: object) -> Row:
    return replace(Row(external_id=key, stamp="s1", entries={"en": ENGLISH, "ar": ARABIC}, updated_at=NOW), **changes)


async def test_a_row_comes_back_as_it_was_stored(record: Record) -> None:
    """Entries, weights, tags and visibility; a second time nothing is written; a tombstone takes it away."""
    async with record.transaction() as tx:
        assert await store(tx, "refs", [a_row(ODD), a_row("2")], now=NOW) == {Kind.ROW: Stored(created=(ODD, "2"))}
        assert await store(tx, "refs", [a_row(ODD)], now=LATER) == {Kind.ROW: Stored(unchanged=(ODD,))}
        assert await load_rows(tx, "refs", [ODD, "3"]) == {ODD: a_row(ODD)}
        assert await stamps(tx, "refs", Kind.ROW, [ODD, "3"]) == {ODD: "s1"}
        assert await languages_of(tx, "refs", [ODD]) == {(ODD, "en"), (ODD, "ar")}
        changed = a_row(ODD, stamp="s2", entries={"en": replace(ENGLISH, title="Uno")})
        assert await store(tx, "refs", [changed], now=LATER) == {Kind.ROW: Stored(updated=(ODD,))}
        gone = Tombstone(kind=Kind.ROW, key=ODD, reason="deleted")
        assert await store(tx, "refs", [gone], now=LATER) == {Kind.ROW: Stored(deleted=(ODD,))}
        assert await keys(tx, "refs", Kind.ROW) == {"2"}
        assert await standing(tx, "refs", Kind.ROW) == {ODD: Standing(None, False), "2": Standing("s1", True)}
        assert await load_rows(tx, "refs", [ODD]) == {}


async def test_a_row_is_checked_language_by_language(record: Record) -> None:
    """A language without a document, and a document of a row that is not there, are found on both databases."""
    async with record.transaction() as tx:
        await bind_source(tx, "refs", "postgres", "db")
        await store(tx, "refs", [a_row(ODD)], now=NOW)
        await mark_stale(tx, "references", "refs", [(ODD, "en")], now=NOW)
        assert await documents_of(tx, "references", "refs", [ODD]) == {(ODD, "en")}
        found = await check_record(tx, collections=["references"], streams={("refs", "rows"): Kind.ROW})
        assert [(one.check, one.item_id, one.language) for one in found] == [("undocumented", ODD, "ar")]
        items = {("refs", ODD, "en"), ("refs", ODD, "fr"), ("refs", "12", "en")}
        assert await item_states(tx, "references", items) == {("refs", ODD, "en"): "live"}
