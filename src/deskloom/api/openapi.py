"""The OpenAPI document: what FastAPI finds, with the one shape of errors and the credentials put in."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from deskloom.api.errors import Problem, documented

ABOUT = """\
Every path under `/api/v1` is also there under `/api`. Times are UTC, ISO 8601 with `Z`; a time you give may carry any
offset. Unknown query parameters are ignored, unknown body members refused. Every error is `application/problem+json`.
Runs can also be followed over a WebSocket at `/api/v1/runs/{run_id}/events`, with the same messages as the events.
"""
CREDENTIALS = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key."},
}
_FASTAPI_ERRORS = ("HTTPValidationError", "ValidationError")


def describe(api: FastAPI) -> dict[str, Any]:
    """The document, made once."""
    if api.openapi_schema is None:
        document = get_openapi(
            title=api.title, version=api.version, description=ABOUT, routes=api.routes, tags=api.openapi_tags
        )
        schemas = document["components"]["schemas"]
        for name in _FASTAPI_ERRORS:
            schemas.pop(name, None)
        _, shapes = models_json_schema([(Problem, "serialization")], ref_template="#/components/schemas/{model}")
        schemas |= shapes["$defs"]
        for operations in document["paths"].values():
            for operation in operations.values():
                if "422" in operation["responses"]:
                    operation["responses"]["422"] = documented(422)
                operation["responses"] = dict(sorted(operation["responses"].items()))
        document["components"]["securitySchemes"] = CREDENTIALS
        document["security"] = [{}, {"key": []}, {"header": []}]
        api.openapi_schema = document
    return api.openapi_schema
