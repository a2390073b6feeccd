"""Schedules: due times in their zone, and a loop that starts each once, whatever happens to clock and process."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from cronsim import CronSim
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from deskloom.errors import AlreadyRunning, InvalidRequest, NotFound
from deskloom.record import Record, tables
from deskloom.record import runs as record_runs
from deskloom.record import schedules as record_schedules
from deskloom.record.runs import Run
from deskloom.record.schedules import Schedule
from deskloom.sync.schedule import MODES, SET_BACK, STANDING_IN_THE_WAY, Scheduler, read_mode, read_rule

NOON = datetime(2025, 3, 3, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass(slots=True)
class Bench:
    """A scheduler under a clock that the test sets; runs it starts end at once, unless they are told to stay."""

    record: Record
    now: datetime = NOON
    chance: float = 0.0
    stay: bool = False
    started: list[Run] = field(default_factory=list)
    lost: bool = False

    def scheduler(self) -> Scheduler:
        return Scheduler(self.record, self.start, clock=lambda: self.now, chance=lambda: self.chance)

    async def start(self, run: Run) -> None:
        if self.lost:
            raise RuntimeError("the process died")
        self.started.append(run)
        if not self.stay:
            await self.end(run)

    async def end(self, run: Run) -> None:
        async with self.record.transaction() as tx:
            await tx.execute(update(tables.runs).where(tables.runs.c.id == run.id).values(state="succeeded"))

    async def add(self, cron: str = "*/10 * * * *", **given: Any) -> Schedule:
        facts: dict[str, Any] = {"source": "desk", "stream": "tickets", "mode": "incremental", "timezone": "UTC"}
        facts |= {"jitter_seconds": 0, "enabled": True, "options": {}} | given
        planned = self.scheduler().plan(read_rule(cron, facts["timezone"]), facts["jitter_seconds"])
        facts |= {"next_at": planned, "now": self.now}
        async with self.record.transaction() as tx:
            return await record_schedules.create_schedule(tx, cron=cron, **facts)

    async def stored(self, schedule: Schedule) -> Schedule:
        async with self.record.reading() as tx:
            return await record_schedules.get_schedule(tx, schedule.id)

    async def change(self, schedule: Schedule, **values: Any) -> None:
        async with self.record.transaction() as tx:
            await record_schedules.change_schedule(tx, schedule.id, values)


@pytest.fixture
def bench(record: Record) -> Bench:
    return Bench(record)


def due_times(cron: str, zone: str, after: str, number: int) -> list[str]:
    """Due times one after another, each asked for from the one before."""
    rule, moment, found = read_rule(cron, zone), datetime.fromisoformat(after), []
    for _ in range(number):
        moment = rule.after(moment)
        found.append(f"{moment:%m-%dT%H:%M}")
    return found


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("30 2 * * *", "2025-03-28T12:00Z", ["03-29T01:30", "03-30T01:00", "03-31T00:30"]),  # 02:30 is missing: 03:00
        ("0 3 * * *", "2025-03-29T12:00Z", ["03-30T01:00", "03-31T01:00"]),
        ("0 * * * *", "2025-03-29T23:30Z", ["03-30T00:00", "03-30T01:00", "03-30T02:00"]),
        ("30 2 * * *", "2025-10-25T12:00Z", ["10-26T00:30", "10-27T01:30"]),  # 02:30 comes twice: the first counts
        ("30 2 * * *", "2025-10-26T01:10Z", ["10-27T01:30"]),  # asked for within the second 02:10
        ("*/30 * * * *", "2025-10-26T00:10Z", ["10-26T00:30", "10-26T01:00", "10-26T01:30", "10-26T02:00"]),
        ("0 7 * * MON-FRI", "2025-03-28T12:00Z", ["03-31T05:00", "04-01T05:00"]),
    ],
)
def test_due_times_when_clocks_change(cron: str, after: str, expected: list[str]) -> None:
    """A missing time is due right after the gap, a doubled one once, and what recurs within the hour keeps on."""
    assert due_times(cron, "Europe/Berlin", after, len(expected)) == expected


@pytest.mark.parametrize(
    ("cron", "zone", "parameter"),
    [
        ("* * * *", "UTC", "cron"),
        ("* * * * * *", "UTC", "cron"),
        ("61 * * * *", "UTC", "cron"),
        ("0 0 30 2 *", "UTC", "cron"),
        ("@daily", "UTC", "cron"),
        ("", "UTC", "cron"),
        (f"{'1,' * 100}1 * * * *", "UTC", "cron"),
        ("* * * * *", "Mars/Olympus", "timezone"),
        ("* * * * *", "Europe", "timezone"),
        ("* * * * *", "../etc/passwd", "timezone"),
        ("* * * * *", "", "timezone"),
        ("* * * * *", "UTC\x00", "timezone"),
    ],
)
def test_a_wrong_rule_is_named_with_an_example(cron: str, zone: str, parameter: str) -> None:
    """What cannot be read says which parameter it was, and how to write it."""
    with pytest.raises(InvalidRequest, match="for example") as caught:
        read_rule(cron, zone)
    assert caught.value.facts == {"parameter": parameter}


def test_modes_are_those_of_the_stream() -> None:
    """The usual mode is taken where none is named; another stream's is refused."""
    assert {stream: read_mode(stream, None) for stream in MODES} == {
        "tickets": "incremental",
        "kb": "incremental",
        "hours": "incremental",
        "rows": "incremental",
        "verify": "verify",
    }
    for stream, mode, parameter in (("agents", None, "stream"), ("verify", "full", "mode"), ("kb", "verify", "mode")):
        with pytest.raises(InvalidRequest) as caught:
            read_mode(stream, mode)
        assert caught.value.facts == {"parameter": parameter}


async def test_a_due_schedule_starts_one_run(bench: Bench) -> None:
    """Nothing before its time; then one run with what the schedule says, and the next time noted."""
    schedule = await bench.add(mode="sweep", options={"deep": True})
    scheduler = bench.scheduler()
    assert await scheduler.tick() == NOON + 10 * MINUTE
    assert bench.started == []
    bench.now = NOON + 10 * MINUTE
    assert await scheduler.tick() == NOON + 20 * MINUTE
    await scheduler.tick()
    (run,) = bench.started
    assert (run.source, run.stream, run.mode, run.options) == ("desk", "tickets", "sweep", {"deep": True})
    assert run.requested_by == f"schedule {schedule.id}"
    after = await bench.stored(schedule)
    assert (after.next_at, after.last_at, after.last_run_id, after.last_error) == (
        NOON + 20 * MINUTE,
        bench.now,
        run.id,
        None,
    )


async def test_jitter_delays_by_a_share_of_its_seconds(bench: Bench) -> None:
    """The start lies between the due time and so many seconds later, by chance."""
    bench.chance = 0.5
    schedule = await bench.add(jitter_seconds=60)
    assert schedule.next_at == NOON + 10 * MINUTE + timedelta(seconds=30)
    bench.now = NOON + 10 * MINUTE + timedelta(seconds=29)
    scheduler = bench.scheduler()
    await scheduler.tick()
    assert bench.started == []
    bench.now += timedelta(seconds=1)
    bench.chance = 1.0
    assert await scheduler.tick() == NOON + 21 * MINUTE
    assert len(bench.started) == 1


async def test_what_was_missed_is_made_up_for_once(bench: Bench) -> None:
    """After a day without a process every schedule starts once, and then keeps its times."""
    await bench.add()
    await bench.add("0 * * * *", stream="kb")
    bench.now = NOON + DAY + 5 * MINUTE
    scheduler = bench.scheduler()
    for _ in range(3):
        assert await scheduler.tick() == NOON + DAY + 10 * MINUTE
    assert sorted(run.stream for run in bench.started) == ["kb", "tickets"]


async def test_two_processes_start_a_due_schedule_once(bench: Bench) -> None:
    """However many look at the same moment, each due time has one run."""
    await bench.add()
    schedulers = [bench.scheduler() for _ in range(4)]
    for number in range(1, 6):
        bench.now = NOON + number * 10 * MINUTE
        await asyncio.gather(*(scheduler.tick() for scheduler in schedulers))
        assert len(bench.started) == number


async def test_a_death_between_claim_and_start_loses_nothing(bench: Bench) -> None:
    """The run is queued in the same transaction as the claim, so the next look for orphans finds it."""
    await bench.add()
    bench.now, bench.lost = NOON + 10 * MINUTE, True
    with pytest.raises(RuntimeError):
        await bench.scheduler().tick()
    async with bench.record.reading() as tx:
        assert [(run.state, run.stream) for run in await record_runs.open_runs(tx)] == [("queued", "tickets")]


@pytest.mark.parametrize(("mode", "wait"), [("incremental", 10 * MINUTE), ("full", STANDING_IN_THE_WAY)])
async def test_a_busy_stream_is_noted_and_tried_again(bench: Bench, mode: str, wait: timedelta) -> None:
    """Two runs of a stream never go at a time: one of the same mode replaces this one, another is waited for."""
    schedule = await bench.add()
    bench.stay = True
    async with bench.record.transaction() as tx:
        asked: dict[str, Any] = {"source": "desk", "stream": "tickets", "mode": mode, "requested_by": "test"}
        busy = await record_runs.create_run(tx, **asked, since=None, limit=None, now=NOON)
    bench.now = NOON + 10 * MINUTE
    scheduler = bench.scheduler()
    await scheduler.tick()
    noted = await bench.stored(schedule)
    assert (
        noted.last_error
        == f"Not started at 2025-03-03T12:10:00Z: Ticket sync already in progress (run {busy.id}, {mode})."
    )
    assert (noted.next_at, noted.last_at, bench.started) == (bench.now + wait, None, [])
    await bench.end(busy)
    bench.now += wait
    await scheduler.tick()
    assert [run.mode for run in bench.started] == ["incremental"]
    assert (await bench.stored(schedule)).last_error is None


async def test_a_schedule_can_be_started_by_hand(bench: Bench) -> None:
    """Now, even while it is disabled; a second time it is refused while the first goes on."""
    schedule = await bench.add(enabled=False)
    bench.stay = True
    scheduler = bench.scheduler()
    run = await scheduler.run_now(schedule.id, requested_by="ada")
    assert (run.requested_by, [each.id for each in bench.started]) == ("ada", [run.id])
    with pytest.raises(AlreadyRunning) as caught:
        await scheduler.run_now(schedule.id, requested_by="ada")
    assert caught.value.facts["run_id"] == str(run.id)
    with pytest.raises(NotFound):
        await scheduler.run_now(UUID(int=0), requested_by="ada")


async def test_a_run_started_by_hand_stands_for_the_one_that_is_due(bench: Bench) -> None:
    """Where jitter still delays a due time, a run in between has done its work."""
    bench.chance = 1.0
    schedule = await bench.add(jitter_seconds=300)
    scheduler = bench.scheduler()
    bench.now = NOON + 11 * MINUTE
    await scheduler.run_now(schedule.id, requested_by="ada")
    bench.now = NOON + 16 * MINUTE
    assert await scheduler.tick() == NOON + 25 * MINUTE
    assert len(bench.started) == 1


async def test_a_rule_that_no_longer_reads_stops_no_other(bench: Bench) -> None:
    """A stored zone that this machine does not know is noted at its schedule; the others go on."""
    broken = await bench.add()
    await bench.add(stream="kb")
    await bench.change(broken, timezone="Mars/Olympus")
    bench.now = NOON + 10 * MINUTE
    scheduler = bench.scheduler()
    await scheduler.tick()
    await scheduler.tick()
    assert [run.stream for run in bench.started] == ["kb"]
    assert "timezone is not a time zone" in str((await bench.stored(broken)).last_error)


async def test_a_disabled_schedule_rests(bench: Bench) -> None:
    """It is neither started nor looked at."""
    await bench.add(enabled=False)
    bench.now = NOON + DAY
    assert await bench.scheduler().tick() is None
    assert bench.started == []


async def test_a_clock_set_back_a_little_repeats_nothing(bench: Bench) -> None:
    """What was due in the repeated minutes is over; the next time is the one after the last start."""
    await bench.add()
    scheduler = bench.scheduler()
    for minute in (10, -20, 5, 10):
        bench.now = NOON + minute * MINUTE
        assert await scheduler.tick() == NOON + 20 * MINUTE
    assert len(bench.started) == 1


async def test_a_clock_put_right_after_years_does_not_stop_a_schedule(bench: Bench) -> None:
    """What a clock far ahead started and planned is forgotten once it shows the right time."""
    await bench.add()
    scheduler = bench.scheduler()
    bench.now = NOON + 3650 * DAY
    await scheduler.tick()
    bench.now = NOON + MINUTE
    assert await scheduler.tick() == NOON + 10 * MINUTE
    bench.now = NOON + 10 * MINUTE
    await scheduler.tick()
    assert len(bench.started) == 2


async def test_the_loop_wakes_when_a_schedule_is_changed(bench: Bench) -> None:
    """A change is seen at once, not at the next look."""
    schedule = await bench.add()
    scheduler = bench.scheduler()
    begun = asyncio.Event()
    bench_start = scheduler.start

    async def start(run: Run) -> None:
        await bench_start(run)
        begun.set()

    scheduler.start = start
    loop = asyncio.create_task(scheduler.run_forever())
    await asyncio.sleep(0)
    bench.now = NOON + HOUR
    await bench.change(schedule, next_at=bench.now)
    scheduler.wake()
    await asyncio.wait_for(begun.wait(), 10)
    loop.cancel()
    await asyncio.wait({loop})
    assert len(bench.started) == 1


RULES = ("*/10 * * * *", "0 * * * *", "30 2 * * *", "17 3,15 * * 1-5")
ZONES = ("UTC", "Europe/Berlin", "America/St_Johns")
MOVES = st.one_of(
    st.tuples(st.just("on"), st.integers(1, 3_600)),
    st.tuples(st.just("on"), st.integers(1, 4 * 86_400)),
    st.tuples(st.just("back"), st.integers(1, int(SET_BACK.total_seconds()))),
    st.tuples(st.just("back"), st.integers(1, 40 * 86_400)),
)
_sources = map("source {}".format, count())
"""One source for each example: the record is the same."""


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cron=st.sampled_from(RULES),
    zone=st.sampled_from(ZONES),
    jitter=st.sampled_from((0, 45, 900)),
    chance=st.floats(0, 1),
    moves=st.lists(MOVES, min_size=1, max_size=25),
    begun=st.sampled_from((NOON, datetime(2025, 3, 29, 20, tzinfo=UTC), datetime(2025, 10, 25, 20, tzinfo=UTC))),
)
async def test_whatever_the_clock_does_each_due_time_starts_at_most_one_run(
    sqlite_record: Record,
    cron: str,
    zone: str,
    jitter: int,
    chance: float,
    moves: list[tuple[str, int]],
    begun: datetime,
) -> None:
    """Set back by up to an hour, no due time starts a second run; what was missed starts one; and it never stops."""
    bench = Bench(sqlite_record, now=begun, chance=chance)
    schedule = await bench.add(cron, timezone=zone, jitter_seconds=jitter, source=next(_sources))
    scheduler, rule, late = bench.scheduler(), read_rule(cron, zone), timedelta(seconds=jitter)
    last: datetime | None = None

    async def look() -> None:
        nonlocal last
        before = len(bench.started)
        await scheduler.tick()
        fresh = len(bench.started) - before
        assert fresh <= 1
        if last is not None and bench.now < last - SET_BACK:
            last = None  # the clock was wrong before: nothing is held against it
        if fresh:
            assert last is None or _due(rule, bench.now) > _due(rule, last)
            last = bench.now
        elif last is not None and last <= bench.now:
            assert rule.after(last) + late > bench.now

    try:
        for direction, seconds in moves:
            bench.now += timedelta(seconds=seconds if direction == "on" else -seconds)
            await look()
        resumed, runs = bench.now, len(bench.started)
        while bench.now <= resumed + 4 * DAY and len(bench.started) == runs:
            bench.now += HOUR / 2
            await look()
        assert len(bench.started) > runs
    finally:
        async with sqlite_record.transaction() as tx:
            await record_schedules.delete_schedule(tx, schedule.id)


def _due(rule: Any, moment: datetime) -> datetime:
    """The latest due time at or before a moment."""
    before = moment - 5 * DAY
    while (following := rule.after(before)) <= moment:
        before = following
    return before


@given(minutes=st.integers(0, 600_000), cron=st.sampled_from(("30 2 * * *", "*/20 * * * *", "0 1-4 * * *")))
def test_due_times_are_those_of_a_walk_from_the_start(minutes: int, cron: str) -> None:
    """The time after any moment is the first later one of the series, wherever one begins."""
    moment = datetime(2025, 1, 1, tzinfo=UTC) + minutes * MINUTE
    rule = read_rule(cron, "America/St_Johns")
    series = CronSim(cron, (moment - 2 * DAY).astimezone(rule.zone))
    expected = next(due.astimezone(UTC) for due in series if due.astimezone(UTC) > moment)
    assert rule.after(moment) == expected
