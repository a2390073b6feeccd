"""Errors as callers get them: one table from error class to status, and one shape, RFC 9457 problem details."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any
from uuid import UUID

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.websockets import WebSocket

from deskloom.api.sentences import sentence_of
from deskloom.errors import (
    AlreadyRunning,
    AlreadyThere,
    Ambiguous,
    Conflict,
    DeletionHeld,
    DeskloomError,
    EmptyContent,
    Fatal,
    Forbidden,
    InvalidRequest,
    LeaseLost,
    NotFound,
    RequestError,
    Retryable,
    TooLarge,
    Unauthenticated,
    Unreadable,
)

STATUS: Mapping[type[DeskloomError], int] = {
    RequestError: 422,
    InvalidRequest: 422,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    AlreadyRunning: 409,
    AlreadyThere: 409,
    Ambiguous: 409,
    Conflict: 409,
    TooLarge: 413,
    DeletionHeld: 409,
    LeaseLost: 409,
    Retryable: 503,
    Fatal: 503,
    Unreadable: 503,
    EmptyContent: 422,
}
"""The nearest class counts; an error in no line is a bug and answers 500."""

CODES: Mapping[int, str] = {
    400: "malformed",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "already_running",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid",
    500: "internal",
    503: "unavailable",
}
TITLES: Mapping[str, str] = {
    "invalid": "The request is wrong",
    "not_found": "No such thing",
    "unavailable": "A part is down",
    "internal": "A bug in Deskloom",
}
MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """What went wrong, to which thing, and what to do. Further members are facts about the error."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["/errors/not_found"])
    title: str = Field(examples=["No such thing"])
    status: int = Field(examples=[404])
    code: str = Field(examples=["not_found"])
    detail: str = Field(
        description="A sentence a person can act on.",
        examples=['There is no ticket 412 of source "acme" in the record.'],
    )
    parameter: str | None = Field(default=None, description="The parameter or body member that is wrong.")
    component: str | None = Field(default=None, description="The part that is down: record, index, embedder or source.")
    run_id: UUID | None = Field(default=None, description="The run in progress that stands in the way.")
    request_id: str | None = Field(default=None, description="What to look for in the log, where it is a bug.")


def problem(status: int, code: str, detail: str, headers: Mapping[str, str] | None = None, **facts: Any) -> Response:
    """A problem as a response. Facts that are not plain values are left out."""
    body = {
        "type": f"/errors/{code}",
        "title": TITLES.get(code, code.replace("_", " ").capitalize()),
        "status": status,
        "code": code,
        "detail": detail,
    }
    extra = {name: plain for name, value in facts.items() if name not in body and (plain := _plain(value)) is not None}
    return JSONResponse(body | extra, status, dict(headers or {}), MEDIA_TYPE)


def answer(error: DeskloomError) -> Response:
    """The response that tells a caller of an error."""
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    facts = dict(error.facts)
    headers = {}
    if isinstance(error, Retryable):
        facts["component"] = error.component
        if error.retry_after is not None:
            headers["Retry-After"] = str(max(1, ceil(error.retry_after.total_seconds())))
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="deskloom"'
    return problem(status, error.code, error.message, headers, **facts)


def answer_invalid(errors: Sequence[Any]) -> Response:
    """The response to a request whose parameters or body do not fit; `detail` tells of the first of them."""
    told = [sentence_of(error) for error in errors]
    parameter, detail = told[0]
    others = [{"parameter": name, "detail": text} for name, text in told[1:]]
    return problem(422, "invalid", detail, parameter=parameter, errors=others or None)


def answer_bug(request_id: str) -> Response:
    """The response to a request that met a bug. The log has the rest under the id."""
    return problem(
        500,
        "internal",
        f"This is a bug in Deskloom. Please report it with the lines that the log has for request {request_id}",
        request_id=request_id,
    )


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How an operation documents the errors it may answer with."""
    return {status: documented(status) for status in statuses}


def documented(status: int) -> dict[str, Any]:
    """One error response for the OpenAPI document."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": _DESCRIPTIONS[status], "content": {MEDIA_TYPE: {"schema": schema}}}


def install(api: FastAPI) -> None:
    """Answer every error in the one shape, on HTTP and before a WebSocket is accepted."""

    async def told(connection: HTTPConnection, error: Exception) -> Response | None:
        return await _deliver(connection, answer(error) if isinstance(error, DeskloomError) else answer_bug("unknown"))

    async def invalid(connection: HTTPConnection, error: Exception) -> Response | None:
        return await _deliver(connection, answer_invalid(error.errors()))  # type: ignore[attr-defined]

    async def refused(connection: HTTPConnection, error: Exception) -> Response | None:
        assert isinstance(error, HTTPException)
        code = CODES.get(error.status_code, "refused")
        detail = _OWN_WORDS.get(error.status_code, error.detail).format(
            path=connection.url.path, method=connection.scope.get("method", "")
        )
        return await _deliver(connection, problem(error.status_code, code, detail, error.headers))

    # Starlette calls a handler with a request or a WebSocket, but its type asks for one that takes only one of them.
    handlers: dict[type[Exception], Any] = {
        DeskloomError: told,
        RequestValidationError: invalid,
        HTTPException: refused,
    }
    for kind, handler in handlers.items():
        api.add_exception_handler(kind, handler)


async def _deliver(connection: HTTPConnection, response: Response) -> Response | None:
    if isinstance(connection, WebSocket):
        await connection.send_denial_response(response)
        return None
    return response


def _plain(value: Any) -> Any:
    """The value as JSON if it is plain, else None: objects may hold what callers are not to see."""
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, dict):
        return {str(name): _plain(entry) for name, entry in value.items()}
    return None


_OWN_WORDS: Mapping[int, str] = {
    404: "There is nothing at {path}. The paths are listed at /api/v1/openapi.json",
    405: "{path} does not answer to {method}.",
}
_DESCRIPTIONS: Mapping[int, str] = {
    401: "The credentials are missing or wrong.",
    403: "The caller's role does not reach this far.",
    404: "No such thing.",
    409: "A conflict with what is there.",
    413: "The body is too large.",
    422: "The request is wrong; `parameter` names where.",
    503: "A part that is needed is down; `component` names it.",
}
