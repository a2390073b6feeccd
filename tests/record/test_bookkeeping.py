"""Checkpoints, the sync log, the retry queue, source accounts and the embedding cache."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.record.made import LATER, NOW, plain_json, texts

from deskloom.errors import NotFound, SettingInvalid
from deskloom.model import ItemFailure, Kind
from deskloom.record import Record
from deskloom.record.checkpoints import (
    Checkpoint,
    all_checkpoints,
    drop_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from deskloom.record.embeddings import load_vectors, store_vectors
from deskloom.record.failures import (
    Failure,
    add_failures,
    clear_failures,
    count_failures,
    delete_failure,
    due_failures,
    list_failures,
    retry_now,
    wait_after,
)
from deskloom.record.logs import last_sync, log_items, prune_log
from deskloom.record.sources import bind_source

_examples = count()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cursor=st.dictionaries(texts, plain_json, max_size=4))
async def test_any_cursor_comes_back(record: Record, cursor) -> None:
    """A source's cursor, whatever JSON it is, comes back as it was saved."""
    source = f"s{next(_examples)}"
    async with record.transaction() as tx:
        await save_checkpoint(tx, source, "tickets", cursor, now=NOW, completed=False)
        assert await load_checkpoint(tx, source, "tickets") == cursor


async def test_checkpoints(record: Record) -> None:
    """A checkpoint moves, counts its items, remembers when it last reached the end, and can be dropped."""
    async with record.transaction() as tx:
        assert await load_checkpoint(tx, "desk", "kb") is None
        await save_checkpoint(tx, "desk", "kb", {"n": 1}, now=NOW, completed=True, items=3)
        await save_checkpoint(tx, "desk", "kb", {"n": 2}, now=LATER, completed=False, items=4)
        expected = Checkpoint(source="desk", stream="kb", cursor={"n": 2}, items=7, updated_at=LATER, completed_at=NOW)
        assert await all_checkpoints(tx) == [expected]
        await drop_checkpoint(tx, "desk", "kb")
        assert await all_checkpoints(tx) == []


async def test_sync_log(record: Record) -> None:
    """Every item is logged; the last time is known by collection; old entries can be dropped."""
    async with record.transaction() as tx:
        assert await last_sync(tx, "tickets") is None
        await log_items(tx, "tickets", [("1", "ticket"), ("2", "ticket")], now=NOW)
        await log_items(tx, "tickets", [("1", "ticket")], now=LATER)
        await log_items(tx, "kb", [], now=LATER)
        assert await last_sync(tx, "tickets") == LATER
        assert await last_sync(tx, "kb") is None
        assert await prune_log(tx, before=LATER) == 2
        assert await last_sync(tx, "tickets") == LATER


def a_failure(key: str, **changes) -> ItemFailure:
    return ItemFailure(**({"kind": Kind.TICKET, "key": key, "reason": "503 from its replies"} | changes))


async def queue(tx, **only) -> list[Failure]:
    """The retry queue, gathered from pages of one."""
    found, after = [], None
    while True:
        rows, after = await list_failures(tx, limit=1, after=after, **only)
        found += rows
        if after is None:
            return found


async def test_waits_grow(record: Record) -> None:
    """Each failure of an item counts and doubles its wait, up to a day."""
    assert [wait_after(n) for n in (1, 2, 3)] == [timedelta(minutes=n) for n in (1, 2, 4)]
    assert wait_after(11) == timedelta(minutes=1024)
    assert wait_after(12) == wait_after(10_000) == timedelta(days=1)
    async with record.transaction() as tx:
        await add_failures(tx, "desk", "tickets", [a_failure("1")], now=NOW)
        await add_failures(tx, "desk", "tickets", [a_failure("1", reason="again"), a_failure("2")], now=LATER)
        first, second = sorted(await queue(tx), key=lambda failure: failure.key)
    assert first == Failure(
        id=first.id,
        source="desk",
        stream="tickets",
        kind="ticket",
        key="1",
        reason="again",
        attempts=2,
        first_failed_at=NOW,
        last_failed_at=LATER,
        next_attempt_at=LATER + timedelta(minutes=2),
    )
    assert (second.attempts, second.next_attempt_at) == (1, LATER + timedelta(minutes=1))


async def test_due_and_cleared(record: Record) -> None:
    """Items are due after their wait, those beyond retrying never; success takes them out of the queue."""
    items = [a_failure("1"), a_failure("2", retry=False, reason="Empty content"), a_failure("3")]
    async with record.transaction() as tx:
        await add_failures(tx, "desk", "tickets", items, now=NOW)
        await add_failures(tx, "desk", "kb", [a_failure("9")], now=NOW)
        assert await due_failures(tx, "desk", "tickets", NOW, 10) == []
        due = await due_failures(tx, "desk", "tickets", NOW + timedelta(minutes=1), 10)
        assert {failure.key for failure in due} == {"1", "3"}
        assert len(await due_failures(tx, "desk", "tickets", LATER, 1)) == 1
        assert await count_failures(tx) == {("desk", "tickets"): 3, ("desk", "kb"): 1}
        assert await clear_failures(tx, "desk", "tickets", ["1", "3", "8"]) == 2
        assert {failure.key for failure in await queue(tx)} == {"2", "9"}
        assert [failure.key for failure in await queue(tx, source="desk", stream="kb")] == ["9"]


async def test_retry_now_and_delete(record: Record) -> None:
    """A person can make items due at once, some or all, and take one out."""
    async with record.transaction() as tx:
        await add_failures(tx, "desk", "tickets", [a_failure("1"), a_failure("2", retry=False)], now=NOW)
        ids = {failure.key: failure.id for failure in await queue(tx)}
        assert [failure.key for failure in await retry_now(tx, [ids["2"], uuid4()], now=NOW)] == ["2"]
        assert [failure.key for failure in await due_failures(tx, "desk", "tickets", NOW, 10)] == ["2"]
        assert [failure.key for failure in await retry_now(tx, None, now=NOW)] == ["1", "2"]
        await delete_failure(tx, ids["1"])
        with pytest.raises(NotFound, match="There is no failure"):
            await delete_failure(tx, ids["1"])


async def test_source_accounts_do_not_mix(record: Record) -> None:
    """A source's name belongs to one account for good."""
    async with record.transaction() as tx:
        await bind_source(tx, "desk", "freshdesk", "acme.freshdesk.com")
        await bind_source(tx, "desk", "freshdesk", "acme.freshdesk.com", now=LATER)
        with pytest.raises(SettingInvalid, match=r'holds the data of freshdesk account "acme\.freshdesk\.com"'):
            await bind_source(tx, "desk", "freshdesk", "other.freshdesk.com")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.integers(0, 3), width=st.integers(1, 8), seed=st.integers(0, 1000))
async def test_vectors_come_back(record: Record, parts: int, width: int, seed: int) -> None:
    """Cached vectors come back bit for bit, by model and text; what is not cached is missing."""
    rows = np.random.default_rng(seed).standard_normal((parts, width)).astype(np.float32)
    model = f"m{next(_examples)}"
    async with record.transaction() as tx:
        await store_vectors(tx, model, {"a": rows * 2, "b": rows})
        await store_vectors(tx, model, {"a": rows})
        found = await load_vectors(tx, model, ["a", "b", "c"])
        assert await load_vectors(tx, "another", ["a"]) == {}
    assert set(found) == {"a", "b"}
    for vectors in found.values():
        assert vectors.dtype == np.float32
        assert np.array_equal(vectors, rows)
