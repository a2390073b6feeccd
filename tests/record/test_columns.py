"""Column types: what no database can hold is replaced in one place, everything else comes back as it was."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.record.made import NOW, a_message, a_ticket

from deskloom.record import Record
from deskloom.record.columns import clean, to_json
from deskloom.record.tickets import load_tickets, store_tickets

BAD = "a\0b\ud800c\udfffd"
GOOD = "a\ufffdb\ufffdc\ufffdd"
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=5), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(value=anything)
def test_to_json_is_always_storable(value) -> None:
    """JSON made of anything is valid, can be encoded, holds no NUL, and is the cleaned value."""
    text = to_json(value)
    assert "\\u0000" not in text.replace("\\\\", "")
    text.encode("utf-8")
    assert json.loads(text) == clean(value)


def test_clean_leaves_the_rest_alone() -> None:
    """A backslash that merely looks like an escape, and characters beyond the first plane, stay as they are."""
    fine = {"path": "C:\\u0000", "smile": "😀", "tab": "\t", "mark": "\ufffd", "n": [1, 1.5, None, True]}
    assert json.loads(to_json(fine)) == fine


def test_nothing_json_lacks() -> None:
    """Numbers JSON does not know become null."""
    assert json.loads(to_json({"a": float("nan"), "b": [float("inf")]})) == {"a": None, "b": [None]}


async def test_every_text_of_a_ticket_is_cleaned(record: Record) -> None:
    """NUL and lone surrogates, which PostgreSQL refuses, are replaced in text and JSON columns alike."""
    dirty = a_ticket(1, subject=BAD, tags=(BAD,), custom_fields={BAD: [BAD]}, messages=(a_message(1, body_text=BAD),))
    async with record.transaction() as tx:
        await store_tickets(tx, "desk", [dirty], now=NOW)
        again = await store_tickets(tx, "desk", [dirty], now=NOW)
        ticket, _ = (await load_tickets(tx, "desk", ["1"]))["1"]
    said = (a_message(1, body_text=GOOD),)
    assert ticket == a_ticket(1, subject=GOOD, tags=(GOOD,), custom_fields={GOOD: [GOOD]}, messages=said)
    assert again.unchanged == ("1",)


async def test_times_without_a_zone_are_refused(record: Record) -> None:
    """A time without a zone is a mistake of ours and is never stored."""
    naive = datetime(2025, 1, 1)  # noqa: DTZ001 - what is tested
    assert naive.replace(tzinfo=UTC)
    async with record.transaction() as tx:
        with pytest.raises(Exception, match="a time without a zone cannot be stored"):
            await store_tickets(tx, "desk", [a_ticket(1, resolved_at=naive)], now=NOW)
