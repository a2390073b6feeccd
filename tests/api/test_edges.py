"""What callers meet at the edges: errors in one shape, credentials, other sites' pages, bugs."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs
from tests.api.conftest import TOKEN, Served, Shared

from deskloom.api.errors import STATUS, answer
from deskloom.errors import (
    AlreadyRunning,
    DeskloomError,
    EmbedderUnavailable,
    IndexMismatch,
    RateLimited,
)
from deskloom.protocols import Purpose, Vectors

together = pytest.mark.asyncio(loop_scope="session")


@together
@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/api/nothing", 404, "not_found"),
        ("GET", "/api/v1/tickets/", 404, "not_found"),
        ("GET", "/docs", 404, "not_found"),
        ("PUT", "/api/runs", 405, "method_not_allowed"),
        ("GET", "/api/sync/tickets", 405, "method_not_allowed"),
        ("GET", "/api/runs/first", 422, "invalid"),
        ("DELETE", "/api/sync/failures/first", 422, "invalid"),
    ],
)
async def test_every_error_has_the_one_shape(shared: Shared, method: str, path: str, status: int, code: str) -> None:
    """Unknown paths and methods too."""
    response = await shared.client.request(method, path)
    body = response.json()
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    assert {name: body[name] for name in ("type", "status", "code")} == {
        "type": f"/errors/{code}",
        "status": status,
        "code": code,
    }
    assert body["title"]
    assert body["detail"].count("\n") == 0


@together
async def test_a_method_that_is_not_answered_says_which_are(shared: Shared) -> None:
    """405 carries `Allow`."""
    assert (await shared.client.get("/api/sync/kb")).headers["allow"] == "POST"


@together
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_refused(shared: Shared, chunked: bool) -> None:
    """413 in the one shape, whether the length was announced or not."""

    async def pieces() -> Any:
        for _ in range(40):
            yield b" " * 65_536

    content = pieces() if chunked else b" " * 2_000_000
    response = await shared.client.post("/api/v1/runs", content=content, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (413, "too_large")


@together
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Authorization": f"Bearer {TOKEN}"}, 200),
        ({"Authorization": f"bearer {TOKEN}"}, 200),
        ({"X-API-Key": TOKEN}, 200),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Bearer \u00fc"}, 401),
        ({"Authorization": "Basic YTpi"}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"X-API-Key": "wrong"}, 401),
    ],
)
async def test_a_local_caller_is_admin_and_a_wrong_key_is_nobody(
    shared: Shared, headers: dict[str, str], status: int
) -> None:
    """Without a credential on this machine: admin. With one: it has to be the owner's."""
    encoded = {name: value.encode() for name, value in headers.items()}
    response = await shared.client.get("/api/runs", headers=encoded)
    assert response.status_code == status
    if status == 401:
        assert response.headers["www-authenticate"] == 'Bearer realm="deskloom"'
        assert (response.json()["code"], "wrong" in response.text) == ("unauthenticated", False)


@together
@pytest.mark.parametrize(
    ("method", "path", "least"),
    [
        ("GET", "/api/search?q=printer", "viewer"),
        ("GET", "/api/tickets", "viewer"),
        ("GET", "/api/articles", "viewer"),
        ("GET", "/api/companies", "viewer"),
        ("GET", "/api/companies/10042/tickets", "viewer"),
        ("GET", "/metrics", "viewer"),
        ("GET", "/health/ready", "viewer"),
        ("GET", "/api/sync/status", "operator"),
        ("GET", "/api/runs", "operator"),
        ("GET", "/api/sync/failures", "operator"),
        ("POST", "/api/sync/tickets?limit=0", "operator"),
        ("POST", "/api/sync/failures/retry", "operator"),
    ],
)
async def test_a_role_reaches_as_far_as_the_contract_says(shared: Shared, method: str, path: str, least: str) -> None:
    """403 below the least role, which it names; nobody without a key."""
    roles = ["viewer", "agent", "operator", "admin"]
    for role in roles:
        response = await shared.keyed.request(method, path, headers={"X-API-Key": role})
        if roles.index(role) < roles.index(least):
            assert (response.status_code, response.json()["role"]) == (403, least)
        else:
            assert response.status_code in (200, 422)
    assert (await shared.keyed.request(method, path)).status_code == 401
    assert (await shared.keyed.get("/health/live")).status_code == 200


@together
@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
        ("[::1]:{port}", 200),
        ("desk.localhost", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example:{port}", 403),
        ("[::1", 403),
        ("", 403),
    ],
)
async def test_only_a_loopback_name_is_answered(shared: Shared, host: str, status: int) -> None:
    """A page that had a name of its own point here (DNS rebinding) gets nothing."""
    place = urlsplit(shared.server.url)
    response = await shared.client.get("/health/live", headers={"Host": host.format(port=place.port)})
    assert response.status_code == status


@together
@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 422),
        ("{url}", 422),
        ("https://evil.example", 403),
        ("http://127.0.0.1:1", 403),
        ("null", 403),
        ("http://[", 403),
    ],
)
async def test_a_page_of_another_site_cannot_write(shared: Shared, origin: str | None, status: int) -> None:
    """A foreign `Origin` is refused before anything is read (422: the request came through and is looked at)."""
    headers = {} if origin is None else {"Origin": origin.format(url=shared.server.url)}
    response = await shared.client.post("/api/sync/kb?limit=0", headers=headers)
    assert response.status_code == status
    assert (await shared.client.get("/api/runs", headers=headers)).status_code == 200


class Broken:
    """An embedder with a bug that shows what should not be shown."""

    name = "broken"
    dimensions = 32
    max_tokens = 64

    async def embed(self, texts: Any, purpose: Purpose = "document") -> Vectors:
        raise ZeroDivisionError("the secret is 42")

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return [(0, len(text))]

    async def aclose(self) -> None:
        return None


async def test_a_bug_answers_with_a_request_id_and_nothing_else(served: Served) -> None:
    """500 names the id under which the log has the trace; the answer holds neither trace nor message."""

    async def broken(collection: str) -> Any:
        return Broken()

    served.rig.app.search.embedder_of = broken
    with capture_logs() as log:
        response = await served.client.get("/api/search", params={"q": "printer"})
    body = response.json()
    assert (response.status_code, body["code"]) == (500, "internal")
    assert ("secret" in response.text, "ZeroDivision" in response.text) == (False, False)
    assert [entry["request_id"] for entry in log] == [body["request_id"]]
    assert (await served.client.get("/health/live")).status_code == 200


def test_the_nearest_class_decides_the_status() -> None:
    """Errors that wait say how long; a fact that is no plain value is left out."""

    def told(error: DeskloomError) -> tuple[int, str | None, Any]:
        response = answer(error)
        return response.status_code, response.headers.get("retry-after"), json.loads(bytes(response.body))

    from datetime import timedelta

    limited = told(RateLimited("acme's limit is used up.", retry_after=timedelta(seconds=1.2)))
    assert (limited[:2], limited[2]["component"]) == ((503, "2"), "source")
    assert told(EmbedderUnavailable("no model"))[2]["component"] == "embedder"
    assert told(IndexMismatch("another width"))[0] == 503
    assert "secret" not in told(AlreadyRunning("busy", owner=object(), secret_of=None))[2]
    assert told(AlreadyRunning("busy", owner=object()))[2].keys() == {"type", "title", "status", "code", "detail"}
    assert told(DeskloomError("?"))[0] == 500
    assert all(400 <= status < 600 for status in STATUS.values())


@together
async def test_a_request_that_is_no_http_does_no_harm(shared: Shared) -> None:
    """The server answers the next one."""
    place = urlsplit(shared.server.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=5)
    connection.connect()
    connection.sock.sendall(b"nonsense\r\n\r\n")
    connection.sock.shutdown(1)
    connection.close()
    assert (await shared.client.get("/health/live")).status_code == 200
