"""`/schedules`: what is started when; made, changed and removed while everything runs."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from deskloom.api.access import Operator
from deskloom.api.errors import problems
from deskloom.api.runs import RunOut, run_out
from deskloom.api.shapes import Body, Deskloom, Listed, Time, example
from deskloom.api.start import ROWS
from deskloom.errors import InvalidRequest
from deskloom.record import schedules as record_schedules
from deskloom.record.schedules import Schedule
from deskloom.sync.schedule import EVERY_SOURCE, EXAMPLE_CRON, EXAMPLE_ZONE, LONGEST_CRON, read_mode, read_rule
from deskloom.wiring import App

SCHEDULE = "3f0c9a52-1f7e-4a55-9a2b-7d1c2e3f4a5b"
LONGEST_JITTER = 86_400
ScheduleId = Annotated[UUID, Path(description="The schedule's id.")]
Cron = Annotated[
    str,
    Field(
        max_length=LONGEST_CRON,
        description="Minute, hour, day of month, month, day of week.",
        examples=[EXAMPLE_CRON],
    ),
]
Zone = Annotated[
    str, Field(max_length=100, description="IANA time zone that the fields are read in.", examples=[EXAMPLE_ZONE])
]
Jitter = Annotated[
    int, Field(ge=0, le=LONGEST_JITTER, description="It is started up to so many seconds late, by chance.")
]
router = APIRouter(tags=["schedules"])


class ScheduleOut(BaseModel):
    """Runs of one mode over one stream, started by the clock."""

    model_config = example(
        id=SCHEDULE,
        source="freshdesk",
        stream="tickets",
        mode="incremental",
        cron=EXAMPLE_CRON,
        timezone=EXAMPLE_ZONE,
        jitter_seconds=30,
        enabled=True,
        options={},
        created_at="2025-01-31T08:00:00Z",
        next_at="2025-01-31T09:10:12Z",
        last_at="2025-01-31T09:00:21Z",
        last_run_id="0b6f5c1e-8b1f-4f5e-9d2a-3c4b5a697887",
        last_error=None,
    )

    id: UUID
    source: str = Field(description=f"A source's name; `{EVERY_SOURCE}` where it is not about one.")
    stream: str
    mode: str
    cron: str
    timezone: str
    jitter_seconds: int
    enabled: bool
    options: dict[str, Any] = Field(description="What its runs are told beside the rest.")
    created_at: Time
    next_at: Time | None = Field(description="When it is started next; null while it is disabled.")
    last_at: Time | None = Field(description="When a run was last started.")
    last_run_id: UUID | None
    last_error: str | None = Field(description="Why no run was started the last time it was due.")


class ScheduleRequest(Body):
    """A schedule to make."""

    model_config = Body.model_config | example(
        source="freshdesk", stream="tickets", cron=EXAMPLE_CRON, timezone=EXAMPLE_ZONE, jitter_seconds=30
    )

    source: str | None = Field(
        None, description=f"A source's name; null: the only one there is, or for verify `{EVERY_SOURCE}` (all)."
    )
    stream: str = Field(description="tickets, kb, hours, rows or verify.", examples=["tickets"])
    mode: str | None = Field(
        None, description="incremental, full or sweep; null: incremental. verify has only verify.", examples=["sweep"]
    )
    cron: Cron
    timezone: Zone = "UTC"
    jitter_seconds: Jitter = 0
    enabled: bool = True
    repair: bool | None = Field(None, description="verify only: also mend what differs.")


class ScheduleChange(Body):
    """What to change; what is left out stays."""

    model_config = Body.model_config | example(cron="0 7 * * MON-FRI", timezone=EXAMPLE_ZONE)

    cron: Cron | None = None
    timezone: Zone | None = None
    jitter_seconds: Jitter | None = None
    enabled: bool | None = None
    repair: bool | None = Field(None, description="verify only: also mend what differs.")


@router.get("/schedules", responses=problems(401, 403, 503))
async def list_schedules(app: Deskloom, caller: Operator) -> Listed[ScheduleOut]:
    """Every schedule, by source, stream and mode."""
    async with app.record.reading() as tx:
        found = await record_schedules.list_schedules(tx)
    return Listed(items=[_shown(schedule) for schedule in found], next=None)


@router.post("/schedules", status_code=201, responses=problems(401, 403, 409, 413, 503))
async def create_schedule(app: Deskloom, caller: Operator, asked: ScheduleRequest) -> ScheduleOut:
    """Make a schedule; it counts at once. 409 if source, stream and mode have one already."""
    mode = read_mode(asked.stream, asked.mode)
    source = _source(app, asked.source, asked.stream)
    options = _options(asked.stream, asked.repair)
    if (asked.stream, mode) == (ROWS, "full"):
        options |= {"rebuilds": app.sources[source].streams[ROWS].collection}
    rule = read_rule(asked.cron, asked.timezone)
    planned = app.scheduler.plan(rule, asked.jitter_seconds)
    async with app.record.transaction() as tx:
        made = await record_schedules.create_schedule(
            tx,
            source=source,
            stream=asked.stream,
            mode=mode,
            cron=rule.cron,
            timezone=asked.timezone,
            jitter_seconds=asked.jitter_seconds,
            enabled=asked.enabled,
            options=options,
            next_at=planned if asked.enabled else None,
            now=app.clock(),
        )
    app.scheduler.wake()
    return _shown(made)


@router.patch("/schedules/{schedule_id}", responses=problems(401, 403, 404, 413, 503))
async def change_schedule(
    app: Deskloom, caller: Operator, schedule_id: ScheduleId, asked: ScheduleChange
) -> ScheduleOut:
    """Change a schedule. It is planned anew from now on: what it missed while it was disabled stays undone."""
    async with app.record.transaction() as tx:
        known = await record_schedules.get_schedule(tx, schedule_id)
        values = {name: value for name, value in asked if value is not None and name != "repair"}
        if asked.repair is not None:
            values["options"] = known.options | _options(known.stream, asked.repair)
        rule = read_rule(values.get("cron", known.cron), values.get("timezone", known.timezone))
        values["cron"] = rule.cron
        jitter = values.get("jitter_seconds", known.jitter_seconds)
        enabled = values.get("enabled", known.enabled)
        values["next_at"] = app.scheduler.plan(rule, jitter, last_at=known.last_at) if enabled else None
        changed = await record_schedules.change_schedule(tx, schedule_id, values)
    app.scheduler.wake()
    return _shown(changed)


@router.delete("/schedules/{schedule_id}", status_code=204, responses=problems(401, 403, 404, 503))
async def delete_schedule(app: Deskloom, caller: Operator, schedule_id: ScheduleId) -> None:
    """Remove a schedule. A run that it started goes on."""
    async with app.record.transaction() as tx:
        await record_schedules.delete_schedule(tx, schedule_id)


@router.post("/schedules/{schedule_id}/run", status_code=201, responses=problems(401, 403, 404, 409, 503))
async def run_schedule(app: Deskloom, caller: Operator, schedule_id: ScheduleId) -> RunOut:
    """Start its run now, also while it is disabled. 409 while its stream is being worked on."""
    return run_out(await app.scheduler.run_now(schedule_id, requested_by=caller.name))


def _source(app: App, asked: str | None, stream: str) -> str:
    having = list(app.sources) if stream == "verify" else [n for n, s in app.sources.items() if stream in s.streams]
    if stream == "verify" and asked in (None, EVERY_SOURCE):
        return EVERY_SOURCE
    if asked is None and len(having) == 1:
        return having[0]
    if asked in having:
        return str(asked)
    known = ", ".join(having) or "none; add one with deskloom source add"
    raise InvalidRequest(f"source must be the name of a configured source: {known}.", parameter="source")


def _options(stream: str, repair: bool | None) -> dict[str, Any]:
    if repair is None:
        return {}
    if stream != "verify":
        raise InvalidRequest("repair is for the stream verify only.", parameter="repair")
    return {"repair": repair}


def _shown(schedule: Schedule) -> ScheduleOut:
    return ScheduleOut(**{name: getattr(schedule, name) for name in ScheduleOut.model_fields})
