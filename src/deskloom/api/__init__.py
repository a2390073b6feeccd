"""The HTTP API: one module for each area of the contract. It runs in the process that owns the data folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from deskloom import __version__
from deskloom.api import (
    articles,
    billing,
    billing_terms,
    companies,
    errors,
    events,
    export_graph,
    failures,
    health,
    helpdesks,
    holds,
    markdown,
    metrics,
    openapi,
    reindex,
    runs,
    schedules,
    search,
    status,
    tables,
    tickets,
    verify,
)
from deskloom.api.access import Authority, LocalAuthority
from deskloom.api.events import Pace
from deskloom.api.guard import Guard
from deskloom.api.metrics import Metrics
from deskloom.wiring import App

AREAS = (
    helpdesks,
    status,
    failures,
    verify,
    tables,
    holds,
    health,
    runs,
    events,
    schedules,
    reindex,
    search,
    tickets,
    articles,
    companies,
    markdown,
    export_graph,
    billing,
    billing_terms,
)
"""In the order of the reference."""


def create_api(
    app: App, *, token: str | None = None, authority: Authority | None = None, pace: Pace | None = None
) -> FastAPI:
    """The API over an open app. `token` is the owner's; `authority` stands in for who knows callers."""
    api = create_routes()
    api.state.deskloom = app
    api.state.authority = authority or LocalAuthority(token)
    api.state.pace = pace or Pace()
    api.state.metrics = Metrics(app.clock())
    return api


def create_routes() -> FastAPI:
    """The API without anything behind it, as its reference needs it."""
    api = FastAPI(
        title="Deskloom",
        version=__version__,
        openapi_url="/api/v1/openapi.json",
        # The pages FastAPI offers load scripts of other sites, which would run with the local caller's rights.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    areas = APIRouter()
    for area in AREAS:
        areas.include_router(area.router)
    api.include_router(areas, prefix="/api/v1")
    api.include_router(areas, prefix="/api", include_in_schema=False)
    api.include_router(helpdesks.historic, include_in_schema=False)
    api.include_router(health.plain)
    api.include_router(metrics.router)
    api.add_middleware(Guard)
    errors.install(api)
    cast(Any, api).openapi = _described(api)
    return api


def _operation_id(route: APIRoute) -> str:
    return route.name


def _described(api: FastAPI) -> Callable[[], dict[str, Any]]:
    return lambda: openapi.describe(api)
