"""The polite client against a server that misbehaves on demand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from tests.http.fault_server import FakeTime, Reply, Script, Serving, in_turn, serve

from deskloom.errors import AccessRefused, CredentialsRefused, SettingInvalid, SourceRejected, SourceUnavailable
from deskloom.http import Address, Answer, Client, Meter, metered, normalise

OK = Reply(body={"fine": True})
DENIED = Reply(403, {"code": "access_denied", "message": "You are not authorized to perform this action."})
PATH = "/api/v2/tickets"


@asynccontextmanager
async def asking(
    script: Script, time: FakeTime | None = None, *, retries: int = 3, timeout: float = 30
) -> AsyncIterator[tuple[Client, Serving]]:
    async with serve(script) as serving:
        client = Client(
            normalise(serving.url),
            "s3cret-key",
            retries=retries,
            timeout=timedelta(seconds=timeout),
            timing=(time or FakeTime()).timing(),
        )
        try:
            yield client, serving
        finally:
            await client.aclose()


async def test_an_answer_is_the_parsed_body() -> None:
    """A 200 gives its JSON, the helpdesk's time, and the request carried the key as the user of Basic auth."""
    reply = Reply(body=[1], headers={"Date": "Mon, 02 Nov 2026 09:00:05 GMT"})
    async with asking(in_turn(reply)) as (client, serving):
        answer = await client.get_json(PATH, {"page": 1, "updated_since": "2026-01-01T00:00:00+05:30"}, kind="list")
    assert answer == Answer(body=[1], at=datetime(2026, 11, 2, 9, 0, 5, tzinfo=UTC))
    assert serving.requests[0].target == "/api/v2/tickets?page=1&updated_since=2026-01-01T00%3A00%3A00%2B05%3A30"
    assert serving.requests[0].headers["authorization"] == "Basic czNjcmV0LWtleTpY"


@pytest.mark.parametrize(
    "fault",
    [
        Reply(500, {"code": "internal_error"}),
        Reply(502, b"<html>bad gateway</html>", content_type="text/html"),
        Reply(503, b""),
        Reply(504, b"<html>", content_type="text/html"),
        Reply(body={"a": "long body"}, cut=5),
        Reply(body=b'{"half": ', content_type="application/json; charset=utf-8"),
        Reply(body=b"<html>maintenance</html>", content_type="text/html"),
        Reply(body=b"no gzip", headers={"Content-Encoding": "gzip"}),
        Reply(reset=True),
    ],
    ids=["500", "502", "503", "504", "cut", "truncated", "html", "gzip", "reset"],
)
async def test_a_fault_is_tried_again_with_growing_waits(fault: Reply) -> None:
    """Server faults, broken connections and damaged bodies are survived: waits of 1, 2 and 4 seconds by default."""
    time = FakeTime()
    async with asking(in_turn(fault, fault, fault, OK), time) as (client, _):
        assert (await client.get_json(PATH, kind="list")).body == {"fine": True}
    assert time.sleeps == [1, 2, 4]


async def test_a_time_out_is_tried_again() -> None:
    """An answer that does not come is given up after `timeout` and asked for again."""
    async with asking(in_turn(Reply(hang=True), OK), timeout=0.1) as (client, serving):
        assert (await client.get_json(PATH, kind="list")).body == {"fine": True}
    assert len(serving.requests) == 2


async def test_tries_used_up_raise_unavailable() -> None:
    """After the last try the error names the account, what happened, how often, where, and what to do."""
    time = FakeTime(luck=0.4)
    async with asking(in_turn(Reply(503, b"", {"Retry-After": "7"})), time, retries=2) as (client, serving):
        with pytest.raises(SourceUnavailable) as caught:
            await client.get_json(PATH, kind="list")
    assert caught.value.message == (
        'Freshdesk "127.0.0.1" answered 503 after 3 tries (GET /api/v2/tickets). Try again later.'
    )
    assert caught.value.retry_after == timedelta(seconds=7)
    assert len(serving.requests) == 3
    assert time.sleeps == [7, 7]


async def test_jitter_only_lengthens_a_wait() -> None:
    """A back-off is 2^tries seconds and at most a quarter more."""
    time = FakeTime(luck=0.5)
    async with asking(in_turn(Reply(500, None), Reply(500, None), OK), time) as (client, _):
        await client.get_json(PATH, kind="list")
    assert time.sleeps == [1.125, 2.25]


async def test_t36_a_rate_limit_is_waited_out_in_full() -> None:
    """Retry-After is obeyed without a cap, as often as it takes, and never counts as a failed try."""
    time = FakeTime()
    limited = Reply(429, b"<html>", {"Retry-After": "1521"}, content_type="text/html")
    async with asking(in_turn(*[limited] * 6, OK), time, retries=1) as (client, _):
        with metered(Meter()) as meter:
            assert (await client.get_json(PATH, kind="list")).body == {"fine": True}
    assert time.sleeps == [1521] * 6
    assert (meter.calls, meter.waited_seconds) == (7, 6 * 1521)


async def test_a_rate_limit_may_name_a_date() -> None:
    """Retry-After as an HTTP date is read against the helpdesk's own Date, whatever our clock says."""
    time = FakeTime(seconds=1e6)
    headers = {"Date": "Mon, 02 Nov 2026 09:00:00 GMT", "Retry-After": "Mon, 02 Nov 2026 09:00:34 GMT"}
    async with asking(in_turn(Reply(429, None, headers), OK), time) as (client, _):
        await client.get_json(PATH, kind="list")
    assert time.sleeps == [34]


async def test_a_rate_limit_without_a_time_is_waited_out_blindly() -> None:
    """A 429 that names no time is asked again after 1, 2, 4 … seconds."""
    time = FakeTime()
    async with asking(in_turn(*[Reply(429, None)] * 3, OK), time) as (client, _):
        await client.get_json(PATH, kind="list")
    assert time.sleeps == [1, 2, 4]


async def test_a_wait_is_told_while_it_lasts() -> None:
    """While a run waits, its meter says until when and for what; afterwards nothing is left of it."""
    time, seen = FakeTime(), []
    timing = time.timing()
    meter = Meter()

    async def sleep(seconds: float) -> None:
        seen.append((meter.waiting_until, meter.waiting_for))
        await time.sleep(seconds)

    async with serve(in_turn(Reply(429, None, {"Retry-After": "34"}), OK)) as serving:
        client = Client(
            Address(serving.url, "127.0.0.1", "acme"),
            "key",
            timing=type(timing)(now=timing.now, monotonic=timing.monotonic, sleep=sleep, chance=timing.chance),
        )
        with metered(meter):
            await client.get_json(PATH, kind="list")
        await client.aclose()
    assert seen == [(datetime(2026, 11, 2, 9, 0, 34, tzinfo=UTC), "waiting 34 s for acme's rate limit")]
    assert (meter.waiting_until, meter.waiting_for, meter.waited_seconds) == (None, None, 34)


async def test_refused_credentials_raise_at_once() -> None:
    """A 401 is not tried again, and the key is not in the sentence."""
    async with asking(in_turn(Reply(401, {"code": "invalid_credentials", "message": "no"}))) as (client, serving):
        with pytest.raises(CredentialsRefused) as caught:
            await client.get_json("/api/v2/agents/me", kind="me")
    assert caught.value.message == (
        'Freshdesk "127.0.0.1" refused the API key (401 from /api/v2/agents/me). '
        "Set a working key of an agent in FRESHDESK_API_KEY or deskloom.toml."
    )
    assert len(serving.requests) == 1


async def test_a_plan_gate_raises_at_once_with_the_remedy() -> None:
    """403 with `require_feature` does not pass by itself, so it is not tried again (T39)."""
    async with asking(in_turn(Reply(403, {"code": "require_feature", "message": "x"}))) as (client, serving):
        with pytest.raises(AccessRefused) as caught:
            await client.get_json(PATH, kind="list")
    assert caught.value.message == (
        'Freshdesk "127.0.0.1" does not let this key read /api/v2/tickets (403, require_feature). '
        "The account's plan lacks this feature; use a plan that has it."
    )
    assert len(serving.requests) == 1


async def test_t40_a_passing_refusal_is_survived() -> None:
    """403 access_denied is tried again a few times, since it has been seen to pass."""
    async with asking(in_turn(DENIED, DENIED, OK)) as (client, _):
        assert (await client.get_json(PATH, kind="list")).body == {"fine": True}


async def test_t39_a_lasting_refusal_fails_loudly() -> None:
    """403 access_denied that stays is an error with the remedy, never an empty answer; patience can be shortened."""
    async with asking(in_turn(DENIED)) as (client, serving):
        with pytest.raises(AccessRefused) as caught:
            await client.get_json(PATH, kind="list", refusals=1)
    assert caught.value.message == (
        'Freshdesk "127.0.0.1" does not let this key read /api/v2/tickets (403, access_denied) after 2 tries. '
        "Use the API key of an agent whose role may read this."
    )
    assert len(serving.requests) == 2


async def test_t41_what_is_not_there_is_a_result() -> None:
    """A 404 is not an error of the client, and its body is never parsed."""
    async with asking(in_turn(Reply(404, b"<html>", content_type="text/html"))) as (client, _):
        assert await client.get_json(PATH, kind="view") == Answer(body=None, found=False)


async def test_a_request_that_is_wrong_names_the_fields() -> None:
    """A 400 raises at once and tells field, message and code as the helpdesk gave them."""
    error = {"field": "page", "message": "You cannot access tickets beyond the 300th page.", "code": "invalid_value"}
    reply = Reply(400, {"description": "Validation failed", "errors": [error]})
    async with asking(in_turn(reply)) as (client, _):
        with pytest.raises(SourceRejected) as caught:
            await client.get_json(PATH, kind="list")
    assert caught.value.facts == {"status": 400, "path": PATH, "fields": [error]}
    assert "page: You cannot access tickets beyond the 300th page. (invalid_value)" in caught.value.message


async def test_a_redirect_is_a_wrong_domain() -> None:
    """A redirect is not followed: the key goes to the configured account only."""
    async with asking(in_turn(Reply(302, b"", {"Location": "http://127.0.0.1:9/x"}))) as (client, _):
        with pytest.raises(SettingInvalid, match=r"redirect \(302 from /api/v2/tickets\)"):
            await client.get_json(PATH, kind="list")


@pytest.mark.parametrize(
    ("link", "more"),
    [
        ('<{url}/api/v2/tickets?page=2>;rel="next"', True),
        ('< {url}/api/v2/tickets?page=2>; rel="next"', True),
        ("<{url}/x?page=2>; rel=next", True),
        ('<{url}/x?page=1>; rel="prev"', False),
        ('<https://elsewhere.example/x?page=2>; rel="next"', False),
        (None, None),
    ],
)
async def test_a_link_header_tells_whether_there_is_more(link: str | None, more: bool | None) -> None:
    """Both ways of writing the header are read, and a link to another host is not trusted."""
    url = ""

    def script(_: object) -> Reply:
        return Reply(body=[], headers={"Link": link.format(url=url)} if link else {})

    async with asking(script) as (client, serving):
        url = serving.url
        assert (await client.get_json(PATH, kind="list")).more is more


async def test_an_unreachable_host_says_so() -> None:
    """Nobody listening is told apart from a fault of the helpdesk."""
    async with serve(in_turn(OK)) as serving:
        url = serving.url
    client = Client(normalise(url), "key", retries=1, timing=FakeTime().timing())
    with pytest.raises(SourceUnavailable) as caught:
        await client.get_json(PATH, kind="list")
    await client.aclose()
    assert caught.value.message == (
        'Freshdesk "127.0.0.1" cannot be reached: no connection to 127.0.0.1 after 2 tries (GET /api/v2/tickets). '
        "Check FRESHDESK_DOMAIN and the network."
    )


async def test_a_name_that_does_not_resolve_says_so() -> None:
    """A mistyped domain is told apart from a network that is down."""
    address = Address("http://acme.invalid", "acme.invalid", "acme")
    client = Client(address, "key", retries=0, timing=FakeTime().timing())
    with pytest.raises(SourceUnavailable, match=r"cannot be found: no host is called acme\.invalid"):
        await client.get_json(PATH, kind="list")
    await client.aclose()


async def test_t49_no_key_and_no_body_reaches_a_log_or_an_error(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever fails, at any log level: neither the key nor what the helpdesk sent appears anywhere."""
    secret = b'{"attachment_url": "https://files.example/signed?token=abc'
    caplog.set_level(logging.DEBUG)
    async with asking(in_turn(Reply(500, secret), Reply(body=secret)), retries=1) as (client, _):
        with pytest.raises(SourceUnavailable) as caught:
            await client.get_json(PATH, kind="list")
    told = caplog.text + caught.value.message + str(caught.value.facts) + repr(client)
    assert not [word for word in ("s3cret-key", "czNjcmV0", "signed", "attachment_url") if word in told]
    assert caught.value.__cause__ is None


async def test_runs_on_one_client_count_apart() -> None:
    """Two runs that share the account's client each see their own calls and credits."""
    reply = Reply(body=1, headers={"X-RateLimit-Used-CurrentRequest": "3"})

    async def run(calls: int) -> Meter:
        with metered(Meter()) as meter:
            await asyncio.gather(*(client.get_json(PATH, kind="list") for _ in range(calls)))
        return meter

    async with asking(in_turn(reply)) as (client, _):
        first, second = await asyncio.gather(run(2), run(5))
    assert (first.calls, first.credits, second.calls, second.credits) == (2, 6, 5, 15)
