"""One account's limits, shared by several processes through the record: together they keep it, and it costs little."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import select
from tests.http.fault_server import FakeTime, Reply, in_turn, serve
from tests.http.test_budget import Limited

from deskloom.http import Client, normalise
from deskloom.http.ledger import Account, Loan
from deskloom.record import Record, tables
from deskloom.record.budgets import RecordLedger


class Counted(RecordLedger):
    """Counts how often it is asked."""

    asked = 0

    async def borrow(self, purse: str, account: Account, *, least: float, share: float) -> Loan:
        self.asked += 1
        return await super().borrow(purse, account, least=least, share=share)


@asynccontextmanager
async def processes(
    record: Record, url: str, time: FakeTime, *, count: int = 3, share: float = 1.0, shared: bool = True
) -> AsyncIterator[list[tuple[Client, Counted]]]:
    """Clients that know of each other by the record alone, each with a budget and connections of its own."""
    made: list[tuple[Client, Counted]] = []
    for _ in range(count):
        ledger = Counted(record, "acme", clock=time.now)
        timing = time.timing()
        given = {"ledger": ledger} if shared else {}
        made.append((Client(normalise(url), "key", rate_share=share, timing=timing, **given), ledger))
    yield made
    for client, _ in made:
        await client.aclose()


async def ask(clients: list[tuple[Client, Counted]], times: int, path: str = "/view") -> None:
    await asyncio.gather(*(client.get_json(path, kind=path) for client, _ in clients for _ in range(times)))


@pytest.mark.parametrize("share", [0.5, 1.0])
async def test_three_processes_keep_one_share(sqlite_record: Record, share: float) -> None:
    """However many processes ask at once, no minute of the account sees more than our share, and none is refused."""
    time = FakeTime()
    desk = Limited(time, 60)
    async with serve(desk) as serving, processes(sqlite_record, serving.url, time, share=share) as clients:
        await ask(clients, 60)
    assert desk.most("account") <= 60 * share
    assert (desk.refused, len(serving.requests)) == (0, 180)
    assert time.seconds <= 60 * (180 / (60 * share)) * 1.5  # and not too little is used either


async def test_without_the_record_they_overrun_it(sqlite_record: Record) -> None:
    """The same three processes without a ledger are refused: the test above can fail."""
    time = FakeTime()
    desk = Limited(time, 60)
    async with serve(desk) as serving, processes(sqlite_record, serving.url, time, shared=False) as clients:
        await ask(clients, 60)
    assert desk.refused > 0


async def test_a_loan_serves_many_requests(sqlite_record: Record) -> None:
    """Sharing costs far less than a look at the record for each request."""
    time = FakeTime()
    desk = Limited(time, 6000)
    async with serve(desk) as serving, processes(sqlite_record, serving.url, time) as clients:
        await ask(clients, 300)
    assert desk.refused == 0
    assert sum(ledger.asked for _, ledger in clients) < 900 / 20


async def test_a_process_that_died_counts_for_a_minute(sqlite_record: Record) -> None:
    """What a dead process had borrowed is taken as spent, and after a window as gone."""
    time = FakeTime()
    told = Account(spent=[(0.0, 1.0)], in_flight=0, window=60, total=60.0)
    dead, living = (RecordLedger(sqlite_record, "acme", clock=time.now) for _ in range(2))
    assert (await dead.borrow("", told, least=1, share=1)).credits == 5
    lent = [await living.borrow("", told, least=54, share=1)]  # of 60 both have spent 1, and 5 are lent
    time.seconds += 70
    lent.append(await living.borrow("", told, least=54, share=1))
    assert [loan.credits for loan in lent] == [0, 54]


async def test_a_pause_is_everybodys(sqlite_record: Record) -> None:
    """A 429 that one process met keeps the others from asking, as soon as they borrow again."""
    time = FakeTime()
    limits = {"X-RateLimit-Total": "100", "X-RateLimit-Remaining": "90", "X-RateLimit-Used-CurrentRequest": "1"}
    answers = in_turn(
        Reply(body=1, headers=limits),
        Reply(429, None, limits | {"X-RateLimit-Remaining": "0", "Retry-After": "30"}),
        Reply(body=1, headers=limits),
    )
    async with serve(answers) as serving, processes(sqlite_record, serving.url, time, count=2) as clients:
        await ask(clients[:1], 1)
        met = asyncio.create_task(ask(clients[:1], 1))
        while len(serving.requests) < 2:  # noqa: ASYNC110 - the server is a bystander and has no event to offer
            await asyncio.sleep(0)
        await met
        began = time.seconds
        await ask(clients[1:], 1)
    async with sqlite_record.reading() as tx:
        (row,) = (await tx.execute(select(tables.budgets).where(tables.budgets.c.purse == ""))).mappings()
    assert (row["total"], row["paused_until"] is not None) == (100, True)
    assert began >= 30


async def test_an_account_without_limits_is_not_held_back(sqlite_record: Record) -> None:
    """Where no header tells a limit, the ledger is not asked any more once that is known."""
    time = FakeTime()
    async with serve(in_turn(Reply(body=1))) as serving, processes(sqlite_record, serving.url, time) as clients:
        await ask(clients, 1)
        asked = [ledger.asked for _, ledger in clients]
        await ask(clients, 30)
    assert len(serving.requests) == 93
    assert [ledger.asked for _, ledger in clients] == asked
