"""Time entries of a Freshdesk account: what a sheet holds, what a read costs, and what cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sources.desk import NOW, empty_desk, put_entry, put_ticket, reading, stamp, timing_of

from deskloom.errors import InvalidRequest, SourceUnavailable, Unreadable, WindowStuck
from deskloom.http import Client, normalise
from deskloom.model import Kind, TimeEntry, TimeSheet
from deskloom.protocols import Source, nothing_known
from deskloom.sandbox import Desk, Fault, SandboxServer, Switches
from deskloom.sandbox.freshdesk.edits import perform
from deskloom.sources.freshdesk.hours import FOUNDED, HoursStream, month_of, spans_from
from deskloom.sources.freshworks.durations import LONGEST, parse_duration, seconds_spent
from deskloom.sources.freshworks.reader import FRESHDESK, Params, Reader, Rows
from deskloom.sources.freshworks.timesheets import to_sheet

OCTOBER, NOVEMBER, DECEMBER = (datetime(2026, month, 1, tzinfo=UTC) for month in (10, 11, 12))


def a_desk(*worked: str | None, **switches: Any) -> Desk:
    """An account with one ticket and an entry for each of these work dates, 81001 on."""
    desk = empty_desk(switches=Switches(**switches))
    put_ticket(desk, 1, 0)
    for number, at in enumerate(worked):
        put_entry(desk, 81_001 + number, 1, at)
    return desk


async def sheets(source: Source, after: Any = None, **options: Any) -> tuple[list[TimeSheet], Any]:
    """The sheets of one read, and the cursor after it."""
    found: list[TimeSheet] = []
    async for page in source.read("hours", after, **options):
        found += [record for record in page.records if isinstance(record, TimeSheet)]
        after = page.cursor
    return found, after


def ids(sheet: Any) -> list[int]:
    return [entry.external_id for entry in sheet.entries]


# ---------------------------------------------------------------------------------------------------------- durations


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("00:00", 0),
        ("01:30", 5400),
        ("1:05", 3900),
        ("123:45", 445500),
        ("00:01:43", 103),
        (" 02:00 ", 7200),
        ("5400", 5400),
        (5400, 5400),
        (5400.0, 5400),
        (0, 0),
        (LONGEST, LONGEST),
        (LONGEST + 1, None),
        (-60, None),
        ("-01:30", None),
        ("01:60", None),
        ("1:5", None),
        ("01:30:60", None),
        ("1.5", None),
        (1.5, None),
        ("99999999999:00", None),
        ("two hours", None),
        ("", None),
        (None, None),
        (True, None),
        ("١:٣٠", None),
    ],
)
def test_durations_in_every_form(told: Any, seconds: int | None) -> None:
    """hh:mm, hh:mm:ss and seconds are understood, of any number of hours up to a year; nothing else is guessed."""
    assert parse_duration(told) == seconds


@given(seconds=st.integers(0, LONGEST))
def test_a_duration_is_read_as_it_was_written(seconds: int) -> None:
    """Any number of seconds comes back from its text, and from its text to the minute as whole minutes."""
    hours, minutes, rest = seconds // 3600, seconds % 3600 // 60, seconds % 60
    assert parse_duration(f"{hours:02}:{minutes:02}:{rest:02}") == seconds
    assert parse_duration(f"{hours:02}:{minutes:02}") == seconds - rest


def test_t35_seconds_go_before_minutes() -> None:
    """HELPDESK-APIS T35: "00:01" are 103 seconds where the account says so; without that it is a minute."""
    assert seconds_spent({"id": 1, "time_spent": "00:01", "time_spent_in_seconds": 103}) == 103
    assert seconds_spent({"id": 1, "time_spent": "00:01", "time_spent_in_seconds": None}) == 60


@pytest.mark.parametrize(
    ("told", "shown"), [(-5, "-5"), ("soon", '"soon"'), (None, "None"), ("x" * 99, f'"{"x" * 20}"')]
)
def test_an_odd_duration_is_named(told: Any, shown: str) -> None:
    """The entry and what it says are named, shortly, with what would be right."""
    with pytest.raises(Unreadable, match=r"Time entry 7 gives .* Correct it at the helpdesk") as raised:
        seconds_spent({"id": 7, "time_spent": told})
    assert f"gives {shown} as its duration" in raised.value.message


def test_a_sheet_is_made_of_every_row() -> None:
    """Running timers are left out, odd rows stand apart with their ticket, and a ticket's rows need not name it."""
    row = {"id": 3, "time_spent": "00:10", "billable": False, "note": "", "executed_at": "2026-10-02T00:00:00+05:30"}
    rows = [row, {"id": 2, "timer_running": True}, {"id": 1, "time_spent": "?"}]
    sheet = to_sheet(rows, ticket_id=9)
    moment = datetime(2026, 10, 1, 18, 30, tzinfo=UTC)
    entry = TimeEntry(external_id=3, ticket_id=9, seconds=600, billable=False, worked_at=moment, raw=row)
    assert (sheet.entries, sheet.unread.keys(), sheet.stamp) == ((entry,), {1}, None)
    assert sheet.unread[1][0] == 9
    assert to_sheet([row]).unread == {3: (None, "Time entry 3 names no ticket.")}


# ------------------------------------------------------------------------------------------------------------ reading


def test_months_follow_each_other() -> None:
    """Spans meet without a gap, each begins with its month, and the last is open to the future."""
    start = datetime(2024, 1, 31, 5, tzinfo=UTC)
    found = list(spans_from(month_of(start), NOW))
    assert found[0][0] == datetime(2024, 1, 1, tzinfo=UTC)
    assert [before for _, before in found[:-1]] == [since for since, _ in found[1:]]
    assert {since.day for since, _ in found if since} == {1}
    assert found[-1] == (DECEMBER, None)
    assert len(found) == 36


@pytest.mark.parametrize("inclusive", [True, False])
async def test_the_edges_of_a_month(inclusive: bool) -> None:
    """The first second of a month belongs to it, whatever the account makes of its bounds; each entry comes once."""
    desk = a_desk(
        "2026-09-30T23:59:59Z", "2026-10-01T00:00:00Z", "2026-10-31T23:59:59Z", "2026-11-01T00:00:00Z",
        "2027-03-01T00:00:00Z", executed_inclusive=inclusive,
    )  # fmt: skip
    async with reading(desk) as source:
        found, _ = await sheets(source)
    assert {(sheet.since, sheet.before): ids(sheet) for sheet in found} == {
        (None, datetime(2026, 9, 1, tzinfo=UTC)): [],
        (datetime(2026, 9, 1, tzinfo=UTC), OCTOBER): [81_001],
        (OCTOBER, NOVEMBER): [81_002, 81_003],
        (NOVEMBER, DECEMBER): [81_004],
        (DECEMBER, None): [81_005],
    }


@pytest.mark.parametrize(
    ("worked", "months"),
    [((), 1), (("2010-01-01T00:00:00Z",), 203), (("1999-01-01T00:00:00Z",), 203), (("2026-11-20T00:00:00Z",), 1)],
)
async def test_everything_from_the_first_entry_on(worked: Sequence[str], months: int) -> None:
    """The first month is found with at most nine calls; what is older than Freshdesk is one span."""
    desk = a_desk(*worked, hours_window=True)
    async with reading(desk) as source:
        found, _ = await sheets(source)
    assert len(found) == months + 2
    assert [key for sheet in found for key in ids(sheet)] == [81_001 + key for key in range(len(worked))]
    assert desk.calls.endpoints["GET /time_entries"] <= months + 2 + 9
    assert found[1].since == (FOUNDED if months > 1 else NOVEMBER)


async def test_later_reads_go_back_so_many_days() -> None:
    """A month is read again from that of `days` before the last read on; what is equal to what is known is skipped."""
    desk = a_desk("2025-01-10T00:00:00Z", "2026-10-02T00:00:00Z")
    async with reading(desk, hours_days=40) as source:
        kept, cursor = await sheets(source)
        known = {sheet.key: sheet.stamp for sheet in kept}

        async def knowing(kind: Kind, keys: Sequence[str]) -> dict[str, str]:
            return {key: known[key] for key in keys if known.get(key)}

        desk.clock.advance(timedelta(days=1))
        perform(desk, {"method": "PUT", "path": "time_entries/81001", "body": {"time_spent": "09:00"}})
        put_entry(desk, 81_003, 1, "2026-09-29T00:00:00Z")
        before = desk.calls.total
        found, cursor = await sheets(source, cursor, known=knowing)
        assert [(sheet.since, ids(sheet)) for sheet in found] == [(datetime(2026, 9, 1, tzinfo=UTC), [81_003])]
        assert desk.calls.total - before == 4
        known |= {sheet.key: sheet.stamp for sheet in found}
        assert (await sheets(source, cursor, known=knowing))[0] == []
        desk.clock.advance(timedelta(days=100))  # nobody read for a while: the window reaches back from then
        found, _ = await sheets(source, cursor)
        assert found[0].since == datetime(2026, 9, 1, tzinfo=UTC)


async def test_t35_a_running_timer_is_no_entry_yet() -> None:
    """HELPDESK-APIS T35: a running timer is in no sheet, and stands with its whole time once it is stopped."""
    desk = a_desk()
    perform(desk, {"method": "POST", "path": "tickets/1/time_entries", "body": {"timer_running": True}})
    async with reading(desk) as source:
        found, _ = await sheets(source)
        assert [ids(sheet) for sheet in found] == [[], [], []]
        assert await source.fetch("hours", "1") == TimeSheet(entries=(), ticket_id=1)
        desk.clock.advance(103)
        perform(desk, {"method": "PUT", "path": "time_entries/81001/toggle_timer"})
        own = await source.fetch("hours", "1")
    assert [entry.seconds for entry in own.entries] == [103]


async def test_a_month_of_many_pages_that_moves_while_it_is_read() -> None:
    """An entry that is deleted between two pages pulls the others up; none of them is stepped over."""
    desk = a_desk(*["2026-10-02T00:00:00Z"] * 350)
    desk.faults.before(
        r"executed_before=2026-11.*page=3", lambda: [desk.time_entries.drop(81_001 + key) for key in range(30)]
    )
    async with reading(desk) as source:
        sheet = await source.fetch("hours", f"{OCTOBER.isoformat()}/{NOVEMBER.isoformat()}")
    assert not desk.faults.hooks
    assert set(ids(sheet)) >= {81_001 + key for key in range(30, 350)}


async def test_an_entry_without_a_work_date() -> None:
    """A missing work date stays missing. No list by dates has it; the ticket's own does."""
    desk = a_desk(None)
    async with reading(desk) as source:
        own = await source.fetch("hours", "1")
        found, _ = await sheets(source)
    assert [(entry.external_id, entry.worked_at) for entry in own.entries] == [(81_001, None)]
    assert [ids(sheet) for sheet in found] == [[], [], []]


async def test_an_odd_entry_does_not_hide_the_others() -> None:
    """A duration that is none is named with its ticket; the other entries of the month are there."""
    desk = a_desk("2026-11-02T00:00:00Z", "2026-11-02T00:00:00Z")
    desk.time_entries.change(81_001, time_spent_in_seconds=-900)
    async with reading(desk) as source:
        found, _ = await sheets(source)
    assert (ids(found[1]), {key: ticket for key, (ticket, _) in found[1].unread.items()}) == ([81_002], {81_001: 1})


async def test_a_plan_without_time_entries() -> None:
    """The list is closed: one warning that says so, nothing moves, and the next read begins where this one did."""
    desk = a_desk("2026-11-01T00:00:00Z", gated=("time_entries", "tickets/[id]/time_entries"))
    cursor = {"v": 1, "began": "2026-10-01T00:00:00Z", "next": "2026-11-01T00:00:00Z"}
    async with reading(desk) as source:
        for after in (None, cursor):
            pages = [page async for page in source.read("hours", after)]
            assert [(page.records, page.cursor) for page in pages] == [((), after or {})]
            (failure,) = pages[0].failures
            assert (failure.kind, failure.key, failure.retry) == (Kind.HOURS, "*", False)
            assert "The account's plan lacks this feature" in failure.reason
        with pytest.raises(Unreadable, match="hours of ticket 1 may not be read now"):
            await source.fetch("hours", "1")


async def test_t21_the_hours_of_an_archived_ticket() -> None:
    """HELPDESK-APIS T21: they are asked for under the archive's path; a ticket that is there and shows none is unsure.

    Only a ticket that is nowhere has no sheet.
    """
    desk = a_desk("2026-11-01T00:00:00Z")
    async with reading(desk) as source:
        desk.faults.add(Fault(match="GET /api/v2/tickets/1/time_entries", kind="404", times=None))
        with pytest.raises(Unreadable, match="although the ticket is there"):
            await source.fetch("hours", "1")
        desk.faults.add(Fault(match=r"GET /api/v2/tickets/1\b", kind="404", times=None))
        assert await source.fetch("hours", "1") is None
        with pytest.raises(InvalidRequest):
            await source.fetch("hours", "one")


async def test_a_filter_that_is_not_honoured_is_noticed() -> None:
    """An account that lists everything whatever dates are asked for raises, and is not taken month by month."""
    desk = a_desk(*(stamp(86_400 * day) for day in range(40)))
    with SandboxServer(desk) as sandbox:
        client = Client(normalise(sandbox.url), "sandbox", timing=timing_of(desk))
        stream = HoursStream(_Deaf(client, FRESHDESK), timedelta(days=45))
        with pytest.raises(WindowStuck, match="beyond the dates"):
            assert [page async for page in stream.read(None, limit=None, known=nothing_known)]
        await client.aclose()


class _Deaf(Reader):
    """A reader whose helpdesk does not hear the filters."""

    async def page(self, path: str, params: Params, **options: Any) -> Rows:
        heard = {name: value for name, value in params.items() if not name.startswith("executed")}
        return await super().page(path, heard, **options)


async def test_what_breaks_a_read() -> None:
    """A helpdesk that is down raises; one that forbids passes as a warning of the whole stream."""
    desk = a_desk("2026-11-01T00:00:00Z")
    async with reading(desk, retries=0) as source:
        desk.faults.add(Fault(match="time_entries", kind="500", times=None))
        with pytest.raises(SourceUnavailable):
            await sheets(source)
        with pytest.raises(SourceUnavailable):
            await source.fetch("hours", "1")
        desk.faults.clear()
        desk.faults.add(Fault(match="time_entries", kind="403", times=None))
        pages = [page async for page in source.read("hours", None)]
    assert [(one.kind, one.key) for page in pages for one in page.failures] == [(Kind.HOURS, "*")]


async def test_since_is_a_work_date() -> None:
    """A read since a time yields the months from that on."""
    desk = a_desk("2026-08-01T00:00:00Z", "2026-10-20T00:00:00Z")
    async with reading(desk) as source:
        found, cursor = await sheets(source, source.cursor_since("hours", OCTOBER + timedelta(days=30)))
    assert [ids(sheet) for sheet in found] == [[81_002], [], []]
    assert cursor == {"v": 1, "read": "2026-11-02T09:00:00Z"}
