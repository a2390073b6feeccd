"""`/sync/sweep` and `/sync/holds`: finding what is gone at the source, and the word that large deletions wait for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from deskloom.api.access import Caller, Operator
from deskloom.api.errors import problems
from deskloom.api.runs import RunOut, run_out
from deskloom.api.shapes import Body, Deskloom, Time, example
from deskloom.api.start import sources_of
from deskloom.errors import AlreadyRunning
from deskloom.record import holds as record_holds
from deskloom.record.holds import Hold
from deskloom.record.runs import Run
from deskloom.wiring import App

SHOWN = 1000
HOLD = "2f0d8f5e-4a3b-4c2d-9e1f-0a1b2c3d4e5f"
Swept = Literal["tickets", "kb", "contacts", "companies", "agents", "rows"]
router = APIRouter(tags=["helpdesk sync"])


class SweepRequest(Body):
    """What to compare with the source's complete listing."""

    model_config = Body.model_config | example(source=None, stream="tickets", dry_run=True, allow=False)

    source: str | None = Field(None, description="A source's name or kind; null: every configured helpdesk.")
    stream: Swept
    dry_run: bool = Field(False, description="Only say what would be done, in the run's report.")
    allow: bool = Field(
        False, description="Remove what is held, or what a dry run just showed, however much it is. For one run."
    )
    requested_by: str | None = Field(None, max_length=100, description="Who or what asks, for the list of runs.")


class HoldOut(BaseModel):
    """A deletion that waits for a person's word, because it is more than one run may remove."""

    model_config = example(
        id=HOLD,
        source="freshdesk",
        stream="kb",
        kind="article",
        gone=60,
        known=200,
        keys=["701:en", "702:en"],
        reason="Not removing 60 of 200 articles that freshdesk no longer lists: one run removes at most 20%.",
        held_at="2025-01-31T09:00:00Z",
        allowed_at=None,
        allowed_by=None,
    )

    id: UUID
    source: str
    stream: str
    kind: str
    gone: int = Field(description="How many are gone.")
    known: int = Field(description="Of how many.")
    keys: list[str] = Field(description="The first 1,000 of them.")
    reason: str
    held_at: Time
    allowed_at: Time | None
    allowed_by: str | None


class Holds(BaseModel):
    """Everything that waits."""

    items: list[HoldOut]


@router.post("/sync/sweep", status_code=201, responses=problems(401, 403, 409, 413, 503))
async def start_sweep(app: Deskloom, caller: Operator, asked: SweepRequest) -> list[RunOut]:
    """Compare a stream with the source's complete listing: remove what is gone, read what differs.

    One run for each source meant; what it found is its `report`. 409 while a run of the stream is in progress.
    """
    names = sources_of(app, asked.source, asked.stream)
    options = {"dry_run": asked.dry_run, "allow": asked.allow}
    runs = await _start(app, caller, names, asked.stream, options, asked.requested_by)
    return [run_out(run) for run in runs]


@router.get("/sync/holds", responses=problems(401, 403, 503))
async def list_holds(
    app: Deskloom,
    caller: Operator,
    source: Annotated[str | None, Query(description="Only holds of this source.")] = None,
) -> Holds:
    """Deletions that wait for a person's word. One goes by itself once listing and record agree again."""
    async with app.record.reading() as tx:
        return Holds(items=[_hold_out(hold) for hold in await record_holds.list_holds(tx, source=source)])


@router.post("/sync/holds/{hold_id}/allow", status_code=201, responses=problems(401, 403, 404, 409, 503))
async def allow_hold(
    app: Deskloom, caller: Operator, hold_id: Annotated[UUID, Path(description="The hold's id.")]
) -> RunOut:
    """Allow what is held: starts a sweep that removes exactly these objects, if they are still gone."""
    async with app.record.reading() as tx:
        hold = await record_holds.get_hold(tx, hold_id)
    runs = await _start(app, caller, [hold.source], hold.stream, {"dry_run": False, "allow": True}, None)
    return run_out(runs[0])


async def _start(
    app: App,
    caller: Caller,
    names: Sequence[str],
    stream: str,
    options: dict[str, Any],
    requested_by: str | None,
) -> list[Run]:
    """Start a sweep of each source; one that is busy is left out, and refused if that leaves none."""
    started: list[Run] = []
    refused: AlreadyRunning | None = None
    for name in names:
        app.source(name)
        try:
            run = await app.dispatcher.submit(
                source=name, stream=stream, mode="sweep", requested_by=requested_by or caller.name, options=options
            )
        except AlreadyRunning as error:
            refused = error
            continue
        started.append(run)
        if options["allow"] and not options["dry_run"]:
            async with app.record.transaction() as tx:
                await record_holds.mark_allowed(tx, name, stream, by=requested_by or caller.name, now=app.clock())
    if not started and refused is not None:
        raise refused
    return started


def _hold_out(hold: Hold) -> HoldOut:
    return HoldOut(
        id=hold.id,
        source=hold.source,
        stream=hold.stream,
        kind=hold.kind,
        gone=hold.gone,
        known=hold.known,
        keys=hold.keys[:SHOWN],
        reason=hold.reason,
        held_at=hold.held_at,
        allowed_at=hold.allowed_at,
        allowed_by=hold.allowed_by,
    )
