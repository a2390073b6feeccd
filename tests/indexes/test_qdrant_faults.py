"""What can go wrong with a Qdrant server ends in a sentence that says what to do, and loses nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from qdrant_client import models
from tests.contracts.index import NAME, SCHEMA, contents, point, uid
from tests.indexes.qdrant_stub import Fault, QdrantStub

from deskloom.errors import (
    AccessRefused,
    CredentialsRefused,
    DeskloomError,
    IndexMismatch,
    IndexUnavailable,
    NotFound,
    SettingInvalid,
    WrongProduct,
)
from deskloom.http.networks import is_private
from deskloom.http.timing import Timing
from deskloom.indexes.qdrant import QdrantIndex
from deskloom.indexes.qdrant_server import open_qdrant
from deskloom.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")


@pytest.fixture
def stub() -> Iterator[QdrantStub]:
    with QdrantStub() as stub:
        yield stub


@pytest.fixture
def waits() -> list[float]:
    """The seconds that were slept, one entry a try."""
    return []


@pytest.fixture
async def index(stub: QdrantStub, waits: list[float]) -> AsyncIterator[QdrantIndex]:
    index = opened(stub.url, waits, qdrant_timeout=1)
    await index.prepare(SCHEMA)
    yield index
    await index.aclose()


def opened(url: str, waits: list[float], **settings: Any) -> QdrantIndex:
    async def sleep(seconds: float) -> None:
        waits.append(round(seconds, 3))

    chosen = Settings(_env_file=None, index="qdrant", qdrant_url=url, **settings)
    return open_qdrant(chosen, timing=Timing(sleep=sleep, chance=lambda: 0.0))


@pytest.mark.parametrize(
    "fault",
    [
        Fault("/points", 500, "Service internal error: busy", times=2),
        Fault("/points", 503, times=2, body="<html>Bad gateway</html>"),
        Fault("/points", 429, "Too many requests", times=2),
        Fault("/points", 500, "Timeout error", times=2, applied=True),
    ],
    ids=["500", "503", "429", "lost answer"],
)
async def test_what_fails_in_passing_is_asked_again(
    stub: QdrantStub, index: QdrantIndex, waits: list[float], fault: Fault
) -> None:
    """Faults of a moment cost two pauses, each longer, and nobody hears of them."""
    stub.faults.append(fault)
    await index.upsert(NAME, [point(1), point(2)])
    assert (waits, await contents(index)) == ([0.5, 1.0], {1: {"n": 1}, 2: {"n": 2}})


async def test_a_server_that_hangs_is_asked_again(stub: QdrantStub, index: QdrantIndex, waits: list[float]) -> None:
    """A request without an answer is given up after QDRANT_TIMEOUT and made again."""
    stub.faults.append(Fault("PUT /collections/" + await _physical(stub) + "/points", hang=True))
    await index.upsert(NAME, [point(1)])
    assert (waits, await contents(index)) == ([0.5], {1: {"n": 1}})


async def test_a_server_that_stays_broken_is_named(stub: QdrantStub, index: QdrantIndex, waits: list[float]) -> None:
    """After all tries the error names the server and its reason, and when to come again."""
    stub.faults.append(Fault("/points", 500, "Service internal error: shard is dead", times=99))
    with pytest.raises(IndexUnavailable) as failed:
        await index.upsert(NAME, [point(1)])
    assert failed.value.message == (
        f"Qdrant at 127.0.0.1:{stub.port} answered 500: Service internal error: shard is dead."
    )
    assert (failed.value.component, failed.value.retry_after, waits) == (
        "index",
        timedelta(seconds=10),
        [0.5, 1.0, 2.0],
    )


async def test_a_search_waits_for_one_more_try_only(stub: QdrantStub, index: QdrantIndex, waits: list[float]) -> None:
    """Somebody waits for reads, so they are asked twice at most."""
    stub.faults.append(Fault("/points/count", 500, times=99))
    with pytest.raises(IndexUnavailable):
        await index.count(NAME)
    assert waits == [0.5]


async def test_a_rate_limit_is_obeyed(stub: QdrantStub, index: QdrantIndex, waits: list[float]) -> None:
    """The wait that the server names is kept if it is short; a long one is passed on to the caller."""
    stub.faults.append(Fault("/points", 429, "Rate limiting exceeded", headers={"Retry-After": "7"}))
    await index.upsert(NAME, [point(1)])
    assert waits == [7.0]
    stub.faults.append(Fault("/points", 429, "Rate limiting exceeded", headers={"Retry-After": "600"}))
    with pytest.raises(IndexUnavailable, match="Rate limiting exceeded") as failed:
        await index.upsert(NAME, [point(2)])
    assert (failed.value.retry_after, waits) == (timedelta(seconds=600), [7.0])


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("/points", 500, "Service internal error: No space left on device: WAL buffer", times=9), "has no room"),
        (Fault("/points", 507, times=9), "has no room"),
    ],
)
async def test_a_full_disk_there_is_said_at_once(
    stub: QdrantStub, index: QdrantIndex, waits: list[float], fault: Fault, said: str
) -> None:
    """A server without room is not asked again; what was there stays, and the next try after making room succeeds."""
    await index.upsert(NAME, [point(1)])
    stub.faults.append(fault)
    with pytest.raises(IndexUnavailable, match=said):
        await index.upsert(NAME, [point(2)])
    assert (waits, await contents(index)) == ([], {1: {"n": 1}})
    stub.faults.clear()
    await index.upsert(NAME, [point(2)])
    assert await index.count(NAME) == 2


async def test_refused_writes_are_final(stub: QdrantStub, index: QdrantIndex, waits: list[float]) -> None:
    """A key that may only read raises `AccessRefused` with the remedy at the first write; reading goes on."""
    stub.faults.append(Fault("/points", 403, "Forbidden: Global write access is required", times=9))
    with pytest.raises(AccessRefused, match="QDRANT_API_KEY") as failed:
        await index.upsert(NAME, [point(1)])
    assert "write access is required" in failed.value.message
    assert (failed.value.facts, waits, await index.count(NAME)) == ({"component": "index"}, [], 0)


async def test_a_wrong_key_is_final(waits: list[float]) -> None:
    """A missing or wrong key raises `CredentialsRefused` at once, without the key; the right one works."""
    with QdrantStub(key="right") as stub:
        for key in (None, "wrong-key"):
            index = opened(stub.url, waits, qdrant_api_key=key)
            with pytest.raises(CredentialsRefused, match="QDRANT_API_KEY") as failed:
                await index.prepare(SCHEMA)
            assert "wrong-key" not in failed.value.message
            await index.aclose()
        index = opened(stub.url, waits, qdrant_api_key="right")
        assert await index.prepare(SCHEMA) is True
        await index.aclose()
    assert waits == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET /", 200, body="<html>It works</html>", times=9),
        Fault("GET /", 200, body='{"name": "elastic"}', times=9),
        Fault("GET /", 404, body="<html>Not Found</html>", times=9),
        Fault("GET /", 301, body="", headers={"Location": "https://example.org"}, times=9),
        Fault("GET /", 200, body='{"title": "Weaviate", "version": "1.2.3"}', times=9),
    ],
    ids=["page", "json", "404", "redirect", "other product"],
)
async def test_what_is_no_qdrant_is_said(stub: QdrantStub, waits: list[float], fault: Fault) -> None:
    """Another server at the address raises `WrongProduct` at once, with the setting to look at."""
    stub.faults.append(fault)
    index = opened(stub.url, waits)
    with pytest.raises(WrongProduct, match=f"127.0.0.1:{stub.port} is no Qdrant.*QDRANT_URL"):
        await index.prepare(SCHEMA)
    assert waits == []
    await index.aclose()


async def test_a_server_that_forgets_metadata_is_too_old(stub: QdrantStub, waits: list[float]) -> None:
    """Without metadata a collection would not know its model: the server is refused and nothing is left on it."""
    stub.keeps_metadata = False
    index = opened(stub.url, waits)
    with pytest.raises(WrongProduct, match="too old"):
        await index.prepare(SCHEMA)
    assert (await stub.engine.get_collections()).collections == []
    await index.aclose()


async def test_a_server_that_goes_away_and_comes_back(stub: QdrantStub, index: QdrantIndex) -> None:
    """While it is away every call says that it cannot be reached; afterwards everything acknowledged is there."""
    await index.upsert(NAME, [point(1)])
    stub.stop()
    for call in (index.upsert(NAME, [point(2)]), index.count(NAME), index.prepare(SCHEMA), index.schema(NAME)):
        with pytest.raises(IndexUnavailable, match=f"Qdrant at 127.0.0.1:{stub.port} cannot be reached"):
            await call
    stub.start()
    await index.upsert(NAME, [point(3)])
    assert await contents(index) == {1: {"n": 1}, 3: {"n": 3}}


async def test_a_swap_whose_answer_is_lost_is_done_once(
    stub: QdrantStub, index: QdrantIndex, waits: list[float]
) -> None:
    """Repeating the change of aliases changes nothing more: the replaced copy is still the kept one."""
    await index.upsert(NAME, [point(1)])
    copy = await index.begin_rebuild(SCHEMA)
    await index.upsert(copy, [point(2)])
    stub.faults.append(Fault("/collections/aliases", 500, "Timeout", applied=True))
    await index.swap(NAME, copy)
    assert (waits, await contents(index)) == ([0.5], {2: {"n": 2}})
    assert await contents(index, await index.reopen_previous(NAME)) == {1: {"n": 1}}


async def test_a_server_that_died_in_a_swap_still_serves(stub: QdrantStub, index: QdrantIndex) -> None:
    """A server saves aliases one by one. After the first of a swap, both name the old copy, which goes on serving.

    Nothing is kept then, dropping what is kept does not touch what serves, and the swap can be made again.
    """
    await index.upsert(NAME, [point(1)])
    await index.swap(NAME, await index.begin_rebuild(SCHEMA))
    await index.upsert(NAME, [point(2)])
    copy = await index.begin_rebuild(SCHEMA)
    await index.upsert(copy, [point(3)])
    sent: list[list[Any]] = []
    change = stub.engine.update_collection_aliases

    async def die_after_the_first(changes: list[Any], **options: Any) -> bool:
        sent.append(changes)
        return await change(changes[:1], **options)

    stub.aliases = die_after_the_first
    await index.swap(NAME, copy)
    assert len(sent[0]) == 2
    assert (await contents(index), await index.previous(NAME)) == ({2: {"n": 2}}, None)
    with pytest.raises(NotFound):
        await index.reopen_previous(NAME)
    stub.aliases = change
    await index.swap(NAME, copy)
    assert await contents(index) == {3: {"n": 3}}
    assert await contents(index, await index.reopen_previous(NAME)) == {2: {"n": 2}}


async def test_dropping_nothing_kept_leaves_what_serves(stub: QdrantStub, index: QdrantIndex) -> None:
    """If the name of the kept copy stands for the one that serves, only the name goes."""
    await index.upsert(NAME, [point(1)])
    serving = await _physical(stub)
    named = models.CreateAlias(alias_name=f"{NAME}__previous", collection_name=serving)
    await stub.engine.update_collection_aliases([models.CreateAliasOperation(create_alias=named)])
    await index.drop_previous(NAME)
    assert await contents(index) == {1: {"n": 1}}
    assert [one.alias_name for one in (await stub.engine.get_aliases()).aliases] == [NAME]


async def test_a_creation_whose_answer_is_lost_is_done_once(stub: QdrantStub, waits: list[float]) -> None:
    """A collection that was created although the answer said otherwise is taken, not created beside."""
    index = opened(stub.url, waits)
    await index.prepare(SCHEMA)
    stub.faults.append(Fault("", 500, "Timeout", method="PUT", applied=True))
    await index.begin_rebuild(SCHEMA)
    assert (waits, len((await stub.engine.get_collections()).collections)) == ([0.5], 2)
    await index.aclose()


async def test_vectors_of_another_width_are_a_mismatch(stub: QdrantStub, index: QdrantIndex) -> None:
    """If the server says that a vector does not fit, that is `IndexMismatch` with the remedy."""
    stub.faults.append(Fault("/points", 400, "Wrong input: Vector dimension error: expected dim: 8, got 4"))
    with pytest.raises(IndexMismatch, match="deskloom reindex"):
        await index.upsert(NAME, [point(1)])


async def test_a_bad_request_is_not_repeated(stub: QdrantStub, index: QdrantIndex, waits: list[float]) -> None:
    """Any other refusal is passed on in one line, at once."""
    stub.faults.append(Fault("/points", 422, "Validation error in JSON body:\n" + "x" * 500))
    with pytest.raises(IndexUnavailable, match="Validation error") as failed:
        await index.upsert(NAME, [point(1)])
    assert waits == []
    assert "\n" not in failed.value.message
    assert len(failed.value.message) < 300


async def test_set_payload_of_a_gone_collection_says_so(stub: QdrantStub, index: QdrantIndex) -> None:
    """A collection that somebody removed on the server is `NotFound`, and `prepare` makes it anew, empty."""
    await index.upsert(NAME, [point(1)])
    await stub.engine.delete_collection(await _physical(stub))
    with pytest.raises(DeskloomError, match="Prepare it first"):
        await index.set_payload(NAME, {uid(1): {"n": 2}})
    assert await index.schema(NAME) is None
    assert await index.prepare(SCHEMA) is True


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "QDRANT_URL is not set"),
        ({"qdrant_url": "ftp://qdrant:6333"}, "QDRANT_URL is not the address"),
        ({"qdrant_url": "http://"}, "QDRANT_URL is not the address"),
        ({"qdrant_url": "http://qdrant:many"}, "QDRANT_URL cannot be read"),
        ({"qdrant_url": "http://me:pw@qdrant:6333"}, "QDRANT_API_KEY"),
        ({"qdrant_host": "a b"}, "QDRANT_HOST is not the address"),
        ({"qdrant_url": "http://qdrant.example.org:6333", "qdrant_api_key": "secret"}, "https://"),
        ({"qdrant_url": "http://qdrant", "qdrant_write_consistency": 2}, "QDRANT_WRITE_CONSISTENCY"),
    ],
)
def test_a_wrong_setting_is_named(given: dict[str, Any], said: str) -> None:
    """An address that cannot be right raises `SettingInvalid` with its name, and never shows a secret."""
    with pytest.raises(SettingInvalid, match=said) as wrong:
        open_qdrant(Settings(_env_file=None, index="qdrant", **given))
    assert "secret" not in wrong.value.message
    assert "pw" not in wrong.value.message


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({"qdrant_host": "qdrant"}, "qdrant:6333"),
        ({"qdrant_host": "qdrant", "qdrant_port": 7000}, "qdrant:7000"),
        ({"qdrant_url": "qdrant.svc:6400"}, "qdrant.svc:6400"),
        ({"qdrant_url": "https://x.cloud.qdrant.io", "qdrant_api_key": "k"}, "x.cloud.qdrant.io:6333"),
        ({"qdrant_url": "http://[::1]:6333/", "qdrant_api_key": "k"}, "[::1]:6333"),
        ({"qdrant_url": "http://10.0.0.7:6333/vectors", "qdrant_api_key": "k"}, "10.0.0.7:6333"),
    ],
)
async def test_an_address_is_understood(given: dict[str, Any], address: str) -> None:
    """What people write for a server is taken, and errors name host and port."""
    index = open_qdrant(Settings(_env_file=None, index="qdrant", **given))
    await index.aclose()
    with pytest.raises(IndexUnavailable, match=address.replace("[", r"\[").replace("]", r"\]")):
        await index.count(NAME)


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("fd00::1", True),
        ("qdrant", True),
        ("q.svc.cluster.local", True),
        ("8.8.8.8", False),
        ("qdrant.example.org", False),
    ],
)
def test_a_private_host_is_known(host: str, private: bool) -> None:
    """Only names and addresses that cannot be public count as private."""
    assert is_private(host) is private


async def _physical(stub: QdrantStub) -> str:
    return next(one.name for one in (await stub.engine.get_collections()).collections)
