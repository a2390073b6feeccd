"""`/collections` and `/reindex`: which model each collection is indexed with, and changing it without an outage."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from deskloom import documents
from deskloom.api.access import Operator
from deskloom.api.errors import problems
from deskloom.api.runs import RunOut, run_out
from deskloom.api.shapes import Body, Deskloom, Listed, example
from deskloom.embedders import Choice, choose
from deskloom.errors import AlreadyRunning, InvalidRequest, ModelMissing, NotFound, SettingInvalid
from deskloom.protocols import Embedder
from deskloom.record import collections
from deskloom.record.collections import Collection
from deskloom.sync.estimate import estimate
from deskloom.sync.reindex import drop_kept
from deskloom.wiring import App

router = APIRouter(tags=["collections"])
Name = Annotated[str, Path(description="The collection's name.", examples=[documents.TICKETS])]
Model = Annotated[
    str | None,
    Query(description="`minilm`, `bge-m3`, a model folder, `openai` or `openai:MODEL`; default: that of the settings."),
]


class CollectionOut(BaseModel):
    """A collection of the index."""

    model_config = example(
        name="support_tickets",
        embedder="minilm",
        configured="minilm",
        kept=None,
        building="bge-m3",
        state="serving",
        points=20000,
    )

    name: str
    embedder: str = Field(description="The model that its vectors are of.")
    configured: str = Field(description="The model that the settings name; a reindex changes over to it.")
    kept: str | None = Field(description="The model of the copy that was replaced and is kept; null: there is none.")
    building: str | None = Field(description="The model of the copy that a reindex builds now; null: there is none.")
    state: str = Field(description="`serving`; `closed` while a copy takes its place, for an instant.")
    points: int


class EstimateOut(BaseModel):
    """What a reindex would cost, told from a sample."""

    model_config = example(
        collection="support_tickets",
        embedder="bge-m3",
        documents=20000,
        sampled=200,
        texts=30537,
        cached=0,
        tokens=3200000,
        seconds=11800.5,
        bytes=310000000,
    )

    collection: str
    embedder: str
    documents: int
    sampled: int = Field(description="Documents that were looked at.")
    texts: int = Field(description="Texts that the model would be given, if none were cached.")
    cached: int = Field(description="Texts of these whose vectors are known from before.")
    tokens: int = Field(description="Tokens in the texts that are left.")
    seconds: float = Field(description="Time to embed these on this machine, as measured on a few of them.")
    bytes: int = Field(description="Disk space of the new copy, which stands beside the old one.")


class ReindexRequest(Body):
    """What to build anew."""

    model_config = Body.model_config | example(collection=None, embedder="bge-m3", back=False)

    collection: str | None = Field(None, description="A collection's name; null: all of them.")
    embedder: str | None = Field(None, description="The model to change to; null: that of the settings.")
    back: bool = Field(False, description="Let the copy that was kept serve again, brought up to date.")
    requested_by: str | None = Field(None, max_length=100, description="Who or what asks, for the list of runs.")


@router.get("/collections", responses=problems(401, 403, 503))
async def list_collections(app: Deskloom, caller: Operator) -> Listed[CollectionOut]:
    """The collections, with the model each is indexed with."""
    configured = str(choose(app.settings))
    shown = [
        CollectionOut(
            name=one.name,
            embedder=str(Choice.from_json(one.embedder)),
            configured=configured,
            kept=_model_of(one.previous),
            building=_model_of(one.rebuild),
            state=one.state,
            points=await app.index.count(one.name),
        )
        for one in (await _known(app)).values()
    ]
    return Listed(items=shown, next=None)


@router.get("/reindex/estimate", responses=problems(401, 403, 503))
async def estimate_reindex(
    app: Deskloom,
    caller: Operator,
    collection: Annotated[str | None, Query(description="Only this collection.")] = None,
    embedder: Model = None,
) -> list[EstimateOut]:
    """What a reindex would cost: texts, tokens, time and bytes, told from a sample. Builds nothing."""
    meant = _meant(app, collection)
    choice, opened = await _open(app, embedder)
    found = [await estimate(app.record, opened, name) for name in meant]
    names = [name for name in EstimateOut.model_fields if name != "embedder"]
    return [EstimateOut(embedder=str(choice), **{name: getattr(one, name) for name in names}) for one in found]


@router.post("/reindex", status_code=201, responses=problems(401, 403, 404, 409, 413, 503))
async def start_reindex(app: Deskloom, caller: Operator, asked: ReindexRequest) -> list[RunOut]:
    """Build collections anew beside those that serve, and put them in their place at once when they are complete.

    Collections that are being built already are left out; 409 if that is all.
    """
    choices = await _choices(app, asked)
    runs: list[RunOut] = []
    refused: list[AlreadyRunning] = []
    for name, choice in choices.items():
        try:
            run = await app.dispatcher.submit(
                source="*",
                stream=name,
                mode="reindex",
                requested_by=asked.requested_by or caller.name,
                options={"embedder": choice.to_json(), "back": asked.back},
            )
        except AlreadyRunning as error:
            refused.append(AlreadyRunning(f'Reindex of "{name}" already in progress', **error.facts))
        else:
            runs.append(run_out(run))
    if not runs:
        raise refused[0]
    return runs


@router.delete("/collections/{name}/kept", status_code=204, responses=problems(401, 403, 409, 503))
async def drop_previous(app: Deskloom, caller: Operator, name: Name) -> None:
    """Remove the copy that was replaced and kept, and the cached vectors of models that no collection uses."""
    _meant(app, name)
    await drop_kept(app.record, app.index, name, embedder_of=app.models.of, names=app.collections, now=app.clock())


async def _choices(app: App, asked: ReindexRequest) -> dict[str, Choice]:
    """What to build, by collection. A model that cannot be opened is refused here, not in the run."""
    meant = _meant(app, asked.collection)
    if not asked.back:
        choice, _ = await _open(app, asked.embedder)
        return dict.fromkeys(meant, choice)
    if asked.embedder is not None:
        raise InvalidRequest("back goes to the model of the kept copy: leave embedder out.", parameter="embedder")
    known = await _known(app)
    kept = {
        name: Choice.from_json(known[name].previous["embedder"])  # type: ignore[index]
        for name in meant
        if name in known and known[name].previous
    }
    if not kept:
        raise NotFound(
            f"No earlier copy of {' or '.join(meant)} is kept. Name the model: deskloom reindex --embedder …"
        )
    for choice in kept.values():
        await app.models.open(choice)
    return kept


async def _open(app: App, embedder: str | None) -> tuple[Choice, Embedder]:
    """The model that the caller names, or the settings do; a name that means none is the caller's mistake."""
    try:
        choice = choose(app.settings, embedder)
        return choice, await app.models.open(choice)
    except (SettingInvalid, ModelMissing) as error:
        if embedder is None:
            raise
        raise InvalidRequest(error.message, parameter="embedder") from error


async def _known(app: App) -> dict[str, Collection]:
    async with app.record.reading() as tx:
        return {one.name: one for one in await collections.all_collections(tx)}


def _model_of(copy: dict[str, Any] | None) -> str | None:
    return str(Choice.from_json(copy["embedder"])) if copy else None


def _meant(app: App, collection: str | None) -> tuple[str, ...]:
    if collection is None:
        return app.collections
    if collection not in app.collections:
        raise InvalidRequest(
            f'There is no collection "{collection}". Collections: {", ".join(app.collections)}', parameter="collection"
        )
    return (collection,)
