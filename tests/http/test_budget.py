"""The rate limit is a limit: what is learned from headers, and that it is never overrun."""

from __future__ import annotations

import asyncio

import pytest
from tests.http.fault_server import FakeTime, Reply, Request, in_turn, serve

from deskloom.http import Client, Meter, metered, normalise


class Limited:
    """A helpdesk with fixed one-minute windows, for the account and for one endpoint, that counts what it gets."""

    def __init__(self, time: FakeTime, total: int, *, lists: int | None = None, shown: str = "account") -> None:
        self.time, self.total, self.lists, self.shown = time, total, lists, shown
        self.used: dict[tuple[str, int], int] = {}
        self.refused = 0

    def __call__(self, request: Request) -> Reply:
        window = int(self.time.seconds // 60)
        cost = 7 if "include" in request.target else 1
        of_list = self.lists is not None and request.target.startswith("/list")
        keys = [("account", self.total)] + ([("list", self.lists or 0)] if of_list else [])
        full = any(self.used.get((name, window), 0) + cost > most for name, most in keys)
        if not full:
            for name, _ in keys:
                self.used[name, window] = self.used.get((name, window), 0) + cost
        name, most = keys[-1] if self.shown == "endpoint" else keys[0]
        headers = {
            "X-RateLimit-Total": f"{most}.0",
            "X-Ratelimit-Remaining": str(most - self.used.get((name, window), 0)),
            "X-RateLimit-Used-CurrentRequest": "0" if full else str(cost),
        }
        if full:
            self.refused += 1
            return Reply(429, None, headers | {"Retry-After": str(60 - self.time.seconds % 60)})
        return Reply(body=1, headers=headers)

    def most(self, name: str) -> int:
        return max(used for (which, _), used in self.used.items() if which == name)


@pytest.mark.parametrize("share", [0.5, 0.8, 1.0])
async def test_t38_the_share_is_never_exceeded(share: float) -> None:
    """However many requests are waiting, no minute of the account sees more than our share, and none is refused."""
    time = FakeTime()
    desk = Limited(time, 50)
    async with serve(desk) as serving:
        client = Client(normalise(serving.url), "key", rate_share=share, concurrency=8, timing=time.timing())
        await asyncio.gather(*(client.get_json("/view", kind="view") for _ in range(120)))
        await client.aclose()
    assert 0.8 * 50 * share <= desk.most("account") <= 50 * share
    assert (desk.refused, len(serving.requests)) == (0, 120)
    assert time.seconds <= 60 * (120 / (50 * share))  # and none of it is wasted either


async def test_t37_the_cost_is_what_the_helpdesk_counted() -> None:
    """A guess of 1 credit for a call that costs 7 is corrected by the first answer."""
    time = FakeTime()
    desk = Limited(time, 50)
    async with serve(desk) as serving:
        client = Client(normalise(serving.url), "key", rate_share=1, timing=time.timing())
        with metered(Meter()) as meter:
            await asyncio.gather(
                *(client.get_json("/list", {"include": "a,b,c"}, kind="list", cost=1) for _ in range(20))
            )
        await client.aclose()
    assert (desk.most("account"), desk.refused, meter.credits) == (49, 0, 140)


async def test_nothing_is_sent_side_by_side_before_the_first_answer() -> None:
    """The first request of an account goes alone; after its answer others go side by side."""
    headers = {"X-RateLimit-Total": "100", "X-RateLimit-Remaining": "99"}
    busy: list[int] = []

    async with serve(in_turn(Reply(body=1, headers=headers))) as serving:
        client = Client(normalise(serving.url), "key", concurrency=4, timing=FakeTime().timing())
        first = asyncio.create_task(client.get_json("/view", kind="view"))
        others = [asyncio.create_task(client.get_json("/view", kind="view")) for _ in range(8)]
        await first
        busy.append(len(serving.requests))
        await asyncio.gather(*others)
        await client.aclose()
    assert busy == [1]
    assert 1 < serving.most_at_once <= 4


async def test_t8_a_smaller_total_is_the_endpoints() -> None:
    """An endpoint that shows its own sub-limit is held to it, and the rest of the account is not."""
    time = FakeTime()
    desk = Limited(time, 200, lists=20, shown="endpoint")
    async with serve(desk) as serving:
        client = Client(normalise(serving.url), "key", rate_share=0.5, timing=time.timing())
        await client.get_json("/view", kind="view")
        await asyncio.gather(
            *(client.get_json("/list", kind="list") for _ in range(25)),
            *(client.get_json("/view", kind="view") for _ in range(60)),
        )
        await client.aclose()
    assert 8 <= desk.most("list") <= 10
    assert desk.refused == 0
    assert desk.most("account") > 50


async def test_a_hidden_sub_limit_only_costs_waits() -> None:
    """A sub-limit that no header shows ends in 429s, which are waited out; every request is answered."""
    time = FakeTime()
    desk = Limited(time, 200, lists=20)
    async with serve(desk) as serving:
        client = Client(normalise(serving.url), "key", rate_share=1, timing=time.timing())
        answers = await asyncio.gather(*(client.get_json("/list", kind="list") for _ in range(70)))
        await client.aclose()
    assert [answer.body for answer in answers] == [1] * 70
    assert desk.refused <= 3 * 8  # per minute: those that were on their way together


async def test_what_others_use_is_left_to_them() -> None:
    """When other programs have used the minute up, we wait for the next one instead of asking in vain."""
    time = FakeTime()
    desk = Limited(time, 50)
    async with serve(desk) as serving:
        client = Client(normalise(serving.url), "key", rate_share=0.8, timing=time.timing())
        desk.used["account", 0] = 49
        await client.get_json("/view", kind="view")
        await asyncio.gather(*(client.get_json("/view", kind="view") for _ in range(10)))
        await client.aclose()
    assert desk.refused == 0
    assert desk.used == {("account", 0): 50, ("account", 1): 10}


async def test_a_limit_below_one_request_does_not_stop_everything() -> None:
    """A share smaller than the cost of a call still lets one call through at a time."""
    time = FakeTime()
    desk = Limited(time, 10)
    async with serve(desk) as serving:
        client = Client(normalise(serving.url), "key", rate_share=0.1, timing=time.timing())
        for _ in range(3):
            await client.get_json("/list", {"include": "a"}, kind="list")
        await client.aclose()
    assert (desk.refused, len(serving.requests)) == (0, 3)


async def test_an_account_without_limits_is_not_held_back() -> None:
    """Where no header tells a limit, only the number of requests at a time is bounded."""
    time = FakeTime()
    async with serve(in_turn(Reply(body=1))) as serving:
        client = Client(normalise(serving.url), "key", concurrency=4, timing=time.timing())
        await asyncio.gather(*(client.get_json("/view", kind="view") for _ in range(100)))
        await client.aclose()
    assert (time.sleeps, serving.most_at_once) == ([], 4)


async def test_a_cancelled_request_gives_its_place_back() -> None:
    """Stopping a run in mid-request leaves the budget usable for the others."""
    time = FakeTime()
    async with serve(in_turn(Reply(hang=True), Reply(body=1, headers={"X-RateLimit-Total": "50"}))) as serving:
        client = Client(normalise(serving.url), "key", timing=time.timing())
        stuck = asyncio.create_task(client.get_json("/view", kind="view"))
        while not serving.requests:  # noqa: ASYNC110 - the server is a bystander and has no event to offer
            await asyncio.sleep(0)
        stuck.cancel()
        await asyncio.gather(stuck, return_exceptions=True)
        assert (await client.get_json("/view", kind="view")).body == 1
        await client.aclose()
