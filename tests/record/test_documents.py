"""Documents: claims, results that count only for what was claimed, and publishers that die or come too late."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import select
from tests.record.made import LATER, NOW

from deskloom.record import Record, open_record
from deskloom.record.documents import (
    Claim,
    Published,
    claim,
    counts,
    forget,
    mark_failed,
    mark_gone,
    mark_published,
    mark_stale,
    pending,
    release,
    restale,
    unpublish,
)
from deskloom.record.tables import documents

UNTIL = NOW + timedelta(minutes=10)
AFTER = UNTIL + timedelta(seconds=1)
SECTIONS = {"symptom_vec": "h1", "words": "h2"}


async def stale(record: Record, *items: str, collection: str = "tickets", now=NOW) -> None:
    async with record.transaction() as tx:
        await mark_stale(tx, collection, "desk", [(item, "") for item in items], now=now)


async def take(record: Record, owner: str = "p", *, limit: int = 10, now=NOW, **only) -> list[Claim]:
    async with record.transaction() as tx:
        until = now + timedelta(minutes=10)
        found = await claim(tx, owner=owner, limit=limit, until=until, now=now, **only)
    return sorted(found, key=lambda one: (one.collection, one.item_id))


async def publish(record: Record, *claims: Claim, sections=SECTIONS, now=NOW) -> int:
    done = [
        Published(claim=one, sections=sections, payload_hash="p", embedder="mini", rules=1, visibility="public")
        for one in claims
    ]
    async with record.transaction() as tx:
        return await mark_published(tx, done, now=now)


async def states(record: Record) -> dict[str, str]:
    async with record.reading() as tx:
        query = select(documents.c.item_id, documents.c.state).order_by(documents.c.item_id)
        return {row.item_id: row.state for row in await tx.execute(query)}


def a_claim(item: str, **changes) -> Claim:
    made = Claim(
        collection="tickets",
        source="desk",
        item_id=item,
        language="",
        version=1,
        gone=False,
        published={},
        payload_hash=None,
        embedder=None,
        rules=None,
        attempts=0,
        owner="p",
    )
    return replace(made, **changes)


async def test_stale_claimed_ready(record: Record) -> None:
    """A stale document is claimed once, published, and then ready, with the hashes its next claim will show."""
    await stale(record, "1", "2")
    assert await take(record) == [a_claim("1"), a_claim("2")]
    assert await take(record, "other") == []
    assert await publish(record, a_claim("1"), a_claim("2")) == 2
    assert await states(record) == {"1": "ready", "2": "ready"}
    await stale(record, "1", now=LATER)
    published = {"published": SECTIONS, "payload_hash": "p", "embedder": "mini", "rules": 1}
    assert await take(record, now=LATER) == [a_claim("1", version=2, **published)]


async def test_change_while_publishing(record: Record) -> None:
    """A document that changes while it is published stays stale, and its hashes are those of what was published."""
    await stale(record, "1")
    (one,) = await take(record)
    await stale(record, "1")
    assert await take(record, "other") == []
    assert await publish(record, one) == 0
    (again,) = await take(record)
    assert (again.version, again.published) == (2, SECTIONS)


async def test_gone_and_forgotten(record: Record) -> None:
    """A gone document is claimed as such and dropped once its point is deleted; one that never was is left alone."""
    await stale(record, "1")
    await publish(record, *await take(record))
    async with record.transaction() as tx:
        await mark_gone(tx, "tickets", "desk", [("1", ""), ("9", "")], now=NOW)
    assert await states(record) == {"1": "gone"}
    (one,) = await take(record)
    assert one.gone
    async with record.transaction() as tx:
        assert await forget(tx, [one]) == 1
    assert await states(record) == {}


async def test_found_to_be_gone(record: Record) -> None:
    """A stale document its publisher finds gone is dropped, not claimed for ever."""
    await stale(record, "1")
    async with record.transaction() as tx:
        assert await forget(tx, await claim(tx, owner="p", limit=1, until=UNTIL, now=NOW)) == 1
    assert await states(record) == {}


async def test_back_while_deleting(record: Record) -> None:
    """A document that comes back while its point is deleted is published whole."""
    await stale(record, "1")
    await publish(record, *await take(record))
    async with record.transaction() as tx:
        await mark_gone(tx, "tickets", "desk", [("1", "")], now=NOW)
    gone = await take(record)
    await stale(record, "1")
    async with record.transaction() as tx:
        assert await forget(tx, gone) == 0
    assert await take(record) == [a_claim("1", version=3)]


async def test_dead_publisher(record: Record) -> None:
    """The claims of a publisher that died are free when their time is over, with hashes unknown."""
    await stale(record, "1")
    await publish(record, *await take(record))
    await stale(record, "1")
    assert [one.published for one in await take(record, "dies")] == [SECTIONS]
    assert await take(record, "next") == []
    assert await take(record, "next", now=AFTER) == [a_claim("1", version=2, owner="next")]


async def test_late_publisher(record: Record) -> None:
    """A publisher that comes back after its claim was taken over makes the document stale with hashes unknown."""
    await stale(record, "1")
    late = await take(record, "late")
    early = await take(record, "early", now=AFTER)
    assert await publish(record, *late) == 0
    assert await publish(record, *early) == 0
    assert await take(record, now=AFTER) == [a_claim("1", version=3)]


async def test_late_publisher_of_a_finished_document(record: Record) -> None:
    """It does so too when the other is done already, and even when the document was forgotten: its point is back."""
    await stale(record, "1", "2")
    late = await take(record, "late")
    early = await take(record, "early", now=AFTER)
    assert await publish(record, early[0]) == 1
    async with record.transaction() as tx:
        assert await forget(tx, [early[1]]) == 1
    assert await publish(record, *late) == 0
    assert await states(record) == {"1": "stale", "2": "gone"}
    assert [one.published for one in await take(record, now=AFTER)] == [{}, {}]


async def test_release(record: Record) -> None:
    """A publisher that stops gives its claims back; what it may have written half is written whole again."""
    await stale(record, "1")
    await publish(record, *await take(record))
    await stale(record, "1", "2")
    assert len(await take(record, "stops")) == 2
    async with record.transaction() as tx:
        assert await release(tx, "another") == 0
        assert await release(tx, "stops") == 2
    assert await take(record) == [a_claim("1", version=2), a_claim("2")]
    async with record.transaction() as tx:
        assert await release(tx, None) == 2


async def test_failure_is_tried_again_later(record: Record) -> None:
    """A failed document is due at its next attempt, with its attempts counted and its hashes kept."""
    await stale(record, "1")
    await publish(record, *await take(record))
    await stale(record, "1")
    (one,) = await take(record)
    async with record.transaction() as tx:
        await mark_failed(tx, one, "no", next_attempt_at=LATER, now=NOW)
    assert await take(record, now=LATER - timedelta(seconds=1)) == []
    assert [(again.attempts, again.published) for again in await take(record, now=LATER)] == [(1, SECTIONS)]


async def test_failure_for_good(record: Record) -> None:
    """A document with nothing to publish waits for a change, and its change starts its attempts anew."""
    await stale(record, "1")
    (one,) = await take(record)
    async with record.transaction() as tx:
        await mark_failed(tx, one, "Empty content", next_attempt_at=None, now=NOW, unpublished=True)
    assert await states(record) == {"1": "failed"}
    assert await take(record, now=AFTER) == []
    await stale(record, "1")
    assert await take(record) == [a_claim("1", version=2)]


async def test_failed_deletion_is_never_given_up(record: Record) -> None:
    """A point that could not be deleted is tried again a day later."""
    await stale(record, "1")
    await publish(record, *await take(record))
    async with record.transaction() as tx:
        await mark_gone(tx, "tickets", "desk", [("1", "")], now=NOW)
    (one,) = await take(record)
    async with record.transaction() as tx:
        await mark_failed(tx, one, "no", next_attempt_at=None, now=NOW)
    assert await take(record, now=NOW + timedelta(hours=23)) == []
    assert len(await take(record, now=NOW + timedelta(hours=24))) == 1


async def test_failure_of_what_changed(record: Record) -> None:
    """A failure does not count against content that came after it; a failure of a lost claim counts for nothing."""
    await stale(record, "1")
    (one,) = await take(record)
    await stale(record, "1")
    async with record.transaction() as tx:
        await mark_failed(tx, replace(one, owner="stranger"), "no", next_attempt_at=None, now=NOW)
    assert await take(record, "other") == []
    async with record.transaction() as tx:
        await mark_failed(tx, one, "no", next_attempt_at=None, now=NOW)
    assert await take(record) == [a_claim("1", version=2)]


async def test_longest_waiting_first(record: Record) -> None:
    """Claims come in the order of waiting; a document that changes again does not lose its place."""
    await stale(record, "1", now=NOW)
    await stale(record, "2", now=NOW + timedelta(minutes=1))
    await stale(record, "1", now=NOW + timedelta(minutes=2))
    assert [one.item_id for one in await take(record, limit=1, now=LATER)] == ["1"]


async def test_only_one_collection_or_source(record: Record) -> None:
    """Claims and counts can be kept to a collection or a source."""
    await stale(record, "1")
    await stale(record, "2", collection="kb")
    assert [one.item_id for one in await take(record, collection="kb")] == ["2"]
    assert await take(record, source="another") == []
    async with record.reading() as tx:
        assert (await pending(tx), await pending(tx, collection="kb"), await pending(tx, source="no")) == (2, 1, 0)
        assert await counts(tx) == {("kb", "desk", "stale"): 1, ("tickets", "desk", "stale"): 1}


async def test_restale_and_unpublish(record: Record) -> None:
    """Restale keeps what is known of the index; unpublish forgets it. Neither brings back what is gone."""
    await stale(record, "1", "2")
    await publish(record, *await take(record))
    async with record.transaction() as tx:
        await mark_gone(tx, "tickets", "desk", [("2", "")], now=NOW)
        assert await restale(tx, "tickets", now=NOW, source="desk") == 1
    assert await states(record) == {"1": "stale", "2": "gone"}
    first = await take(record)
    assert [one.published for one in first] == [SECTIONS, SECTIONS]
    assert await publish(record, first[0]) == 1
    async with record.transaction() as tx:
        assert await unpublish(tx, "tickets") == 2
    assert await states(record) == {"1": "stale", "2": "gone"}
    assert [one.published for one in await take(record, now=AFTER)] == [{}, {}]


async def test_many(record: Record) -> None:
    """More documents than one statement holds."""
    await stale(record, *(str(number) for number in range(1200)))
    claims = await take(record, limit=2000)
    assert len(claims) == 1200
    assert await publish(record, *claims) == 1200


async def test_publishers_at_once_share_the_work(record_url: str) -> None:
    """Publishers claiming at the same time, on connections of their own, never claim the same document."""
    records = [open_record(record_url) for _ in range(3)]
    try:
        await stale(records[0], *(str(number) for number in range(60)))
        taken = await asyncio.gather(*(take(record, f"p{place}", limit=10) for place, record in enumerate(records * 2)))
        items = [one.item_id for claims in taken for one in claims]
        assert (len(items), len(set(items))) == (60, 60)
    finally:
        for record in records:
            await record.aclose()
