"""Shapes and parameters that several areas of the API share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Path, Query
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from starlette.requests import HTTPConnection

from deskloom.wiring import App

T = TypeVar("T")
EXAMPLE_TIME = "2025-01-31T09:00:00Z"
_LOST_PLUS = re.compile(r"(T[0-9:.]+) ([0-9]{2}:?[0-9]{2})$")


def parse_time(value: Any) -> Any:
    """An ISO 8601 time with any offset, or none, as aware UTC. A wrong one raises `ValueError` with an example."""
    if not isinstance(value, str):
        return value
    try:
        # A `+` that was not percent-encoded in a query string arrives as a space.
        moment = datetime.fromisoformat(_LOST_PLUS.sub(r"\1+\2", value.strip()))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"is not a time. Write it like {EXAMPLE_TIME}") from None


Time = AwareDatetime
"""A time in an answer: aware UTC, written with `Z`."""
TimeIn = Annotated[AwareDatetime, BeforeValidator(parse_time)]
"""A time in a request."""
SourceName = Annotated[str, Path(description="The source's name.", examples=["freshdesk"])]
Identifier = Annotated[str, Path(description="The object's id at the source.", examples=["412"])]
PageSize = Annotated[int, Query(ge=1, le=500, description="Most items in the answer.")]
After = Annotated[
    str | None, Query(description="`next` of the page before; the first page without it.", examples=[None])
]


class Body(BaseModel):
    """A request body: an unknown member is refused."""

    model_config = ConfigDict(extra="forbid")


class Listed(BaseModel, Generic[T]):
    """A page of a list."""

    items: list[T]
    next: str | None = Field(description="Give it as `after` for the next page; null on the last.", examples=[None])


def example(**values: Any) -> ConfigDict:
    """The configuration of a model with one example."""
    return ConfigDict(json_schema_extra={"examples": [values]})


def only(model: type[BaseModel], row: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a row that the model shows."""
    return {name: row[name] for name in model.model_fields if name in row}


def the_app(connection: HTTPConnection) -> App:
    """The parts behind the API."""
    app: App = connection.app.state.deskloom
    return app


Deskloom = Annotated[App, Depends(the_app)]
