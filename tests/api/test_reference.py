"""The OpenAPI document: as committed, as clean as it should be, and true of what is answered."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from tests.api.conftest import Shared

from deskloom.api import AREAS, health, metrics
from deskloom.api.reference import DEFAULT, reference

DOCUMENT: dict[str, Any] = json.loads(reference())
OPERATIONS = {
    operation["operationId"]: (method, path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
MONTH = "month=2025-01"
NOT_TO_BE_BILLED = ("get_invoice_csv", "get_invoice_iif")
"""There is no work in the month, so no invoice; `tests/billing` compares real ones to the byte."""
QUERIES = {"search": "q=printer"} | dict.fromkeys(
    ("get_billing_month", "get_statement", "get_invoice_csv", "get_invoice_iif", "get_invoices_zip"), MONTH
)
together = pytest.mark.asyncio(loop_scope="session")


def test_the_committed_copy_is_the_generated_one() -> None:
    """`python -m deskloom.api.reference` writes it."""
    committed = Path(__file__).parents[2] / DEFAULT
    assert committed.read_text(encoding="utf-8") == reference()


def test_the_document_names_only_canonical_paths() -> None:
    """`/api` without a version is an alias; every operation has a clean id, a tag and a description."""
    for name, (_, path, operation) in OPERATIONS.items():
        assert path.startswith("/api/v1/") or path in ("/health/live", "/health/ready", "/metrics")
        assert re.fullmatch("[a-z]+(_[a-z]+)*", name)
        assert (len(operation["tags"]), bool(operation["description"])) == (1, True)
    assert len(OPERATIONS) == sum(len(methods) for methods in DOCUMENT["paths"].values())


def test_every_error_is_documented_in_the_one_shape() -> None:
    """Every 4xx and 5xx is problem details, but for a 503 that tells the health of the parts."""
    for _, path, operation in OPERATIONS.values():
        for status, response in operation["responses"].items():
            if status < "400" or (status == "503" and "health" in path):
                continue
            assert list(response["content"]) == ["application/problem+json"], (path, status)
    assert "HTTPValidationError" not in DOCUMENT["components"]["schemas"]


def test_every_reference_leads_somewhere() -> None:
    """No `$ref` points at a schema that is not there."""
    named = set(re.findall(r'"#/components/schemas/(\w+)"', reference()))
    assert named <= DOCUMENT["components"]["schemas"].keys()


def test_examples_are_what_their_models_say() -> None:
    """Each example of a response is valid, and written as it would be answered."""
    models = {route.response_model for route in routes().values() if route.response_model}
    seen = 0
    for model in models:
        for example in getattr(model, "model_config", {}).get("json_schema_extra", {}).get("examples", []):
            adapter = TypeAdapter(model)
            assert adapter.dump_python(adapter.validate_python(example), mode="json", exclude_unset=True) == example
            seen += 1
    assert seen >= 8


def routes() -> dict[str, APIRoute]:
    """Every route by name."""
    routers = [*(area.router for area in AREAS), health.plain, metrics.router]
    return {route.name: route for router in routers for route in router.routes if isinstance(route, APIRoute)}


@together
async def test_what_is_answered_is_what_is_documented(shared: Shared) -> None:
    """Every operation that reads is asked for real; status, content type and body are as the document says."""
    ticket = (await shared.client.get("/api/tickets")).json()["items"][0]["id"]
    article = (await shared.client.get("/api/articles")).json()["items"][0]["id"]
    run = (await shared.client.get("/api/runs")).json()["items"][0]["id"]
    fill = {"source": "freshdesk", "ticket_id": ticket, "article_id": article, "run_id": run, "account_number": "10042"}
    asked = 0
    for name, (method, path, operation) in OPERATIONS.items():
        if method != "get":
            continue
        response = await shared.client.get(f"{path.format(**fill)}?{QUERIES.get(name, '')}")
        documented = operation["responses"][str(response.status_code)]
        content_type = response.headers["content-type"].partition(";")[0]
        if name in NOT_TO_BE_BILLED:
            assert (response.status_code, content_type) == (409, *documented["content"]), name
            continue
        assert (response.status_code, content_type) == (200, *documented["content"]), name
        if model := routes()[name].response_model:
            adapter: TypeAdapter[Any] = TypeAdapter(model)
            parsed = adapter.validate_json(response.content, strict=True)
            assert adapter.dump_python(parsed, mode="json", exclude_unset=True) == response.json(), name
        asked += 1
    assert asked >= 15


@together
async def test_the_served_document_is_the_reference(shared: Shared) -> None:
    """`/api/v1/openapi.json` is what is committed."""
    assert (await shared.client.get("/api/v1/openapi.json")).json() == DOCUMENT
