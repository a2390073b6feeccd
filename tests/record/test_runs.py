"""Runs: one at a time, resumed after a crash, and closed to workers that come back from the dead."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from tests.record.made import LATER, NOW

from deskloom.errors import AlreadyRunning, InvalidRequest, LeaseLost, NotFound
from deskloom.record import Record, open_record
from deskloom.record.runs import (
    Run,
    create_run,
    finish_run,
    get_run,
    last_run,
    list_runs,
    open_runs,
    request_cancel,
    requeue_run,
    save_progress,
    take_run,
)

LEASE = NOW + timedelta(seconds=30)
EXPIRED = LEASE + timedelta(seconds=1)


async def new(record: Record, stream: str = "tickets", *, source: str = "desk", now=NOW) -> Run:
    async with record.transaction() as tx:
        return await create_run(
            tx, source=source, stream=stream, mode="full", requested_by="cli", since=None, limit=5, now=now
        )


async def take(record: Record, run: Run, owner: str = "a", *, now=NOW, force: bool = False) -> Run | None:
    async with record.transaction() as tx:
        lease = now + timedelta(seconds=30)
        return await take_run(tx, run.id, owner=owner, now=now, lease_until=lease, force=force)


async def save(record: Record, run, *, done: int = 1, now=NOW) -> bool:
    async with record.transaction() as tx:
        return await save_progress(
            tx,
            run,
            progress={"done": done},
            counts={"fetched": done},
            errors=["Failed to process ticket 7: Empty content"],
            error_count=1,
            lease_until=now + timedelta(seconds=30),
            now=now,
        )


async def finish(record: Record, run, state: str = "succeeded") -> Run:
    async with record.transaction() as tx:
        return await finish_run(tx, run, state=state, counts={"fetched": 2}, now=LATER)


async def test_life_of_a_run(record: Record) -> None:
    """A run is queued, taken, makes progress and ends; every step is seen by those who ask."""
    run = await new(record)
    assert run == Run(
        id=run.id,
        source="desk",
        stream="tickets",
        mode="full",
        state="queued",
        requested_by="cli",
        since=None,
        limit=5,
        created_at=NOW,
        started_at=None,
        finished_at=None,
        progress={},
        counts={},
        errors=[],
        error_count=0,
        owner=None,
        lease_until=None,
        fence=0,
        takeovers=0,
        cancel_requested=False,
        options={},
        report=None,
    )
    taken = await take(record, run)
    assert (taken.state, taken.owner, taken.fence, taken.started_at, taken.lease_until) == (
        "running",
        "a",
        1,
        NOW,
        LEASE,
    )
    assert await save(record, taken) is False
    done = await finish(record, taken.held)
    assert (done.state, done.finished_at, done.progress, done.counts, done.error_count) == (
        "succeeded",
        LATER,
        {"done": 1},
        {"fetched": 2},
        1,
    )
    async with record.reading() as tx:
        assert await get_run(tx, run.id) == done
        assert await open_runs(tx) == []


@pytest.mark.parametrize(
    ("stream", "words"),
    [("tickets", "Ticket sync already in progress"), ("kb", "KB sync already in progress")],
)
async def test_second_run_is_refused(record: Record, stream: str, words: str) -> None:
    """A second run of a stream is refused with the id of the first, queued or running; another stream's is not."""
    run = await new(record, stream)
    for _ in range(2):
        with pytest.raises(AlreadyRunning, match=words) as caught:
            await new(record, stream)
        assert caught.value.facts == {"run_id": str(run.id), "source": "desk", "stream": stream}
        await take(record, run)
    await new(record, stream, source="other")
    await finish(record, (run.id, 1))
    assert (await new(record, stream)).id != run.id


async def test_refusal_leaves_the_transaction_whole(record: Record) -> None:
    """What else the caller wrote in the transaction of a refused run can still be committed."""
    run = await new(record)
    async with record.transaction() as tx:
        await tx.execute(text("UPDATE runs SET requested_by = 'x'"))
        with pytest.raises(AlreadyRunning):
            await create_run(
                tx, source="desk", stream="tickets", mode="full", requested_by=None, since=None, limit=None, now=NOW
            )
    async with record.reading() as tx:
        assert (await get_run(tx, run.id)).requested_by == "x"


async def test_many_at_once(record_url: str) -> None:
    """Of many who start the same run at the same time exactly one succeeds, the others learn its id."""
    records = [open_record(record_url) for _ in range(3)]
    try:
        said = await asyncio.gather(*(new(record) for record in records * 3), return_exceptions=True)
        (run,) = [one for one in said if isinstance(one, Run)]
        assert {one.facts["run_id"] for one in said if isinstance(one, AlreadyRunning)} == {str(run.id)}
    finally:
        for record in records:
            await record.aclose()


async def test_takeover(record: Record) -> None:
    """A run whose worker died goes to the next after the lease; the first can commit nothing any more."""
    run = await new(record)
    first = await take(record, run, "first")
    assert await take(record, run, "second") is None
    second = await take(record, run, "second", now=EXPIRED)
    assert (second.owner, second.fence, second.takeovers, second.started_at) == ("second", 2, 1, NOW)
    with pytest.raises(LeaseLost):
        await save(record, first)
    with pytest.raises(LeaseLost):
        await finish(record, first)
    assert await save(record, second, now=EXPIRED) is False


async def test_fence_rolls_back_the_page(record: Record) -> None:
    """What a worker that lost its run wrote in the same transaction is not committed."""
    run = await new(record)
    first = await take(record, run)
    await take(record, run, "b", force=True)

    async def come_back() -> None:
        async with record.transaction() as tx:
            await tx.execute(text("UPDATE runs SET requested_by = 'ghost'"))
            await finish_run(tx, first, state="succeeded", now=NOW)

    with pytest.raises(LeaseLost):
        await come_back()
    async with record.reading() as tx:
        assert (await get_run(tx, run.id)).requested_by == "cli"


async def test_forced_takeover(record: Record) -> None:
    """A worker known to be dead need not be waited for."""
    run = await new(record)
    await take(record, run)
    forced = await take(record, run, "b", force=True)
    assert (forced.owner, forced.fence, forced.takeovers) == ("b", 2, 1)


async def test_pause(record: Record) -> None:
    """A run given back is queued again, is still the only one, and going on with it is no takeover."""
    run = await new(record)
    taken = await take(record, run)
    async with record.transaction() as tx:
        assert (await requeue_run(tx, taken)).state == "queued"
    with pytest.raises(AlreadyRunning):
        await new(record)
    again = await take(record, run, "b")
    assert (again.fence, again.takeovers, again.started_at) == (2, 0, NOW)


async def test_cancel(record: Record) -> None:
    """A queued run ends at once, a running one learns of it at its next page, a finished one stays as it was."""
    queued = await new(record, "kb")
    running = await take(record, await new(record))
    async with record.transaction() as tx:
        ended = await request_cancel(tx, queued.id, now=LATER)
        asked = await request_cancel(tx, running.id, now=LATER)
    assert (ended.state, ended.finished_at, asked.state, asked.finished_at) == ("cancelled", LATER, "running", None)
    assert await save(record, running) is True
    done = await finish(record, running, "cancelled")
    async with record.transaction() as tx:
        assert await request_cancel(tx, running.id, now=LATER) == done
        with pytest.raises(NotFound, match="There is no run"):
            await request_cancel(tx, uuid4(), now=LATER)
    assert await take(record, queued) is None


async def test_errors_are_bounded(record: Record) -> None:
    """The first hundred errors are kept; all are counted."""
    run = await take(record, await new(record))
    async with record.transaction() as tx:
        errors = [str(number) for number in range(150)]
        done = await finish_run(tx, run, state="partial", errors=errors, error_count=150, now=LATER)
    assert (done.errors, done.error_count) == (errors[:100], 150)


async def test_list(record: Record) -> None:
    """Runs come newest first, page by page, filtered; the last run of a stream can be asked for by state."""
    made = []
    for minute in range(5):
        run = await take(record, await new(record, now=NOW + timedelta(minutes=minute // 2)))
        made.append(await finish(record, run, "failed" if minute % 2 else "succeeded"))
    made.sort(key=lambda run: (run.created_at, run.id), reverse=True)
    other = await new(record, "kb", now=NOW - timedelta(days=1))
    seen: list[UUID] = []
    after = None
    async with record.reading() as tx:
        while True:
            rows, after = await list_runs(tx, limit=2, after=after)
            seen += [run.id for run in rows]
            if after is None:
                break
        assert seen == [run.id for run in (*made, other)]
        assert await list_runs(tx, stream="kb", source="desk") == ([other], None)
        failed = [run for run in made if run.state == "failed"]
        assert await list_runs(tx, state="failed") == (failed, None)
        assert await last_run(tx, "desk", "tickets") == made[0]
        assert await last_run(tx, "desk", "tickets", ["failed"]) == failed[0]
        assert await last_run(tx, "desk", "tickets", ["cancelled"]) is None
        assert await open_runs(tx) == [other]
        with pytest.raises(InvalidRequest):
            await list_runs(tx, after="nonsense")
        with pytest.raises(NotFound):
            await get_run(tx, uuid4())
