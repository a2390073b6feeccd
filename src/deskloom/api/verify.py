"""`/sync/verify`: compare source, record and index, and mend what differs."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from deskloom.api.access import Operator
from deskloom.api.errors import problems
from deskloom.api.runs import RunOut, run_out
from deskloom.api.shapes import Body, Deskloom, example
from deskloom.errors import InvalidRequest
from deskloom.sync.verify import EVERYTHING, STREAM, Options
from deskloom.wiring import App

router = APIRouter(tags=["helpdesk sync"])


class VerifyRequest(Body):
    """What to compare, and whether to mend it."""

    model_config = Body.model_config | example(repair=False, collection=None, source_check=False, deep=False)

    repair: bool = Field(False, description="Mend exactly what is found, and compare once more.")
    source: str | None = Field(None, description="Only what is of this source; null: everything.")
    collection: str | None = Field(None, description="Only this collection of the index; null: all of them.")
    source_check: bool = Field(
        False, description="Also compare the record with the source's complete lists, which costs API calls."
    )
    deep: bool = Field(False, description="Also compare payloads, vectors and words, not only ids and hashes.")
    requested_by: str | None = Field(None, max_length=100, description="Who or what asks, for the list of runs.")


@router.post("/sync/verify", status_code=201, responses=problems(401, 403, 409, 413, 503))
async def verify_copies(app: Deskloom, caller: Operator, asked: VerifyRequest | None = None) -> RunOut:
    """Start a run that compares the copies; its `report` names what differs and says why.

    The run ends as `succeeded` if they agree, or were all mended, and as `partial` if they do not. 409 while another
    one of the same source is in progress.
    """
    asked = asked or VerifyRequest()
    if asked.source is not None and asked.source not in app.sources:
        raise InvalidRequest(
            f'There is no source "{asked.source}". Configured: {", ".join(app.sources) or "none"}',
            parameter="source",
            sources=list(app.sources),
        )
    if asked.collection is not None and asked.collection not in app.collections:
        raise InvalidRequest(
            f'There is no collection "{asked.collection}". Use one of: {", ".join(app.collections)}',
            parameter="collection",
        )
    await _require_parts(app)
    options = Options(
        repair=asked.repair, collection=asked.collection, source_check=asked.source_check, deep=asked.deep
    )
    run = await app.dispatcher.submit(
        source=asked.source or EVERYTHING,
        stream=STREAM,
        mode="verify",
        requested_by=asked.requested_by or caller.name,
        options=options.to_json(),
    )
    return run_out(run)


async def _require_parts(app: App) -> None:
    """Raises, before anything is started, if the record or the index is down."""
    await app.record.check()
    for name in app.collections:
        await app.index.schema(name)
