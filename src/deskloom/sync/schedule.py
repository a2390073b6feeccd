"""Schedules: when a run is due, and the loop that starts due runs, each once, whatever the clock does meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from cronsim import CronSim, CronSimError
from sqlalchemy.ext.asyncio import AsyncConnection

from deskloom.errors import AlreadyRunning, DeskloomError, InvalidRequest
from deskloom.record import runs as record_runs
from deskloom.record import schedules as record_schedules
from deskloom.record.engine import Record
from deskloom.record.runs import Run
from deskloom.record.schedules import Schedule
from deskloom.sync.runs import Clock

log = structlog.get_logger(__name__)

MODES: Mapping[str, tuple[str, ...]] = {
    "tickets": ("incremental", "full", "sweep"),
    "kb": ("incremental", "full", "sweep"),
    "hours": ("incremental", "full"),
    "rows": ("incremental", "full", "sweep"),
    "verify": ("verify",),
}
"""The modes of each stream that can be scheduled, the usual one first."""
EVERY_SOURCE = "*"
"""The source of a run that is not about one."""
EXAMPLE_CRON, EXAMPLE_ZONE = "*/10 * * * *", "Europe/Berlin"
LONGEST_CRON = 100

SET_BACK = timedelta(hours=1)
"""A clock set back by at most so much starts nothing twice; what is due waits until it is there again. One set back
further was wrong before, and schedules go by the time it shows now: a run too many is better than none for years."""
STANDING_IN_THE_WAY = timedelta(minutes=5)
"""After so long a run is tried again that met one of another mode on its stream, if it is not due again before."""
POLL = timedelta(seconds=30)
"""The longest sleep: schedules may be changed, and clocks set, by others."""
SHORTEST_SLEEP = 0.05

Start = Callable[[Run], Awaitable[object]]
"""Has a run performed that is queued in the record. Where it is lost, the next look for orphans finds the run."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A cron expression in a time zone, as Debian's cron reads it when clocks change: what falls into the missing hour
    is due right after it, what falls into the doubled hour once; what recurs within the hour keeps its rhythm."""

    cron: str
    zone: ZoneInfo

    def after(self, moment: datetime) -> datetime:
        """The first due time later than a moment, in UTC. Raises `InvalidRequest` if there is none in 50 years."""
        for due in CronSim(self.cron, moment.astimezone(self.zone)):
            # A start within the doubled hour is taken for its first half, so the first answers may lie behind it.
            if (found := due.astimezone(UTC)) > moment:
                return found
        raise InvalidRequest(f'cron never comes due. Write it like "{EXAMPLE_CRON}".', parameter="cron")


def read_rule(cron: str, timezone: str) -> Rule:
    """The rule of five cron fields and an IANA zone. Raises `InvalidRequest` naming `cron` or `timezone`."""
    try:
        zone = ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):  # unknown, no name at all, a folder of zones
        raise InvalidRequest(
            f'timezone is not a time zone. Write its IANA name, for example "{EXAMPLE_ZONE}" or "UTC".',
            parameter="timezone",
        ) from None
    try:
        if len(cron) > LONGEST_CRON or len(cron.split()) != 5:
            raise CronSimError("Wrong number of fields")
        CronSim(cron, datetime(2025, 1, 1, tzinfo=UTC))
    except (CronSimError, ValueError) as error:
        raise InvalidRequest(
            f"cron is not a cron expression: {str(error).lower()}. Write minute, hour, day of month, month and day of "
            f'week, for example "{EXAMPLE_CRON}".',
            parameter="cron",
        ) from None
    return Rule(" ".join(cron.split()), zone)


def read_mode(stream: str, mode: str | None) -> str:
    """The mode to schedule (None: the stream's usual one). Raises `InvalidRequest` naming `stream` or `mode`."""
    if stream not in MODES:
        raise InvalidRequest(f"stream must be one of: {', '.join(MODES)}, for example tickets.", parameter="stream")
    if mode is not None and mode not in MODES[stream]:
        known = MODES[stream]
        hint = f"mode of {stream} must be one of: {', '.join(known)}, for example {known[0]}."
        raise InvalidRequest(hint, parameter="mode")
    return mode or MODES[stream][0]


class Scheduler:
    """Starts what is due. Any number of processes may run one over the same record.

    A missed time is made up for once, however many were missed. `chance` gives numbers from 0 to 1 for the jitter.
    """

    def __init__(
        self,
        record: Record,
        start: Start,
        *,
        clock: Clock = lambda: datetime.now(UTC),
        chance: Callable[[], float] = random.random,
        poll: timedelta = POLL,
    ) -> None:
        self.record = record
        self.start = start
        self.clock = clock
        self.chance = chance
        self.poll = poll
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """Look again at once: a schedule was changed."""
        self._changed.set()

    def plan(self, rule: Rule, jitter_seconds: int, *, last_at: datetime | None = None) -> datetime:
        """When a schedule is started next: its next due time after now and its last start, and the jitter."""
        now = self.clock()
        return rule.after(max(now, _started(last_at, now) or now)) + self._jitter(jitter_seconds)

    def _jitter(self, seconds: int) -> timedelta:
        return timedelta(seconds=self.chance() * seconds)

    async def run_forever(self) -> None:
        """Start what is due, now and whenever something is."""
        while True:
            self._changed.clear()
            pause = self.poll.total_seconds()
            try:
                if (upcoming := await self.tick()) is not None:
                    pause = min(pause, max(SHORTEST_SLEEP, (upcoming - self.clock()).total_seconds()))
            except DeskloomError as error:
                log.warning("cannot look at the schedules", error=error.message)
            except Exception:  # a bug in one round must not end all later ones
                log.exception("schedules could not be looked at")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), pause)

    async def tick(self) -> datetime | None:
        """Start what is due now; returns when to look again at the latest (None: nothing is enabled)."""
        now = self.clock()
        async with self.record.reading() as tx:
            enabled = await record_schedules.list_schedules(tx, enabled=True)
        moments = [await self._look(schedule, now) for schedule in enabled]
        return min((moment for moment in moments if moment is not None), default=None)

    async def run_now(self, schedule_id: UUID, *, requested_by: str) -> Run:
        """Start a schedule's run at once. Raises `NotFound`, and `AlreadyRunning` with the run in progress."""
        async with self.record.transaction() as tx:
            schedule = await record_schedules.get_schedule(tx, schedule_id)
            run = await self._create(tx, schedule, requested_by)
        await self.start(run)
        return run

    async def _look(self, schedule: Schedule, now: datetime) -> datetime | None:
        """Start a schedule if it is due, and move it to its next time; returns when to look at it again."""
        try:
            rule = read_rule(schedule.cron, schedule.timezone)
            last = _started(schedule.last_at or schedule.created_at, now)
            upcoming = rule.after(max(now, last or now))
            following = upcoming + self._jitter(schedule.jitter_seconds)
            latest = upcoming + timedelta(seconds=schedule.jitter_seconds)
            due = last is None or rule.after(last) <= now
        except InvalidRequest as error:  # stored long ago; a zone was renamed, say
            await self._note(schedule, error.message)
            return None
        planned = schedule.next_at
        if planned is not None and now < planned <= latest:
            return planned
        if planned is not None and planned <= now and due:
            return await self._fire(schedule, following, now)
        async with self.record.transaction() as tx:  # never planned, or by a clock that was wrong
            await record_schedules.move_schedule(tx, schedule, following)
        return following

    async def _fire(self, schedule: Schedule, following: datetime, now: datetime) -> datetime:
        """Claim a due schedule and start it, in one transaction: a crash leaves either all of it or nothing."""
        run = None
        async with self.record.transaction() as tx:
            if not await record_schedules.move_schedule(tx, schedule, following):
                return now + self.poll  # another process was faster, or the schedule was changed
            try:
                run = await self._create(tx, schedule, f"schedule {schedule.id}")
            except AlreadyRunning as error:
                following = await self._put_off(tx, schedule, error, following, now)
        if run is not None:
            log.info("scheduled run started", run=str(run.id), source=run.source, stream=run.stream, mode=run.mode)
            await self.start(run)
        return following

    async def _create(self, tx: AsyncConnection, schedule: Schedule, requested_by: str) -> Run:
        now = self.clock()
        run = await record_runs.create_run(
            tx,
            source=schedule.source,
            stream=schedule.stream,
            mode=schedule.mode,
            requested_by=requested_by,
            since=None,
            limit=None,
            options=schedule.options,
            now=now,
        )
        values = {"last_at": now, "last_run_id": run.id, "last_error": None}
        await record_schedules.change_schedule(tx, schedule.id, values)
        return run

    async def _put_off(
        self, tx: AsyncConnection, schedule: Schedule, error: AlreadyRunning, following: datetime, now: datetime
    ) -> datetime:
        """Note that the stream is busy. A run of another mode does not do this one's work, so try again soon."""
        busy = await record_runs.get_run(tx, UUID(error.facts["run_id"]))
        if busy.mode != schedule.mode:
            following = min(following, now + STANDING_IN_THE_WAY)
        why = f"Not started at {now:%Y-%m-%dT%H:%M:%SZ}: {error.message} (run {busy.id}, {busy.mode})."
        await record_schedules.change_schedule(tx, schedule.id, {"last_error": why, "next_at": following})
        return following

    async def _note(self, schedule: Schedule, why: str) -> None:
        if schedule.last_error != why:
            log.warning("a schedule cannot be started", schedule=str(schedule.id), error=why)
            async with self.record.transaction() as tx:
                await record_schedules.change_schedule(tx, schedule.id, {"last_error": why})


def _started(last_at: datetime | None, now: datetime) -> datetime | None:
    """The last start, unless it lies so far ahead that the clock must have been wrong."""
    return last_at if last_at is None or last_at <= now + SET_BACK else None
